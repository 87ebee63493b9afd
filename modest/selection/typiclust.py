"""TypiClust: cluster the pool, and take the row in the densest place of every cluster; made for very small budgets.

Reference: Hacohen, Dekel, Weinshall, ICML 2022 ("Active learning on a budget: opposite strategies suit high and low
budgets").

    symbol   variable       shape   meaning
    L, B     taken, budget          labelled rows, rows to choose
    K        clusters               min(|L| + B, max_clusters) groups, by k-means
    K-NN     neighbours             most neighbours looked at, 20
    t_i      score                  typicality, in 1 / squared distance between unit rows

    t_i = 1 / (mean over the k nearest j of i's cluster of d2(i, j) + 1e-5),   k = min(20, m // 2), m = free rows left

Clusters are served in turn, one row a turn, in an order fixed at the start: fewest labelled rows first, then most rows,
then lowest number. Beyond ``max_clusters`` rows the turns go round again, each time on the free rows left.
Departures: the paper defines typicality by plain distances and the released code takes squared ones; squared is the
default, ``distance="plain"`` the other. Clusters of at most ``min_size`` rows are dropped there, and a cluster whose
rows are used up stops the program; here a used-up cluster is passed over, and the small ones are served, in the same
order, once nothing else is left. Released counts of labelled rows shift when a cluster's number is unused; not here.
k-means is always the full one (the released code changes to mini-batches above 50) and keyed by (seed, id). In a
cluster of more than ``members`` free rows, that many are drawn by (seed, id), never fewer than 20 times its share.
Cost k-means, then n^2 d / K; memory one cluster in float64 and a tile. ``scores``: typicality when taken, which rises
and falls along the turns.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from modest.checks import budget_items, known, taken_mask
from modest.neighbours import Rows, most_typical, nearest_members
from modest.neighbours import kmeans as cluster
from modest.selection.answer import answer, cluster_sample, free_rows, inner_mask, members_and_free
from modest.types import Bool, Choice, Int, Views


def typiclust(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    clusters: Any = None,
    max_clusters: int = 500,
    neighbours: int = 20,
    min_size: int = 5,
    distance: Literal["squared", "plain"] = "squared",
    members: int = 35_000,
) -> Choice:
    """Choose the most typical rows of the clusters that have fewest labels.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Labelled rows: they make a cluster wait, and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and still belong to the pool that is clustered and measured.
    seed, memory, device
        As in :func:`modest.select`.
    clusters : (n,) int, optional
        A clustering of the table's rows to use in place of k-means; rows of equal numbers belong together.
    max_clusters, neighbours, min_size, distance, members
        As above.

    Raises
    ------
    ValueError
        If a knob is out of its range or ``clusters`` is not one whole number per row.

    Examples
    --------
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0], [-1.0, 0.1], [-1.0, 0.15]])})
    >>> typiclust(views, 2, clusters=[0, 0, 0, 1, 1, 1]).rows.tolist()
    [1, 4]
    """
    known(distance, ("squared", "plain"), "distance")
    for name, value in (("max_clusters", max_clusters), ("neighbours", neighbours), ("members", members)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1.")
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    if clusters is None:
        k = min(int(covered.sum()) + count, max_clusters)
        centres = cluster(rows, k, cluster_sample(rows, k, seed), seed=seed)
        label = nearest_members(rows, centres, free)[1]
    else:
        label = _given(rows, clusters)
    turns, small = _turns(label, covered, free, count, min_size)
    picks, scores = np.zeros(count, dtype=np.int64), np.zeros(count)
    drawn = 0
    for number in np.unique(turns):
        own, places = (label == number) & ~covered, np.flatnonzero(turns == number)
        some = members_and_free(rows, seed, max(members, 20 * len(places)), own, own & free)
        drawn += len(some) < int(own.sum())
        picks[places], scores[places] = most_typical(
            rows, some, len(places), neighbours=neighbours, squared=distance == "squared", free=free[some]
        )
    size, labelled = np.bincount(label), np.bincount(label[covered], minlength=int(label.max()) + 1)
    reasons = [f"typical of {size[c]} items of its cluster, {labelled[c]} of them labelled" for c in turns]
    trace = {
        "clusters": int((size > 0).sum()),
        "from_small_clusters": small,
        "turns": int(np.bincount(turns).max()),
        "sampled_clusters": drawn,
    }
    return answer(rows, picks, scores, "typiclust", reasons, trace)


def _turns(label: Int, covered: Bool, free: Bool, count: int, min_size: int) -> tuple[Int, int]:
    """Cluster of every pick (count,) in turn, and how many of them fall to clusters of at most ``min_size`` rows."""
    size = np.bincount(label)
    labelled = np.bincount(label[covered], minlength=len(size))
    order = np.lexsort((np.arange(len(size)), -size, labelled))
    turns: list[Int] = []
    small = 0
    for tier, served in enumerate((order[size[order] > min_size], order[size[order] <= min_size])):
        left = np.bincount(label[free], minlength=len(size))[served]
        wanted = min(int(left.sum()), count - sum(len(t) for t in turns))
        if wanted:
            place = np.repeat(np.arange(len(served)), left)
            turn = np.concatenate([np.arange(m) for m in left])
            turns.append(served[place[np.lexsort((place, turn))][:wanted]])
            small += wanted * tier
    return np.concatenate(turns), small


def _given(rows: Rows, clusters: Any) -> Int:
    """A clustering handed over by the user (frame of the table) as numbers from 0 up, in the frame of ids."""
    label = np.asarray(clusters)
    if label.shape != (len(rows),) or label.dtype.kind not in "iu":
        raise ValueError(
            f"clusters must hold one whole number per row, ({len(rows)},); it has shape {label.shape} and type "
            f"{label.dtype}."
        )
    plain = np.unique(label, return_inverse=True)[1].astype(np.int64)
    return plain if rows.original is None else plain[rows.original]
