"""How right the answers are: accuracy, macro accuracy and weighted F1, for the fused prediction and for each modality.

With n rows, y_i the true class, p_i the predicted one and C_y the classes that occur in y:

    accuracy    = 1/n sum_i [y_i = p_i]
    macro       = 1/|C_y| sum_{c in C_y} recall_c
    weighted F1 = sum_{c in C_y} (n_c / n) F1_c,   F1_c = 2 hit_c / (true_c + predicted_c)

A true class that the model has never seen cannot be predicted and so counts as wrong, everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.types import Float, Int

METRICS = ("accuracy", "macro_accuracy", "weighted_f1")


def accuracy(y: Any, p: Any) -> float:
    """Share of rows whose predicted class is the true one, in [0, 1]; NaN for no rows.

    Parameters
    ----------
    y, p : (n,) int or str
        True and predicted classes.

    Raises
    ------
    ValueError
        If lengths differ or a true class is unknown (None).
    TypeError
        If one side holds numbers and the other names.

    Examples
    --------
    >>> accuracy(["a", "b", "b"], ["a", "b", "a"])
    0.6666666666666666
    """
    hit, true, _ = _counts(y, p)
    return float(hit.sum() / true.sum()) if true.sum() else float("nan")


def macro_accuracy(y: Any, p: Any) -> float:
    """Mean recall over the classes that occur in ``y``, in [0, 1]: each class weighs the same. As :func:`accuracy`."""
    hit, true, _ = _counts(y, p)
    seen = true > 0
    return float(np.mean(hit[seen] / true[seen])) if seen.any() else float("nan")


def weighted_f1(y: Any, p: Any) -> float:
    """F1 per class, averaged with the number of true rows as weights, in [0, 1]. As :func:`accuracy`."""
    hit, true, predicted = _counts(y, p)
    total = true.sum()
    return float(np.sum(true * (2 * hit / (true + predicted))) / total) if total else float("nan")


def summary(y: Any, p: Any) -> dict[str, float]:
    """Return the three metrics and ``rows``, the number of rows they were counted on. As :func:`accuracy`."""
    values = {"accuracy": accuracy(y, p), "macro_accuracy": macro_accuracy(y, p), "weighted_f1": weighted_f1(y, p)}
    return {**values, "rows": len(np.asarray(y))}


def scores(
    y: Any, proba: NDArray[Any], modality_proba: NDArray[Any] | None, classes: Any, names: Sequence[str] = ()
) -> dict[str, Any]:
    """Metrics of the fused prediction and of each modality alone.

    Parameters
    ----------
    y : (n,) int or str
        True classes; one that is not in ``classes`` counts as wrong.
    proba : (n, C)
        Fused probabilities, columns in the order of ``classes``.
    modality_proba : (M, n, C) or None
        Probabilities of each modality's own head; a row of NaN says that the modality is absent there, and that row
        is left out of the modality's metrics.
    classes : (C,)
        The classes the model knows.
    names : M strings
        Names of the modalities.

    Returns
    -------
    dict
        ``{"fused": {metric: value, "rows": n}, "modality": {name: {metric: value, "rows": n_m}}}``; a modality that
        is nowhere present has NaN metrics and ``rows`` 0.

    Raises
    ------
    ValueError
        If shapes do not fit, or the fused probabilities hold a NaN.
    """
    truth, known, fused = np.asarray(y), np.asarray(classes), np.asarray(proba)
    if fused.shape != (len(truth), len(known)):
        raise ValueError(f"proba has shape {fused.shape}; it must be (rows, classes) = {(len(truth), len(known))}.")
    if np.isnan(fused).any():
        row = int(np.flatnonzero(np.isnan(fused).any(axis=1))[0])
        raise ValueError(f"proba has NaN in row {row}; a fused prediction needs at least one modality in each row.")
    result: dict[str, Any] = {"fused": summary(truth, known[fused.argmax(axis=1)]), "modality": {}}
    if modality_proba is None:
        return result
    each = np.asarray(modality_proba)
    if each.shape != (len(names), *fused.shape):
        raise ValueError(f"modality_proba has shape {each.shape}; it must be {(len(names), *fused.shape)}.")
    for name, own in zip(names, each):
        there = ~np.isnan(own).any(axis=1)
        result["modality"][name] = summary(truth[there], known[own[there].argmax(axis=1)])
    return result


def _counts(y: Any, p: Any) -> tuple[Int, Int, Int]:
    """Hits, true rows and predicted rows per class, over the classes of both sides, each (K,) int."""
    truth, guess = np.asarray(y), np.asarray(p)
    if truth.ndim != 1 or truth.shape != guess.shape:
        raise ValueError(f"y has shape {truth.shape} and p {guess.shape}; give one class per row in both.")
    truth, guess = _plain(truth, "y"), _plain(guess, "p")
    if len(truth) and (truth.dtype.kind == "U") != (guess.dtype.kind == "U"):
        raise TypeError("y and p hold numbers on one side and names on the other; give both as int or both as str.")
    _, codes = np.unique(np.concatenate([truth, guess]), return_inverse=True)
    size = int(codes.max()) + 1 if len(codes) else 0
    true, predicted = codes[: len(truth)], codes[len(truth) :]
    hit = np.bincount(true[true == predicted], minlength=size)
    return hit, np.bincount(true, minlength=size), np.bincount(predicted, minlength=size)


def _plain(values: NDArray[Any], argument: str) -> NDArray[Any]:
    """Classes as an array of numbers or of strings; None is refused."""
    if values.dtype != object:
        return values
    unknown = [i for i, value in enumerate(values) if value is None or value != value]
    if unknown:
        raise ValueError(f"{argument} has no class in row {unknown[0]}; leave rows without a label out.")
    return values.astype(np.str_) if any(isinstance(value, str) for value in values) else values.astype(np.int64)


def recalls(y: Any, p: Any) -> tuple[NDArray[Any], Float]:
    """Classes that occur in ``y``, sorted (K,), and the recall of each, (K,) in [0, 1]. As :func:`accuracy`."""
    truth = _plain(np.asarray(y), "y")
    hit, true, _ = _counts(y, p)
    return np.unique(truth), hit[true > 0] / true[true > 0]
