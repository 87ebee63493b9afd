"""What a report says of missing modalities: accuracy by rate and by presence pattern, and how well absence is imagined.

Plots and tables of what ``evaluation/patterns.py`` and ``completion/imagination.py`` measured, read from the
metrics.json of a model, and the curves of a bench over its missing rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from modest.bench.tables import grid, summarise
from modest.report import plots
from modest.report.html import Part

__all__ = ["imagination_figure", "missing_parts", "model_parts", "pattern_figure"]

_FAR = 2.5  # relative errors beyond are drawn at the edge


def pattern_figure(patterns: Sequence[Mapping[str, Any]]) -> Figure:
    """Accuracy with its 95 % interval, weighted F1 and calibration error of each presence pattern.

    ``patterns``: of one model, as ``PatternScores.plain()`` gives them. The dashed line is the accuracy of all rows, a
    grey mark the calibration error that chance alone would show.
    """
    where = np.arange(len(patterns))[::-1]
    figure, grid_of = plots.panels(8.4, 1.25 + 0.42 * len(patterns), 1, 2)
    left, right = grid_of[0]
    right.sharey(left)
    got = {key: np.array([one[key] for one in patterns], dtype=float) for key in _NUMBERS}
    every = float((got["rows"] * got["accuracy"]).sum() / got["rows"].sum())
    left.barh(where, got["accuracy"], height=0.6, color="#bfdbfe", label="accuracy")
    spread = [got["accuracy"] - got["low"], got["high"] - got["accuracy"]]
    left.errorbar(got["accuracy"], where, xerr=spread, fmt="none", ecolor=plots.INK, elinewidth=1.2, capsize=3)
    left.plot(got["weighted_f1"], where, "D", color="#ea580c", markersize=5, label="weighted F1")
    left.axvline(every, color="#2563eb", linewidth=1.2, linestyle="--", label=f"all rows, {100 * every:.1f} %")
    left.set_yticks(where, [f"{_joined(one['names'])}\n{one['rows']:,} rows" for one in patterns])
    left.set_xlim(0, 1)
    left.set_xlabel("accuracy, weighted F1")
    right.plot(got["ece"], where, "o", color="#2563eb", markersize=6, label="calibration error")
    right.plot(got["ece_by_chance"], where, "|", color="#64748b", markersize=13, markeredgewidth=2, label="by chance")
    right.set_xlim(0, 1.15 * max(0.05, *got["ece"], *got["ece_by_chance"]))
    right.set_xlabel("calibration error")
    right.tick_params(axis="y", labelleft=False)
    for axes in (left, right):
        axes.tick_params(axis="y", length=0, labelcolor=plots.INK)
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 1.0), fontsize=9, handlelength=1.2,
                    columnspacing=1.0)  # fmt: skip
    left.set_ylim(-0.6, len(patterns) - 0.4)
    return figure


_NUMBERS = ("rows", "accuracy", "low", "high", "weighted_f1", "ece", "ece_by_chance")


def imagination_figure(imagined: Sequence[Mapping[str, Any]]) -> Figure:
    """Relative error of each modality imagined from each set of others; at the line, no better than the mean.

    ``imagined``: modality, seen, rows and error of each, as of :class:`modest.completion.imagination.Imagined`; None or
    NaN where there were too few rows. Errors above 2.5 are drawn at the edge, with their number.
    """
    figure, grid_of = plots.panels(7.2, 1.1 + 0.3 * len(imagined))
    axes = grid_of[0, 0]
    where = np.arange(len(imagined))[::-1]
    for y, one in zip(where, imagined):
        error, tone = one["error"], plots.colour(one["modality"])
        if error is None or error != error:
            axes.annotate("too few rows", (0, y), (6, 0), textcoords="offset points", va="center", color=plots.SOFT)
            continue
        x = min(float(error), _FAR)
        axes.plot([min(x, 1.0), max(x, 1.0)], [y, y], color=tone, linewidth=2.2, alpha=0.35)
        axes.plot(x, y, ">" if error > _FAR else "o", color=tone, markersize=6.5, clip_on=False)
        side = (8, "left") if x >= 1 else (-8, "right")
        words: Any = {"textcoords": "offset points", "va": "center", "ha": side[1], "fontsize": 9}
        axes.annotate(f"{error:.2f}", (x, y), (side[0], 0), **words)
    axes.axvline(1.0, color=plots.INK, linewidth=1.2)
    axes.set_yticks(where, [f"{one['modality']} from {_joined(one['seen'])}" for one in imagined])
    axes.tick_params(axis="y", length=0, labelcolor=plots.INK)
    axes.grid(axis="y", visible=False)
    known = [one["error"] for one in imagined if one["error"] is not None and one["error"] == one["error"]]
    axes.set_xlim(0, max(1.25, 1.12 * min(max(known, default=1.0), _FAR)))
    axes.set_ylim(-0.6, len(imagined) - 0.4)
    axes.set_xlabel("squared error relative to imagining the mean (0 perfect, 1 no better)")
    return figure


def model_parts(evaluation: Mapping[str, Any], name: str) -> list[Part]:
    """Sections of a model: accuracy per presence pattern, and what it imagines, of every split that was looked at.

    ``evaluation``: that of the model's metrics.json, written by ``modest evaluate --patterns``.

    Raises
    ------
    ValueError
        If no split was evaluated by pattern.
    """
    parts = []
    for split, found in evaluation.items():
        if not found.get("patterns"):
            continue
        hidden = f" under the mask {found['mask']['sha256'][:12]}" if found.get("mask") else ""
        text = f"{name} on the {split} rows{hidden}, by the modalities they have."
        caption = "Bars with 95 % intervals over rows (Wilson). Grey: what a perfectly calibrated model would show."
        table = pattern_table(found["patterns"])
        parts.append(Part(f"By presence pattern, {split}", text, pattern_figure(found["patterns"]), caption, table))
        if found.get("rates"):
            text = (
                f"{name} on the complete {split} rows, were a share of their modalities missing at random: the mean "
                "over all masks of that rate, not a drawn one. The training stays as it was."
            )
            rates = pd.DataFrame(found["rates"]).rename(columns={"rate": "missing"}).assign(learner=name)
            figure = plots.missing_curves(rates, "expected accuracy")
            figure.axes[0].set_xlabel("modalities taken away, in these rows")
            parts.append(Part(f"By missing rate, {split}", text, figure, "95 % interval over rows."))
        if found.get("imagination"):
            text = f"{name} on the {split} rows: modalities that are there, hidden and imagined from others."
            caption = "Squared error relative to always imagining the mean of these rows, the best constant there is."
            parts.append(Part(f"Imagination, {split}", text, imagination_figure(found["imagination"]), caption))
    if not parts:
        raise ValueError(f"{name} was not evaluated by pattern; run modest evaluate --model {name} --patterns first.")
    return parts


def pattern_table(patterns: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The same numbers, in percent, as a page shows them."""
    rows = [
        {
            "modalities": _joined(one["names"]),
            "accuracy": f"{100 * one['accuracy']:.1f} [{100 * one['low']:.1f}, {100 * one['high']:.1f}]",
            **{head: f"{100 * one[key]:.1f}" for head, key in _HEADS.items()},
            "rows": f"{one['rows']:,}",
        }
        for one in patterns
    ]
    return pd.DataFrame(rows)


