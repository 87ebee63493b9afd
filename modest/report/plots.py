"""Plots as matplotlib figures: no global state, colours that stay with their method, labels at the lines themselves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter, NullLocator, PercentFormatter
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from modest.evaluation import ClassBalance

INK, SOFT, GRID = "#334155", "#64748b", "#e2e8f0"
_COLOURS = {
    "auto": "#dc2626",
    "random": "#64748b",
    "kcenter": "#d97706",
    "kmeans": "#0891b2",
    "activeft": "#7c3aed",
    "mmcsal": "#db2777",
    "maxherding": "#16a34a",
    "mla": "#2563eb",
    "late": "#ea580c",
    "concat": "#0d9488",
    "probe": "#475569",
    "zero": "#94a3b8",
    "dropout": "#ca8a04",
    "mmin": "#7c3aed",
    "ceiling": "#111827",
}
_SPARE = ("#2563eb", "#a16207", "#0d9488", "#9333ea", "#ca8a04", "#be185d", "#4d7c0f", "#0369a1")
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "svg.fonttype": "path",
    "svg.hashsalt": "modest",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#94a3b8",
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}


def colour(name: str) -> str:
    """Colour of a method, recipe or modality: always the same one for the same name."""
    return _COLOURS.get(name, _SPARE[sum(map(ord, name)) % len(_SPARE)])


def learning_curves(summary: pd.DataFrame, pool: int | None = None, label: str = "accuracy on the test rows") -> Figure:
    """Accuracy against labels bought, one line per method with its 95 % interval as a band.

    ``summary``: columns method, items, mean, low, high (shares), as of :func:`modest.bench.summarise`, for one set,
    learner and missing rate. ``pool``: rows of the training pool, adds the share below each count.
    """
    figure, axes = _canvas(7.6, 4.4)
    _lines(axes, summary, "method", "items", 4.4)
    items = sorted(summary["items"].unique())
    axes.set_xscale("log")
    axes.set_xticks(items, [f"{k:,}" + (f"\n{100 * k / pool:.2g} %" if pool else "") for k in items])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("labels bought" + (" (share of the training pool)" if pool else ""))
    axes.set_ylabel(label)
    return figure


def missing_curves(summary: pd.DataFrame, label: str = "accuracy on the test rows") -> Figure:
    """Accuracy against the share of modalities missing, one line per recipe with its 95 % interval as a band.

    ``summary``: columns learner, missing, mean, low, high (shares).
    """
    figure, axes = _canvas(7.6, 4.0)
    _lines(axes, summary, "learner", "missing", 4.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xticks(sorted(summary["missing"].unique()))
    axes.set_xlabel("modalities taken away, in training and test rows")
    axes.set_ylabel(label)
    return figure


def modality_bars(values: Mapping[str, tuple[float, float, float]], label: str = "accuracy on the test rows") -> Figure:
    """One bar per modality and one for all together; ``values``: name -> (mean, low, high), shares."""
    figure, axes = _canvas(6.4, 0.9 + 0.5 * len(values))
    names = list(values)
    mean, low, high = (np.array([values[name][k] for name in names]) for k in range(3))
    where = np.arange(len(names))[::-1]
    shade = ["#2563eb" if name == "fused" else "#94a3b8" for name in names]
    axes.barh(where, mean, height=0.62, color=shade)
    axes.errorbar(mean, where, xerr=[mean - low, high - mean], fmt="none", ecolor=INK, elinewidth=1.2, capsize=3)
    for y, m, h in zip(where, mean, high):
        axes.annotate(f"{100 * m:.1f} %", (h, y), (6, 0), textcoords="offset points", va="center")
    axes.set_yticks(where, ["all together" if name == "fused" else name for name in names])
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_xlim(0, max(float(high.max()) * 1.16, 0.1))
    axes.set_xticks([tick for tick in axes.get_xticks() if tick <= 1.0 + 1e-9])
    axes.set_xlim(0, max(float(high.max()) * 1.16, 0.1))
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(label)
    return figure


def class_bars(balance: ClassBalance, most: int = 25) -> Figure:
    """Share of each class in the pool (grey) and among the chosen rows (blue); at most ``most`` classes, rest named."""
    size = min(len(balance.classes), most)
    figure, axes = _canvas(7.6, 3.4)
    where = np.arange(size)
    axes.bar(where - 0.2, balance.pool_share[:size], 0.38, color="#cbd5e1", label="pool")
    axes.bar(where + 0.2, balance.chosen_share[:size], 0.38, color="#2563eb", label="chosen")
    names = [str(name) for name in balance.classes[:size]]
    long = size * max(map(len, names)) > 70
    axes.set_xticks(where, names, rotation=40 if long else 0, ha="right" if long else "center")
    _percent(axes)
    axes.set_ylabel("share of rows")
    rest = len(balance.classes) - size
    axes.set_xlabel("class, most frequent first" + (f" ({rest} more not shown)" if rest else ""))
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2)
    return figure


def choice_map(points: NDArray[Any], rows: Any, labels: Sequence[str | None] | None = None, method: str = "") -> Figure:
    """Pool as dots in two dimensions, chosen rows ringed; coloured by class when there are at most 10 classes.

    ``points`` (n, 2) of :func:`plane`; ``rows`` (b,) chosen; ``labels`` (n,) with None = unknown.
    """
    figure, axes = _canvas(6.4, 5.2)
    given = [None] * len(points) if labels is None else list(labels)
    names = sorted({str(label) for label in given if label is not None})
    tint = np.full(len(points), "#94a3b8", dtype=object)
    coloured = 1 < len(names) <= 10
    if coloured:
        shade = dict(zip(names, _TEN))
        tint[:] = [shade.get(str(label), "#94a3b8") for label in given]
        for name in names:
            axes.scatter([], [], s=22, color=shade[name], label=name)
    axes.scatter(points[:, 0], points[:, 1], s=9, c=list(tint), alpha=0.45, linewidths=0, rasterized=len(points) > 3000)
    picked = np.asarray(rows, dtype=np.int64)
    fill = list(tint[picked]) if coloured else colour(method)
    x, y = points[picked, 0], points[picked, 1]
    axes.scatter(x, y, s=52, c=fill, edgecolors="#0f172a", linewidths=1.4, label="chosen", zorder=3)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("first principal direction")
    axes.set_ylabel("second principal direction")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), handletextpad=0.3)
    return figure


def svg(figure: Figure, transparent: bool = False) -> str:
    """SVG element of a figure, same figure same bytes, without the XML header; on white ground or on none."""
    buffer = io.StringIO()
    options: Any = {"bbox_inches": "tight", "metadata": {"Date": None, "Creator": None}, "transparent": transparent}
    with rc_context(_STYLE):
        figure.savefig(buffer, format="svg", **options)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


_TEN = (
    *("#2563eb", "#ea580c", "#16a34a", "#dc2626", "#7c3aed"),
    *("#92400e", "#db2777", "#475569", "#a3a30d", "#0891b2"),
)


def panels(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, NDArray[Any]]:
    """A figure with (rows, columns) quiet pairs of axes; sizes in inches."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color=GRID, linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, grid


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one quiet pair of axes; sizes in inches."""
    figure, grid = panels(width, height)
    return figure, grid[0, 0]


def _lines(axes: Axes, summary: pd.DataFrame, by: str, along: str, height: float) -> None:
    """Lines with bands, each named at its right end; names are moved apart where they would meet."""
    ends = []
    for name, own in summary.groupby(by, sort=False):
        own = own.sort_values(along)
        x, tone = own[along].to_numpy(dtype=float), colour(str(name))
        axes.fill_between(x, own["low"], own["high"], color=tone, alpha=0.12, linewidth=0)
        axes.plot(x, own["mean"], color=tone, linewidth=2, marker="o", markersize=4.5)
        ends.append((float(own["mean"].iloc[-1]), float(x[-1]), str(name), tone))
    _percent(axes)
    bottom, top = axes.get_ylim()
    points = (height - 0.9) * 72 / (top - bottom)  # of type, per unit of the axis; 0.9 inches hold its labels
    ends.sort()
    places = apart([y for y, *_ in ends], 13.5 / points)
    for (y, x, name, tone), place in zip(ends, places):
        axes.annotate(
            name, (x, y), (16, (place - y) * points), textcoords="offset points",
            color=tone, va="center", fontweight="bold", fontsize=9.5, annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": tone, "lw": 0.6, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)},
        )  # fmt: skip


def apart(wanted: Sequence[float], gap: float) -> NDArray[np.float64]:
    """Places closest (least squares) to the ascending ``wanted`` ones that keep a distance of at least ``gap``.

    With z_i = wanted_i - i gap the places are isotonic: the nearest ascending sequence to z, plus i gap.
    """
    steps = gap * np.arange(len(wanted))
    return np.asarray(isotonic_regression(np.asarray(wanted, dtype=np.float64) - steps) + steps)


def _percent(axes: Axes) -> None:
    """Ticks of the y axis at round percents."""
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
