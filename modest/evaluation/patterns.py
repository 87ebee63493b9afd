r"""What a model is worth by what its rows had: accuracy, weighted F1 and calibration per presence pattern.

An average over test rows hides that a model may be good where all is there and guess where little is. Measures are
those of ``metrics.py`` and ``calibration.py``, taken of the rows of a pattern alone.

=======  ===========  ======  ============================================================
symbol   here         shape   meaning
=======  ===========  ======  ============================================================
r_im     ``present``  (n, M)  whether row i has modality m
S        ``names``    -       a pattern: the modalities that a row has, all others absent
p_ic     ``proba``    (n, C)  probabilities
y_i      ``y``        (n,)    class number, -1 for a class the model does not know
=======  ===========  ======  ============================================================

    accuracy(S) = mean { [argmax_c p_ic = y_i] : {m : r_im} = S },   interval: Wilson, :func:`share_interval`

so that sum_S rows(S) / n accuracy(S) is the accuracy of all rows. Patterns of few rows say little, which the interval
shows and the calibration's ``chance`` too; a pattern without rows is left out. Weighted F1 weighs classes by their
rows within the pattern and does not add up. Cost: sorts of n.

Where rows are complete, a model can be asked about every pattern of them, and the accuracy at a missing rate eta needs
no drawn mask: it is an expectation under the law of ``data.missing_mask``, with q = max(0, 1 - eta M / (M - 1)),

    P(S) = |S| / M  q^(|S| - 1) (1 - q)^(M - |S|),    accuracy(eta) = mean_i sum_S P(S) [right about i shown S]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from modest.evaluation.calibration import Calibration, calibration
from modest.evaluation.metrics import accuracy, weighted_f1
from modest.types import Bool, Float, Int

__all__ = [
    "PatternScores", "accuracy_at_rates", "found_patterns", "pattern_probability", "pattern_scores", "share_interval",
]  # fmt: skip


@dataclass(frozen=True)
class PatternScores:
    """Rows that have ``names`` and nothing else: how many ``rows``, and what a model is worth there.

    ``accuracy`` in [0, 1] with its 95 % interval ``low`` to ``high`` over rows, ``weighted_f1`` in [0, 1],
    ``calibration`` as at the top of ``calibration.py``.
    """

    names: tuple[str, ...]
    rows: int
    accuracy: float
    low: float
    high: float
    weighted_f1: float
    calibration: Calibration

    def plain(self) -> dict[str, Any]:
        """As a mapping of words and numbers, without depth, for a file; ``ece`` is the calibration error."""
        own = asdict(self)
        meant = own.pop("calibration")
        told = {"ece": meant.pop("error"), "ece_by_chance": meant.pop("chance"), **meant}
        return {**own, "names": list(self.names), **told}


def found_patterns(present: Any) -> tuple[Bool, Int]:
    """Patterns that occur in a mask (n, M), as (k, M) bool, and how many rows have each, (k,) int64.

    Those with most modalities come first, among equals the one that has the earlier modality. Rows with nothing are
    not counted.

    Raises
    ------
    ValueError
        If ``present`` is no mask of two dimensions.

    Examples
    --------
    >>> patterns, rows = found_patterns([[True, True], [False, True], [True, True], [True, False]])
    >>> patterns.tolist(), rows.tolist()
    ([[True, True], [True, False], [False, True]], [2, 1, 1])
    """
    mask = np.asarray(present, dtype=bool)
    if mask.ndim != 2:
        raise ValueError(f"present has shape {mask.shape}; it must be (rows, modalities).")
    patterns, rows = np.unique(mask[mask.any(axis=1)], axis=0, return_counts=True)
    order = np.lexsort((*(~patterns[:, ::-1]).T, -patterns.sum(axis=1)))
    return patterns[order], rows[order].astype(np.int64)


def pattern_scores(y: Any, proba: Any, present: Any, names: Sequence[str]) -> list[PatternScores]:
    """Every pattern that occurs, in the order of :func:`found_patterns`.

    Parameters
    ----------
    y : (n,) int, class numbers, -1 for a class that is not among the C
    proba : (n, C) probabilities
    present : (n, M) bool; rows with nothing are left out
    names : M names of modalities

    Raises
    ------
    ValueError
        If shapes do not fit, or the probabilities are none.

    Examples
    --------
    >>> proba = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]]
    >>> both, text = pattern_scores([0, 1, 1], proba, [[True, True], [False, True], [True, True]], ["image", "text"])
    >>> both.names, both.rows, both.accuracy, text.names, text.accuracy
    (('image', 'text'), 2, 1.0, ('text',), 0.0)
    """
    truth, p, mask = np.asarray(y), np.asarray(proba, dtype=np.float64), np.asarray(present, dtype=bool)
    if p.ndim != 2 or truth.shape != p.shape[:1] or mask.shape != (len(p), len(names)):
        told = f"y has shape {truth.shape}, proba {p.shape} and present {mask.shape}"
        raise ValueError(f"{told}; give (rows,), (rows, classes) and (rows, {len(names)} modalities).")
    found = []
    for pattern, _ in zip(*found_patterns(mask)):
        at = np.flatnonzero((mask == pattern).all(axis=1))
        guess = p[at].argmax(axis=1)
        low, high = share_interval(int((guess == truth[at]).sum()), len(at))
        has = tuple(name for name, there in zip(names, pattern) if there)
        measures = (accuracy(truth[at], guess), low, high, weighted_f1(truth[at], guess))
        found.append(PatternScores(has, len(at), *measures, calibration(p[at], truth[at])))
    return found


def share_interval(hits: float, rows: float, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval of a share, in [0, 1]: the shares that ``hits`` of ``rows``, whole or not, do not contradict.

    Those s for which |hits / rows - s| <= z sqrt(s (1 - s) / rows); z = 1.96 is 95 %. Good with few rows also, where
    resampling gives an interval without width as soon as all rows are right. Reference: Wilson, JASA 1927.

    Raises
    ------
    ValueError
        If there are no rows, or more hits than rows.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(8, 10)]
    [0.49, 0.943]
    """
    if not 0 <= hits <= rows or rows == 0:
        raise ValueError(f"hits={hits} of rows={rows} is no share; give 0 <= hits <= rows, and a row at least.")
    share, spread = hits / rows, z**2 / rows
    middle = (share + spread / 2) / (1 + spread)
    half = float(np.sqrt(spread * share * (1 - share) + spread**2 / 4)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


def pattern_probability(patterns: Any, rate: float) -> Float:
    """(k,) probability of each of ``patterns`` (k, M) bool, none empty, when a share ``rate`` of cells is missing.

    Raises
    ------
    ValueError
        If the rate is no share, or a pattern is empty.

    Examples
    --------
    >>> pattern_probability([[True, True], [True, False], [False, True]], 0.2).round(3).tolist()
    [0.6, 0.2, 0.2]
    """
    table = np.asarray(patterns, dtype=bool)
    if not 0 <= rate <= 1 or table.ndim != 2 or not table.any(axis=1).all():
        raise ValueError(f"rate={rate} must be a share in [0, 1], and patterns (k, M) with a modality in each row.")
    modalities, there = table.shape[1], table.sum(axis=1)
    q = 1.0 if modalities == 1 else max(0.0, 1.0 - rate * modalities / (modalities - 1))
    return np.asarray(there / modalities * q ** (there - 1) * (1 - q) ** (modalities - there), dtype=np.float64)


def accuracy_at_rates(right: Any, patterns: Any, rates: Sequence[float]) -> list[dict[str, float]]:
    """Expected accuracy of one model at missing rates, from its answers on complete rows.

    Parameters
    ----------
    right : (k, n) bool, whether row i was answered rightly when pattern j was shown of it
    patterns : (k, M) bool, all 2^M - 1
    rates : shares

    Returns
    -------
    One dict per rate: ``rate``, ``mean``, ``low`` and ``high`` (95 %, normal, over rows), shares.

    Raises
    ------
    ValueError
        If patterns are lacking or there are fewer than two rows.

    Examples
    --------
    >>> right = [[True, True], [True, False], [False, False]]
    >>> [round(one["mean"], 2) for one in accuracy_at_rates(right, [[1, 1], [1, 0], [0, 1]], [0.0, 0.2, 0.5])]
    [1.0, 0.7, 0.25]
    """
    hits, table = np.asarray(right, dtype=np.float64), np.asarray(patterns, dtype=bool)
    if hits.ndim != 2 or len(hits) != len(table) or len(found_patterns(table)[0]) != 2 ** table.shape[1] - 1:
        raise ValueError(f"right has shape {hits.shape} for {len(table)} patterns; it takes all of them.")
    if hits.shape[1] < 2:
        raise ValueError(f"right holds {hits.shape[1]} rows; an interval over rows takes two.")
    found = []
    for rate in rates:
        own = pattern_probability(table, rate) @ hits
        half = 1.959963984540054 * float(own.std(ddof=1)) / np.sqrt(len(own))
        mean = float(own.mean())
        found.append({"rate": float(rate), "mean": mean, "low": max(0.0, mean - half), "high": min(1.0, mean + half)})
    return found
