"""What a learning curve is worth in one number, and whether margins tell right from wrong.

    area(n, s)            =  integral of s over n, trapezoids, divided by (n_last - n_first)
    saving(method, random) = 1 - n_method(a) / n_random(a),   a = random's last score

n(a) is where a curve first reaches a, on straight lines between its points; a method that never does has no saving
(NaN), and one that starts there has reached it at its first point.

    AUROC  =  P(right value > wrong value) + P(equal) / 2  over all pairs of a right and a wrong one (Mann-Whitney)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import rankdata

from modest.types import Float


def area(counts: Any, scores: Any) -> float:
    """Mean height of a curve: its trapezoid area over the range of ``counts`` (a single point is its own mean).

    Parameters
    ----------
    counts : (T,) ascending numbers, e.g. pairs bought
    scores : (T,) numbers

    Raises
    ------
    ValueError
        If the two do not match, are empty or hold NaN, or ``counts`` does not ascend.

    Examples
    --------
    >>> area([0, 10, 30], [0.0, 1.0, 1.0])
    0.8333333333333334
    """
    n, s = _curve(counts, scores)
    if len(n) == 1:
        return float(s[0])
    return float((np.diff(n) * (s[1:] + s[:-1]) / 2).sum() / (n[-1] - n[0]))


def saving(counts: Any, scores: Any, random_counts: Any, random_scores: Any) -> float:
    """Share of random's pairs that a method does without, at random's last score; NaN if it never reaches it.

    Negative where the method needs more. Arguments and errors as for :func:`area`, twice.

    Examples
    --------
    >>> saving([0, 10, 20], [0.0, 0.5, 0.6], [0, 10, 20], [0.0, 0.3, 0.5])
    0.5
    """
    n, s = _curve(counts, scores)
    random_n, random_s = _curve(random_counts, random_scores)
    goal = float(random_s[-1])
    needed, spent = _reached(n, s, goal), _reached(random_n, random_s, goal)
    return float("nan") if np.isnan(needed) or spent == 0 else 1.0 - needed / spent


def auroc(values: Any, right: Any) -> float:
    """Chance that a right item has the larger value than a wrong one, ties counting half; NaN without either kind.

    Parameters
    ----------
    values : (n,) numbers, infinity allowed, e.g. margins
    right : (n,) bool, e.g. whether the most similar item is the true partner

    Raises
    ------
    ValueError
        If the two do not match or a value is NaN.

    Examples
    --------
    >>> auroc([0.1, 0.4, 0.4, 0.9], [False, False, True, True])
    0.875
    """
    v, flags = np.asarray(values, dtype=np.float64), np.asarray(right)
    if v.ndim != 1 or flags.shape != v.shape or flags.dtype != bool:
        raise ValueError(
            f"values has shape {v.shape} and right {flags.dtype} {flags.shape}; give (n,) numbers and bool."
        )
    if np.isnan(v).any():
        raise ValueError(f"values holds NaN at {int(np.argmax(np.isnan(v)))}; leave that item out.")
    yes, no = int(flags.sum()), int((~flags).sum())
    if not yes or not no:
        return float("nan")
    return float((rankdata(v)[flags].sum() - yes * (yes + 1) / 2) / (yes * no))


def _reached(n: Float, s: Float, goal: float) -> float:
    """Where a curve first reaches a height, on straight lines."""
    there = np.flatnonzero(s >= goal)
    if not len(there):
        return float("nan")
    k = int(there[0])
    if k == 0:
        return float(n[0])
    return float(n[k - 1] + (n[k] - n[k - 1]) * (goal - s[k - 1]) / (s[k] - s[k - 1]))


def _curve(counts: Any, scores: Any) -> tuple[Float, Float]:
    n, s = np.asarray(counts, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if n.ndim != 1 or n.shape != s.shape or not len(n):
        raise ValueError(f"counts has shape {n.shape} and scores {s.shape}; give one score per count, at least one.")
    if np.isnan(n).any() or np.isnan(s).any():
        raise ValueError("counts or scores holds NaN; leave that point out.")
    if (np.diff(n) <= 0).any():
        raise ValueError("counts does not ascend; give each count once, in order.")
    return n, s
