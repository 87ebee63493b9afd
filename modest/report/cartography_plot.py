"""Cartography as figures: the map of items by confidence and variability, and which part of it a selection prefers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from modest.evaluation import DataMap, curve
from modest.report.plots import INK, SOFT, panels

TONES = ("#c2410c", "#fb923c", "#cbd5e1", "#60a5fa", "#1d4ed8")  # least to most confident fifth
_SHADES = LinearSegmentedColormap.from_list("confidence", TONES)
_MOST = 20_000  # dots


def preference_bars(preferences: Mapping[str, Any]) -> Figure:
    """Five bars per selection, from the least to the most confident fifth of the items, with the random line at 1.

    ``preferences``: name -> (5,) or (seeds, 5) of :func:`modest.evaluation.preference`; several seeds are averaged,
    with their 95 % interval.
    """
    names = list(preferences)
    figure, grid = panels(max(5.4, 1.6 + 0.92 * len(names)), 4.2)
    axes = grid[0, 0]
    where, width = np.arange(len(names)), 0.16
    for k, (tone, told) in enumerate(zip(TONES, ("least", "second", "middle", "fourth", "most confident"))):
        own = [np.atleast_2d(np.asarray(preferences[name], dtype=np.float64))[:, k] for name in names]
        drawn = [curve(values) for values in own]
        mean, low, high = (np.array([float(getattr(c, part)) for c in drawn]) for part in ("mean", "low", "high"))
        x = where + (k - 2) * width
        axes.bar(x, mean, 0.92 * width, color=tone, label=told)
        several = np.array([len(values) > 1 for values in own], dtype=bool)
        if several.any():
            spread = np.stack([mean - low, high - mean])[:, several]
            axes.errorbar(x[several], mean[several], spread, fmt="none", ecolor=INK, elinewidth=0.9)
    axes.axhline(1.0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        "random", (1, 1), (5, 0), xycoords=("axes fraction", "data"), textcoords="offset points",
        va="center", color=INK, fontsize=9.5, annotation_clip=False,
    )  # fmt: skip
    long = max(map(len, names)) > 10 or len(names) > 8
    axes.set_xticks(where, names, rotation=30 if long else 0, ha="right" if long else "center")
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="x", visible=False)
    axes.set_xlim(-0.55, len(names) - 0.45)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.set_ylabel("share of the choice, times five")
    legend = axes.legend(
        frameon=False, ncols=5, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0,
        handlelength=1.1, handletextpad=0.4, columnspacing=1.0, title="fifths of the items by confidence",
        alignment="left", title_fontsize=9.5, fontsize=9.5, labelcolor=INK,
    )  # fmt: skip
    legend.get_title().set_color(INK)
    return figure


def map_figure(chart: DataMap) -> Figure:
    """Items as dots: variability across, confidence up, coloured by the share of epochs in which they were right."""
    figure, grid = panels(6.8, 4.8)
    axes = grid[0, 0]
    rows: NDArray[Any] = np.arange(len(chart.confidence))
    rows = rows[:: -(-len(rows) // _MOST)] if len(rows) > _MOST else rows
    share = chart.correctness[rows] / len(chart.loss)
    axes.scatter(
        chart.variability[rows], chart.confidence[rows], s=9, c=share, cmap=_SHADES, vmin=0, vmax=1, alpha=0.75,
        linewidths=0, rasterized=len(rows) > 3000,
    )  # fmt: skip
    right, low = max(0.1, 1.08 * float(chart.variability.max())), min(0.5, float(chart.confidence.min()))
    axes.set_xlim(-0.02 * right, right)
    axes.set_ylim(low - 0.03, 1.03)
    corners = [(0.06, 0.9, "easy"), (0.97, 0.5, "ambiguous"), (0.06, 0.05, "hard")]
    for x, y, told in corners[: 3 if low < 0.5 else 2]:
        axes.text(
            x, y, told, transform=axes.transAxes, color=SOFT, fontweight="bold", ha="right" if x > 0.5 else "left",
            path_effects=[withStroke(linewidth=3, foreground="white")], zorder=3,
        )  # fmt: skip
    axes.set_xlabel("variability over the epochs")
    axes.set_ylabel("confidence in the own label")
    shades = ScalarMappable(cmap=_SHADES)  # dots are see-through, the bar is not
    bar = figure.colorbar(shades, ax=axes, shrink=0.72, aspect=22)
    bar.set_label("share of epochs in which it was right", color=INK)
    bar.ax.tick_params(colors=SOFT)
    bar.ax.spines[:].set_visible(False)
    return figure
