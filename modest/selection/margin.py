"""Margin: label where the classifier's two best classes are nearest; the plain yardstick of uncertainty.

Reference: Scheffer, Decomain and Wrobel, IDA 2001.

    symbol   variable   shape    unit
    p_ic     proba      (n, C)   share, rows sum to 1
    u_i      score      (n,)     share, in [0, 1]

    u_i = 1 - (largest p_i - second largest p_i),   picks = the free rows of highest u, lowest id on ties

Departures: none. Items are judged one by one, so copies are chosen together. Cost n C; memory the probabilities and
one block of them in float64. ``scores``: u.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows
from modest.selection.answer import answer, first_of, free_rows, highest, inner_mask
from modest.selection.arrays import distributions, score_rows
from modest.selection.limits import Limits
from modest.types import Choice, Float, Views


def one_minus_margin(p: Float) -> Float:
    """(n,) 1 - (largest - second largest) of probabilities (n, C).

    Examples
    --------
    >>> one_minus_margin(np.array([[0.5, 0.25, 0.25]])).tolist()
    [0.75]
    """
    two = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]
    return np.asarray(1.0 - (two[:, 1] - two[:, 0]))


def margin(
    views: Views,
    budget: int | float,
    *,
    proba: Any,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    limits: Limits | None = None,
) -> Choice:
    """Choose the ``budget`` rows of smallest margin.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; checked like everywhere, though only ids matter.
    budget : int or float
        Items, or a share of the rows.
    proba : (n, C)
        Class probabilities.
    taken : (n,) bool, optional
        Rows that may not be chosen.
    closed : (n,) bool, optional
        The same: an item is judged by itself.
    limits : Limits, optional
        Quotas and costs, see ``limits.py``: rows that do not fit are passed over.
    seed, memory, device
        As in :func:`modest.select`; nothing is drawn.

    Examples
    --------
    >>> p = np.array([[0.9, 0.1], [0.5, 0.5], [0.6, 0.4]])
    >>> margin(Views({"x": np.eye(3)}), 2, proba=p).rows.tolist()
    [1, 2]
    """
    rows = Rows(views, device=device, memory=memory)
    free = free_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    score = score_rows(rows, distributions(rows, proba), one_minus_margin)
    picks = first_of(rows, highest(score, free), count, limits)
    reasons = [f"its two likeliest classes are {1.0 - score[row]:.3f} apart" for row in picks]
    trace = {"mean_margin": float(1.0 - score[free].mean())}
    return answer(rows, picks, score[picks], "margin", reasons, trace)
