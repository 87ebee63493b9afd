"""k-centre greedy (core-set): always take the row farthest from everything taken; good when outliers matter.

Reference: Gonzalez 1985 (the greedy, within twice the optimum); Sener and Savarese, ICLR 2018 (for active learning).

    next = argmax_i min_{j in S} d(i, j)        d(i, j)^2 = mean over shared modalities of |r_i - r_j|^2, unit rows

Departures: with nothing taken, published code starts at row 0 by accident; here the first row is drawn by (seed, id),
or given as ``first``. Ties within rounding go to the lowest id, so copies are taken in order of their ids.
Cost about n b d, in batches (see ``neighbours/farthest.py``); memory O(n). ``scores``: distance to what was covered
before the pick, in [0, 2]; infinity for a first pick from nothing becomes 2, the largest distance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, covered_distance, farthest_first
from modest.selection.answer import answer, free_rows, given_rows, inner_mask, keyed_rows
from modest.selection.remembered import SAME, look, marks, places
from modest.types import Choice, Int, Views


def kcenter(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    since: Mapping[str, Any] | None = None,
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
    closed : (n,) bool, optional
        Rows that may not be chosen; the trace's distances count them.
    since : mapping, optional
        ``state`` of an earlier choice of which these rows are a grown pool, ``taken`` what was chosen: of what is
        covered only distances to and from new rows are computed. The answer is that of a choice without it.
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
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    if first is not None and covered.any():
        raise ValueError("first cannot be used together with taken rows; the taken rows are the start.")
    start: int | None = None
    if first is not None:
        start = int(given_rows(rows, [first], "first", 1, free)[0])
    elif not covered.any():
        start = int(keyed_rows(rows, seed, 1, free)[0])
    before = np.flatnonzero(covered)
    known, told = (None, {}) if since is None else _recalled(rows, since, before)
    picks, distance, closest = farthest_first(rows, count, free, first=start, covered=before, closest=known)
    scores = np.minimum(distance, 2.0)
    reasons = [f"distance {d:.3f} from everything chosen before" for d in scores]
    if start is not None:
        reasons[0] = "the start" if first is not None else "drawn at random as the start"
    trace = {"radius": float(closest.max()) ** 0.5, "mean_distance": float(closest.double().sqrt().mean())}
    state = {
        "ids": rows.ids, "covered": rows.ids[np.append(before, picks)], "closest": closest.cpu().numpy(),
        "marks": marks(rows, np.arange(len(rows))), "modalities": look(rows),
    }  # fmt: skip
    return answer(rows, picks, scores, "kcenter", reasons, {**trace, **told}, state)


def _recalled(rows: Rows, state: Mapping[str, Any], covered: Int) -> tuple[Tensor | None, dict[str, Any]]:
    """Squared distance (n,) of every row to what is ``covered``, from what is known of the old ones; None where that
    does not hold, and what to tell of it.
    """
    told = {"reused": 0.0}
    missing = [name for name in ("ids", "covered", "closest", "marks", "modalities") if name not in state]
    if missing:
        return None, {**told, "reuse_refused": f"it is no state of a k-centre: {missing[0]} is missing"}
    if np.asarray(state["modalities"]).tolist() != look(rows).tolist():
        return None, {**told, "reuse_refused": "the modalities were others"}
    seen = places(rows, state["covered"])
    if not np.isin(seen, covered).all():
        return None, {**told, "reuse_refused": "rows that counted as covered no longer do"}
    at = places(rows, state["ids"])
    there = at >= 0
    if (np.abs(marks(rows, at[there]) - state["marks"][there]) > SAME).any():
        return None, {**told, "reuse_refused": "rows with the same id look different"}
    closest = torch.full((len(rows),), torch.inf, dtype=rows.dtype, device=rows.device)
    closest[at[there]] = torch.as_tensor(state["closest"][there], dtype=rows.dtype, device=rows.device)
    new = np.setdiff1d(np.arange(len(rows)), at)
    closest[new] = covered_distance(rows, covered, new)
    closest = torch.minimum(closest, covered_distance(rows, np.setdiff1d(covered, seen)))
    return closest, {"reused": len(set(at[there])) / len(rows)}