_HEADS = {"weighted F1": "weighted_f1", "calibration error": "ece", "by chance": "ece_by_chance"}


def missing_parts(own: pd.DataFrame, of: str) -> list[Part]:
    """Sections of a bench over missing rates: accuracy and weighted F1 of every learner, per method and budget."""
    parts = []
    for (method, items), cells in own.groupby(["method", "items"], sort=False):
        for metric, said in (("accuracy", "Accuracy"), ("weighted_f1", "Weighted F1")):
            figure = plots.missing_curves(summarise(cells, metric), f"{said[0].lower()}{said[1:]} on the test rows")
            heads = {rate: f"{rate:.0%}" for rate in sorted(cells["missing"].unique())}
            table = grid(cells, across="learner", along="missing", metric=metric).rename(columns=heads)
            text = (
                f"{said}, trained on {items:,} labels ({method}); the same share of modality cells is gone in training "
                "and in test."
            )
            title = f"When modalities are missing{of}" if metric == "accuracy" else f"The same{of}, weighted F1"
            parts.append(Part(title, text, figure, _CAPTION, table))
    return parts


_CAPTION = "Mean over seeds with 95 % bootstrap interval. In the table: percent; marked = best or tied with it."


def _joined(names: Sequence[str]) -> str:
    return " + ".join(names)
