"""k-centre greedy (core-set): always take the row farthest from everything taken; good when outliers matter.

Reference: Gonzalez 1985 (the greedy, within twice the optimum); Sener and Savarese, ICLR 2018 (for active learning).

    next = argmax_i min_{j in S} d(i, j)        d(i, j)^2 = mean over shared modalities of |r_i - r_j|^2, unit rows

Departures: with nothing taken, published code starts at row 0 by accident; here the first row is drawn by (seed, id),
or given as ``first``. Ties within rounding go to the lowest id, so copies are taken in order of their ids.
Cost about n b d, in batches (see ``neighbours/farthest.py``); memory O(n). ``scores``: distance to what was covered
before the pick, in [0, 2]; infinity for a first pick from nothing becomes 2, the largest distance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, farthest_first
from modest.selection.answer import answer, given_rows, inner_mask, keyed_rows
from modest.types import Choice, Views


def kcenter(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    first: int | None = None,
) -> Choice:
    """Choose ``budget`` rows by farthest-first traversal.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and may not be chosen.
    seed, memory, device
        As in :func:`modest.select`.
    first : int, optional
        Row of the table to start from; not allowed together with taken rows, which are the start then.

    Examples
    --------
    >>> views = Views({"x": np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [-1.0, 0.1]])})
    >>> kcenter(views, 3, first=0).rows.tolist()
    [0, 3, 2]
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    count = budget_items(budget, len(rows), int((~covered).sum()))
    if first is not None and covered.any():
        raise ValueError("first cannot be used together with taken rows; the taken rows are the start.")
    start: int | None = None
    if first is not None:
        start = int(given_rows(rows, [first], "first", 1, ~covered)[0])
    elif not covered.any():
        start = int(keyed_rows(rows, seed, 1, ~covered)[0])
    picks, distance, closest = farthest_first(rows, count, ~covered, first=start, covered=np.flatnonzero(covered))
    scores = np.minimum(distance, 2.0)
    reasons = [f"distance {d:.3f} from everything chosen before" for d in scores]
    if start is not None:
        reasons[0] = "the start" if first is not None else "drawn at random as the start"
    trace = {"radius": float(closest.max()) ** 0.5, "mean_distance": float(closest.double().sqrt().mean())}
    return answer(rows, picks, scores, "kcenter", reasons, trace)
