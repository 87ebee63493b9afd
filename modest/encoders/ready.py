"""``npy:``: features made elsewhere become a view of the pool, by row or by id."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modest.data import files, sources
from modest.data.columns import as_names
from modest.data.features import Feature
from modest.data.pool import Pool
from modest.data.writing import write_view
from modest.encoders.encoder import slug
from modest.encoders.shards import Target, standing
from modest.encoders.written import Report, settle

ID_NAMES = ("id", "ids")


@dataclass(frozen=True, eq=False)
class Features:
    """Ready features of one modality and where they are from."""

    modality: str
    uri: str
    feature: Feature
    revision: str


def find(modality: str, uri: str, half: bool) -> Features:
    """Open ``npy:<file>`` or ``npy:<file>:<key>``: ``.npy``, ``.npz`` or ``.parquet``, joined by ``id`` where it is.

    Raises
    ------
    ValueError, FileNotFoundError
        If the file is not there, is damaged, or has no array, or several and none was named.
    """
    place = uri.partition(":")[2]
    head, colon, key = place.rpartition(":")
    named = bool(colon) and Path(head).suffix.lower() in (".npz", ".parquet")
    path = Path(head if named else place).expanduser()
    if path.suffix.lower() not in (".npy", ".npz", ".parquet"):
        raise ValueError(f"{uri!r} is no .npy, .npz or .parquet file; write npy:<file> or npy:<file.npz>:<key>.")
    source = sources.read(path)
    found = list(source.features)
    if not named:
        key = modality if modality in found else found[0] if len(found) == 1 else ""
    if key not in found:
        told = ", ".join(found) or "none"
        raise ValueError(f"{path} has no single array for {modality!r}; it has {told}; write npy:{path}:<key>.")
    feature = source.features[key]()
    ids = next((name for name in ID_NAMES if name in source.columns), None)
    feature = feature if ids is None else feature.joined_by(as_names(source.columns[ids](), path.name))
    feature = replace(feature, dtype=np.dtype(np.float16)) if half else feature
    return Features(modality, uri, feature, files.file_hash(path))


def write(
    pool: Pool, found: Features, fresh: bool, dry_run: bool, progress: Callable[[int, int], None] | None
) -> Report:
    """Write the view in a hidden folder and move its files into place, the description last."""
    feature, name = found.feature, slug(found.uri)
    dtype = np.dtype(np.float16 if feature.dtype == np.float16 else np.float32)
    target = Target(pool.path / "views" / found.modality, name, len(pool), feature.shape[1], dtype)
    made_by = {"uri": found.uri, "revision": found.revision, "dtype": dtype.name}
    there = standing(target, made_by, pool.ids, fresh) == len(pool)
    size = len(pool) * feature.shape[1] * dtype.itemsize
    report = Report(
        modality=found.modality,
        encoder=name,
        uri=found.uri,
        revision=found.revision,
        column=feature.origin,
        path=target.path(".npy"),
        rows=len(pool),
        dim=feature.shape[1],
        bytes=size,
    )
    if there:
        settle(pool, found.modality, name)
        return replace(report, kept=len(pool), absent=int(files.read_json(target.path(".json"))["absent"]))
    if dry_run:
        return replace(report, encoded=len(pool), seconds=0.0)
    hidden = pool.path / "views" / f".{found.modality}.{name}.partial"
    shutil.rmtree(hidden, ignore_errors=True)
    try:
        with files.writing(target.place):
            seen = write_view(
                hidden, found.modality, name, feature, pool.ids, revision=found.revision, progress=progress
            )
        if not seen.any():
            raise ValueError(f"{feature.origin} is absent in every row of the pool; check its ids.")
        _describe(hidden / "views" / found.modality / f"{name}.json", made_by)
        move(hidden / "views" / found.modality, target)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    settle(pool, found.modality, name)
    return replace(report, encoded=len(pool), absent=int((~seen).sum()), written=True)


def _describe(path: Path, made_by: dict[str, Any]) -> None:
    files.write_json(
        path, {**files.read_json(path), **made_by, "preprocessing": {}, "preprocessing_hash": "", "skipped": 0}
    )


def move(made: Path, target: Target) -> None:
    """Put the files of a finished view in place, its description last; those of a view before it are gone then."""
    target.place.mkdir(parents=True, exist_ok=True)
    target.path(".json").unlink(missing_ok=True)
    for ending in (".npy", ".present.npy", ".standard.npy", ".skipped.csv", ".json"):
        new = made / f"{target.name}{ending}"
        if new.is_file():
            os.replace(new, target.path(ending))
        else:
            target.path(ending).unlink(missing_ok=True)
