"""TypiClust for pairs: cluster a side, and ask about the densest place of the largest clusters without a bought row.

Reference: Hacohen, Dekel, Weinshall, ICML 2022, brought to pairs.

    symbol   variable       meaning
    L, B                    covered rows and anchors of the side asked, rows to ask about
    K        most           min(|L| + B, 500) clusters of the side, by k-means
    K-NN     neighbours     most neighbours looked at, 20

    t_i = 1 / (mean over the k nearest free j of i's cluster of |x_i - x_j|^2 + 1e-5),   k = min(20, m // 2)

over its m free rows left. Clusters are served in turn, one row a turn: fewest covered rows first, then most rows, then
lowest number; when there are more rows to ask than clusters the turns go round again on the free rows left. Clusters of
at most ``small`` rows, which the authors drop, are served once nothing else is left. The side is chosen as in
``coreset.py``, and like there a budget beyond its free rows comes back short. Of a cluster with more than ``members``
free rows that many are drawn by (seed, id). The draws of k-means are keyed by (seed, id).
Cost k-means, then f^2 d / K; memory one cluster in float64 and a tile.
"""

from __future__ import annotations

import numpy as np

from modest.data.keys import order
from modest.neighbours import kmeans, most_typical, nearest_members
from modest.neighbours.kmeans import assign
from modest.pairing.modality_rule import one_way
from modest.pairing.sides import Asked, Setting, Side
from modest.types import Bool, Int


def typiclust(
    setting: Setting,
    budget: int,
    *,
    modality_rule: str = "relative",
    neighbours: int = 20,
    most: int = 500,
    small: int = 5,
    members: int = 35_000,
) -> list[Asked]:
    """Ask about ``budget`` rows of one side; ``trace`` as coreset's, with ``clusters``; ``evaluations`` are those
    of the choice of the side and within clusters, k-means left out.

    Raises
    ------
    ValueError
        If the rule is unknown or fixes a side that may not be asked, or another knob is below 1.
    """
    for name, value in (("neighbours", neighbours), ("most", most), ("members", members)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1.")
    way, _, trace = one_way(setting, modality_rule)
    asked = setting.sides[way[0]]
    count = min(budget, len(asked.open))
    label, covered = clusters(asked, count, most, setting.seed)
    turns = served(label, covered, asked.free, count, small)
    picks = np.empty(count, dtype=np.int64)
    for number in np.unique(turns):
        places, own = np.flatnonzero(turns == number), np.flatnonzero((label == number) & asked.free)
        limit = max(members, 20 * len(places))
        if len(own) > limit:
            own = np.sort(own[order(asked.rows.ids[own], setting.seed, "members")[:limit]])
        picks[places], _ = most_typical(asked.rows, own, len(places), neighbours=neighbours)
        trace["evaluations"] += len(own) ** 2
    return [Asked(*way, picks, {**trace, "clusters": len(np.unique(label))})]


def clusters(side: Side, budget: int, most: int, seed: int) -> tuple[Int, Int]:
    """(n,) cluster of every row of the side, and how many covered rows and anchors each cluster holds."""
    rows, anchors = side.rows, side.anchors
    k = min(len(side.covered) + (0 if anchors is None else len(anchors)) + budget, most, len(rows))
    sample = order(rows.ids, seed, "clusters")[: max(k, min(256 * k, rows.memory // 2 // (4 * rows.width)))]
    centres = kmeans(rows, k, sample, seed=seed)
    label = nearest_members(rows, centres, side.free)[1]
    covered = np.bincount(label[side.covered], minlength=k)
    for block in () if anchors is None else (block for _, block in anchors.tiles()):
        covered += np.bincount(assign(block, centres, len(block))[0].cpu().numpy(), minlength=k)
    return label, covered


def served(label: Int, covered: Int, free: Bool, count: int, small: int) -> Int:
    """Cluster of every pick (count,), in turn."""
    size, left = np.bincount(label, minlength=len(covered)), np.bincount(label[free], minlength=len(covered))
    number = np.repeat(np.arange(len(covered)), left)
    turn = np.concatenate([np.arange(m) for m in left])
    return number[np.lexsort((number, -size[number], covered[number], turn, size[number] <= small))][:count]
