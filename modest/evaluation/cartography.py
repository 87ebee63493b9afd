"""Dataset cartography: which items a model learns early, late or never, and which of them a selection prefers.

References: Swayamdipta et al., EMNLP 2020 (the statistics over epochs); Shen et al., MMAsia 2024, Eq. 11-12 (the ranks)
and Figures 3-5 (the preference of a selection).

    symbol       variable      shape   meaning
    p_t(y_i)     confidence    (T, n)  probability of item i's own label in epoch t of a training on all labels
                 correct       (T, n)  whether the most probable class was the label
    mu_i         confidence    (n,)    mean over epochs                               (Eq. 11)
    r_i          ranks         (n,)    rank(mu_i) / N, ascending                      (Eq. 12)

    variability        population deviation over epochs (ddof 0)
    variability_ci     sqrt(v + v^2 / (T - 1)), v the variance: wider where epochs are few
    correctness        epochs in which the item was right
    forgetfulness      times it was right and then wrong; 1000 if it was never right
    closeness          mu (1 - mu): largest at the threshold
    preference         share of the selection in each of five equal parts of the ranking, times five: 1 is as random

Departures: a share s of the items is floor(s n) of them, where the authors' writer keeps one more; a mean loss of an
epoch is divided by n once, where theirs is divided twice. The paper leaves rank 0 or 1 and ties open: rows in their
order count from one by default. The authors take probabilities of the training's own forward pass; ours
(``track_items``) are of a pass in evaluation mode after the epoch. Cost T n, and a sort.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata

from modest.checks import known
from modest.types import Bool, Float, Int

NEVER = 1000  # forgetfulness of what was never learned

First = Literal["one", "zero"]
Ties = Literal["order", "min", "average"]
Region = Literal["hard", "easy", "ambiguous"]


@dataclass(frozen=True, eq=False)
class DataMap:
    """Statistics of n items over T epochs, see the equations above; all (n,) but the last two, which are (T,).

    ``loss`` is the mean negative logarithm of the confidence (nats), ``accuracy`` a share.
    """

    confidence: Float
    variability: Float
    variability_ci: Float
    correctness: Int
    forgetfulness: Int
    closeness: Float
    loss: Float
    accuracy: Float

    def rows(self, region: Region, share: float = 1.0) -> Int:
        """Rows of a region, its strongest case first, ties in their order: floor(share n) of them.

        ``hard``: lowest confidence; ``easy``: highest; ``ambiguous``: highest variability. ValueError for another
        region, or a share outside (0, 1].
        """
        known(region, ("hard", "easy", "ambiguous"), "region")
        if not 0 < share <= 1:
            raise ValueError(f"share={share} is not in (0, 1]; 0.33 keeps a third of the items.")
        sign, values = {
            "hard": (1, self.confidence),
            "easy": (-1, self.confidence),
            "ambiguous": (-1, self.variability),
        }[region]
        order: Int = np.argsort(sign * values, kind="stable").astype(np.int64)
        return order[: int(np.floor(share * len(order) + 1e-9))]


def label_confidence(proba: Any, y: Any) -> tuple[Float, Bool]:
    """Confidence (T, n) in the label and whether it was right (T, n), of probabilities (T, n, C) and labels (n,) int.

    Of equal probabilities the first class wins. ValueError for other shapes or a label that is no class.

    Examples
    --------
    >>> confidence, correct = label_confidence([[[0.9, 0.1], [0.4, 0.6]]], [0, 0])
    >>> confidence.tolist(), correct.tolist()
    ([[0.9, 0.4]], [[True, False]])
    """
    p, gold = np.asarray(proba, dtype=np.float64), np.asarray(y)
    if p.ndim != 3 or gold.shape != p.shape[1:2] or gold.dtype.kind not in "iu":
        raise ValueError(f"proba {p.shape} and y {gold.shape} do not fit; give (T, n, C) and (n,) class numbers.")
    if len(gold) and not 0 <= gold.min() <= gold.max() < p.shape[2]:
        raise ValueError(f"y holds a number outside the {p.shape[2]} classes of proba; leave unknown rows out of both.")
    return p[:, np.arange(len(gold)), gold], p.argmax(axis=2) == gold


def data_map(confidence: Any, correct: Any, burn_out: int | None = None) -> DataMap:
    """Statistics over the epochs of a training.

    Parameters
    ----------
    confidence : (T, n) probability of each item's own label, T >= 1
    correct : (T, n) bool, whether the label was predicted
        Both are of ``MultimodalClassifier.dynamics`` after ``run(..., track_items=True)``, or of
        :func:`label_confidence`.
    burn_out : int, optional
        Look at the first so many epochs only.

    Raises
    ------
    ValueError
        If the shapes differ, there is no epoch, a confidence is no probability, or ``burn_out`` is below 1.

    Examples
    --------
    >>> chart = data_map([[0.2, 0.6], [0.4, 0.8]], [[False, True], [False, True]])
    >>> chart.confidence.round(3).tolist(), chart.variability.round(3).tolist(), chart.forgetfulness.tolist()
    ([0.3, 0.7], [0.1, 0.1], [1000, 0])
    """
    p, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if p.ndim != 2 or p.shape != right.shape or not len(p):
        raise ValueError(f"confidence {p.shape} and correct {right.shape} must both be (epochs, items), one epoch up.")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("confidence holds a number outside [0, 1]; give probabilities of the items' own labels.")
    if burn_out is not None and burn_out < 1:
        raise ValueError(f"burn_out={burn_out} leaves no epoch; give at least 1, or leave it out.")
    p, right = p[:burn_out], right[:burn_out]
    mean, variance = p.mean(axis=0), p.var(axis=0)
    forgotten = (right[:-1] & ~right[1:]).sum(axis=0)
    with np.errstate(divide="ignore"):
        loss = -np.log(p).mean(axis=1)
    return DataMap(
        confidence=mean,
        variability=np.sqrt(variance),
        variability_ci=np.sqrt(variance + variance**2 / max(len(p) - 1, 1)),
        correctness=right.sum(axis=0).astype(np.int64),
        forgetfulness=np.where(right.any(axis=0), forgotten, NEVER).astype(np.int64),
        closeness=mean * (1 - mean),
        loss=loss,
        accuracy=right.mean(axis=1),
    )


def confidence_ranks(confidence: Any, first: First = "one", ties: Ties = "order") -> Float:
    """r (n,) of Eq. 12: the ascending rank of each mean confidence (n,) over N.

    ``first``: whether ranks count from "one" (r in (0, 1]) or "zero" (r in [0, 1)). ``ties``: equal ones by their
    "order" in the table, all the lowest rank ("min"), or all the mean of their ranks ("average").

    Examples
    --------
    >>> confidence_ranks([0.9, 0.1, 0.5, 0.5]).tolist(), confidence_ranks([0.9, 0.1, 0.5, 0.5], "zero", "min").tolist()
    ([1.0, 0.25, 0.5, 0.75], [0.75, 0.0, 0.25, 0.25])
    """
    known(first, ("one", "zero"), "first")
    how = {"order": "ordinal", "min": "min", "average": "average"}[known(ties, ("order", "min", "average"), "ties")]
    mu = np.asarray(confidence, dtype=np.float64)
    if mu.ndim != 1 or not np.isfinite(mu).all():
        raise ValueError(f"confidence of shape {mu.shape} must be one finite number per item; give (n,).")
    place: Float = rankdata(mu, method=how) - (first == "zero")
    return place / max(len(mu), 1)


def confidence_bins(confidence: Any, count: int = 5) -> Int:
    """Bin (n,) 0 .. count - 1 of each item, least confident first: floor(count rank / n), rank from 0, stable.

    Examples
    --------
    >>> confidence_bins([0.9, 0.1, 0.5, 0.3], 2).tolist()
    [1, 0, 1, 0]
    """
    if count < 1:
        raise ValueError(f"count={count} is no number of bins; give at least 1.")
    n = len(np.asarray(confidence))
    place = np.rint(confidence_ranks(confidence, "zero") * n).astype(np.int64)
    return np.asarray(count * place // max(n, 1), dtype=np.int64)


def preference(selected: Any, bin_of: Any, count: int = 5) -> Float:
    """Share (count,) of the selected items in each bin, times ``count``: what a random selection makes 1 everywhere.

    Parameters
    ----------
    selected : (b,) int rows, b >= 1
    bin_of : (n,) int of :func:`confidence_bins`

    Raises
    ------
    ValueError
        If nothing is selected, or a row or bin is out of range.

    Examples
    --------
    >>> preference([0, 1, 3], [0, 0, 1, 1], 2).round(2).tolist()
    [1.33, 0.67]
    """
    rows, where = np.asarray(selected, dtype=np.int64), np.asarray(bin_of, dtype=np.int64)
    if not len(rows):
        raise ValueError("selected is empty; a preference needs at least one item.")
    if rows.min() < 0 or rows.max() >= len(where):
        raise ValueError(f"selected holds a row outside the {len(where)} rows of bin_of; give rows of that table.")
    if where.min() < 0 or where.max() >= count:
        raise ValueError(f"bin_of holds a bin outside 0 .. {count - 1}; give the count the bins were made with.")
    return np.asarray(np.bincount(where[rows], minlength=count) * count / len(rows), dtype=np.float64)
