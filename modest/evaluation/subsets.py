"""Accuracies of subsets of modalities as means over rows, and sums of them with an interval.

Symbols and equations stand in ``what_if.py``. A subset is a frozenset of places of modalities.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import Any

import numpy as np

from modest.evaluation.curves import POINT, Difference
from modest.evaluation.patterns import share_interval
from modest.types import Bool, Float, Int

__all__ = ["MOST", "Ask", "Seen", "Subset", "counted", "looked_at", "right_rows"]

MOST = 5
Subset = frozenset[int]
# rows (k,), modalities (M,) bool that are shown of them -> probabilities (k, C)
Ask = Callable[[Int, Bool], Any]
# a weight, the modalities shown, the modalities that the rows must have
Term = tuple[float, Subset, Subset]


@dataclass(frozen=True, eq=False)
class Seen:
    """``right`` and ``cover`` by subset, each (n,); ``code`` (n,) number of each row's group; ``level``."""

    right: Mapping[Subset, Float]
    cover: Mapping[Subset, Bool]
    code: Int
    level: float

    def figure(self, terms: Iterable[Term]) -> Difference:
        """Sum of weights times accuracies with its interval, NaN where no row covers a term."""
        total, z = 0.0, np.zeros(len(self.code))
        for weight, shown, having in terms:
            at = self.cover[having]
            if not at.any():
                return Difference(np.nan, np.nan, np.nan, False)
            mean = float(self.right[shown][at].mean())
            total += weight * mean
            z[at] += weight * (self.right[shown][at] - mean) / at.sum()
        half = self._z * float(np.sqrt((np.bincount(self.code, z) ** 2).sum()))
        return Difference(total, total - half, total + half, bool(abs(total) <= min(half, POINT) + 1e-12))

    def change(self, weights: Mapping[Subset, float], one: Subset, whole: bool = False) -> Difference:
        """Sum over subsets of weight times what their member ``one`` adds, on the same rows.

        Subsets that no row covers are left out as long as there are others; with ``whole`` the sum is then NaN.
        """
        known = {s: w for s, w in weights.items() if whole or self.cover[s].any()} or weights
        return self.figure(term for s, w in known.items() for term in ((w, s, s), (-w, s - one, s)))

    def share(self, s: Subset) -> tuple[float, float, float]:
        """Accuracy of a subset on the rows that have it, with Wilson's interval for as many independent rows."""
        plain, rows = self.figure([(1.0, s, s)]), int(self.cover[s].sum())
        p, half, z = plain.mean, (plain.high - plain.low) / 2, self._z
        if not rows:
            return np.nan, np.nan, np.nan
        n = min(float(rows), p * (1 - p) * (z / half) ** 2) if half > 0 else float(rows)
        return p, *share_interval(p * n, n, z)

    @property
    def _z(self) -> float:
        return NormalDist().inv_cdf((1 + self.level) / 2)


def right_rows(ask: Ask, rows: Int, s: Subset, truth: Int, m: int) -> Float:
    """(n,) 1 where the model is right with S shown, 0 where it is not, NaN where S is not there."""
    right = np.full(len(truth), np.nan)
    if len(rows):
        proba = np.asarray(ask(rows, np.isin(np.arange(m), sorted(s))))
        if proba.ndim != 2 or len(proba) != len(rows):
            raise ValueError(f"predict_proba gave {proba.shape} for {len(rows)} rows; it must be (rows, classes).")
        right[rows] = proba.argmax(axis=1) == truth[rows]
    return right


def looked_at(m: int, there: Iterable[Subset]) -> set[Subset]:
    """All patterns of few modalities; of many those of the table, one more and one less, singles, all, all but one."""
    every = range(m)
    if m <= MOST:
        return {frozenset(c) for size in range(1, m + 1) for c in combinations(every, size)}
    ends = {frozenset(every), *(frozenset({k}) for k in every), *(frozenset(every) - {k} for k in every)}
    return ends | {t for s in there for t in (s, *(s ^ {k} for k in every)) if t}


def counted(present: Bool) -> dict[Subset, int]:
    """Pattern -> rows that have it."""
    found, counts = np.unique(present, axis=0, return_counts=True)
    return {frozenset(np.flatnonzero(row).tolist()): int(count) for row, count in zip(found, counts)}
