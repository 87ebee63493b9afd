"""Other ways to foretell the next point of a curve, beside ``modest.evaluation.enough``.

Each is a function (counts, scores, count after) -> score after. Their intervals are made alike, from what they missed
on other sets: the quantile of |miss| / (y (1 - y))^POWER, per number of points (1, 2, 3 and more), for
single seeds and means apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, logit

from modest.evaluation.enough import EDGE, POWER
from modest.types import Bool, Float

Rule = Callable[[Float, Float, float], float]
DOUBLING = 0.06  # what a doubling brings, for rules that have no second point


def nothing(n: Float, y: Float, to: float) -> float:
    """No gain at all."""
    return float(y[-1])


def again(n: Float, y: Float, to: float) -> float:
    """The last gain again, per doubling."""
    slope = DOUBLING if len(n) == 1 else (y[-1] - y[-2]) / np.log2(n[-1] / n[-2])
    return float(np.clip(y[-1] + slope * np.log2(to / n[-1]), 0, 1))


def decayed(n: Float, y: Float, to: float) -> float:
    """Seven tenths of the last gain, per doubling."""
    return float(np.clip(y[-1] + 0.7 * (again(n, y, to) - y[-1]), 0, 1))


def power(n: Float, y: Float, to: float) -> float:
    """Error as a power of the count, by least squares of logarithms: 1 - y = a n^-b."""
    return _power(n, y, to, 0.0)[0]


def floored(n: Float, y: Float, to: float) -> float:
    """Error as a power of the count above a floor, the floor of least squares: 1 - y = c + a n^-b."""
    if len(n) < 3:
        return power(n, y, to)
    floors = (1 - y.max()) * np.array([0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95])
    return min((_power(n, y, to, float(c)) for c in floors), key=lambda told: told[1])[0]


def _power(n: Float, y: Float, to: float, floor: float) -> tuple[float, float]:
    if len(n) == 1:
        return again(n, y, to), 0.0
    error = np.log(np.clip(1 - y - floor, EDGE, 1))
    slope, level = np.polyfit(np.log(n), error, 1)
    rest = np.exp(level + slope * np.log(n)) + floor - (1 - y)
    return float(np.clip(1 - floor - np.exp(level + slope * np.log(to)), 0, 1)), float((rest**2).sum())


def process(n: Float, y: Float, to: float) -> float:
    """A Gaussian process on logit scores over log2 counts: a line with a prior, and what departs from it smoothly."""
    x, ahead = np.log2(n), np.log2(to)
    z = logit(np.clip(y, EDGE, 1 - EDGE)) - 0.27 * (x - x[-1])

    def kernel(a: Float, b: Float) -> Float:
        line = 4.0 + 0.1**2 * np.outer(a - x[-1], b - x[-1])
        return np.asarray(line + 0.1**2 * np.exp(-np.subtract.outer(a, b) ** 2 / (2 * 2.0**2)))

    weights = np.linalg.solve(kernel(x, x) + 0.1**2 * np.eye(len(x)), z)
    return float(expit(kernel(np.array([ahead]), x)[0] @ weights + 0.27 * (ahead - x[-1])))


RULES: dict[str, Rule] = {
    "no gain": nothing,
    "last gain again": again,
    "last gain, decayed": decayed,
    "power law": power,
    "power law with floor": floored,
    "Gaussian process": process,
}


def widths(
    miss: Sequence[float], scores: Sequence[float], kinds: Sequence[int], chosen: Bool, level: float = 0.9
) -> Float:
    """Half widths of intervals: per kind, the quantile of what was missed on chosen rows, in the scores' own scale."""
    scale = np.maximum(np.asarray(scores) * (1 - np.asarray(scores)), EDGE) ** POWER
    told, kind = np.abs(miss) / scale, np.asarray(kinds)
    reach = {k: np.quantile(told[chosen & (kind == k)], level) for k in set(kinds)}
    return np.asarray(np.array([reach[k] for k in kinds]) * scale)
