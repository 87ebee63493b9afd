"""What users hand to a classifier, made ready: views, presence, labels, statistics of the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.checks import as_views
from modest.data.pool import Pool
from modest.data.presence import dense
from modest.encoders.reading import Reading
from modest.encoders.table import Table
from modest.encoders.table import table as raw_table
from modest.training import Ready
from modest.types import Float, Int, Views

__all__ = ["Reader", "encode_labels", "ready_views", "table", "whole"]

_CHUNK = 8192


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
    if isinstance(X, Pool):
        return X.views()
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


def ready_views(X: Any, names: Sequence[str] | None, views: Mapping[str, str]) -> tuple[dict[str, int], dict[str, str]]:
    """Widths of the ready views that a classifier is to stand on, and of a pool the encoder each was made by.

    Parameters
    ----------
    X : what is trained on
    names : modalities wanted; None: those of ``views`` if it names some, else all that X has views of
    views : modality -> encoder of a pool's view, where it is not the default
    """
    if not isinstance(X, Pool):
        widths = {name: width for name, (_, width) in table(X).shape.items()}
        return (widths if names is None else {m: widths[m] for m in names if m in widths}), {}
    wanted = list(names) if names is not None else list(views or X.names)
    if names is not None and not wanted:
        return {}, {}
    made_by = {name: views.get(name) or X.encoder(name) for name in wanted}
    return {name: width for name, (_, width) in X.views(made_by or None).shape.items()}, made_by


@dataclass(frozen=True)
class Reader:
    """How a classifier reads what it is given, in training and ever after.

    ``widths`` name -> d of a ready view, None over raw media, in the order of training; ``readings`` name -> Reading of
    raw values, None over a ready view; ``views`` and ``columns`` name -> encoder and raw column of a pool, where said.
    """

    widths: Mapping[str, int | None]
    readings: Mapping[str, Reading | None]
    views: Mapping[str, str]
    columns: Mapping[str, str]
    seed: int = 0

    def read(self, X: Any, partial: bool = True) -> Table:
        """Table of X; with ``partial`` a modality that is not there at all counts as absent in every row.

        Raises
        ------
        ValueError
            For a modality unknown in training, another number of features, or, without ``partial``, a modality that X
            does not have.
        """
        views = X if isinstance(X, Pool) else table(X)
        shapes = {} if isinstance(views, Pool) else views.shape
        for name in shapes:
            known_here = [m for m, d in self.widths.items() if d is not None]
            if name not in known_here:
                raise ValueError(f"X has modality {name!r}, unknown in training; known: {', '.join(known_here)}.")
        made = raw_table(
            views, self.readings, encoders=self.views, columns=self.columns, seed=self.seed, partial=partial
        )
        for m, (name, width) in enumerate(self.widths.items()):
            found = made.columns[m].shape[0]
            if width is not None and made.present[:, m].any() and found != width:
                raise ValueError(f"X[{name!r}] has {found} features, in training {width}; use the same view.")
        return made


def whole(found: Table, rows: Int, argument: str = "X", lone: bool = False) -> None:
    """Check some rows of a table: each must have a modality, and no present row of a ready view NaN or inf.

    ``lone``: rows without any modality will do, as a pool has them whose files could not be read.

    Raises
    ------
    ValueError
        Naming the first row that has none, or the first present row that holds NaN or inf.
    """
    empty = rows[~found.present[rows].any(axis=1)]
    if len(empty) and not lone:
        raise ValueError(f"{argument} row {empty[0]} (id {found.ids[empty[0]]}) has no modality at all; leave it out.")
    for m, (name, column) in enumerate(zip(found.names, found.columns)):
        if not isinstance(column, Ready):
            continue
        there = rows[found.present[rows, m]]
        for start in range(0, len(there), _CHUNK):
            part = there[start : start + _CHUNK]
            bad = np.flatnonzero(~np.isfinite(dense(column.array[part])).all(axis=1))
            if len(bad):
                row = int(part[bad[0]])
                raise ValueError(
                    f"{argument}[{name!r}] row {row} (id {found.ids[row]}) holds NaN or inf in a present row; "
                    "mend the values or mark the row absent."
                )


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
