"""The table of strategies: what each needs, obeys and costs, and where it was published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modest.selection import (
    activeft,
    alfamix,
    auto,
    badge,
    bmmal,
    entropy,
    gcnal,
    kcenter,
    kmeans,
    margin,
    maxherding,
    mmcsal,
    probcover,
    random,
    typiclust,
    uherding,
)
from modest.types import Choice


@dataclass(frozen=True)
class Method:
    """One strategy: its function, whether it runs without labels, the warm arrays it needs, its cost and its paper.

    ``uses`` names arrays it can do without. ``greedy``: the answer for a smaller budget is the beginning of that for a
    larger one (as long as the budget does not enlarge a sample that the method draws). ``limits``: it obeys quotas and
    costs itself. ``increments``: it can go on from the ``state`` of an earlier choice.
    """

    function: Callable[..., Choice]
    cold: bool
    needs: tuple[str, ...]
    cost: str
    paper: str
    uses: tuple[str, ...] = ()
    greedy: bool = False
    limits: bool = False
    increments: bool = False


_HERDING = "n n d, n <= 35,000"

METHODS: Mapping[str, Method] = {
    "auto": Method(
        auto.auto, True, (), f"{_HERDING}; 100 n d", "-", ("proba", "labels"), greedy=True, limits=True, increments=True
    ),
    "random": Method(random.random, True, (), "n", "-", greedy=True, limits=True),
    "kmeans": Method(kmeans.kmeans, True, (), "100 n b d", "Lloyd 1982"),
    "kcenter": Method(kcenter.kcenter, True, (), "n b d", "Sener & Savarese, ICLR 2018", greedy=True, increments=True),
    "activeft": Method(activeft.activeft, True, (), "steps (n/refresh + b) b d", "Xie et al., CVPR 2023"),
    "mmcsal": Method(mmcsal.mmcsal, True, (), "steps (n/refresh + 3b) b d", "Shen et al., MMAsia 2024"),
    "maxherding": Method(
        maxherding.maxherding, True, (), _HERDING, "Bae et al., ECCV 2024", greedy=True, limits=True, increments=True
    ),
    "typiclust": Method(typiclust.typiclust, True, (), "k-means, n n d / clusters", "Hacohen et al., ICML 2022"),
    "probcover": Method(
        probcover.probcover, True, (), _HERDING, "Yehuda et al., NeurIPS 2022", greedy=True, limits=True
    ),
    "uherding": Method(
        uherding.uherding, True, (), _HERDING, "Bae et al., ICLR 2025", ("proba", "labels"),
        greedy=True, limits=True, increments=True,
    ),
    "entropy": Method(
        entropy.entropy, False, ("proba",), "n C", "Shannon 1948; Settles 2009", greedy=True, limits=True
    ),
    "margin": Method(margin.margin, False, ("proba",), "n C", "Scheffer et al., IDA 2001", greedy=True, limits=True),
    "badge": Method(
        badge.badge, False, ("proba", "features"), "n b (C + d)", "Ash et al., ICLR 2020", greedy=True, limits=True
    ),
    "bmmal": Method(
        bmmal.bmmal, False, ("features", "coalition_proba"), "n b (C + d)", "Shen et al., ACM MM 2023",
        greedy=True, limits=True,
    ),
    "gcnal": Method(
        gcnal.gcnal, False, ("features",), "steps s d h, s <= 10,000", "Caramalau et al., CVPR 2021", ("labels",),
        greedy=True,
    ),
    "alfamix": Method(
        alfamix.alfamix, False, ("features", "head", "labels"), "caps n C heads", "Parvaneh et al., CVPR 2022"
    ),
}  # fmt: skip
