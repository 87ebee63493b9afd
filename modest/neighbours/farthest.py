"""Farthest-first traversal, exact, with the distances to a batch of candidates in one product.

    next = argmax over free rows of min over covered rows j of d2(i, j)

One pick at a time is bound by memory, not by arithmetic. The k farthest rows are the likeliest next picks, so the
distances of all rows to these k come from one product, and picks are taken for as long as the farthest row is among
them; the picks are the same as one at a time. Source: Gonzalez 1985; Sener and Savarese 2018 for the use in learning.
Cost about n budget d multiplications; memory n (k + 3) numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Rows, squared_distances
from modest.types import Bool, Float, Int

# two squared distances within this share of the largest count as tied: it is what rounding in fp32 can move them by
TIE = 2e-6


def covered_distance(rows: Rows, covered: Int) -> Tensor:
    """(n,) squared distance of every row to the nearest of ``covered`` (frame of ids); infinity if there is none."""
    closest = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)
    for begin in range(0, len(covered), 256):
        block = rows.take(covered[begin : begin + 256])
        for start, tile in rows.tiles():
            part = closest[start : start + len(tile)]
            torch.minimum(part, squared_distances(tile, block).amin(dim=1), out=part)
    return closest


def _farthest(closest: Tensor, free: Tensor) -> int:
    """Lowest free row whose distance ties with the largest."""
    value = torch.where(free, closest, -torch.inf)
    top = value.max()
    return int((value >= top - TIE * top.abs().clamp_min(1e-12)).to(torch.int8).argmax())


def farthest_first(
    rows: Rows, budget: int, free: Bool, *, first: int | None = None, covered: Int | None = None, batch: int = 32
) -> tuple[Int, Float, Tensor]:
    """Picks (budget,), distance of each to what was covered before it (budget,), final squared distances (n,).

    ``first`` is the first pick, needed when nothing is ``covered``; all rows in the frame of ids. The first distance
    from nothing is infinity.

    Raises
    ------
    ValueError
        If there is neither ``first`` nor a covered row.
    """
    closest = covered_distance(rows, np.empty(0, np.int64) if covered is None else covered)
    if first is None and (covered is None or not len(covered)):
        raise ValueError("first is missing and nothing is covered; name the row to start from.")
    open_rows = torch.as_tensor(free, device=rows.device).clone()
    batch = max(1, min(batch, len(rows), rows.memory // 4 // (4 * len(rows)) or 1))
    picks: list[int] = []
    distances: list[float] = []
    while len(picks) < budget:
        if not picks and first is not None:
            candidates = torch.tensor([first], device=rows.device)
        else:
            ranked = torch.where(open_rows, closest, -torch.inf).topk(min(batch, int(open_rows.sum()))).indices
            leader = _farthest(closest, open_rows)
            candidates = torch.unique(torch.cat([ranked, torch.tensor([leader], device=rows.device)]))
        to_batch = _distances_to(rows, candidates)
        place = {int(row): k for k, row in enumerate(candidates)}
        pick = first if not picks and first is not None else leader
        while pick in place and len(picks) < budget:
            picks.append(pick)
            distances.append(float(closest[pick]) ** 0.5)
            open_rows[pick] = False
            torch.minimum(closest, to_batch[place[pick]], out=closest)
            if len(picks) < budget:
                pick = _farthest(closest, open_rows)
    return np.array(picks, dtype=np.int64), np.array(distances), closest


def _distances_to(rows: Rows, candidates: Tensor) -> Tensor:
    """(k, n) squared distances of the candidates to every row."""
    block = rows.take(candidates)
    result = torch.empty((len(candidates), len(rows)), dtype=rows.dtype, device=rows.device)
    for start, tile in rows.tiles():
        result[:, start : start + len(tile)] = squared_distances(block, tile)
    return result
