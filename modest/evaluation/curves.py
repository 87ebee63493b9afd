"""What repeated seeds say: means with bootstrap intervals, paired differences, and who is tied with the best.

The bootstrap resamples the S seeds with replacement and takes percentiles of the resampled means (Efron, 1979). With
few seeds the S^S resamples are all written out, so that the interval is exact and has no randomness of its own;
beyond ``draws`` of them they are drawn from a seeded generator.

    interval = [q_{(1 - level)/2}, q_{(1 + level)/2}] of { mean_j x_{b(j)} : b in {1..S}^S }

Differences are paired: the resample takes the same seeds on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.types import Float, Int

LEVEL = 0.95
DRAWS = 4000
POINT = 0.01  # one point, in shares


@dataclass(frozen=True, eq=False)
class Curve:
    """``mean``, ``low``, ``high``: arrays over the points of the curve (or () for one point); ``seeds``: how many."""

    mean: Float
    low: Float
    high: Float
    seeds: int


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over seeds with its paired interval; ``tied`` as defined in :func:`compare`."""

    mean: float
    low: float
    high: float
    tied: bool


def curve(values: Any, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Curve:
    """Mean over seeds with its percentile bootstrap interval.

    Parameters
    ----------
    values : (S,) or (S, ...)
        One row per seed, e.g. (seeds, budgets) accuracies.
    level : float in (0, 1)
        Share of resampled means inside the interval.
    draws : int
        Resamples when S^S exceeds it; fewer seeds are resampled exhaustively.
    seed : int
        Seed of the draws.

    Raises
    ------
    ValueError
        If there is no seed, a value is NaN, or ``level`` or ``draws`` is out of range.

    Examples
    --------
    >>> interval = curve([0.5, 0.5, 0.5])
    >>> float(interval.mean), float(interval.low), float(interval.high)
    (0.5, 0.5, 0.5)
    """
    data = _numbers(values, "values")
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not inside (0, 1); 0.95 is usual.")
    means = data[resamples(len(data), draws, seed)].mean(axis=1)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(means, tails, axis=0)
    return Curve(data.mean(axis=0), low, high, len(data))


def compare(a: Any, b: Any, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Paired difference a - b over seeds.

    ``a``, ``b`` are (S,) values of the same seeds in the same order, as shares in [0, 1]. *Tied* means that the
    interval of the difference contains 0 and the mean difference is at most one point (0.01) in size.

    Raises
    ------
    ValueError
        If the two do not have one value per seed each, or hold a NaN.
    """
    left, right = _numbers(a, "a"), _numbers(b, "b")
    if left.ndim != 1 or left.shape != right.shape:
        raise ValueError(
            f"a has shape {left.shape} and b {right.shape}; give one value per seed, the same seeds in both."
        )
    gap = curve(left - right, level, draws, seed)
    mean, low, high = float(gap.mean), float(gap.low), float(gap.high)
    return Difference(mean, low, high, low <= 0 <= high and abs(mean) <= POINT + 1e-12)


def tied_with_best(
    values: Mapping[str, Any], level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> dict[str, bool]:
    """Per name, whether it is the one with the best mean or tied with it (see :func:`compare`).

    ``values`` maps a name to its (S,) values; all names share their seeds, in the same order. Raises ValueError if it
    is empty or :func:`compare` refuses a pair.
    """
    if not values:
        raise ValueError("values is empty; give at least one name with its values per seed.")
    best = max(values, key=lambda name: float(np.mean(values[name])))
    return {name: name == best or compare(own, values[best], level, draws, seed).tied for name, own in values.items()}


def resamples(seeds: int, draws: int = DRAWS, seed: int = 0) -> Int:
    """(R, S) indices: all S^S resamples of S seeds if these are at most ``draws``, else R = ``draws`` seeded ones.

    Raises
    ------
    ValueError
        If ``draws`` is below one.

    Examples
    --------
    >>> resamples(2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    if draws < 1:
        raise ValueError(f"draws={draws} is below one; 4000 is usual.")
    if seeds <= 16 and seeds**seeds <= draws:
        return np.indices((seeds,) * seeds).reshape(seeds, -1).T.astype(np.int64)
    return np.random.default_rng(seed).integers(seeds, size=(draws, seeds))


def _numbers(values: Any, argument: str) -> Float:
    """Values as float64 with one row per seed; no seed and NaN are refused."""
    data = np.asarray(values, dtype=np.float64)
    if data.ndim == 0 or len(data) == 0:
        raise ValueError(f"{argument} holds no seed; give at least one value.")
    if np.isnan(data).any():
        raise ValueError(f"{argument} holds NaN in seed {int(np.argwhere(np.isnan(data))[0][0])}; leave that seed out.")
    return data
