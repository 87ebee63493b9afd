"""New items at the end of a pool: everything is built beside it, then renamed into place, ``config.json`` last.

Whoever opens a pool reads as many rows of its table and views as ``config.json`` tells, and a view says in ``earlier``
of which shorter pools its first rows were. So the renames may stop anywhere: before the last one the pool is the old
one, after it the new one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files, stored
from modest.data.features import Feature
from modest.data.layout import RESERVED, as_text, read_config
from modest.data.pool import Pool
from modest.data.writing import extend_view
from modest.types import Bool

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]


def grow(
    target: Path,
    frame: pd.DataFrame,
    chosen: Mapping[str, Feature],
    config: Mapping[str, Any],
    present: Mapping[str, Bool],
    progress: Progress | None = None,
) -> Pool:
    """Add the rows of ``frame`` at the end of a pool and extend its given views by ``chosen``.

    Labels, rounds and models stay. Raw columns that only one side has are null on the other. Views made by an encoder
    stay as they are and cover the first rows only, until ``modest embed`` completes them.

    Parameters
    ----------
    target : folder of a pool
    frame : (k, ...) table of id, raw columns, label, split
    chosen : Feature of every given view, with rows for the new items
    config : ``classes``, ``lost`` and ``missing`` of the new items, added to those of the pool
    present : (k,) bool per modality, where the source knows it

    Returns
    -------
    Pool, opened.

    Raises
    ------
    ValueError, FileNotFoundError, OSError
        One sentence; the pool is as it was then.
    """
    pool = Pool(target)
    _check(pool, frame, chosen)
    temporary = target / ".append.partial"
    with files.writing(target):
        files.check_writable(target)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            _views(pool, temporary, frame, chosen, present, progress)
            _table(pool, temporary, frame, config)
            _put_in_place(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return Pool(target)


def given_views(pool: Pool) -> list[str]:
    """Modalities whose features came with the source and must come with every append."""
    return [name for name in pool.names if "given" in pool.encoders(name)]


def _check(pool: Pool, frame: pd.DataFrame, chosen: Mapping[str, Feature]) -> None:
    """Refuse ids that are there already and views of other names or widths."""
    known = set(pool.ids.tolist())
    again = next((name for name in frame["id"].tolist() if name in known), None)
    if again is not None:
        raise ValueError(f"id {again!r} is in the pool {pool.path} already; leave out the rows that are there.")
    given = given_views(pool)
    for name in given:
        if name not in chosen:
            raise ValueError(f"the pool has the view {name} and the new rows do not; give it too, in views.")
        there, here = stored.shape(pool.path, name, "given")[1], chosen[name].shape[1]
        if there != here:
            raise ValueError(f"view {name} has {there} features in the pool but {here} in the new rows; make them one.")
    for name in chosen:
        if name not in given:
            told = ", ".join(given) or "none"
            raise ValueError(f"the new rows have a view {name} and the pool has {told}; name those to keep in views.")


def _views(
    pool: Pool,
    temporary: Path,
    frame: pd.DataFrame,
    chosen: Mapping[str, Feature],
    present: Mapping[str, Bool],
    progress: Progress | None,
) -> None:
    """Write the longer given views into ``temporary``; every new item must have a modality."""
    ids = frame["id"].to_numpy(dtype=np.str_)
    anything = np.zeros(len(ids), dtype=bool)
    for m, (name, feature) in enumerate(chosen.items()):
        step = None if progress is None else _part(progress, m * len(ids), len(chosen) * len(ids))
        about, old = _stored(pool, name)
        place = temporary / "views" / name
        seen = extend_view(place, name, "given", old, feature, ids, present.get(name), step)
        anything |= seen
        about["rows"] = files.rows_hash(np.concatenate([pool.ids, ids]))
        about["earlier"] = _earlier(pool.config)
        about["shape"] = [len(pool) + len(ids), about["shape"][1]]
        about["absent"] = int((~old[1]).sum() + (~seen).sum())
        about["appended"] = [*about.get("appended", []), feature.origin]
        files.write_json(place / "given.json", about)
    if not chosen:
        anything = frame.drop(columns=list(RESERVED)).notna().any(axis=1).to_numpy()
    if not anything.all():
        raise ValueError(f"item {str(ids[np.argmin(anything)])!r} has no modality at all; give it one or leave it out.")


def _stored(pool: Pool, name: str) -> tuple[dict[str, Any], tuple[NDArray[Any], Bool, NDArray[Any] | None]]:
    """Description of a given view, and its array, presence and scale, as far as the pool goes."""
    path = pool.path / "views" / name / "given.npy"
    array = stored.open_view(pool.path, name, "given", str(pool.config["rows"]), len(pool), lambda: pool.ids)
    scale = path.with_suffix(".standard.npy")
    moments = np.array(files.read_npy(scale)) if scale.is_file() else None
    before = stored.presence(pool.path, name, "given", len(pool))
    return files.read_json(path.with_suffix(".json")), (array, before, moments)


def _earlier(config: Mapping[str, Any]) -> list[str]:
    """Hashes of the ids of all shorter pools that this one began with, and of itself."""
    return [*config.get("earlier", []), config["rows"]]


def _table(pool: Pool, temporary: Path, frame: pd.DataFrame, changes: Mapping[str, Any]) -> None:
    """Write the longer table, read afresh since labels may have come in, and the new configuration."""
    import pyarrow as pa

    old = files.read_arrow(pool.path / "pool.parquet").slice(0, len(pool))
    new = files.to_arrow(pool.path / "pool.parquet", as_text(frame))
    both = [name for name in old.column_names if name in new.column_names]
    try:
        joined = pa.concat_tables([old, new], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        types = {name: (old.schema.field(name).type, new.schema.field(name).type) for name in both}
        name = next((name for name, (a, b) in types.items() if a != b and not _joinable(a, b)), both[0])
        told = f"column {name!r} is {types[name][0]} in the pool and {types[name][1]} in the new rows"
        raise ValueError(f"{told}; make them alike, or leave the column out.") from None
    middle = [name for name in joined.column_names if name not in RESERVED]
    files.write_arrow(temporary / "pool.parquet", joined.select(["id", *middle, "label", "split"]).combine_chunks())
    config = read_config(pool.path)
    ids = np.concatenate([pool.ids, frame["id"].to_numpy(dtype=np.str_)])
    lost = {name: config["lost"].get(name, 0) + changes["lost"].get(name, 0) for name in middle}
    config |= {
        "items": len(ids),
        "rows": files.rows_hash(ids),
        "classes": list(dict.fromkeys([*(config.get("classes") or []), *changes["classes"]])),
        "lost": {name: count for name, count in lost.items() if count},
        "earlier": _earlier(pool.config),
    }
    files.write_json(temporary / "config.json", config)
    if changes["missing"]:
        there = pool.path / "missing.txt"
        before = there.read_text(encoding="utf-8") if there.is_file() else ""
        known = dict.fromkeys([*before.splitlines(), *changes["missing"]])
        (temporary / "missing.txt").write_text("".join(f"{name}\n" for name in known), encoding="utf-8")


def _joinable(a: Any, b: Any) -> bool:
    """Whether two types of a column have one that holds both."""
    import pyarrow as pa

    try:
        pa.unify_schemas([pa.schema([("x", a)]), pa.schema([("x", b)])], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return False
    return True


def _put_in_place(made: Path, target: Path) -> None:
    """Rename files into the pool: the table, descriptions of views, their arrays, and ``config.json`` last."""
    last = made / "config.json"
    rank = {".parquet": 0, ".txt": 0, ".json": 1, ".npy": 2}
    found = [path for path in made.rglob("*") if path.is_file() and path != last]
    for path in [*sorted(found, key=lambda path: (rank[path.suffix], path.as_posix())), last]:
        os.replace(path, target / path.relative_to(made))


def _part(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
