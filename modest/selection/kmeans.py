"""k-means, done properly: as many clusters as the budget, and from each the one row nearest its centre.

Reference: Lloyd 1982; for choosing labels e.g. Zhdanov 2019.

    minimise sum_i d2(r_i, mu_{c(i)}),   pick of c = argmin over free rows of c of d2(r_i, mu_c)

Departures: the released multimodal baseline takes two rows of every cluster in cluster order and cuts the list, so that
half of the clusters go unused; here every cluster gives one row. A cluster without a free row is replaced by the free
row farthest from its centre. Taken rows count as covered: k is budget + taken, clusters that hold a taken row are
passed over, and the largest of the others are served.
Cost 20 rounds x 5 restarts on at most 256 rows a cluster, fewer where these exceed half of ``memory`` (the trace gives
the ``sample``), and one pass n k d; memory the sample and one tile x k.
``scores``: rows in the cluster of the pick, as a share of the table; picks are in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, nearest_members
from modest.neighbours import kmeans as cluster
from modest.selection.answer import answer, cluster_sample, free_rows, given_rows, inner_mask
from modest.types import Bool, Choice, Int, Views


def kmeans(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    init: Any = None,
    rounds: int = 20,
    restarts: int = 5,
) -> Choice:
    """Choose the row nearest each of ``budget`` cluster centres.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; rows with absent modalities are clustered by what they have.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and still belong to the pool that is clustered.
    seed, memory, device
        As in :func:`modest.select`.
    init : (k,) int, optional
        Rows of the table the centres start from, k = budget + taken rows.
    rounds, restarts : int
        Lloyd's rounds, and starts of which the best is kept.

    Examples
    --------
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0]])})
    >>> kmeans(views, 2).rows.tolist()
    [1, 3]
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    k = count + int(covered.sum())
    sample = cluster_sample(rows, k, seed)
    start = None if init is None else given_rows(rows, init, "init", k, np.ones(len(rows), dtype=bool))
    centres = cluster(rows, k, sample, seed=seed, init=start, rounds=rounds, restarts=restarts)
    members, label, distance = nearest_members(rows, centres, free)
    size = np.bincount(label, minlength=k)
    picks = _largest(members, size, np.bincount(label[covered], minlength=k) > 0, count)
    filled = _fill(picks, distance.double().cpu().numpy(), free, count)
    scores = np.append(size[label[picks]], np.ones(len(filled), dtype=np.int64)) / float(len(rows))
    reasons = [f"nearest the centre of {size[label[row]]} items" for row in picks]
    reasons += ["farthest from its centre; fills an empty cluster"] * len(filled)
    trace = {"inertia": float(distance.double().sum()), "clusters": k, "filled": len(filled), "sample": len(sample)}
    return answer(rows, np.append(picks, filled), scores, "kmeans", reasons, trace)


def _largest(members: Int, size: Int, passed: Bool, count: int) -> Int:
    """Members of the largest clusters that are not passed over, at most ``count``, largest first."""
    usable = np.flatnonzero((members >= 0) & ~passed)
    order = np.lexsort((members[usable], -size[usable]))
    return members[usable[order]][:count]


def _fill(picks: Int, distance: np.ndarray[Any, np.dtype[np.float64]], free: Bool, count: int) -> Int:
    """Free rows farthest from their centres, lowest row on ties, to make up the number."""
    left = free.copy()
    left[picks] = False
    rows = np.flatnonzero(left)
    order = np.lexsort((rows, -np.round(distance[rows], 6)))
    return rows[order][: count - len(picks)]
