"""Reports: plots as matplotlib figures, and one HTML page that holds everything it shows."""

from modest.report import plots
from modest.report.cartography import cartography_parts
from modest.report.cartography_plot import map_figure, preference_bars
from modest.report.gap import gap_parts
from modest.report.html import Page, Part, html, write
from modest.report.pages import bench_page, bench_parts, choice_parts, pool_page
from modest.report.patterns import imagination_figure, missing_parts, model_parts, pattern_figure
from modest.report.plane import plane

__all__ = [
    "Page",
    "Part",
    "bench_page",
    "bench_parts",
    "cartography_parts",
    "choice_parts",
    "gap_parts",
    "html",
    "imagination_figure",
    "map_figure",
    "missing_parts",
    "model_parts",
    "pattern_figure",
    "plane",
    "plots",
    "pool_page",
    "preference_bars",
    "write",
]
