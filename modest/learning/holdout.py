"""Which rows validate: carved from the training rows, marked by a mask, or a table of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.data.pool import Pool
from modest.data.splits import carve
from modest.encoders.table import Table
from modest.encoders.towers import Tower
from modest.encoders.towers import standardise as by_rows
from modest.learning.assembly import Projected
from modest.learning.inputs import encode_labels, whole
from modest.learning.towers import Towers
from modest.training import Ready
from modest.types import Bool, Int

__all__ = ["SHARE", "Labelled", "prepare", "split", "standardise", "training_rows", "unreadable"]

SHARE = 0.15
_ROWS_PER_CLASS = 20


@dataclass(frozen=True)
class Labelled:
    """``rows`` (k,) of ``table`` that take part; ``y`` (n,) in its frame, -1 = class not in training.

    ``groups`` (k,): of the rows, or None.
    """

    table: Table
    y: Int
    rows: Int
    groups: Any = None


def prepare(
    X: Any, y: Any, validation: Any, groups: Any, seed: int, read: Callable[..., Table]
) -> tuple[Labelled, Labelled, Any]:
    """Training rows, validation rows (maybe none), and the sorted classes; see MultimodalClassifier.run.

    A validation table of its own may hold labels of classes unseen in training; they count as wrong. Items of a pool
    that have no modality at all are left out.

    Raises
    ------
    ValueError
        For what the parts cannot be made of, and if no row to train on has anything that can be read.
    """
    own = isinstance(validation, tuple)
    if own and len(validation) != 2:
        raise ValueError(f"validation is a tuple of {len(validation)}; give the pair (X, y).")
    found = read(X, partial=False)
    rows, labels, held = training_rows(X, y, len(found))
    if isinstance(X, Pool):  # its items of which nothing could be read are no rows to learn from
        some = found.present[rows].any(axis=1)
        rows, labels, held = rows[some], labels[some], None if held is None else held[some]
    classes, codes = encode_labels(labels, len(rows))
    whole(found, rows)
    rule = False if own else held if validation is None and held is not None else validation
    out = split(codes, found.ids[rows], rule, groups, seed)
    numbers = np.full(len(found), -1, dtype=np.int64)
    numbers[rows] = codes
    train = Labelled(found, numbers, rows[~out], None if groups is None else np.asarray(groups)[~out])
    _refuse_unreadable(train)
    if not own:
        return train, Labelled(found, numbers, rows[out]), classes
    other = read(validation[0])
    every = np.arange(len(other))
    whole(other, every, "validation X")
    _, numbers = encode_labels(validation[1], len(other), classes, "validation y")
    return train, Labelled(other, numbers, every), classes


def _refuse_unreadable(data: Labelled) -> None:
    table = data.table
    if not any(table.readable(m, data.rows) for m in range(len(table.names))):
        told = next(iter(next(iter(table.unreadable.values())).values())).rstrip(".")
        raise ValueError(f"no row to train on has anything that can be read (the first: {told}); look at its files.")


def standardise(towers: Towers, data: Labelled) -> None:
    """Set mean and deviation of each tower's input from the present training rows; a pretrained one keeps its own."""
    for m, (column, module) in enumerate(zip(data.table.columns, towers.encoders)):
        tower = module.encoder if isinstance(module, Projected) else module
        if isinstance(tower, Tower) and isinstance(column, Ready) and not tower.standardised:
            by_rows(tower, column.array, data.rows[data.table.present[data.rows, m]])


def training_rows(X: Any, y: Any, n: int) -> tuple[Int, Any, Any]:
    """(k,) rows, their labels and, for a Pool with labelled rows of split ``val``, the (k,) mask of those (else None).

    A Pool gives its labelled rows of splits ``train`` and ``val``; ``y`` may replace its labels (None = unknown).

    Raises
    ------
    ValueError
        If labels are missing.
    """
    if not isinstance(X, Pool):
        if y is None:
            raise ValueError("y is missing; give one label per row of X (only a Pool brings its own).")
        if len(y) != n:
            raise ValueError(f"y has shape ({len(y)},); it must hold one label per row, ({n},).")
        return np.arange(n), y, None
    labels = np.asarray(X.labels if y is None else y, dtype=object)
    split_of = np.asarray(X.split)
    if labels.shape != split_of.shape:
        raise ValueError(f"y has shape {labels.shape}; it must hold one label per row of the pool, {split_of.shape}.")
    has = np.array([label is not None and label == label for label in labels], dtype=bool)
    rows = np.flatnonzero(has & np.isin(split_of, ("train", "val")))
    if not (split_of[rows] == "train").any():
        raise ValueError("X, the pool, has no labelled training row; add labels, or ingest a label column.")
    held = split_of[rows] == "val"
    return rows, labels[rows], held if held.any() else None


def split(y: Int, ids: Any, validation: Any, groups: Any, seed: int) -> Bool:
    """(n,) bool of held-out rows by the rule of ``validation``: None, False, a share, or a mask.

    None carves 15 % by class (whole groups where there are groups), or nothing below 20 rows a class on average.

    Raises
    ------
    ValueError
        If the mask has the wrong length or leaves no training row.
    """
    n = len(y)
    if groups is not None and np.shape(groups) != (n,):
        raise ValueError(f"groups has shape {np.shape(groups)}; it must hold one group per row, ({n},).")
    if validation is None:
        validation = SHARE if n >= _ROWS_PER_CLASS * len(np.unique(y)) else False
    if validation is False:
        return np.zeros(n, dtype=bool)
    if isinstance(validation, (float, np.floating)):
        return carve(y, float(validation), seed, groups, ids)
    mask = np.asarray(validation)
    if mask.dtype != bool or mask.shape != (n,):
        raise ValueError(
            f"validation is {mask.dtype} of shape {mask.shape}; give None, False, a share in (0, 1), a boolean mask "
            f"({n},) or a pair (X, y)."
        )
    if mask.all():
        raise ValueError("validation marks every row, so none is left to train on; unmark some.")
    return mask


def unreadable(data: Labelled, check: Labelled) -> dict[str, dict[int, str]]:
    """Modality -> row of the training table -> why it could not be read, of all rows that train or validate.

    Those that no epoch has met (a run taken up at its end, a modality dropped each time) are tried now.
    """
    data.table.look(data.rows)
    if check.table is data.table:
        data.table.look(check.rows)
    return data.table.unreadable
