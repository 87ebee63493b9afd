"""The modality gap as a figure: cosines of pairs and of non-pairs above, both modalities in one plane below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from modest.report.plots import INK, panels
from modest.report.spaces import Space

SIDES = (("#2563eb", "o"), ("#ea580c", "^"))  # first and second modality
PAIRED, UNPAIRED = "#7c3aed", "#64748b"
_BINS, _JOINED = 48, 12


def gap_figure(spaces: Sequence[Space]) -> Figure:
    """Cosines and plane of one space side by side, or of several spaces as columns on the same axes.

    The cosines are shares of the drawn items per bin; the means told beside them count every item. Lines join the
    two halves of some items; large marks are the means of the items drawn.
    """
    alone = len(spaces) == 1
    rows, columns = (1, 2) if alone else (2, len(spaces))
    figure, axes = panels(9.6 if alone else 4.9 * columns, 4.5 if alone else 8.2, rows, columns)
    above, below = (axes[:, 0], axes[:, 1]) if alone else (axes[0], axes[1])
    edges = _edges(spaces)
    highest = max(_cosines(where, space, edges) for where, space in zip(above, spaces))
    reach = 1.06 * max(float(np.abs(points).max()) for space in spaces for points in space.points.values())
    for k, space in enumerate(spaces):
        above[k].set_xlim(edges[0], edges[-1])
        above[k].set_ylim(0, 1.06 * highest)
        above[k].set_title(_title(space), loc="left", color=INK, fontweight="bold", fontsize=11, pad=24)
        _plane(below[k], space, reach)
    if alone:
        below[0].set_title(" ", fontsize=11, pad=24)  # keeps both frames level
    above[0].set_ylabel("share of the items drawn")
    below[0].set_ylabel("second principal direction")
    return figure


def _title(space: Space) -> str:
    told = f"gap {space.gap.gap:.3f}"
    return f"{space.name}: {told}" if space.name else told


def _edges(spaces: Sequence[Space]) -> Any:
    values = np.concatenate([part for space in spaces for part in (space.paired, space.unpaired)])
    low, high = float(values.min()), float(values.max())
    margin = max(0.02 * (high - low), 0.01)
    return np.linspace(low - margin, high + margin, _BINS + 1)


def _cosines(axes: Axes, space: Space, edges: Any) -> float:
    """Draw both histograms; returns the height of the highest bin."""
    top = 0.0
    told = {
        "unpaired": (space.unpaired, space.gap.unpaired, UNPAIRED),
        "paired": (space.paired, space.gap.paired, PAIRED),
    }
    for name, (values, mean, tone) in told.items():
        share = np.histogram(values, edges)[0] / len(values)
        axes.stairs(share, edges, fill=True, color=tone, alpha=0.35)
        axes.stairs(share, edges, color=tone, linewidth=1.4, label=f"{name}, mean {mean:.3f}")
        axes.axvline(mean, color=tone, linewidth=1.2, linestyle=(0, (4, 3)))
        top = max(top, float(share.max()))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    axes.set_xlabel(f"cosine of {' and '.join(space.points)}")
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0)
    return top


def _plane(axes: Axes, space: Space, reach: float) -> None:
    first, second = space.points.values()
    for a, b in zip(first[:_JOINED], second[:_JOINED]):
        axes.plot([a[0], b[0]], [a[1], b[1]], color=INK, linewidth=0.9, alpha=0.8, zorder=3)
    for (name, points), (tone, mark) in zip(space.points.items(), SIDES):
        x, y = points.T
        axes.scatter(x, y, s=11, color=tone, marker=mark, alpha=0.4, linewidths=0)
        axes.scatter(
            [x.mean()], [y.mean()], s=90, color=tone, marker=mark, edgecolors="#0f172a", linewidths=1.4, zorder=4
        )
        axes.scatter([], [], s=30, color=tone, marker=mark, label=name)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first principal direction")
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, borderpad=0)
