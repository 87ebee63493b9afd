"""The table of ways to choose which alignments to buy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modest.pairing import random
from modest.pairing.acquire import paper, three_steps
from modest.pairing.sides import Asked


@dataclass(frozen=True)
class Method:
    """One way: ``function(setting, budget, **knobs) -> list[Asked]``, its cost and its paper.

    ``space``: it compares the sides with each other, which must then have as many features. ``directions``: it may ask
    in several directions at once.
    """

    function: Callable[..., list[Asked]]
    cost: str
    paper: str
    space: bool = True
    directions: bool = False


METHODS: Mapping[str, Method] = {
    "acquire": Method(three_steps, "n (s + c)", "Zhang and Zhu 2025"),
    "paper": Method(paper, "n (s + c)", "Zhang and Zhu 2025"),
    "random": Method(random.random, "n", "-", space=False, directions=True),
}
