"""How close rows lie: the rows of a group in the densest places one after the other, distances to other groups.

    typicality(i) = 1 / (mean over the k nearest others j of d2(i, j) + 1e-5),   k = min(neighbours, m // 2)

over the m members left (0 for a member left alone); the most typical one is taken out, the lowest row on ties, and the
rest are looked at again. Each member keeps a list of its nearest ones, longer than k by the number of members that may
go before the lists are made anew, so that taking one out costs no product and the answer is exact. Source: Hacohen,
Dekel and Weinshall 2022.
Cost m^2 d multiplications in float64, once every 64 members taken; memory members in float64, lists, one tile.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Block, Rows, squared_distances
from modest.types import Bool, Float, Int

FLOOR = 1e-5
ROUNDING = 1e-12  # squared distances below this are those of equal rows
TIE = 1e-9  # two typicalities within this share of each other count as tied


def most_typical(
    rows: Rows,
    members: Int,
    count: int,
    *,
    neighbours: int = 20,
    squared: bool = True,
    free: Bool | None = None,
    spare: int = 64,
) -> tuple[Int, Float]:
    """``count`` members in the order they are taken, and the typicality of each when it was taken.

    Parameters
    ----------
    rows : Rows
    members : (m,) int
        Rows in the frame of ids, ascending; at least ``count`` free ones.
    neighbours : int
        Most neighbours a typicality looks at.
    squared : bool
        Mean of squared distances (the released code), or of plain ones.
    free : (m,) bool, optional
        Members that may be taken; the others are neighbours only.
    spare : int
        Members that may be taken before the lists are made anew; changes nothing but the time.
    """
    left = np.asarray(members, dtype=np.int64)
    may = np.ones(len(left), dtype=bool) if free is None else free
    picks: list[int] = []
    scores: list[float] = []
    while len(picks) < count:
        some = min(spare, count - len(picks))
        value, near = _lists(rows, left, min(neighbours, len(left) // 2) + some, squared)
        open_rows, score, k = np.ones(len(left), dtype=bool), np.zeros(len(left)), -1
        at = -1
        for _ in range(some):
            before, k = k, min(neighbours, int(open_rows.sum()) // 2)
            moved = (near == at).any(axis=1) if k == before else open_rows
            score[moved] = _typicality(value[moved], near[moved], open_rows, k)
            score[~open_rows] = -np.inf
            choosable = np.where(may, score, -np.inf)
            at = int((choosable >= choosable.max() * (1.0 - TIE)).argmax())
            picks.append(int(left[at]))
            scores.append(float(score[at]))
            open_rows[at] = False
        left, may = left[open_rows], may[open_rows]
    return np.array(picks, dtype=np.int64), np.array(scores)


def typicality(rows: Rows, members: Int, *, neighbours: int = 20, squared: bool = True) -> Float:
    """(m,) typicality of every member as long as none is taken; arguments as in :func:`most_typical`."""
    k = min(neighbours, len(members) // 2)
    value, near = _lists(rows, members, k, squared)
    return _typicality(value, near, np.ones(len(members), dtype=bool), k)


def _typicality(value: Float, near: Int, open_rows: Bool, k: int) -> Float:
    """(m,) typicality among the members still open, from lists (m, l) of values ascending and of places."""
    if k == 0:
        return np.zeros(len(value))
    usable = open_rows[near] & (near >= 0)
    chosen = usable & (usable.cumsum(axis=1) <= k)
    mean = np.where(chosen, value, 0.0).sum(axis=1) / k
    return np.asarray(1.0 / (mean + FLOOR))


def _lists(rows: Rows, members: Int, length: int, squared: bool) -> tuple[Float, Int]:
    """Distances (m, l) of every member to its nearest others, ascending, and their places in ``members``."""
    block = _exact(rows, members)
    length = min(length, len(members) - 1)
    if length < 1:
        return np.zeros((len(members), 1)), np.full((len(members), 1), -1, dtype=np.int64)
    tile = int(max(1, rows.memory // 8 // (len(members) * 32)))
    values, places = [], []
    for start in range(0, len(members), tile):
        part = block[slice(start, start + tile)]
        d2 = squared_distances(part, block)
        own = torch.arange(len(part), device=rows.device)
        d2[d2 < ROUNDING] = 0.0
        d2[own, own + start] = torch.inf
        value, place = d2.topk(length, dim=1, largest=False)
        values.append(value if squared else value.sqrt())
        places.append(place)
    return torch.cat(values).cpu().numpy(), torch.cat(places).cpu().numpy()


def _exact(rows: Rows, members: Int) -> Block:
    """Members in float64 with their own squared norms, so that equal rows are at distance zero in any tile."""
    block = rows.take(members)
    x: Tensor = block.x.double()
    q = torch.stack([part.square().sum(1) for part in torch.split(x, list(rows.dims), dim=1)], dim=1)
    return Block(x, block.p.double(), q)


def other_distance(rows: Rows, members: Int, label: Int) -> Float:
    """(m,) distance of every member to the nearest member of another ``label`` (m,); infinity if there is none."""
    block = rows.take(members)
    kind = torch.as_tensor(label, device=rows.device)
    tile = int(max(1, rows.memory // 8 // (len(members) * 24)))
    found = []
    for start in range(0, len(members), tile):
        part = slice(start, start + tile)
        d2 = squared_distances(block[part], block)
        found.append(d2.masked_fill_(kind[part, None] == kind[None], torch.inf).amin(dim=1))
    return torch.cat(found).double().sqrt().cpu().numpy()


def closest_pair(rows: Rows, members: Int, least: float = 0.0) -> float:
    """Smallest distance above ``least`` between two of the members; infinity if there is none. In float64."""
    block = _exact(rows, members)
    tile = int(max(1, rows.memory // 8 // (len(members) * 32)))
    smallest = torch.inf
    for start in range(0, len(members), tile):
        part = block[slice(start, start + tile)]
        d2 = squared_distances(part, block)
        own = torch.arange(len(part), device=rows.device)
        d2[own, own + start] = torch.inf
        smallest = min(smallest, float(d2.masked_fill_(d2 <= least**2, torch.inf).min()))
    return float(smallest**0.5)
