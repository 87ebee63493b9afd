"""Random choice, the yardstick every other strategy is measured against.

Reference: none needed. Each row gets the key hash(seed, id); the budget goes to the lowest keys, so that a longer
answer begins with a shorter one and shuffling or growing the table keeps the keys.

    rows = argsort_i key(seed, id_i), free rows only

Cost n; memory n. ``scores``: 1 - key / 2^64, in (0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.checks import budget_items, memory_bytes, taken_mask
from modest.data.keys import keys
from modest.data.presence import observed
from modest.types import Choice, Views


def random(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
) -> Choice:
    """Choose ``budget`` free rows uniformly at random.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; only ids and presence matter.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that may not be chosen.
    seed, memory, device
        As in :func:`modest.select`; ``device`` is accepted by every strategy and has nothing to do here.

    Examples
    --------
    >>> views = Views({"x": np.eye(5)})
    >>> random(views, 3, seed=1).rows.tolist() == random(views, 5, seed=1).rows.tolist()[:3]
    True
    """
    n = len(views)
    free = ~taken_mask(taken, n)
    count = budget_items(budget, n, int(free.sum()))
    memory_bytes(memory)
    ids = views.ids
    empty = ~observed(views, memory).any(axis=1)
    if empty.any():
        row = int(np.flatnonzero(empty)[0])
        raise ValueError(f"row {row} (id {ids[row]}) has no modality at all; drop the item or give it at least one.")
    key = keys(ids, seed)
    order = np.lexsort((ids, key))
    twice = np.flatnonzero(ids[order[1:]] == ids[order[:-1]])  # the same id has the same key
    if len(twice):
        raise ValueError(f"ids holds {str(ids[order[twice[0]]])!r} twice; every item needs an id of its own.")
    rows = order[free[order]][:count].astype(np.int64)
    scores = 1.0 - key[rows].astype(np.float64) / 2.0**64
    return Choice(rows, scores, ids[rows], "random", tuple(["drawn at random"] * count), {})
