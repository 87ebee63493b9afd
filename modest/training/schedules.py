"""Learning-rate schedules: pure functions of the share of training that is done, giving a factor of the rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

__all__ = ["SCHEDULES", "constant", "cosine", "cosine_to_tenth", "step"]


def constant(share: float) -> float:
    """Return 1 throughout."""
    return 1.0


def cosine(share: float) -> float:
    """Half a cosine from 1 to 0: (1 + cos(pi * share)) / 2.

    Examples
    --------
    >>> [round(cosine(s), 2) for s in (0.0, 0.5, 1.0)]
    [1.0, 0.5, 0.0]
    """
    return 0.5 * (1.0 + math.cos(math.pi * share))


def cosine_to_tenth(share: float) -> float:
    """Half a cosine from 1 to 0.1."""
    return 0.1 + 0.9 * cosine(share)


def step(share: float) -> float:
    """1, then 0.1 once 70 % of training is done (epoch 70 of 100 in MLA, section 4)."""
    return 1.0 if share < 0.7 else 0.1


# name -> factor of the share done, share in [0, 1)
SCHEDULES: Mapping[str, Callable[[float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "cosine_to_tenth": cosine_to_tenth,
    "step": step,
}
