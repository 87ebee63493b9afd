"""What users hand to a classifier, made ready: views, presence, labels, statistics of the training rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modest.checks import as_views
from modest.data.presence import dense, observed
from modest.types import Bool, Float, Int, Views

__all__ = ["align", "encode_labels", "is_pool", "table", "whole"]

_CHUNK = 8192


def is_pool(X: Any) -> bool:
    """Whether X is a Pool: it opens views and knows labels."""
    return callable(getattr(X, "views", None)) and hasattr(X, "labels")


def table(X: Any) -> Views:
    """Views of a Pool, Views, DataFrame, mapping of arrays or one (n, d) array (modality ``x``).

    A DataFrame is read in one of three ways: two-level columns (modality, feature); columns whose cells are vectors,
    one modality each, None or NaN where absent; or plain numbers, one modality ``x``.

    Raises
    ------
    TypeError
        If X is none of these.
    ValueError
        If a DataFrame's cells are not numbers or vectors of one length.
    """
    if is_pool(X):
        views = X.views()
        return as_views(views)
    if hasattr(X, "columns") and hasattr(X, "to_numpy"):
        return _from_frame(X)
    return as_views(np.asarray(X, dtype=np.float64) if isinstance(X, list) else X)


def _from_frame(frame: Any) -> Views:
    if frame.columns.nlevels == 2:
        names = list(dict.fromkeys(frame.columns.get_level_values(0)))
        return Views({str(name): frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in names})
    if all(dtype.kind in "fiub" for dtype in frame.dtypes):
        return Views({"x": frame.to_numpy(dtype=np.float64)})
    return Views({str(name): _stack(str(name), frame[name]) for name in frame.columns})


def _stack(name: str, column: Any) -> Float:
    cells = [None if cell is None or np.ndim(cell) == 0 else np.asarray(cell, dtype=np.float64) for cell in column]
    shapes = {cell.shape for cell in cells if cell is not None}
    if len(shapes) != 1 or len(next(iter(shapes))) != 1:
        raise ValueError(f"X[{name!r}] must hold vectors of one length (or None where absent), found {sorted(shapes)}.")
    (width,) = next(iter(shapes))
    return np.stack([np.full(width, np.nan) if cell is None else cell for cell in cells])


def align(views: Views, widths: Mapping[str, int]) -> Views:
    """Put the modalities in the order of training; one that is not there at all counts as absent in every row.

    Raises
    ------
    ValueError
        For a modality unknown in training, or another number of features.
    """
    for name, (_, width) in views.shape.items():
        if name not in widths:
            raise ValueError(f"X has modality {name!r}, unknown in training; known: {', '.join(widths)}.")
        if width != widths[name]:
            raise ValueError(f"X[{name!r}] has {width} features, in training {widths[name]}; use the same view.")
    if views.names == tuple(widths):
        return views
    n = len(views)
    arrays = {m: views.arrays.get(m, np.broadcast_to(np.float32(np.nan), (n, d))) for m, d in widths.items()}
    present = np.zeros((n, len(widths)), dtype=bool)
    for j, name in enumerate(widths):
        if name in views.names:
            present[:, j] = True if views.present is None else views.present[:, views.names.index(name)]
    return Views(arrays, present, views.ids)


def whole(views: Views, argument: str = "X") -> Bool:
    """(n, M) bool, which modality each row has; every row must have one.

    Raises
    ------
    ValueError
        Naming the first row that has none, or the first present row that holds NaN or inf.
    """
    present: Bool = np.asarray(observed(views), dtype=bool)
    empty = np.flatnonzero(~present.any(axis=1))
    if len(empty):
        raise ValueError(f"{argument} row {empty[0]} (id {views.ids[empty[0]]}) has no modality at all; leave it out.")
    for m, (name, array) in enumerate(views.arrays.items()):
        for start in range(0, len(views), _CHUNK):
            block = _block(array, np.arange(start, min(start + _CHUNK, len(views))))
            bad = np.flatnonzero(present[start : start + _CHUNK, m] & ~np.isfinite(block).all(axis=1))
            if len(bad):
                row = start + int(bad[0])
                raise ValueError(
                    f"{argument}[{name!r}] row {row} (id {views.ids[row]}) holds NaN or inf in a present row; "
                    "mend the values or mark the row absent."
                )
    return present


def _block(array: Any, rows: Int) -> Float:
    return dense(array[rows]).astype(np.float64)


def encode_labels(y: Any, n: int, classes: Any = None, argument: str = "y") -> tuple[Any, Int]:
    """Classes in sorted order and (n,) class numbers; with ``classes`` given, labels not among them become -1.

    Raises
    ------
    ValueError
        If the length is not ``n``, a label is missing, kinds are mixed, or there are fewer than two classes.
    """
    labels = np.asarray(y)
    if labels.shape != (n,):
        raise ValueError(f"{argument} has shape {labels.shape}; it must hold one label per row, ({n},).")
    if labels.dtype == object:
        kinds = {str if isinstance(label, str) else type(label) for label in labels}
        for row, label in enumerate(labels):
            if label is None or label != label:
                raise ValueError(f"{argument} row {row} has no label; give the labelled rows only.")
        if len(kinds) > 1 and any(kind is str for kind in kinds):
            raise ValueError(f"{argument} mixes strings and numbers; make all labels strings.")
        labels = np.array(list(labels))
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        row = np.flatnonzero(~np.isfinite(labels))[0]
        raise ValueError(f"{argument} row {row} has no label; give the labelled rows only.")
    if labels.dtype.kind not in "iufbU":
        raise TypeError(f"{argument} holds {labels.dtype}; labels must be integers or strings.")
    if classes is None:
        classes, numbers = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise ValueError(f"{argument} has {len(classes)} class; a classifier needs at least two.")
        return classes, numbers.astype(np.int64)
    where = {label: number for number, label in enumerate(np.asarray(classes).tolist())}
    return classes, np.array([where.get(label, -1) for label in labels.tolist()], dtype=np.int64)
