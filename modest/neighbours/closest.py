"""The closest of some rows for others: who covers whom, and what was there before.

    place(i) = argmin over j among the rows named of d2(i, j),   d2 as in rows.py

Cost k_of k_among d multiplications; memory the rows ``among`` and one tile.
"""

from __future__ import annotations

import torch

from modest.neighbours.rows import Rows, squared_distances
from modest.types import Float, Int


def closest(rows: Rows, of: Int, among: Int, *, earlier: bool = False, others: bool = False) -> tuple[Int, Float]:
    """Place in ``among`` (k,) of the closest row for each of ``of``, lowest place on ties, and its distance (k,).

    Parameters
    ----------
    rows : Rows
    of, among : int
        Rows in the frame of ids; ``among`` holds at least one.
    earlier : bool
        Only places below a row's own count, for ``of`` and ``among`` the same list; -1 and infinity for the first.
    others : bool
        A row's own place does not count, for ``of`` and ``among`` the same list.
    """
    held = rows.take(among)
    tile = int(max(1, rows.memory // 8 // (len(among) * 24)))
    place = torch.empty(len(of), dtype=torch.int64, device=rows.device)
    distance = torch.empty(len(of), dtype=rows.dtype, device=rows.device)
    for start in range(0, len(of), tile):
        stop = min(start + tile, len(of))
        d2 = squared_distances(rows.take(of[start:stop]), held)
        if earlier:
            d2.masked_fill_(torch.ones_like(d2, dtype=torch.bool).triu_(start), torch.inf)
        elif others:
            own = torch.arange(start, stop, device=rows.device)
            d2[own - start, own] = torch.inf
        distance[start:stop], place[start:stop] = d2.min(dim=1)
    place[torch.isinf(distance)] = -1
    return place.cpu().numpy(), distance.double().sqrt().cpu().numpy()
