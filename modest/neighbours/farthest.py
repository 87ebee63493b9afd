"""Farthest-first traversal, exact, with the distances to many picks in one product.

    next = argmax over free rows of min over covered rows j of d2(i, j)

One pick at a time is bound by memory, not by arithmetic. The k farthest rows are the likeliest next picks, and no other
row is farther than the farthest of the others is now, for distances only fall. So the picks are played through among
the k alone, for as long as the farthest of them is beyond that bound, and one product brings all rows up to date; the
picks are the same as one at a time. Source: Gonzalez 1985; Sener and Savarese 2018 for the use in learning.
Cost n budget d multiplications and k^2 d per product; memory a few numbers per row, one tile.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Block, Rows, squared_distances
from modest.types import Bool, Float, Int

# two squared distances within this share of the largest count as tied: it is what rounding in fp32 can move them by
TIE = 2e-6
EDGE = 4096  # rows of a tile at most, so that its distances stay in the processor's cache


def covered_distance(rows: Rows, covered: Int | Rows, among: Int | None = None) -> Tensor:
    """(n,) squared distance of every row, or of those ``among``, to the nearest of ``covered``.

    ``covered`` are rows in the frame of ids, or all rows of another table. Infinity where nothing is covered.
    """
    count = len(rows) if among is None else len(among)
    closest = torch.full((count,), torch.inf, dtype=rows.dtype, device=rows.device)
    hold = max(1, rows.memory // 8 // (4 * rows.width))  # as many at once as may be at hand: each time reads all rows
    if isinstance(covered, Rows):
        for _, block in covered.tiles(hold):
            _cover(rows, closest, block, among)
    else:
        for begin in range(0, len(covered), hold):
            _cover(rows, closest, rows.take(covered[begin : begin + hold]), among)
    return closest


def _cover(rows: Rows, closest: Tensor, covered: Block, among: Int | None) -> None:
    """Lower ``closest`` to the distances to the rows ``covered``."""
    length = max(1, min(rows.tile, EDGE))
    columns = max(1, min(256, rows.memory // 8 // (8 * length)))
    for start, tile in _some(rows, among, length):
        part = closest[start : start + len(tile)]
        for begin in range(0, len(covered), columns):
            near = squared_distances(tile, covered[begin : begin + columns]).amin(dim=1)
            torch.minimum(part, near, out=part)


def _some(rows: Rows, among: Int | None, length: int) -> Iterator[tuple[int, Block]]:
    """(first place, Block) over some rows, ascending, or all."""
    if among is None or len(among) == len(rows):
        yield from rows.tiles(length)
        return
    for start in range(0, len(among), length):
        yield start, rows.take(among[start : start + length])


def mean_distance(rows: Rows) -> Tensor:
    """(n,) squared distance of every row to the mean direction of unit rows, or to the mean of others, in float64.

    Unit rows whose mean is zero have no direction: all are at the distance of rows at right angles, 2.
    """
    total = torch.zeros(rows.width, dtype=torch.float64, device=rows.device)
    for _, block in rows.tiles():
        total += block.x.double().sum(0)
    mean = total / len(rows)
    away = torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    norm = float(mean.norm())
    if rows.unit:
        mean = mean / norm if norm > TIE else torch.zeros_like(mean)
    for start, block in rows.tiles():
        x = block.x.double()
        away[start : start + len(block)] = x.square().sum(1) - 2.0 * (x @ mean) + (1.0 if rows.unit else norm**2)
    return away.clamp_min_(0.0)


def _farthest(closest: Tensor, free: Tensor) -> int:
    """Lowest free row whose distance ties with the largest."""
    value = torch.where(free, closest, -torch.inf)
    top = value.max()
    return int((value >= top - TIE * top.abs().clamp_min(1e-12)).to(torch.int8).argmax())


def farthest_first(
    rows: Rows,
    budget: int,
    free: Bool | None = None,
    *,
    first: int | None = None,
    covered: Int | None = None,
    closest: Tensor | None = None,
    among: Int | None = None,
    least: float | None = None,
    batch: int = 4096,
) -> tuple[Int, Float, Tensor]:
    """Picks (budget,), distance of each to what was covered before it (budget,), final squared distances (n,).

    Parameters
    ----------
    rows : Rows
    budget : int
        Picks; fewer come back where ``least`` stops them.
    free : (n,) bool, optional
        Rows that may be picked, all by default.
    first : int, optional
        The first pick, needed when nothing is covered; its distance from nothing is infinity.
    covered : int, optional
        Rows covered before.
    closest : (n,), optional
        What :func:`covered_distance` says of what is covered, where it is known; changed in place.
    among : (m,) int ascending, optional
        Look at these rows alone; ``free`` and ``closest`` are then of theirs. All rows are in the frame of ids.
    least : float, optional
        Stop before a pick whose squared distance is not above it.
    batch : int
        Picks told at once at most; changes nothing but the time.

    Raises
    ------
    ValueError
        If there is neither ``first`` nor a covered row.
    """
    if first is None and closest is None and (covered is None or not len(covered)):
        raise ValueError("first is missing and nothing is covered; name the row to start from.")
    if closest is None:
        closest = covered_distance(rows, np.empty(0, np.int64) if covered is None else covered, among)
    names = np.arange(len(closest)) if among is None else among
    open_rows = torch.ones(len(closest), dtype=torch.bool, device=rows.device)
    if free is not None:
        open_rows &= torch.as_tensor(free, device=rows.device)
    picks: list[int] = []
    distances: list[float] = []
    while len(picks) < budget:
        if first is not None and not picks:
            start = int(np.searchsorted(names, first))
            some, before = [start], [float(closest[start])]
        else:
            start = _farthest(closest, open_rows)
            if least is not None and not float(closest[start]) > least:
                break
            some, before = _played(rows, names, closest, open_rows, start, min(batch, budget - len(picks)))
        if least is not None:
            kept = sum(value > least for value in before)
            some, before = some[:kept], before[:kept]
        picks += names[some].tolist()
        distances += [value**0.5 for value in before]
        open_rows[torch.tensor(some, device=rows.device)] = False
        _cover(rows, closest, rows.take(names[some]), among)
    return np.array(picks, dtype=np.int64), np.array(distances), closest


def _played(
    rows: Rows, names: Int, closest: Tensor, open_rows: Tensor, start: int, most: int
) -> tuple[list[int], list[float]]:
    """The next picks (places), from ``start`` on and at most so many as can be told, and their squared distances."""
    value = torch.where(open_rows, closest, -torch.inf)
    value[start] = torch.inf  # it is among the farthest, and would only by a tie not be the first of them
    ranked = value.topk(_ahead(rows, len(value), most))
    beyond = float(ranked.values[-1]) if len(ranked.values) < len(value) else -np.inf
    at = ranked.indices[ranked.values > -torch.inf].sort().values
    row = at.cpu().numpy()
    block = rows.take(names[row])
    apart = squared_distances(block, block).cpu().numpy()
    left = closest[at].double().cpu().numpy()
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


def _ahead(rows: Rows, n: int, most: int) -> int:
    """How many of the farthest are played through: more picks told at once against the products among them, which
    are kept to those that some ten picks cost, and within the memory.
    """
    wide = min(2 * most + 1, max(513, int((10 * n) ** 0.5)), int((rows.memory // 8 / 16) ** 0.5))
    return min(n, max(3, wide))
