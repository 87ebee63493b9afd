r"""Is another purchase worth it? What the next one will bring, by the curve so far, and where the curve says "enough".

A straight line through logit score over log2 count, with what other curves teach about its slope:

    z(n) = logit y(n) = a + b log2 n,      b ~ N(SLOPE, SPREAD^2),  a flat
    y_t measured with sd  NOISE (y (1 - y))^POWER / sqrt(S),         a curve bends: sd DRIFT |log2(n / n_T)| in z
    gain(to) = logistic z(to) - y_T,   interval by a Student t of DEGREES degrees in z, STRETCH times as wide

So one point is enough for an answer (the prior alone), and with three points the curve itself speaks. Near 1 the line
is the power law (1 - y) ~ n^(-b / ln 2), near 0 the power law y ~ n^(b / ln 2): accuracies saturate, retrieval starts
slowly, one rule serves both. Points far from the last count for less, since a curve bends. The constants are those of
saved curves, stretched as sets differ: ``docs/next.md`` says how well sets left out are foretold and what is missed.
Cost: T x S, and DRAWS short walks.

The budget of "enough" is the first n from which the same number of items again brings less than the threshold, on the
line's mean; its interval follows drawn lines. Nothing is said beyond REACH times the last count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, logit
from scipy.stats import t as student

from modest.types import Float

SLOPE, SPREAD = 0.34, 0.19  # of z per doubling
NOISE, POWER, DRIFT = 0.05, 0.75, 0.10
DEGREES, STRETCH = 4, 1.6
EDGE = 0.005  # scores nearer to 0 or 1 count as this near
REACH, STEPS, DRAWS = 16, 16, 1000  # budgets looked at: up to 16 times the last, 16 a doubling; lines drawn


@dataclass(frozen=True)
class Enough:
    """What the next purchase will bring.

    ``gain`` in the unit of the scores, ``low`` and ``high`` the interval of the gain that will be measured; ``enough``
    whether ``gain`` is below the threshold; ``at`` the budget at which the curve says so (the last count if it says so
    now), ``at_low`` and ``at_high`` its interval, each None where it lies beyond what can be said; ``why`` one
    sentence; ``to`` the count after the purchase.
    """

    gain: float
    low: float
    high: float
    enough: bool
    at: float | None
    at_low: float | None
    at_high: float | None
    why: str
    to: float


@dataclass(frozen=True)
class _Line:
    """A line in z over doublings since the last count, centred where level and slope are independent."""

    centre: float
    level: float
    slope: float
    level_sd: float
    slope_sd: float


def enough(
    counts: Any, values: Any, to: float | None = None, threshold: float = 0.01, level: float = 0.9, seed: int = 0
) -> Enough:
    """Predicted gain of the next purchase, whether it is below ``threshold``, and the budget from which it is.

    Parameters
    ----------
    counts : (T,) ascending positive numbers, T >= 1
        Items bought, e.g. labelled rows.
    values : (T,) or (S, T)
        Scores in [0, 1] where more is better, of one run or of S seeds, whose mean is then predicted.
    to : number, optional
        Count after the purchase. Left out, the last step once more; after a single point, twice the count.
    threshold : float
        The gain that a purchase must bring, in the unit of the scores (0.01 is a point).
    level : float in (0, 1)
        Share of measured gains inside the interval.
    seed : int
        Seed of the lines drawn for the interval of ``at``.

    Raises
    ------
    ValueError
        If the shapes do not match, a number is NaN or out of range, counts do not ascend, or ``to`` is not beyond them.

    Examples
    --------
    >>> early = enough([100, 200], [0.55, 0.65])
    >>> early.to, round(early.gain, 2), early.enough
    (300.0, 0.05, False)
    >>> enough([100, 200, 400], [0.985, 0.99, 0.99]).enough
    True
    """
    n, y, seeds = _read(counts, values)
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not inside (0, 1); 0.9 is usual.")
    if not threshold > 0:
        raise ValueError(f"threshold={threshold} must be above 0; 0.01 is one point.")
    goal = float(to) if to is not None else float(2 * n[-1] if len(n) == 1 else 2 * n[-1] - n[-2])
    if not n[-1] < goal < np.inf:
        raise ValueError(f"to={to} must be a number above the last count, {n[-1]:g}.")
    line = _line(np.log2(n / n[-1]), y, seeds)
    ahead = np.log2(goal / n[-1])
    z = line.level + line.slope * (ahead - line.centre)
    spread = line.level_sd**2 + (line.slope_sd * (ahead - line.centre)) ** 2 + (DRIFT * ahead) ** 2
    reach = STRETCH * student.ppf((1 + level) / 2, DEGREES) * np.sqrt(spread + _noise(expit(z), seeds) ** 2)
    low, gain, high = (float(expit(one) - y[-1]) for one in (z - reach, z, z + reach))
    at, at_low, at_high = _budgets(line, n[-1], goal - n[-1], threshold, level, gain < threshold, seed)
    why = _told(n[-1], goal, (gain, low, high), threshold, level, at)
    return Enough(gain, low, high, gain < threshold, at, at_low, at_high, why, goal)


def _noise(y: Any, seeds: int) -> Any:
    """Standard deviation in z of a mean over seeds of measured scores y."""
    return NOISE * (y * (1 - y)) ** (POWER - 1) / np.sqrt(seeds)


def _line(x: Float, y: Float, seeds: int) -> _Line:
    """The line by least squares weighted by precision, its slope drawn to what other curves teach."""
    weight = 1 / (_noise(y, seeds) ** 2 + (DRIFT * x) ** 2)
    z, total = logit(y), weight.sum()
    centre, height = (weight * x).sum() / total, (weight * z).sum() / total
    precision = (weight * (x - centre) ** 2).sum() + SPREAD**-2
    slope = ((weight * (x - centre) * (z - height)).sum() + SLOPE * SPREAD**-2) / precision
    return _Line(float(centre), float(height), float(slope), float(total**-0.5), float(precision**-0.5))


def _budgets(
    line: _Line, last: float, step: float, threshold: float, level: float, now: bool, seed: int
) -> tuple[float | None, float | None, float | None]:
    """The budget at which another ``step`` items bring less than the threshold, and the ends of its interval."""
    rng = np.random.default_rng(seed)
    grid = np.arange(int(np.log2(REACH) * STEPS) + 1) / STEPS
    then = np.log2(2**grid + step / last)
    heavy = STRETCH * np.sqrt(DEGREES / rng.chisquare(DEGREES, size=DRAWS))
    start = line.level + line.level_sd * heavy * rng.normal(size=DRAWS)
    slope = line.slope + line.slope_sd * heavy * rng.normal(size=DRAWS)
    start, slope = start - slope * line.centre, slope + DRIFT * heavy * rng.normal(size=DRAWS)
    start = np.append(start, line.level - line.slope * line.centre)[:, None]  # the mean line is the last
    slope = np.append(slope, line.slope)[:, None]
    flat = expit(start + slope * then) - expit(start + slope * grid) < threshold
    flat[-1, 0] = now
    found = np.where(flat.any(axis=1), last * 2 ** grid[np.argmax(flat, axis=1)], np.inf)
    tails = np.quantile(found[:-1], [(1 - level) / 2, (1 + level) / 2], method="nearest")
    at, low, high = (None if np.isinf(one) else float(one) for one in (found[-1], *tails))
    return at, low, high


def _told(
    last: float, to: float, gains: tuple[float, float, float], threshold: float, level: float, at: float | None
) -> str:
    gain, low, high = (f"{100 * one:+.1f}" for one in gains)
    told = f"from {last:,.0f} to {to:,.0f} the curve promises {gain} points ({level:.0%}: {low} to {high})"
    limit = f"{100 * threshold:g}"
    if gains[0] < threshold:
        sure = "" if gains[2] < threshold else ", though that is not sure"
        return f"{told}, less than the {limit} asked for{sure}"
    if at is not None and at <= to:
        return f"{told}; it says enough after that"
    return f"{told}; it says enough " + (f"at about {at:,.0f}" if at else f"nowhere below {REACH * last:,.0f}")


def _read(counts: Any, values: Any) -> tuple[Float, Float, int]:
    """Counts, mean scores away from 0 and 1, and how many seeds they are the mean of."""
    n, table = np.asarray(counts, dtype=np.float64), np.atleast_2d(np.asarray(values, dtype=np.float64))
    if n.ndim != 1 or not len(n) or table.ndim != 2 or not len(table) or table.shape[1] != len(n):
        raise ValueError(
            f"counts has shape {n.shape} and values {np.shape(values)}; give (T,) counts and (T,) or (S, T) values."
        )
    if not (np.isfinite(n).all() and n[0] > 0 and (np.diff(n) > 0).all()):
        raise ValueError("counts must be finite, positive and ascending; give each count once, in order.")
    if not ((table >= 0) & (table <= 1)).all():
        raise ValueError("values must be scores in [0, 1] without NaN; divide percentages by 100.")
    return n, np.clip(table.mean(axis=0), EDGE, 1 - EDGE), len(table)
