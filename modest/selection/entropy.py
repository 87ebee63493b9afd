"""Entropy: label what the classifier is least sure of over all classes; good near the end, poor with few labels.

Reference: Shannon 1948; for choosing labels see Settles, Active Learning Literature Survey, 2009.

    symbol   variable   shape    unit
    p_ic     proba      (n, C)   share, rows sum to 1
    H_i      score      (n,)     nats, at most log C

    H_i = -sum_c p_ic log p_ic,   picks = the free rows of highest H, lowest id on ties

Departures: 0 log 0 counts as 0, without a constant inside the logarithm. Items are judged one by one, so copies are
chosen together. Cost n C; memory the probabilities and one block of them in float64. ``scores``: H.
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


def nats(p: Float) -> Float:
    """(n,) entropy of probabilities (n, C), in nats.

    Examples
    --------
    >>> nats(np.array([[1.0, 0.0], [0.5, 0.5]])).round(3).tolist()
    [0.0, 0.693]
    """
    safe = np.where(p > 0, p, 1.0)
    total: Float = -(safe * np.log(safe)).sum(axis=1)
    return np.maximum(total, 0.0)


def entropy(
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
    """Choose the ``budget`` rows of highest entropy.

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
    >>> entropy(Views({"x": np.eye(3)}), 2, proba=p).rows.tolist()
    [1, 2]
    """
    rows = Rows(views, device=device, memory=memory)
    free = free_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    shares = distributions(rows, proba)
    score = score_rows(rows, shares, nats)
    picks = first_of(rows, highest(score, free), count, limits)
    most = float(np.log(shares.shape[1]))
    reasons = [f"entropy {score[row]:.3f} of at most {most:.3f} nats" for row in picks]
    return answer(rows, picks, score[picks], "entropy", reasons, {"mean_entropy": float(score[free].mean())})
