"""Readers: whatever the table comes as, named columns and named features, each opened only when it is wanted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.data import features, files, media
from modest.data.source import Source, dataset_source, itself
from modest.types import Views

if TYPE_CHECKING:
    import pandas as pd

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def read(source: Any, text: Sequence[str] = ()) -> Source:
    """Open a source of any kind ``modest.ingest`` knows; ``text`` names columns to be read as text (ids, labels).

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If it is of no known kind, not there or damaged.
    """
    if isinstance(source, Views):
        return _views(source)
    if hasattr(source, "column_names") and hasattr(source, "__getitem__"):
        return dataset_source(source)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return _frame(source.reset_index(drop=True), "table")
    if isinstance(source, Mapping):
        return _arrays({str(name): value for name, value in source.items()}, "source")
    if not isinstance(source, (str, Path)):
        raise TypeError(f"source is {type(source).__name__}; give a path, arrays, a DataFrame, a dataset or Views.")
    path = Path(source)
    if path.is_dir():
        return _folder(path, text)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the path of a file or folder.")
    return _file(path, text)


def _file(path: Path, text: Sequence[str]) -> Source:
    suffix = path.suffix.lower()
    if suffix in TABLES:
        return _table(path, text)
    if suffix == ".npz":
        return _npz(path)
    if suffix == ".npy":
        return Source(path.name, features={path.stem: partial(features.from_npy, path)})
    if suffix == ".zip":
        return _media(path)
    known = ", ".join([*TABLES, ".npy", ".npz", ".zip"])
    raise ValueError(f"{path} ends in {suffix or 'nothing'}, which has no reader; known are {known} and folders.")


def _table(path: Path, text: Sequence[str]) -> Source:
    """CSV, TSV, JSON lines or Parquet; list columns of Parquet stay on disk until they are written."""
    import pandas as pd

    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    try:
        if suffix in (".csv", ".tsv"):
            separator = "\t" if suffix == ".tsv" else ","
            head = pd.read_csv(path, sep=separator, nrows=0, encoding="utf-8-sig")
            typed = {name: str for name in head.columns if name in text}
            frame = pd.read_csv(
                path, sep=separator, encoding="utf-8-sig", dtype=typed, keep_default_na=False, na_values=[""]
            )
        else:
            with path.open(encoding="utf-8-sig") as handle:
                rows = [json.loads(line) for line in handle if line.strip()]
            if not all(isinstance(row, dict) for row in rows):
                raise ValueError("a line is no object")
            frame = pd.DataFrame(rows)
    except ValueError as error:  # parser, empty-data and decoding errors are all of this kind
        told = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{path} cannot be read as {suffix[1:]} ({told}); mend or export it again.") from None
    lost = media.resolve(frame, path.parent)
    found = _frame(frame, path.name)
    found.lost = lost
    return found


def _parquet(path: Path) -> Source:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} is no whole Parquet file ({str(error).rstrip('.')}); write it again.") from None
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    vectors = [f.name for f in schema if any(test(f.type) for test in lists) and _is_number(f.type.value_type)]
    plain = [name for name in schema.names if name not in vectors]
    frame = files.read_table(path, plain)
    lost = media.resolve(frame, path.parent)
    found = _frame(frame, path.name)
    for name in vectors:
        found.features[name] = partial(features.from_parquet, path, name)
    found.lost = lost
    return found


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _frame(frame: pd.DataFrame, origin: str) -> Source:
    """A table in memory; a column whose cells are vectors of numbers is a feature."""
    source = Source(origin)
    for name in frame.columns:
        column = frame[name]
        first = column.dropna().iloc[0] if column.dtype == object and column.notna().any() else None
        if isinstance(first, (list, tuple, np.ndarray)) and np.asarray(first).dtype.kind in "buif":
            cells = [cell if isinstance(cell, (list, tuple, np.ndarray)) else None for cell in column.tolist()]
            source.features[str(name)] = partial(features.from_cells, cells, f"{origin}:{name}")
        else:
            source.columns[str(name)] = partial(itself, column)
    return source


def _arrays(arrays: Mapping[str, Any], origin: str) -> Source:
    """Arrays by name: one dimension is a column, more are a feature, ``class_names`` names the classes."""
    source = Source(origin)
    for name, given in arrays.items():
        array = given if hasattr(given, "shape") else np.asarray(given)
        if name == "class_names":
            source.classes[""] = [str(value) for value in array.tolist()]
        elif len(array.shape) == 1:
            source.columns[name] = partial(itself, array)
        else:
            source.features[name] = partial(features.from_array, array, f"{origin}:{name}")
    return source


def _npz(path: Path) -> Source:
    """An archive of arrays; only those of one dimension are read here."""
    source = Source(path.name)
    with features.open_archive(path) as archive:
        members = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    for name in members:
        shape = features.shape_of(path, name)
        if len(shape) > 1:
            source.features[name] = partial(features.from_npz, path, name)
        elif len(shape) == 1:
            source.columns[name] = partial(features.read_member, path, name)
    if "class_names" in source.columns:
        source.classes[""] = [str(value) for value in source.columns.pop("class_names")().tolist()]
    return source


def _views(views: Views) -> Source:
    """Views in memory, with their presence and ids."""
    source = _arrays(views.arrays, "views")
    source.ids = None if views.default_ids else views.ids
    if views.present is not None:
        source.present = dict(zip(views.names, views.present.T))
    return source


def _folder(path: Path, text: Sequence[str]) -> Source:
    """A folder: one table or archive in it, or ``.npy`` files, or media in a folder per class."""
    tables = sorted(p for p in path.iterdir() if p.suffix.lower() in (*TABLES, ".npz"))
    arrays = sorted(path.glob("*.npy"))
    if len(tables) > 1:
        told = ", ".join(p.name for p in tables)
        raise ValueError(f"{path} holds several tables ({told}); name the one that lists the items.")
    if not tables and not arrays:
        return _media(path)
    found = _file(tables[0], text) if tables else Source(str(path))
    extra = _arrays({p.stem: files.read_npy(p) for p in arrays}, path.name)
    found.columns.update(extra.columns)
    found.features.update(extra.features)
    found.classes.update(extra.classes)
    return found


def _media(place: Path) -> Source:
    """Media in a folder or zip, ``[split/][class/]name.ending``; files of one name but other endings are one item."""
    import pandas as pd

    items: dict[str, dict[str, str]] = {}
    for name, kind, value in media.walk(place):
        stem = name.rsplit(".", 1)[0]
        row = items.setdefault(stem, {"id": stem})
        if kind in row:
            raise ValueError(f"{place} has two {kind} files named {stem!r}; rename one of them.")
        row[kind] = media.read_bytes(value).decode("utf-8", errors="replace") if kind == "text" else value
        parts = stem.split("/")[:-1]
        if parts and parts[0].lower() in ("train", "val", "valid", "validation", "dev", "test"):
            row["split"] = parts.pop(0)
        if parts:
            row["label"] = parts[-1]
    if not items:
        raise ValueError(f"{place} holds no table, array or medium that is known; give a folder with items in it.")
    return _frame(pd.DataFrame(list(items.values())), place.name)
