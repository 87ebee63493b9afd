"""Greedy kernel coverage, lazily: pick the candidate that raises the covered similarity of the targets most.

    gain(c) = sum_i w_i max(0, k(c, i) - best_i),   best_i = max over covered j of k(j, i)

The gain of a candidate can only fall as others are picked (the objective is submodular), so an old gain is an upper
bound: the candidates with the best old gains are computed again, a batch in one product, until the best fresh gain is
above every old one. Where many gains are nearly equal that means most candidates; but then a pick has changed best_i
for few targets, and all gains are brought up to date on these alone. The cheaper way is taken, counted in products.
Once few enough pairs are left with k(c, i) above best_i, they are held and no product is needed any more (pairs.py).
The picks are those of the plain greedy rule; gains that tie within rounding go to the lowest row.
Source: Minoux 1978 (lazy greedy); Bae et al. 2024.
Cost one pass candidates x targets x d, then a part of it, at worst about the harmonic number of the picks made until
pairs are held; memory the candidates, the targets and a tile of both, and for the pairs at most a quarter of ``memory``
and of candidates x budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.pairs import BYTES, Pairs, collect
from modest.neighbours.rows import Block, Rows, squared_distances
from modest.types import Float, Int

Kernel = Callable[[Tensor], Tensor]  # squared distances -> similarities, decreasing

# two gains within this share of one target's full weight per target count as tied: what rounding can move them by
TIE = 1e-6
EDGE = 1024  # rows and columns of a tile on the CPU
SAMPLE = 64  # targets that tell how many pairs still count


class _Gains:
    """Upper bounds on the gains of all candidates, exact where asked for, and always once ``pairs`` are held."""

    def __init__(
        self, held: Block, aims: Block, best: Tensor, weights: Tensor | None, kernel: Kernel, memory: int, budget: int
    ) -> None:
        self.held, self.aims, self.weights, self.kernel = held, aims, weights, kernel
        edge = EDGE if best.device.type == "cpu" else 8 * EDGE
        self.edge = max(1, min(edge, int((memory // 8 // 24) ** 0.5)))
        self.best = best
        self.synced = best.clone()  # what `base` was computed against
        self.pairs: Pairs | None = None
        self.most_pairs = min(memory // 4 // BYTES, len(held) * budget // 4)
        self.budget, self.picked, self.look = budget, 0, 1
        self.spent = 0  # candidate-target pairs computed
        self.work = 0  # the same, since all bounds were exact
        self.base = self._exceeding(held, None, best)
        self.bound = self.base.clone()

    def _tiles(self, candidates: Block, targets: Tensor | None = None) -> Iterator[tuple[slice, slice, Tensor]]:
        """(candidates, places in ``targets``, similarities) in square tiles that stay in the processor's cache.

        Between one set of rows and itself, every tile off the diagonal serves twice.
        """
        count = len(self.aims) if targets is None else len(targets)
        mirror = targets is None and candidates is self.held is self.aims
        for first in range(0, count, self.edge):
            part = slice(first, min(first + self.edge, count))
            aims = self.aims[part if targets is None else targets[part]]
            for start in range(first if mirror else 0, len(candidates), self.edge):
                place = slice(start, min(start + self.edge, len(candidates)))
                k = self.kernel(squared_distances(candidates[place], aims))
                if mirror and start > first:
                    yield part, place, k.T.contiguous()
                yield place, part, k

    def _exceeding(
        self, candidates: Block, targets: Tensor | None, least: Tensor, most: Tensor | None = None
    ) -> Tensor:
        """(c,) weighted sum over some targets of what their similarity exceeds ``least`` by, cut at ``most``.

        A tile's rows are summed in the tile's type, the tiles in float64.
        """
        total = torch.zeros(len(candidates), dtype=torch.float64, device=least.device)
        weights = self.weights if self.weights is None or targets is None else self.weights[targets]
        for place, part, k in self._tiles(candidates, targets):
            k = k.clamp_min_(least[part]) if most is None else k.clamp_(least[part], most[part])
            k = k.sub_(least[part])
            total[place] += k.sum(1) if weights is None else k @ weights[part]
        self.spent += len(candidates) * len(least)
        return total

    def cover(self, place: int) -> None:
        """Count one more candidate as picked."""
        self.picked += 1
        if self.pairs is None:
            similarity = self.kernel(squared_distances(self.held[slice(place, place + 1)], self.aims))[0]
            self.best = torch.maximum(self.best, similarity)
            return
        _, targets, value = self.pairs.by_candidate.of(torch.tensor([place], device=self.best.device))
        better = value > self.best[targets]
        changed, new = targets[better], value[better]
        old = self.best[changed]
        self.best[changed] = new
        at, candidates, k = self.pairs.by_target.of(changed)
        loss = (torch.clamp(k, old[at], new[at]) - old[at]).double()
        if self.weights is not None:
            loss *= self.weights[changed][at]
        self.bound.index_add_(0, candidates, loss, alpha=-1.0)

    def refresh(self, at: Tensor) -> bool:
        """Make the bounds ``at`` exact, or all of them when that is cheaper by now; True if all are."""
        changed = torch.nonzero(self.best > self.synced).flatten()
        self.work += len(at) * len(self.aims)
        if self.work <= len(self.held) * len(changed):
            self.bound[at] = self._exceeding(self.held[at], None, self.best)
            return False
        if self._pays(len(changed)):
            self.pairs = self._collect()
        if self.pairs is None and len(changed):
            where = None if len(changed) == len(self.aims) else changed
            self.base -= self._exceeding(self.held, where, self.synced[changed], self.best[changed])
        self.synced, self.bound, self.work = self.best.clone(), self.base.clone(), 0
        return True

    def _pays(self, changed: int) -> bool:
        """Whether the pairs left are few enough to hold, by a sample of targets, and one pass is worth it."""
        whole = len(self.held) * len(self.aims)
        if self.picked < self.look or self.spent < 2 * whole or (self.budget - self.picked) * changed < len(self.aims):
            return False
        self.look = self.picked + self.picked // 4 + 1
        sample = torch.arange(0, len(self.aims), max(1, len(self.aims) // SAMPLE), device=self.best.device)
        above = sum(int((k > self.best[sample[part]]).sum()) for _, part, k in self._tiles(self.held, sample))
        return above / len(sample) * len(self.aims) * 1.2 <= self.most_pairs

    def _collect(self) -> Pairs | None:
        """The pairs that still count; all gains become exact on the way. None where the sample was misleading."""
        total = torch.zeros_like(self.base)

        def tiles() -> Iterator[tuple[int, int, Tensor, Tensor]]:
            for place, part, k in self._tiles(self.held):
                mask = k > self.best[part]
                gain = (k - self.best[part]).clamp_min_(0.0)
                total[place] += gain.sum(1) if self.weights is None else gain @ self.weights[part]
                yield place.start, part.start, k, mask

        pairs = collect(tiles(), len(self.held), len(self.aims), self.most_pairs)
        if pairs is not None:
            self.base = total
        return pairs


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
    held = rows.take(candidates)
    aims = held if np.array_equal(candidates, targets) else rows.take(targets)
    w = torch.ones(len(targets), dtype=torch.float64) if weights is None else torch.as_tensor(weights).double()
    w = w.to(rows.device)
    tile = int(max(1, min(len(held), rows.memory // 8 // (len(aims) * 24))))
    best = torch.zeros(len(targets), dtype=rows.dtype, device=rows.device)
    for start in range(0, len(covered), tile):
        seen = kernel(squared_distances(rows.take(covered[start : start + tile]), aims)).amax(dim=0)
        best = torch.maximum(best, seen)
    gains = _Gains(held, aims, best, None if weights is None else w.to(rows.dtype), kernel, rows.memory, budget)
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
    fresh = torch.full_like(open_rows, gains.pairs is not None)
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
