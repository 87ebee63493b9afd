"""The table of ways to choose which alignments to buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modest.pairing import random
from modest.pairing.acquire import paper, three_steps
from modest.pairing.auto import auto
from modest.pairing.badge import badge
from modest.pairing.certain import certain
from modest.pairing.cluster_margin import cluster_margin
from modest.pairing.coreset import coreset
from modest.pairing.hard_negative import hard_negative
from modest.pairing.joint_coreset import joint_coreset
from modest.pairing.sides import Asked
from modest.pairing.typiclust import typiclust
from modest.pairing.uncertainty import uncertainty
from modest.pairing.vessal import vessal


@dataclass(frozen=True)
class Method:
    """One way: ``function(setting, budget, **knobs) -> list[Asked]``, its cost and its paper.

    ``space``: it compares the sides with each other, which must then have as many features. ``directions``: it may ask
    in several directions at once. ``views``: it can look at what the towers see instead of the sides.
    """

    function: Callable[..., list[Asked]]
    cost: str
    paper: str
    space: bool = True
    directions: bool = False
    views: bool = False


METHODS: Mapping[str, Method] = {
    "auto": Method(auto, "n d^2 + n b d", "-", space=False, directions=True, views=True),
    "acquire": Method(three_steps, "n (s + c)", "Zhang and Zhu 2025"),
    "paper": Method(paper, "n (s + c)", "Zhang and Zhu 2025"),
    "random": Method(random.random, "n", "-", space=False, directions=True),
    "uncertainty": Method(uncertainty, "n1 n2", "Zhang and Zhu 2025", directions=True),
    "coreset": Method(coreset, "n (s + b)", "Sener and Savarese 2018", space=False),
    "joint_coreset": Method(joint_coreset, "n (s + b)", "-", directions=True),
    "cluster_margin": Method(cluster_margin, "n1 n2", "Citovsky et al. 2021", directions=True),
    "typiclust": Method(typiclust, "n^2 / (s + b)", "Hacohen et al. 2022", space=False),
    "badge": Method(badge, "n1 n2 + n b", "Ash et al. 2020", directions=True),
    "vessal": Method(vessal, "n1 n2 + n d", "Saran et al. 2023", directions=True),
    "hard_negative": Method(hard_negative, "n s", "Jo et al. 2024", directions=True),
    "certain": Method(certain, "n1 n2", "-", directions=True),
}
