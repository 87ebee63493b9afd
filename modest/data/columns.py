"""Columns on their way into a pool: ids, labels and splits as plain text, raw columns as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.layout import RESERVED, SPLITS, known_labels
from modest.data.source import Source

_SYNONYMS = {"validation": "val", "valid": "val", "dev": "val", "training": "train", "testing": "test"}


def as_names(values: Any, origin: str) -> NDArray[np.str_]:
    """(n,) distinct strings of an id column; whole numbers lose their decimal point.

    Raises
    ------
    ValueError
        If an id is missing or stands twice.
    """
    import pandas as pd

    column = pd.Series(np.asarray(values)) if not hasattr(values, "isna") else values
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise ValueError(f"{origin} has no id in row {missing[0]}; every item needs one.")
    names = np.array([_text(value) for value in column.tolist()], dtype=np.str_)
    distinct, counts = np.unique(names, return_counts=True)
    if len(distinct) < len(names):
        raise ValueError(f"{origin} has id {str(distinct[counts > 1][0])!r} twice; ids must be distinct.")
    return names


def as_labels(values: Any, classes: Sequence[str] | None, origin: str) -> NDArray[np.object_]:
    """(n,) object array of str, None = unknown: missing values and the integer -1.

    ``classes`` names the classes that integers 0, 1, ... stand for.

    Raises
    ------
    ValueError
        If an integer has no class name, or the labels are just -1 and 1, which may mean two things.
    """
    labels = known_labels([None if _missing(value) else _text(value) for value in np.asarray(values).tolist()])
    known = {label for label in labels if label is not None}
    numbers = bool(known) and all(label.lstrip("-").isdigit() for label in known)
    if numbers and known == {"-1", "1"}:
        raise ValueError(f"{origin} is -1 or 1, and -1 stands for unknown here; write 0 and 1, or names.")
    if numbers:
        labels[labels == "-1"] = None
    if numbers and classes is not None:
        wrong = sorted(label for label in known - {"-1"} if not 0 <= int(label) < len(classes))
        if wrong:
            raise ValueError(f"{origin} has label {wrong[0]} but only {len(classes)} class names; give them all.")
        labels = known_labels([None if label is None else classes[int(label)] for label in labels])
    return labels


def as_split(values: Any, origin: str) -> NDArray[np.str_]:
    """(n,) 'train', 'val' or 'test'; missing means train, and validation, valid, dev, training, testing are understood.

    Raises
    ------
    ValueError
        On any other word.
    """
    words = ["train" if _missing(v) else str(v).strip().lower() for v in np.asarray(values).tolist()]
    split = np.array([_SYNONYMS.get(word, word) for word in words], dtype=np.str_)
    odd = sorted(set(split.tolist()) - set(SPLITS))
    if odd:
        raise ValueError(f"{origin} holds the split {odd[0]!r}; use {', '.join(SPLITS)}, or name another split column.")
    return split


def raw(source: Source, used: Sequence[str | None], wanted: Sequence[str] | Mapping[str, str] | None) -> dict[str, Any]:
    """Raw columns to keep by the name they get; one that would hide id, label or split is called ``source_<name>``."""
    if wanted is None:
        wanted = [name for name in source.columns if name not in used]
    names = wanted if isinstance(wanted, Mapping) else {name: name for name in wanted}
    for name in names.values():
        if name not in source.columns:
            raise ValueError(f"{source.origin} has no column {name!r}; its columns are {', '.join(source.columns)}.")
    return {f"source_{name}" if name in RESERVED else name: source.columns[old]() for name, old in names.items()}


def pick(source: Source, asked: Any, default: str) -> Any:
    """Values of the column asked for by name or given as an array; the default name where there is one; else None.

    Raises
    ------
    ValueError
        If a column asked for by name is not there.
    """
    if asked is None:
        return source.columns[default]() if default in source.columns else None
    if not isinstance(asked, str):
        return asked
    if asked not in source.columns:
        told = ", ".join(source.columns) or "none"
        raise ValueError(f"{source.origin} has no column {asked!r} to take as {default}; its columns are {told}.")
    return source.columns[asked]()


def check_cells(name: str, values: Any) -> None:
    """Refuse raw cells that a table of plain values cannot hold (decoded pictures, nested objects)."""
    first = next((v for v in values if not _missing(v)), None)
    if not isinstance(first, (str, bytes, bool, int, float, np.generic)) and first is not None and not _dated(first):
        raise ValueError(
            f"column {name!r} holds {type(first).__name__} objects; encode them first, or keep other columns."
        )


def _dated(value: Any) -> bool:
    return hasattr(value, "isoformat")


def _missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and value != value):
        return True
    return type(value).__name__ in ("NAType", "NaTType")


def _text(value: Any) -> str:
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
