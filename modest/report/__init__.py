"""Reports: plots as matplotlib figures, and one HTML page that holds everything it shows."""

from modest.report import plots
from modest.report.agreeing import agreement_figure, agreement_part, pairs_part
from modest.report.bench_page import bench_page, bench_parts
from modest.report.cartography import cartography_parts
from modest.report.cartography_plot import map_figure, preference_bars
from modest.report.chosen import choice_parts
from modest.report.export import write_tables
from modest.report.gap import gap_parts
from modest.report.growth import growth_figure, growth_part, history_parts
from modest.report.html import Card, Note, Page, Part, Shown, html, write
from modest.report.patterns import imagination_figure, missing_parts, model_parts, pattern_figure
from modest.report.people import people_parts
from modest.report.plane import plane
from modest.report.pool_page import pool_page
from modest.report.provenance import provenance_part
from modest.report.round_page import round_page
from modest.report.run_page import run_page
from modest.report.spread_parts import spread_parts

__all__ = [
    "Card",
    "Note",
    "Page",
    "Part",
    "Shown",
    "agreement_figure",
    "agreement_part",
    "bench_page",
    "bench_parts",
    "cartography_parts",
    "choice_parts",
    "gap_parts",
    "growth_figure",
    "growth_part",
    "history_parts",
    "html",
    "imagination_figure",
    "map_figure",
    "missing_parts",
    "model_parts",
    "pairs_part",
    "pattern_figure",
    "people_parts",
    "plane",
    "plots",
    "pool_page",
    "preference_bars",
    "provenance_part",
    "round_page",
    "run_page",
    "spread_parts",
    "write",
    "write_tables",
]
