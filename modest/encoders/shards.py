"""A view on its way to disk: shards with a marker each, then one array put together from them.

``views/<modality>/.<name>.shards/00003.npy`` holds the features of some rows in one piece; ``00003.json`` is written
after it and says which encoder made it from which rows and values. A killed run leaves whole shards, and a run that
finds a shard with the marker it would have written itself keeps it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files
from modest.data.presence import nan_rows
from modest.types import Bool

Skipped = list[list[str]]  # [id, value, reason] per value that could not be read
SHOWN = 200  # characters of a value kept in lists of skipped ones


@dataclass(frozen=True)
class Target:
    """The view to be written: its ``place`` (``views/<modality>``), ``name``, ``rows``, ``dim`` and ``dtype``."""

    place: Path
    name: str
    rows: int
    dim: int
    dtype: np.dtype[Any]

    @property
    def shards(self) -> Path:
        """Folder of the shards."""
        return self.place / f".{self.name}.shards"

    def path(self, ending: str) -> Path:
        """One file of the view, by its ending."""
        return self.place / f"{self.name}{ending}"


def values_hash(values: Sequence[Any]) -> str:
    """Sixteen hexadecimal digits of raw values in their order."""
    told = json.dumps([None if value is None or value != value else str(value) for value in values])
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def begin(target: Target, fresh: bool) -> None:
    """Make the folder of shards; a fresh start clears those of other runs, but not those of a fresh start before it."""
    mark = target.shards / "fresh"
    with files.writing(target.place):
        if fresh and not mark.is_file():
            shutil.rmtree(target.shards, ignore_errors=True)
        target.shards.mkdir(parents=True, exist_ok=True)
        if fresh:
            mark.touch()


def write_shard(
    target: Target, number: int, features: NDArray[Any], marker: Mapping[str, Any], skipped: Skipped
) -> None:
    """Write one shard (k, dim), NaN rows for what is absent, and after it its marker."""
    with files.replacing(target.shards / f"{number:05d}.npy") as temporary, temporary.open("wb") as handle:
        np.save(handle, features.astype(target.dtype), allow_pickle=False)
    files.write_json(target.shards / f"{number:05d}.json", {**marker, "skipped": skipped})


def read(target: Target, number: int) -> NDArray[Any]:
    """(k, dim) memory map of one shard."""
    return files.read_npy(target.shards / f"{number:05d}.npy")


def finished(target: Target, number: int, marker: Mapping[str, Any]) -> Skipped | None:
    """What a finished shard skipped; None when there is no shard with this marker."""
    try:
        told = files.read_json(target.shards / f"{number:05d}.json")
        array = read(target, number)
    except (ValueError, FileNotFoundError):
        return None
    skipped: Skipped = told.pop("skipped", None)
    same = told == dict(marker) and array.shape == (marker["rows"], target.dim) and array.dtype == target.dtype
    return skipped if same and skipped is not None else None


def assemble(target: Target, size: int, about: Mapping[str, Any], skipped: Skipped) -> Bool:
    """Put the view together from shards of ``size`` rows and remove them.

    The array is streamed into a memory map. Its description is removed first where there was one, and written last, so
    that no reader finds an array with the description of another.

    Returns
    -------
    (rows,) bool, True = present.

    Raises
    ------
    OSError
        If the disk is full or may not be written to.
    """
    present = np.zeros(target.rows, dtype=bool)
    with files.replacing(target.path(".npy")) as temporary:
        out = np.lib.format.open_memmap(temporary, mode="w+", dtype=target.dtype, shape=(target.rows, target.dim))
        for number, first in enumerate(range(0, target.rows, size)):
            block = read(target, number)
            out[first : first + len(block)] = block
            present[first : first + len(block)] = ~nan_rows(block)
        out.flush()
        del out
        target.path(".json").unlink(missing_ok=True)
    target.path(".standard.npy").unlink(missing_ok=True)
    _write_beside(target, present, skipped)
    files.write_json(target.path(".json"), {**about, "absent": int((~present).sum()), "skipped": len(skipped)})
    return present


def _write_beside(target: Target, present: Bool, skipped: Skipped) -> None:
    """Presence and the list of skipped values, or neither where all is there."""
    import csv

    beside = target.path(".present.npy")
    if present.all():
        beside.unlink(missing_ok=True)
    else:
        with files.replacing(beside) as temporary, temporary.open("wb") as handle:
            np.save(handle, present, allow_pickle=False)
    listed = target.path(".skipped.csv")
    if not skipped:
        listed.unlink(missing_ok=True)
        return
    with files.replacing(listed) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
        csv.writer(handle, lineterminator="\n").writerows([["id", "value", "reason"], *skipped])


def read_skipped(target: Target) -> Skipped:
    """[id, value, reason] of the finished view's list; empty where there is none."""
    import csv

    listed = target.path(".skipped.csv")
    if not listed.is_file():
        return []
    with listed.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))[1:]


def clear(target: Target) -> None:
    """Remove the shards, and the modality's folder where nothing else is in it."""
    shutil.rmtree(target.shards, ignore_errors=True)
    if target.place.is_dir() and not any(target.place.iterdir()):
        os.rmdir(target.place)


def standing(target: Target, made_by: Mapping[str, Any], ids: NDArray[np.str_], fresh: bool) -> int:
    """How many first rows of the table the view on disk has already, made by the same encoder: 0, some, or all.

    Raises
    ------
    ValueError
        If a view of this name is by another encoder or of another table, unless all is to be made ``fresh``.
    """
    path = target.path(".json")
    if fresh or not path.is_file():
        return 0
    about = files.read_json(path)
    other = [key for key, value in made_by.items() if about.get(key) != value]
    if other:
        raise ValueError(
            f"{path.with_suffix('.npy')} was made with another {other[0]} ({str(about.get(other[0]))[:80]}, now "
            f"{str(made_by[other[0]])[:80]}); give --fresh to make it again."
        )
    rows = int(about["shape"][0])
    if rows > len(ids) or about.get("rows") != files.rows_hash(ids[:rows]):
        raise ValueError(
            f"{path.with_suffix('.npy')} belongs to another table of items; give --fresh to make it again."
        )
    return rows
