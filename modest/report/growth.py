"""Learning curves continued: what the next purchase will bring, and the budget at which the curve says "enough"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, NullLocator

from modest.data.history import SAME, past_curve
from modest.evaluation import curve
from modest.evaluation.enough import Enough, enough
from modest.report import plots
from modest.report.html import Part
from modest.types import Float

THRESHOLD = 0.01  # a point: a purchase that brings less is not worth it
AHEAD = 4.0  # times the last count, as far as a curve is continued


def growth_figure(counts: Float, values: Float, found: Enough, label: str, threshold: float = THRESHOLD) -> Figure:
    """A curve and how it goes on: 90 % intervals of what will be measured, and where it says "enough".

    ``counts`` (T,), ``values`` (S, T) shares, ``found`` of :func:`modest.evaluation.enough.enough`.
    """
    figure, grid = plots.panels(7.6, 4.0)
    axes, tone = grid[0, 0], "#2563eb"
    last = float(counts[-1])
    end = min(AHEAD * last, max(1.5 * found.to, 1.3 * (found.at or 0.0)))
    if found.at is not None:
        right = end if found.at_high is None else min(found.at_high, end)
        if (found.at_low or found.at) < end:
            axes.axvspan(
                max(found.at_low or found.at, float(counts[0])), right, color="#f59e0b", alpha=0.13, linewidth=0
            )
        if found.at < end:
            axes.axvline(found.at, color="#b45309", linewidth=1.4, linestyle="--")
            words: Any = {
                "textcoords": "offset points",
                "color": "#b45309",
                "fontsize": 9,
                "va": "bottom",
                "ha": "center",
            }
            axes.annotate(
                f"enough: {found.at:,.0f}", (found.at, 1), (0, 3), xycoords=("data", "axes fraction"), **words
            )
    ahead = np.geomspace(1.001 * last, end, 16)
    told = [enough(counts, values, to=float(to), threshold=threshold) for to in ahead]
    top = float(values.mean(axis=0)[-1])
    low, mean, high = (top + np.array([getattr(one, name) for one in told]) for name in ("low", "gain", "high"))
    axes.fill_between(ahead, low, np.minimum(high, 1.0), color=tone, alpha=0.1, linewidth=0)
    axes.plot(
        ahead, mean, color=tone, linewidth=1.6, linestyle=(0, (4, 3)), label="as the curve goes on, 90 % interval"
    )
    got = curve(values)
    if len(values) > 1:
        axes.fill_between(counts, got.low, got.high, color=tone, alpha=0.22, linewidth=0)
    axes.plot(counts, got.mean, color=tone, linewidth=2, marker="o", markersize=5, label="measured")
    axes.set_xscale("log")
    ticks = [*counts, found.to] if len(counts) < 7 else [*counts[:: -(-len(counts) // 6)], found.to]
    axes.set_xticks(ticks, [f"{k:,.0f}" for k in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.set_xlabel("labels")
    axes.set_ylabel(label)
    axes.legend(frameon=False, loc="upper left")
    return figure


def growth_part(
    counts: Any, values: Any, who: str, label: str, title: str = "Is it enough?", threshold: float = THRESHOLD
) -> tuple[Part, Enough]:
    """Section on one curve, and what was found of it.

    Parameters
    ----------
    counts : (T,) ascending, labels bought
    values : (T,) or (S, T) scores as shares, of S seeds
    who : what the curve is of, for the sentence
    label : of the scores
    """
    n, table = np.asarray(counts, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    found = enough(n, table, threshold=threshold)
    text = f"{who}: {found.why}. {_budget(found, threshold)}"
    seeds = f"Mean and 95 % interval over {len(table)} seeds. " if len(table) > 1 else ""
    caption = (
        f"{seeds}Dashed: the curve continued, with the 90 % interval of what will be measured. Enough: another "
        f"{found.to - n[-1]:,.0f} labels bring less than {100 * threshold:g} point."
    )
    got = curve(table)
    told = pd.DataFrame({"labels": n, "mean": got.mean, "low": got.low, "high": got.high, "kind": "measured"})
    ahead = [table.mean(axis=0)[-1] + gain for gain in (found.gain, found.low, found.high)]
    told.loc[len(told)] = [found.to, *ahead, "predicted"]
    return Part(title, text, growth_figure(n, table, found, label, threshold), caption, data=told), found


def history_parts(lines: Sequence[Mapping[str, Any]]) -> list[tuple[Part, Enough]]:
    """Sections on what a pool's models have scored since its first labels, one per split, method and mask.

    ``lines``: of :func:`modest.data.history.read_history`. The curve that was measured last comes first.
    """
    curves: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for line in reversed(lines):
        curves.setdefault(tuple(line.get(key) for key in SAME), []).insert(0, line)
    parts = []
    for (split, method, mask), own in curves.items():
        counts, scores = past_curve(own)
        if not len(counts):
            continue
        who = f"{method} on the {split} rows" + (f" under the mask {str(mask)[:8]}" if mask else "")
        title = "Is it enough?" if len(curves) == 1 else f"Is it enough? {who}"
        parts.append(growth_part(counts, scores, who, f"accuracy on the {split} rows", title))
    return parts


def _budget(found: Enough, threshold: float) -> str:
    """Sentence about the budget at which the curve says enough."""
    if found.at is None:
        return "Where it will say enough lies beyond what can be said from these points."
    low = "now" if found.at_low is None else f"{found.at_low:,.0f}"
    high = "beyond what can be said" if found.at_high is None else f"{found.at_high:,.0f}"
    return f"With 90 % confidence the budget of enough lies between {low} and {high} labels."
