"""Warm arrays: what a trained classifier says of the table, checked and led to the frame of ids.

    proba            (n, C)              class probabilities
    features         {modality: (n, d)}  what the classifier's last layer sees; zero or NaN where it is absent
    coalition_proba  (2^M, n, C)         probabilities when only the members of a coalition have their features; bit m
                                         of the index stands for the m-th modality of ``features``
    head             function            {modality: (k, d) tensors} -> logits (k, C), differentiable
    labels           (n,) int            class numbers, -1 where unknown

Rows are those of the table handed over. ``MultimodalClassifier.arrays(X, needs)`` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.data.presence import dense
from modest.neighbours import Rows
from modest.neighbours.device import Precision
from modest.types import Bool, Float, Int, Views

ARRAYS = ("proba", "features", "coalition_proba", "head", "labels")
_CHUNK = 65_536
# probabilities in half precision sum to 1 within this
_SUM = 2e-3


def handed(method: str, needs: tuple[str, ...], uses: tuple[str, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays to hand to a method: those given, after a look at what it needs and uses.

    Raises
    ------
    ValueError
        If one it needs is missing.
    TypeError
        If one is given that it has no use for.
    """
    there = {name: array for name, array in given.items() if array is not None}
    missing = [name for name in needs if name not in there]
    if missing:
        raise ValueError(
            f"method {method!r} needs {', '.join(missing)}: hand over clf.arrays(views, {needs!r}) of a trained "
            "MultimodalClassifier, or arrays of your own."
        )
    for name in there:
        if name not in needs and name not in uses:
            told = ", ".join((*needs, *uses)) or "no array"
            raise TypeError(f"method {method!r} has no use for {name}; it takes {told}, so leave it out.")
    return there


def distributions(rows: Rows, proba: Any, name: str = "proba") -> NDArray[np.floating]:
    """(n, C) probabilities, rows still in the frame of the table; C of at least 2.

    Raises
    ------
    ValueError
        For another shape, or a row that is not finite, has a negative entry or does not sum to 1.
    """
    array = dense(proba)
    if array.ndim != 2 or len(array) != len(rows) or array.shape[1] < 2 or array.dtype.kind != "f":
        raise ValueError(
            f"{name} has shape {array.shape} and type {array.dtype}; it must hold probabilities, one row per item and "
            f"a column per class: ({len(rows)}, C), C of at least 2."
        )
    for start in range(0, len(array), _CHUNK):
        block = array[start : start + _CHUNK].astype(np.float64)
        total = block.sum(axis=1)
        bad = np.flatnonzero(~(np.abs(total - 1.0) <= _SUM) | (block < -1e-6).any(axis=1))
        if len(bad):
            row = start + int(bad[0])
            raise ValueError(
                f"{name} row {row} is no distribution, its sum is {total[bad[0]]:.4g}; "
                "hand over probabilities, which are 0 or more and sum to 1, not logits."
            )
    return array


def score_rows(rows: Rows, proba: NDArray[np.floating], score: Callable[[Float], Float]) -> Float:
    """(n,) float64 score of every row (frame of ids) from its probabilities, a block at a time."""
    found = np.empty(len(rows))
    for where, at in _blocks(rows):
        found[where] = score(proba[at].astype(np.float64))
    return found


def residuals(rows: Rows, proba: NDArray[np.floating], dtype: torch.dtype) -> Tensor:
    """(n, C) p - onehot(argmax p), the gradient of the predicted class's loss by the logits; frame of ids."""
    found = torch.empty(proba.shape, dtype=dtype)
    for where, at in _blocks(rows):
        block = proba[at].astype(np.float64)
        block[np.arange(len(block)), block.argmax(axis=1)] -= 1.0
        found[where] = torch.as_tensor(block, dtype=dtype)
    return found.to(rows.device)


def _blocks(rows: Rows) -> Iterator[tuple[slice, Int]]:
    """Blocks of rows as (slice in the frame of ids, rows of the table)."""
    for start in range(0, len(rows), _CHUNK):
        stop = min(start + _CHUNK, len(rows))
        yield slice(start, stop), rows.table_rows(np.arange(start, stop))


def coalitions(rows: Rows, coalition_proba: Any, modalities: int) -> NDArray[np.floating]:
    """(2^M, n, C) probabilities of every coalition, rows still in the frame of the table.

    Raises
    ------
    ValueError
        For another shape, or rows that are no distributions.
    """
    array = dense(coalition_proba)
    if array.ndim != 3 or len(array) != 2**modalities:
        raise ValueError(
            f"coalition_proba has shape {array.shape}; with {modalities} modalities in features it must be "
            f"({2**modalities}, {len(rows)}, C), one (n, C) for each of the 2^{modalities} coalitions."
        )
    for mask, proba in enumerate(array):
        distributions(rows, proba, f"coalition_proba[{mask}]")
    return array


def feature_rows(
    rows: Rows, views: Views, features: Any, memory: str | int = "2GB", precision: Precision = "auto"
) -> Rows:
    """Features as Rows in the frame of ids, not normalised, zero where the view or the feature itself is absent.

    Raises
    ------
    ValueError
        If they are not one (n, d) per modality, or hold NaN or inf in a present row.
    """
    if not isinstance(features, Mapping) or not features:
        raise ValueError("features must be a mapping modality -> (n, d) array, as clf.arrays gives it.")
    arrays = {str(name): a if hasattr(a, "shape") else np.asarray(a) for name, a in features.items()}
    for name, array in arrays.items():
        if len(array.shape) != 2 or int(array.shape[0]) != len(rows) or not array.shape[1]:
            raise ValueError(f"features[{name!r}] has shape {tuple(array.shape)}; it must be ({len(rows)}, d).")
    there = np.ones((len(rows), len(arrays)), dtype=bool)
    at = rows.table_rows(np.arange(len(rows)))
    for m, name in enumerate(arrays):
        if name in rows.names:
            there[at, m] = rows.present[:, rows.names.index(name)]
    table = Views(arrays, there, None if views.default_ids else views.ids)
    return Rows(table, unit=False, device=str(rows.device), precision=precision, memory=memory, called="features")


def label_numbers(labels: Any, n: int) -> Int:
    """(n,) class numbers in the frame of the table, -1 where unknown.

    Raises
    ------
    ValueError
        For another shape, type or range.
    """
    array = dense(labels)
    if array.shape != (n,) or array.dtype.kind not in "iu" or (array.size and array.min() < -1):
        raise ValueError(
            f"labels has shape {array.shape} and type {array.dtype}; it must hold {n} class numbers from 0, "
            "with -1 where unknown."
        )
    return array.astype(np.int64)


def class_numbers(rows: Rows, labels: Any) -> Int:
    """(n,) class numbers in the frame of ids, -1 where unknown; errors as in :func:`label_numbers`."""
    return label_numbers(labels, len(rows))[rows.table_rows(np.arange(len(rows)))]


def labelled_rows(rows: Rows, covered: Bool, labels: Any) -> Bool:
    """(n,) bool in the frame of ids: rows with a known label, or taken ones."""
    return covered if labels is None else covered | (class_numbers(rows, labels) >= 0)
