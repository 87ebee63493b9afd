"""Cluster-Margin: of the rows with the smallest margins, take some of every cluster, small clusters first.

Reference: Citovsky et al., NeurIPS 2021 ("Batch active learning at scale"), brought to pairs.

    symbol   variable    default   meaning
    k_t      budget                rows to ask about
    k_m      multiple    10 k_t    rows of smallest margin that are looked at
             size        10        rows of a side per cluster, about
             most        500       clusters of a side at most

    M = the k_m smallest margins, in all directions (``uncertainty.py``);   C_M = M by cluster, smallest first;
    go round C_M, a row drawn from each, until k_t are taken

Departures: every side is clustered on its own, rows of two sides never share a cluster; clusters are those of k-means
on all rows of the side, as the agglomerative clustering of the paper needs all distances; they are made anew in every
round, for the model has changed (they are the same while it has not). A cluster's size is the number of its rows in M.
The draw within a cluster is keyed by (seed, round, side, id).
Cost of Uncertainty, and k-means; memory the sampled rows of one side.
"""

from __future__ import annotations

import numpy as np

from modest.data.keys import order
from modest.neighbours import Rows, kmeans, nearest_members
from modest.pairing.asking import Pick, gathered
from modest.pairing.sides import Asked, Setting
from modest.pairing.uncertainty import by_margin
from modest.types import Int


def cluster_margin(
    setting: Setting, budget: int, *, multiple: float = 10.0, size: int = 10, most: int = 500
) -> list[Asked]:
    """Ask about ``budget`` rows; ``trace`` has ``evaluations`` (similarities), ``considered`` (k_m), ``clusters``.

    Raises
    ------
    ValueError
        If ``multiple``, ``size`` or ``most`` is below 1.
    """
    for name, value in (("multiple", multiple), ("size", size), ("most", most)):
        if value < 1:
            raise ValueError(f"{name}={value} must be at least 1.")
    small, evaluations = by_margin(setting, int(np.ceil(multiple * budget)))
    names = sorted({way[0] for way, _ in small}, key=list(setting.sides).index)
    label = {name: clusters(setting.sides[name].rows, size, most, setting.seed) for name in names}
    groups: dict[tuple[int, int], list[Pick]] = {}
    for pick in small:
        (name, _), row = pick
        groups.setdefault((names.index(name), int(label[name][row])), []).append(pick)
    served = [_drawn(setting, groups[key]) for key in sorted(groups, key=lambda key: (len(groups[key]), key))]
    picks = round_robin(served, budget)
    return gathered(picks, {"evaluations": evaluations, "considered": len(small), "clusters": len(groups)})


def clusters(rows: Rows, size: int, most: int, seed: int) -> Int:
    """(n,) cluster of every row: k-means with a cluster per ``size`` rows, on 256 rows a cluster at most."""
    k = max(1, min(most, len(rows) // size))
    sample = order(rows.ids, seed, "clusters")[: max(k, min(256 * k, rows.memory // 2 // (4 * rows.width)))]
    centres = kmeans(rows, k, sample, seed=seed)
    return nearest_members(rows, centres, np.ones(len(rows), dtype=bool))[1]


def round_robin(groups: list[list[Pick]], count: int) -> list[Pick]:
    """One of each group in turn until ``count`` are taken; groups that are used up are passed over."""
    turns = max((len(group) for group in groups), default=0)
    return [group[turn] for turn in range(turns) for group in groups if turn < len(group)][:count]


def _drawn(setting: Setting, group: list[Pick]) -> list[Pick]:
    name = group[0][0][0]
    ids = setting.sides[name].rows.ids[[row for _, row in group]]
    return [group[k] for k in order(ids, setting.seed, f"cluster_margin/{setting.round}/{name}").tolist()]
