r"""Whether a confidence means what it says: calibration error, likelihood and Brier score of probabilities.

References: Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (calibration error); Roelofs et al.,
Mitigating Bias in Calibration Error Estimation, AISTATS 2022 (bins of equal mass); Brier, Monthly Weather Review, 1950.

=======  ==========  =====  ==================================================================
symbol   here        shape  meaning
=======  ==========  =====  ==================================================================
p_ic     ``proba``   (n,C)  probabilities, rows sum to 1
y_i      ``y``       (n,)   class number; -1 for a class the model does not know
c_i      confidence  (n,)   max_c p_ic
a_i      right       (n,)   1 if argmax_c p_ic = y_i, else 0
S_b      bin         -      rows of the b-th part of the rows sorted by c_i
=======  ==========  =====  ==================================================================

    error  = sum_b |S_b| / n  |mean_b a - mean_b c|                           in [0, 1]
    chance = sum_b 1 / n  sqrt(2 / pi  sum_{i in S_b} c_i (1 - c_i))          in [0, 1]
    nll    = -mean_i log p_{i,y_i}                                            nats
    brier  = mean_i sum_c (p_ic - [c = y_i])^2                                in [0, 2]

The error is biased: upwards, because chance alone moves each bin's share of right answers, and downwards, because
within a bin over- and underconfidence cancel. ``chance`` is what a perfectly calibrated model of these confidences
would be expected to show (each bin's sum of a - c nearly normal), so an error near it says nothing against the model.

Departures: the published error has 15 bins of equal width; most rows of a good model then share one bin. Here bins hold
equal numbers of rows, and rows of equal confidence stay together, so that their order does not matter. A class the
model does not know counts as wrong, adds 1 to its row's Brier score (it was given 0), and has no likelihood. Cost: a
sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.types import Float, Int

BINS = 15


@dataclass(frozen=True)
class Calibration:
    """``error``, ``chance``, ``nll`` and ``brier`` as at the top of the file; NaN where no row counts."""

    error: float
    chance: float
    nll: float
    brier: float


def calibration(proba: Any, y: Any, bins: int = BINS) -> Calibration:
    """Calibration of probabilities.

    Parameters
    ----------
    proba : (n, C) without NaN; leave out the rows in which a modality is absent
    y : (n,) int, class numbers, -1 for a class that is not among the C
    bins : how many for the error; n of them at most

    Raises
    ------
    ValueError
        If shapes do not fit, a probability is NaN or outside [0, 1], a class number is out of range, or ``bins`` is
        below one.

    Examples
    --------
    >>> found = calibration([[0.9, 0.1]] * 10, [0] * 6 + [1] * 4)  # says 90 %, and is right in 6 of 10
    >>> round(found.error, 3), round(found.nll, 3), round(found.brier, 3)
    (0.3, 0.984, 0.66)
    """
    p, numbers = _checked(proba, y)
    if bins < 1:
        raise ValueError(f"bins={bins} is below one; {BINS} are usual.")
    if not len(p):
        return Calibration(*[float("nan")] * 4)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == numbers
    error, chance = _errors(confidence, right.astype(np.float64), min(bins, len(p)))
    known = np.flatnonzero(numbers >= 0)
    own = p[known, numbers[known]]
    nll = float(-np.log(np.maximum(own, np.finfo(np.float64).tiny)).mean()) if len(own) else float("nan")
    target = np.ones(len(p))  # a class not among the columns was given 0, so its own term is 1
    target[known] = (own - 1.0) ** 2 - own**2
    return Calibration(error, chance, nll, float(((p**2).sum(axis=1) + target).mean()))


def _errors(confidence: Float, right: Float, bins: int) -> tuple[float, float]:
    """Calibration error, and what chance alone would show."""
    n = len(confidence)
    place = np.searchsorted(np.sort(confidence), confidence, side="left")  # equal confidences share the first's place
    own = place * bins // n
    gap = np.bincount(own, right - confidence, minlength=bins)
    variance = np.bincount(own, confidence * (1.0 - confidence), minlength=bins)
    return float(np.abs(gap).sum() / n), float(np.sqrt(2.0 / np.pi * np.maximum(variance, 0.0)).sum() / n)


def _checked(proba: Any, y: Any) -> tuple[Float, Int]:
    p, numbers = np.asarray(proba, dtype=np.float64), np.asarray(y)
    if p.ndim != 2 or numbers.shape != p.shape[:1]:
        raise ValueError(f"proba has shape {p.shape} and y {numbers.shape}; give (rows, classes) and a class per row.")
    if len(p) and not ((p >= 0.0) & (p <= 1.0 + 1e-6)).all():
        row = int(np.flatnonzero(~((p >= 0.0) & (p <= 1.0 + 1e-6)).all(axis=1))[0])
        raise ValueError(f"proba row {row} is no row of probabilities; leave out rows of NaN, and take the softmax.")
    if len(p) and (numbers.dtype.kind not in "iu" or numbers.min() < -1 or numbers.max() >= p.shape[1]):
        raise ValueError(f"y must hold class numbers from 0 to {p.shape[1] - 1}, or -1 for an unknown class.")
    return p, numbers.astype(np.int64)
