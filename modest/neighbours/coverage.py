"""Greedy kernel coverage, lazily: pick the candidate that raises the covered similarity of the targets most.

    gain(c) = sum_i w_i max(0, k(c, i) - best_i),   best_i = max over covered j of k(j, i)

The gain of a candidate can only fall as others are picked (the objective is submodular), so an old gain is an upper
bound: the candidates with the best old gains are computed again, a batch in one product, until the best fresh gain is
above every old one. Where many gains are nearly equal that means most candidates; but then a pick has changed best_i
for few targets, and all gains are brought up to date on these alone. The cheaper way is taken, counted in products.
The picks are those of the plain greedy rule. Source: Minoux 1978 (lazy greedy); Bae et al. 2024.
Cost one pass candidates x targets x d, then a part of it; memory the candidates, the targets and one tile of both.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Block, Rows, squared_distances
from modest.types import Float, Int

Kernel = Callable[[Tensor], Tensor]  # squared distances -> similarities, decreasing

# two gains within this share of one target's full weight per target count as tied: what rounding can move them by
TIE = 1e-6


class _Gains:
    """Upper bounds on the gains of all candidates, exact where asked for."""

    def __init__(self, held: Block, aims: Block, best: Tensor, weights: Tensor, kernel: Kernel, memory: int) -> None:
        self.held, self.aims, self.weights, self.kernel = held, aims, weights, kernel
        self.memory = memory
        self.best = best
        self.synced = best.clone()  # what `base` was computed against
        self.base = self._sum(held, slice(0, len(aims)), lambda k: (k - best).clamp_min_(0.0))
        self.bound = self.base.clone()
        self.work = 0  # candidate-target pairs computed since all bounds were exact

    def _sum(self, candidates: Block, where: Tensor | slice, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """(c,) weighted sum over some targets of ``gain`` of their similarity, in float64, a tile at a time."""
        aims, weights = self.aims[where], self.weights[where]
        tile = int(max(1, self.memory // 8 // (max(1, len(aims)) * 24)))
        parts = [
            gain(self.kernel(squared_distances(candidates[slice(start, start + tile)], aims))).double() @ weights
            for start in range(0, len(candidates), tile)
        ]
        return torch.cat(parts)

    def cover(self, place: int) -> None:
        """Count one more candidate as picked."""
        similarity = self.kernel(squared_distances(self.held[slice(place, place + 1)], self.aims))[0]
        self.best = torch.maximum(self.best, similarity)

    def refresh(self, at: Tensor) -> bool:
        """Make the bounds ``at`` exact, or all of them when that is cheaper by now; True if all are."""
        changed = torch.nonzero(self.best > self.synced).flatten()
        self.work += len(at) * len(self.aims)
        if self.work <= len(self.held) * len(changed):
            self.bound[at] = self._sum(
                self.held[at], slice(0, len(self.aims)), lambda k: (k - self.best).clamp_min_(0.0)
            )
            return False
        if len(changed):
            old, new = self.synced[changed], self.best[changed]
            self.base -= self._sum(self.held, changed, lambda k: (k - old).clamp_min_(0.0) - (k - new).clamp_min_(0.0))
        self.synced, self.bound, self.work = self.best.clone(), self.base.clone(), 0
        return True


def greedy_coverage(
    rows: Rows,
    budget: int,
    candidates: Int,
    targets: Int,
    kernel: Kernel,
    *,
    covered: Int,
    weights: Float | None = None,
    batch: int = 64,
) -> tuple[Int, Float, Tensor]:
    """Picks (budget,), gain of each as a share of the targets' weight (budget,), covered similarity of targets (t,).

    Parameters
    ----------
    rows : Rows
    candidates, targets, covered : int
        Rows in the frame of ids: what may be picked, what is to be covered, what counts as picked already.
    kernel : function
        Squared distances -> similarities in [0, 1], decreasing.
    weights : (t,) float, optional
        Importance of the targets; equal if left out.
    """
    held, aims = rows.take(candidates), rows.take(targets)
    w = torch.ones(len(targets), dtype=torch.float64) if weights is None else torch.as_tensor(weights).double()
    w = w.to(rows.device)
    tile = int(max(1, min(len(held), rows.memory // 8 // (len(aims) * 24))))
    best = torch.zeros(len(targets), dtype=rows.dtype, device=rows.device)
    for start in range(0, len(covered), tile):
        seen = kernel(squared_distances(rows.take(covered[start : start + tile]), aims)).amax(dim=0)
        best = torch.maximum(best, seen)
    gains = _Gains(held, aims, best, w, kernel, rows.memory)
    open_rows = torch.ones(len(held), dtype=torch.bool, device=rows.device)
    slack = TIE * float(w.sum()) / max(1.0, float(len(aims)) ** 0.5)
    picks, gained = [], []
    for _ in range(budget):
        place = _next(gains, open_rows, batch, slack)
        picks.append(int(candidates[place]))
        gained.append(max(0.0, float(gains.bound[place] / w.sum())))
        open_rows[place] = False
        gains.cover(place)
    return np.array(picks, dtype=np.int64), np.array(gained), gains.best


def _next(gains: _Gains, open_rows: Tensor, batch: int, slack: float) -> int:
    """Place of the open candidate with the largest gain, lowest on ties."""
    fresh = torch.zeros_like(open_rows)
    while True:
        value = torch.where(open_rows, gains.bound, -torch.inf)
        if float(value.max()) <= slack:  # nothing is left to gain: the lowest open row
            return int(open_rows.to(torch.int8).argmax())
        top = torch.where(fresh, value, -torch.inf).max()
        stale = open_rows & ~fresh & (value >= top - slack)
        if not bool(stale.any()):
            return int((value >= top - slack).to(torch.int8).argmax())
        at = torch.where(stale, value, -torch.inf).topk(min(batch, int(stale.sum()))).indices
        if gains.refresh(at):
            fresh[:] = True
        fresh[at] = True
        batch = min(batch * 2, 1024)
