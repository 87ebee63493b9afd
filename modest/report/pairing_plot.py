"""A pairing bench as figures: curves with intervals, what rounds saw, the candidates, and a map of what was picked.

The last two are Figures 4 and 5 of Zhang and Zhu, arXiv 2510.03247, drawn from our own runs.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from modest.bench import pairing
from modest.data import files
from modest.report.plots import INK, SOFT, colour, panels, svg

_PLACE = ["set", "setting", "learner"]


def pairing_curves(frame: pd.DataFrame, metric: str, title: str = "") -> Figure:
    """Score against queries asked, one line per method with its 95 % interval over seeds as a band.

    ``frame``: :func:`modest.bench.pairing.results` of one set, setting and learner.
    """
    told = pairing.summarise(frame, metric)
    figure, axes = _one(title)
    for method, dash in _dashes(frame["method"]).items():
        own = told[told["method"] == method].sort_values("asked")
        axes.fill_between(own["asked"], own["low"], own["high"], color=colour(method), alpha=0.12, linewidth=0)
        line: dict[str, Any] = {"color": colour(method), "linestyle": dash, "linewidth": 1.8, "marker": "."}
        axes.plot(own["asked"], own["mean"], label=method, **line)
    axes.set_xlabel("queries asked")
    axes.set_ylabel(f"{metric} on the test rows")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def pairing_diagnostics(frame: pd.DataFrame, title: str = "") -> Figure:
    """Per round, means over seeds: radius of each side, AUROC of its margins, share of the queries that went to it.

    ``frame`` as in :func:`pairing_curves`.
    """
    told = pairing.diagnostics(frame)
    sides = [name.removeprefix("asked:") for name in frame.columns if name.startswith("asked:")]
    figure, grid = panels(10.5, 3.0 * len(sides), len(sides), 3)
    heads = ("radius before the choice", "AUROC of the margin", "share of the queries")
    dashes = _dashes(told["method"])
    for method, own in told.groupby("method", sort=False):
        line: dict[str, Any] = {"color": colour(str(method)), "linestyle": dashes[str(method)]}
        line |= {"linewidth": 1.6, "marker": ".", "label": str(method)}  # alone, a value has no line
        asked = own[[f"asked:{side}" for side in sides]].sum(axis=1)
        for row, side in zip(grid, sides):
            for axes, value in zip(row, (own[f"radius:{side}"], own[f"auroc:{side}"], own[f"asked:{side}"] / asked)):
                axes.plot(own["round"] + 1, value, **line)
    for row, side in zip(grid, sides):
        for axes, head in zip(row, heads):
            axes.set_title(f"{side}: {head}", loc="left", color=INK, fontsize=10)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        row[1].axhline(0.5, color=SOFT, linewidth=0.8, linestyle=(0, (4, 3)))
    for axes in grid[-1]:
        axes.set_xlabel("round")
    grid[0, -1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.suptitle(title, color=INK, fontweight="bold")
    return figure


def candidates_curve(frame: pd.DataFrame, metric: str, sizes: Mapping[str, float], title: str = "") -> Figure:
    """Area under the learning curve against the candidates, in budgets of a round; random as a band behind.

    ``sizes``: variant -> B_C / B. ``frame`` as in :func:`pairing_curves`.
    """
    told = pairing.areas(frame, metric).set_index("method")
    figure, axes = _one(title)
    names = sorted((name for name in sizes if name in told.index), key=lambda name: sizes[name])
    place, own = np.arange(len(names)), told.loc[names]
    error = [own["area"] - own["low"], own["high"] - own["area"]]
    axes.errorbar(place, own["area"], yerr=error, color=colour("acquire"), marker="o", linewidth=1.8, capsize=3)
    axes.set_xticks(place, [f"{sizes[name]:g} B" if np.isfinite(sizes[name]) else "all" for name in names])
    for name in ("random", "coreset", "uncertainty"):
        if name in told.index:
            axes.axhline(told.loc[name, "area"], color=colour(name), linewidth=1.2, label=name)
            axes.axhspan(told.loc[name, "low"], told.loc[name, "high"], color=colour(name), alpha=0.08)
    axes.set_xlabel("candidates")
    axes.set_ylabel(f"area under {metric}")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def picks_map(points: Any, picked: Mapping[str, Any], title: str = "") -> Figure:
    """One panel per rule over the same plane: the side's rows grey, what the rule asked about on top.

    ``points`` (n, 2), as of :func:`modest.report.plane.plane`; ``picked`` rule -> rows.
    """
    figure, grid = panels(3.2 * len(picked), 3.4, 1, len(picked))
    for axes, (name, rows) in zip(grid[0], picked.items()):
        chosen = np.asarray(rows, dtype=np.int64)
        axes.scatter(points[:, 0], points[:, 1], s=5, color="#cbd5e1", linewidths=0, rasterized=True)
        axes.scatter(points[chosen, 0], points[chosen, 1], s=22, color=colour(name), edgecolors=INK, linewidths=0.6)
        axes.set_title(f"{name} ({len(chosen)})", loc="left", color=INK, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(title, color=INK, fontweight="bold")
    return figure


def write_plots(folder: str | Path) -> list[Path]:
    """Draw a pairing bench into its folder, curves, diagnostics and, where there are such variants, the candidates.

    Returns the files, a PNG and an SVG of every figure; errors as :func:`modest.bench.pairing.results`.
    """
    frame, written = pairing.results(folder), []
    metric = "group" if "group" in frame.columns else "recall@1"
    for place, own in frame.groupby(_PLACE, sort=True):
        title = f"{', '.join(place)} ({own['retrain'].iloc[0]}), {own['seed'].nunique()} seeds"
        figures = {"curves": pairing_curves(own, metric, title), "diagnostics": pairing_diagnostics(own, title)}
        sizes = {name: _size(name) for name in own["method"].unique() if name.startswith("B_C")}
        if sizes:
            figures["candidates"] = candidates_curve(own, metric, sizes, title)
        for what, figure in figures.items():
            path = Path(folder) / f"{what}-{'-'.join(place)}.png"
            with files.replacing(path) as temporary:
                figure.savefig(temporary, format="png", dpi=130, bbox_inches="tight")
            with files.replacing(path.with_suffix(".svg")) as temporary:
                temporary.write_text(svg(figure), encoding="utf-8")
            written += [path, path.with_suffix(".svg")]
    return written


def _dashes(methods: Iterable[str]) -> dict[str, str]:
    """Line style of every method, in their order: solid for the first of a colour, another for each that shares it."""
    used: Counter[str] = Counter()
    found = {}
    for name in dict.fromkeys(str(method) for method in methods):
        found[name] = ("-", "--", ":", "-.")[used[colour(name)] % 4]
        used[colour(name)] += 1
    return found


def _size(name: str) -> float:
    """Candidates of a variant called ``B_C-4B`` or ``B_C-all``, in budgets."""
    found = re.search(r"(\d+(?:\.\d+)?)B$", name)
    return float(found[1]) if found else float("inf")


def _one(title: str) -> tuple[Figure, Axes]:
    figure, grid = panels(7.6, 4.4)
    grid[0, 0].set_title(title, loc="left", color=INK, fontweight="bold", fontsize=11)
    return figure, grid[0, 0]
