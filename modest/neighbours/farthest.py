"""Farthest-first traversal, exact, with the distances to many picks in one product.

    next = argmax over free rows of min over covered rows j of d2(i, j)

One pick at a time is bound by memory, not by arithmetic. The k farthest rows are the likeliest next picks, and no other
row is farther than the farthest of the others is now, for distances only fall. So the picks are played through among
the k alone, for as long as the farthest of them is beyond that bound, and one product brings all rows up to date; the
picks are the same as one at a time. Source: Gonzalez 1985; Sener and Savarese 2018 for the use in learning.
Cost n budget d multiplications and k^2 d per product; memory a few numbers per row, one tile.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Rows, squared_distances
from modest.types import Bool, Float, Int

# two squared distances within this share of the largest count as tied: it is what rounding in fp32 can move them by
TIE = 2e-6
EDGE = 4096  # rows of a tile at most, so that its distances stay in the processor's cache


def covered_distance(rows: Rows, covered: Int, among: Int | None = None) -> Tensor:
    """(n,) squared distance of every row, or of those ``among``, to the nearest of ``covered`` (frame of ids).

    Infinity where nothing is covered.
    """
    count = len(rows) if among is None else len(among)
    closest = torch.full((count,), torch.inf, dtype=rows.dtype, device=rows.device)
    for begin in range(0, len(covered), 256):
        _cover(rows, closest, torch.as_tensor(covered[begin : begin + 256], device=rows.device), among)
    return closest


def _cover(rows: Rows, closest: Tensor, covered: Tensor, among: Int | None = None) -> None:
    """Lower ``closest`` to the distances to the rows ``covered``."""
    block, length = rows.take(covered), max(1, min(rows.tile, EDGE))
    tiles = rows.tiles(length)
    if among is not None:
        tiles = ((start, rows.take(among[start : start + length])) for start in range(0, len(among), length))
    for start, tile in tiles:
        part = closest[start : start + len(tile)]
        torch.minimum(part, squared_distances(tile, block).amin(dim=1), out=part)


def _farthest(closest: Tensor, free: Tensor) -> int:
    """Lowest free row whose distance ties with the largest."""
    value = torch.where(free, closest, -torch.inf)
    top = value.max()
    return int((value >= top - TIE * top.abs().clamp_min(1e-12)).to(torch.int8).argmax())


def farthest_first(
    rows: Rows,
    budget: int,
    free: Bool,
    *,
    first: int | None = None,
    covered: Int | None = None,
    closest: Tensor | None = None,
    batch: int = 256,
) -> tuple[Int, Float, Tensor]:
    """Picks (budget,), distance of each to what was covered before it (budget,), final squared distances (n,).

    ``first`` is the first pick, needed when nothing is ``covered``; all rows in the frame of ids. The first distance
    from nothing is infinity. ``closest`` (n,) is what :func:`covered_distance` says of ``covered``, where it is known.

    Raises
    ------
    ValueError
        If there is neither ``first`` nor a covered row.
    """
    if first is None and (covered is None or not len(covered)):
        raise ValueError("first is missing and nothing is covered; name the row to start from.")
    if closest is None:
        closest = covered_distance(rows, np.empty(0, np.int64) if covered is None else covered)
    open_rows = torch.as_tensor(free, device=rows.device).clone()
    batch = max(1, min(batch, rows.memory // 8 // (8 * min(rows.tile, EDGE))))
    picks: list[int] = []
    distances: list[float] = []
    while len(picks) < budget:
        start = first if not picks and first is not None else _farthest(closest, open_rows)
        if start == first and not picks:
            some, before = [start], [float(closest[start])]
        else:
            some, before = _played(rows, closest, open_rows, start, min(batch, budget - len(picks)))
        picks += some
        distances += [value**0.5 for value in before]
        at = torch.tensor(some, device=rows.device)
        open_rows[at] = False
        _cover(rows, closest, at)
    return np.array(picks, dtype=np.int64), np.array(distances), closest


def _played(rows: Rows, closest: Tensor, open_rows: Tensor, start: int, most: int) -> tuple[list[int], list[float]]:
    """The next picks, from ``start`` on and at most so many as can be told, and the squared distance of each."""
    value = torch.where(open_rows, closest, -torch.inf)
    value[start] = torch.inf  # it is among the farthest, and would only by a tie not be the first of them
    ranked = value.topk(min(2 * most + 1, len(value)))
    beyond = float(ranked.values[-1]) if len(ranked.values) < len(value) else -np.inf
    at = ranked.indices[ranked.values > -torch.inf].sort().values
    block = rows.take(at)
    apart = squared_distances(block, block).double().cpu().numpy()
    left, row = closest[at].double().cpu().numpy(), at.cpu().numpy()
    place = int(np.searchsorted(row, start))
    picks, distances = [start], [float(left[place])]
    while len(picks) < most:
        left = np.minimum(left, apart[place])
        left[place] = -np.inf
        top = left.max()
        if not top * (1.0 - TIE) > beyond:
            break
        place = int((left >= top - TIE * max(abs(top), 1e-12)).argmax())
        picks.append(int(row[place]))
        distances.append(float(left[place]))
    return picks, distances
