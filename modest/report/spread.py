r"""How a choice lies in its pool, beside random choices of the same size: coverage, redundancy, near-duplicates.

    coverage     mean over items i of the distance to the nearest chosen one, after k = 1 ... b of them
    redundancy   mean over chosen j of the distance to the nearest other chosen one
    near-        two items nearer to each other than a quarter of the usual distance, the median over items of the
    duplicates   distance to the nearest other one

Distances are those of the house: the root of the mean over shared modalities of the squared distance of unit rows, in
the default views, whatever space the method itself took. A caller keeps the rows few; cost n^2 d and n b d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from modest.data.keys import order
from modest.neighbours import Rows, closest
from modest.types import Bool, Float, Ids, Int, Views

DRAWS = 5  # random choices to compare with
POINTS = 40  # places of a curve, at most
NEAR = 0.25  # of the usual distance
EQUAL = 1e-3  # distance that rounding may leave between equal rows
FAR = 2.0  # the largest distance between two items

Twin = tuple[int, int, float]  # two rows and their distance


@dataclass(frozen=True, eq=False)
class Lying:
    """How b chosen rows lie: ``cover`` (k,) mean distance of an item to the nearest of the first few, ``farthest``
    the largest in the end; ``apart`` mean distance of a chosen item to the nearest other one (NaN for a single one),
    ``twinned`` how many have a near-duplicate among the others.
    """

    cover: Float
    farthest: float
    apart: float
    twinned: int


@dataclass(frozen=True, eq=False)
class Spread:
    """A choice beside ``DRAWS`` random ones.

    ``counts`` (k,) chosen so far; ``choice`` and ``random`` how they lie; ``usual`` the median distance of an item to
    the nearest other one; ``twins`` pairs of chosen rows that are near-duplicates, nearest first; ``copies`` of
    the ``rest``, the items that were not chosen, are near-duplicates of a chosen one.
    """

    counts: Int
    choice: Lying
    random: tuple[Lying, ...]
    usual: float
    twins: list[Twin]
    copies: int
    rest: int

    def of_random(self, name: str) -> Float:
        """(R,) of one number, or (R, k) of the curve, of the random choices."""
        return np.array([getattr(one, name) for one in self.random], dtype=np.float64)

    @property
    def worth(self) -> float | None:
        """Number of chosen items that cover as well as a whole random choice; None if even all of them do not."""
        cover, goal = self.choice.cover, float(self.of_random("cover")[:, -1].mean())
        there = np.flatnonzero(cover <= goal)
        if not len(there):
            return None
        k = int(there[0])
        if k == 0:
            return float(self.counts[0])
        share = (cover[k - 1] - goal) / (cover[k - 1] - cover[k])
        return float(self.counts[k - 1] + share * (self.counts[k] - self.counts[k - 1]))

    def table(self) -> pd.DataFrame:
        """The curve in plain numbers, one row per place."""
        other = self.of_random("cover")
        told = {"chosen": self.counts, "distance": self.choice.cover, "random": other.mean(axis=0)}
        return pd.DataFrame({**told, "random_low": other.min(axis=0), "random_high": other.max(axis=0)})


def sampled(ids: Ids, inside: Bool, seed: int, most: int) -> Int:
    """Rows of ``inside`` (n,), ascending; more than ``most`` are drawn by (seed, id)."""
    rows = np.flatnonzero(inside).astype(np.int64)
    return rows if len(rows) <= most else np.sort(rows[order(ids[rows], seed, "report/rows")[:most]])


def spread(views: Views, chosen: Int, before: Int, seen: Int, seed: int = 0) -> Spread:
    """Coverage and redundancy of a choice.

    Parameters
    ----------
    views : n rows, each with a modality
    chosen : (b,) rows in the order of the choice, at least one
    before : (a,) rows chosen or labelled earlier: they cover as well, and no random choice takes them
    seen : (s,) rows that coverage is counted over and random choices are drawn from
    seed : of the draws, keyed by (seed, id)
    """
    rows = Rows(views, memory="1GB")
    picks, old, targets = (rows.inner_rows(one) for one in (chosen, before, np.sort(seen)))
    free = np.setdiff1d(targets, old)
    drawn = [free[order(rows.ids[free], seed, f"report/random/{k}")[: len(picks)]] for k in range(DRAWS)]
    counts = np.unique(np.round(np.geomspace(1, len(picks), min(POINTS, len(picks)))).astype(np.int64))
    start = closest(rows, targets, old)[1] if len(old) else np.full(len(targets), FAR)
    usual = float(np.median(closest(rows, targets, targets, others=True)[1])) if len(targets) > 1 else FAR
    limit = max(NEAR * usual, EQUAL)
    lying = [_lying(rows, targets, one, counts, start, limit) for one in (picks, *drawn)]
    rest = np.setdiff1d(targets, picks)
    copies = int((closest(rows, rest, picks)[1] < limit).sum()) if len(rest) else 0
    return Spread(counts, lying[0], tuple(lying[1:]), usual, _twins(rows, picks, limit), copies, len(rest))


def near_duplicates(views: Views) -> tuple[list[Twin], int, float]:
    """Pairs of rows that are near-duplicates, nearest first; how many rows have one; the usual distance."""
    rows = Rows(views, memory="1GB")
    every = np.arange(len(rows))
    gap = closest(rows, every, every, others=True)[1] if len(rows) > 1 else np.full(1, np.inf)
    usual = float(np.median(gap))
    limit = max(NEAR * usual, EQUAL)
    return _twins(rows, every, limit), int((gap < limit).sum()), usual


def _lying(rows: Rows, targets: Int, picks: Int, counts: Int, start: Float, limit: float) -> Lying:
    best, cover, done = start.copy(), np.empty(len(counts)), 0
    for place, k in enumerate(np.minimum(counts, len(picks)).tolist()):
        if k > done:
            best = np.minimum(best, closest(rows, targets, picks[done:k])[1])
        cover[place], done = best.mean(), k
    gap = closest(rows, picks, picks, others=True)[1] if len(picks) > 1 else np.full(1, np.nan)
    return Lying(cover, float(best.max()), float(gap.mean()), int((gap < limit).sum()))


def _twins(rows: Rows, members: Int, limit: float) -> list[Twin]:
    """Members and their nearest other one below a distance, each pair once."""
    if len(members) < 2:
        return []
    place, gap = closest(rows, members, members, others=True)
    own = np.flatnonzero(gap < limit)
    first, second = rows.table_rows(members[own]), rows.table_rows(members[place[own]])
    pairs = {(min(i, j), max(i, j)): g for i, j, g in zip(first.tolist(), second.tolist(), gap[own].tolist())}
    return sorted(((i, j, g) for (i, j), g in pairs.items()), key=lambda twin: (twin[2], twin[:2]))
