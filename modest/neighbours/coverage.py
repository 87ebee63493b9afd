"""Greedy kernel coverage, lazily: pick the candidate that raises the covered similarity of the targets most.

    gain(c) = sum_i w_i max(0, k(c, i) - best_i),   best_i = max over covered j of k(j, i)

The gain of a candidate can only fall as others are picked (the objective is submodular), so an old gain is an upper
bound: the candidates with the best old gains are computed again, a batch in one product, until the best fresh gain is
above every old one. The picks are those of the plain greedy rule. Source: Minoux 1978 (lazy greedy); Bae et al. 2024.
Cost one pass candidates x targets x d, then a small part of it; memory one tile of candidates x targets.
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


def _gains(candidates: Block, targets: Block, best: Tensor, weights: Tensor, kernel: Kernel, tile: int) -> Tensor:
    """(c,) gain of every candidate, summed in float64."""
    parts = []
    for start in range(0, len(candidates), tile):
        similarity = kernel(squared_distances(candidates[slice(start, start + tile)], targets))
        parts.append((similarity - best).clamp_min_(0.0).double() @ weights)
    return torch.cat(parts)


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
    bound = _gains(held, aims, best, w, kernel, tile)
    open_rows = torch.ones(len(held), dtype=torch.bool, device=rows.device)
    slack = TIE * float(w.sum()) / max(1.0, float(len(aims)) ** 0.5)
    picks, gains = [], []
    for _ in range(budget):
        place = _next(held, aims, best, w, kernel, bound, open_rows, min(batch, tile), tile, slack)
        picks.append(int(candidates[place]))
        gains.append(float(bound[place] / w.sum()))
        open_rows[place] = False
        best = torch.maximum(best, kernel(squared_distances(held[slice(place, place + 1)], aims))[0])
    return np.array(picks, dtype=np.int64), np.array(gains), best


def _next(
    held: Block,
    aims: Block,
    best: Tensor,
    weights: Tensor,
    kernel: Kernel,
    bound: Tensor,
    open_rows: Tensor,
    batch: int,
    tile: int,
    slack: float,
) -> int:
    """Place of the candidate with the largest gain, lowest on ties; refreshes entries of ``bound`` on the way."""
    fresh = torch.zeros_like(open_rows)
    while True:
        value = torch.where(open_rows, bound, -torch.inf)
        if float(value.max()) <= slack:  # nothing is left to gain: the lowest open row
            return int(open_rows.to(torch.int8).argmax())
        top = torch.where(fresh, value, -torch.inf).max()
        stale = open_rows & ~fresh & (value >= top - slack)
        if not bool(stale.any()):
            return int((value >= top - slack).to(torch.int8).argmax())
        at = torch.where(stale, value, -torch.inf).topk(min(batch, int(stale.sum()))).indices
        bound[at] = _gains(held[at], aims, best, weights, kernel, tile)
        fresh[at] = True
        batch = min(batch * 2, 1024)
