"""Random choice, the yardstick every other strategy is measured against.

Reference: none needed. Each row gets the key hash(seed, id); the budget goes to the lowest keys, so that a longer
answer begins with a shorter one and shuffling or growing the table keeps the keys.

    rows = argsort_i key(seed, id_i), free rows only

Cost one pass over the rows; memory n. ``scores``: 1 - key / 2^64, in (0, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.data.keys import keys
from modest.neighbours import Rows
from modest.selection.answer import answer, first_of, free_rows, inner_mask, keyed_order
from modest.selection.limits import Limits
from modest.types import Choice, Views


def random(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    limits: Limits | None = None,
) -> Choice:
    """Choose ``budget`` free rows uniformly at random.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; checked like everywhere, though only the ids matter.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that may not be chosen.
    closed : (n,) bool, optional
        The same: an item is judged by itself.
    limits : Limits, optional
        Quotas and costs, see ``limits.py``: rows that do not fit are passed over.
    seed, memory, device
        As in :func:`modest.select`.

    Examples
    --------
    >>> views = Views({"x": np.eye(5)})
    >>> random(views, 3, seed=1).rows.tolist() == random(views, 5, seed=1).rows.tolist()[:3]
    True
    """
    rows = Rows(views, device=device, memory=memory)
    free = free_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    key = keys(rows.ids, seed)
    order = keyed_order(rows, seed)
    picks = first_of(rows, order[free[order]], count, limits)
    scores = 1.0 - key[picks].astype(np.float64) / 2.0**64
    return answer(rows, picks, scores, "random", ["drawn at random"] * len(picks), {})
