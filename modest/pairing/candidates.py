"""How far the free rows of a side lie from what is covered, and the coreset of candidates that covers them.

Steps 1 and 2 of "Towards Multimodal Active Learning" (arXiv 2510.03247) measure alike, within one side; farthest-first
is Gonzalez 1985, within twice the optimal radius.

    symbol    variable      shape   meaning
    U         open          (u,)    free rows of the side
    P         covered               rows in pairs or rejected, and anchors
    delta_i   gaps          (u,)    min over s in P of d(i, s); to the mean direction where P is empty
    B_C       count                 candidates

    next = argmax over i in U of min(delta_i, min over candidates c of d(i, c))

d is 1 - cosine, or the Euclidean distance or the angle of unit rows, or the Euclidean distance of rows as given
(``raw``). The first three are monotone in each other, so they lead to the same candidates.
Cost u |P| for delta and u B_C for the candidates, each pick lowering the distances that are known; memory O(u), a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modest.checks import known
from modest.data.keys import keys
from modest.neighbours import Rows, covered_distance, farthest_first, mean_distance, top_k
from modest.pairing.sides import Side
from modest.types import Bool, Float, Int

DISTANCES = ("cosine", "euclidean", "angle", "raw")
SAME = 2e-6  # squared distance, of unit rows, below which fp32 cannot tell rows apart
SAMPLE = 2_048  # rows among which an outlier's neighbours are sought
NEIGHBOURS = 10


@dataclass(frozen=True, eq=False)
class Cover:
    """One side before a round: ``rows`` in which distances are taken, ``open`` (u,) free rows, ``squared`` (u,) squared
    distance of each to what is covered, ``bare`` when nothing is, ``evaluations`` distances computed.
    """

    rows: Rows
    open: Int
    squared: Tensor
    bare: bool
    distance: str
    evaluations: int

    @property
    def gaps(self) -> Float:
        """(u,) distances to what is covered."""
        return converted(self.squared, self.distance)

    @property
    def radius(self) -> float:
        """The largest gap, 0 where no row is free."""
        return float(self.gaps.max(initial=0.0))


def converted(squared: Tensor, distance: str) -> Float:
    """Squared Euclidean distances as the distance named, float64."""
    d2 = squared.double().cpu().numpy()
    if distance == "cosine":
        return np.asarray(d2 / 2.0)
    return np.arccos(np.clip(1.0 - d2 / 2.0, -1.0, 1.0)) if distance == "angle" else np.sqrt(d2)


def cover(side: Side, distance: str = "cosine") -> Cover:
    """Distances of the free rows of a side to its covered rows and anchors, or to its mean direction without any.

    Raises
    ------
    ValueError
        Unknown distance.
    """
    raw = known(distance, DISTANCES, "distance") == "raw"
    rows = _as_given(side.rows) if raw else side.rows
    anchors = _as_given(side.anchors) if raw and side.anchors is not None else side.anchors
    free, count = side.open, len(side.covered) + (0 if anchors is None else len(anchors))
    if not count:
        return Cover(rows, free, mean_distance(rows), True, distance, len(free))
    squared = covered_distance(rows, side.covered, free)
    if anchors is not None:
        squared = torch.minimum(squared, covered_distance(rows, anchors, free))
    return Cover(rows, free, squared, False, distance, len(free) * count)


def _as_given(rows: Rows) -> Rows:
    return Rows(rows.views, unit=False, memory=rows.memory, device=str(rows.device), called="sides")


def farthest_candidates(start: Cover, count: int) -> tuple[Int, int]:
    """At most ``count`` free rows, farthest first, and the distances computed for them.

    From nothing it begins with the row nearest the mean, so that the first is no outlier. It ends early where every
    row left is a copy of one covered or taken; where all free rows are wanted there is nothing to choose.
    """
    if count >= len(start.open):
        return start.open, 0
    closest, first = start.squared.clone(), None
    if start.bare:
        first = int(start.open[int((closest <= closest.min() + SAME).to(torch.int8).argmax())])
        closest = torch.full_like(closest, torch.inf, dtype=start.rows.dtype)
    least = SAME * float(start.rows.q.max())
    picks, _, _ = farthest_first(start.rows, count, first=first, closest=closest, among=start.open, least=least)
    return picks, len(start.open) * len(picks)


def sampled(side: Side, rows: Int, count: int, seed: int, what: str) -> Int:
    """At most ``count`` of some rows of a side, ascending, drawn by (seed, id)."""
    if len(rows) <= count:
        return rows
    drawn = keys(side.rows.ids[rows], seed, f"{what}/{side.name}")
    return np.sort(rows[np.argsort(drawn, kind="stable")[:count]])


def outlying(side: Side, rows: Int, seed: int, share: float = 0.99) -> tuple[Float, Bool, int]:
    """Distance of ``rows`` to their tenth nearest free row of a sample, whether it is an outlier's, and what it cost.

    An outlier's distance is above the ``share`` quantile of those of the sample itself. With few free rows the tenth is
    the farthest there is.
    """
    sample = sampled(side, side.open, SAMPLE, seed, "outliers")
    given = Rows(side.rows.views[side.rows.table_rows(sample)], memory=side.rows.memory, device=str(side.rows.device))
    k = min(NEIGHBOURS, len(sample) - 1)
    if k < 1:
        return np.zeros(len(rows)), np.zeros(len(rows), dtype=bool), 0

    def away(which: Int) -> Float:
        value, at = top_k(given, side.rows.take(which).x, k + 1)
        own = sample[at.cpu().numpy()] == which[:, None]
        return 1.0 - np.sort(np.where(own, -np.inf, value.double().cpu().numpy()), axis=1)[:, 1]

    own, far = away(sample), away(rows)
    return far, far > np.quantile(own, share), len(sample) * (len(sample) + len(rows))
