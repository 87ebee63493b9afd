"""Making a pool: read a source of any kind, check all of it, and put the finished folder in place at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.data import columns as text
from modest.data import files, layouts, sources
from modest.data.appending import grow
from modest.data.assemble import Named, assemble_table, assemble_views
from modest.data.features import Feature
from modest.data.layout import FORMAT, as_text, read_config
from modest.data.lock import held
from modest.data.pool import Pool
from modest.data.source import Source
from modest.data.unpair import TRUTH
from modest.data.unpair import unpair as taken_apart
from modest.data.writing import write_view
from modest.types import Bool

if TYPE_CHECKING:
    import pandas as pd

Progress = Callable[[int, int], None]


def ingest(
    source: Any,
    into: str | Path,
    *,
    id: Named = None,
    label: Named = None,
    split: Named = None,
    views: Mapping[str, Any] | Sequence[str] | None = None,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    classes: Sequence[str] | None = None,
    standardise: bool | Sequence[str] = False,
    layout: str | None = None,
    append: bool = False,
    unpair: Sequence[str] = (),
    progress: Progress | None = None,
) -> Pool:
    """Read a table of items into a new pool folder, or at the end of one.

    Parameters
    ----------
    source : path, mapping of arrays, DataFrame, ``datasets.Dataset`` or Views
        Paths: ``.csv .tsv .jsonl .ndjson .parquet .npy .npz``, a zip of media, or a folder (one table or ``.npz`` with
        its media; ``.npy`` files; media as ``[split/][class/]name.ending``). Arrays of two dimensions or more and
        columns of vectors are views (flattened to (n, d)); all else are raw columns. File names in a table are looked
        for beside it, in its sub-folders and in the zips beside it (``images.zip!a.jpg``).
    into : folder to make. An empty one will do; a pool of the same content is left as it is and opened.
    id, label, split : name of a column, or (n,) values
        Left out, columns called ``id``, ``label``, ``split`` are taken where they exist; without ids, zero-padded row
        numbers stand in, without labels all are unknown, without split all rows are train. An integer label of -1 is
        unknown; an array ``class_names`` in the source (or ``classes``) gives integers their names.
    views : names of the views to keep, or mapping modality -> where it is
        A name in the source; numeric columns (a list, or a pattern such as ``"mfcc_*"``); an array; or a file:
        ``"f.npy"``, ``"f.npz:image"``, ``"f.parquet:image"``. A file that has the id column too is joined by id, others
        by row. Left out, everything that can be a view is one, under its own name.
    columns : raw columns to keep, or mapping new name -> old name. Left out, all.
    classes : names that the integer labels 0, 1, ... stand for
    standardise : bool, or names of modalities
        Centre and scale columns by the mean and standard deviation of the training rows, which are stored.
    layout : name of ``modest.data.layouts.LAYOUTS``, optional, with options as in ``iemocap:session=3``
        The source is a folder of a public data set in one of its usual forms. Clips that are gone are left out and
        listed in ``missing.txt``.
    append : bool
        ``into`` is a pool that gets these items at its end; see :func:`modest.data.appending.grow`. Ids must be given
        and new, and so must features for every view that came with the source, under the same names and widths.
    unpair : names of modalities
        Take training rows apart, one row per modality, for a rehearsal of pairing; see :mod:`modest.data.unpair`. Who
        belongs to whom goes to ``truth.parquet``.
    progress : callable, optional
        Called with (rows written, rows to write) over all views.

    Returns
    -------
    Pool, opened. Views are float32 (float16 stays), all-NaN rows are absent.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError, OSError
        One sentence with the modality, row or file: NaN, inf or zero rows, row counts that differ, duplicate ids, an
        item with no modality, a damaged file, a missing column, a folder with other content or that another run is
        filling. Nothing is left behind.
        A killed run leaves a hidden folder beside ``into`` that the next run clears.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from modest.data.ingest import ingest
    >>> pool = ingest({"image": np.eye(4), "label": ["a", "b", "a", "b"]}, tempfile.mkdtemp())
    >>> len(pool), pool.names, pool.classes
    (4, ('image',), ('a', 'b'))
    """
    target = Path(into)
    asked: dict[str, Named] = {"id": id, "label": label, "split": split}
    called = {name: value if isinstance(value, str) else name for name, value in asked.items()}
    found = sources.read(source, list(called.values())) if layout is None else layouts.read(layout, source)
    chosen = assemble_views(found, views, called["id"])
    known = list(classes or found.classes.get(called["label"]) or found.classes.get("") or [])
    if append and unpair:
        raise ValueError("unpair takes a whole table apart, and an append cannot; leave one of them out.")
    if append:
        _check_append(found, id, standardise)
        known = known or list(read_config(target).get("classes") or [])
    frame = assemble_table(found, chosen, columns, known, asked)
    lost = {name: count for name, count in found.lost.items() if name in frame.columns and count}
    if append:
        changes = {"classes": known, "lost": lost, "missing": found.missing}
        return grow(target, frame, chosen, changes, found.present, progress)
    present, truth = found.present, None
    if unpair:
        apart = taken_apart(frame, chosen, present, unpair)
        frame, chosen, present, truth = apart.frame, apart.chosen, apart.present, apart.truth
    names = list(chosen) if standardise is True else [] if not standardise else list(standardise)
    for name in names:
        if name not in chosen:
            raise ValueError(f"standardise names {name!r}, which is no view; views are {', '.join(chosen)}.")
    config = {
        "kind": "pool",
        "format": FORMAT,
        "items": len(frame),
        "rows": files.rows_hash(frame["id"].to_numpy(dtype=np.str_)),
        "modalities": dict.fromkeys(chosen, "given"),
        "classes": known,
        "lost": lost,
        "missing": found.missing,
        "notes": found.notes,
    }
    return put(target, frame, chosen, config, names, present, progress, truth)


def _check_append(found: Source, id: Named, standardise: bool | Sequence[str]) -> None:
    """Refuse an append without ids, or one that would scale anew."""
    if found.ids is None and text.pick(found, id, "id") is None:
        raise ValueError(f"{found.origin} has no ids, and an append needs them; name their column, id=... or --id.")
    if standardise:
        raise ValueError("standardise is settled when a pool is made, and kept by an append; leave it out.")


def put(
    target: Path,
    frame: pd.DataFrame,
    chosen: Mapping[str, Feature],
    config: dict[str, Any],
    standardise: Sequence[str] = (),
    present: Mapping[str, Bool] | None = None,
    progress: Progress | None = None,
    truth: pd.DataFrame | None = None,
) -> Pool:
    """Write a pool beside ``target`` and rename it into place; errors leave nothing, a same pool is only opened."""
    target = Path(os.path.abspath(target))
    temporary = target.with_name(f".{target.name}.partial")
    with files.writing(target), held(target.with_name(f".{target.name}.lock"), target):
        if target.exists() and not target.is_dir():
            raise ValueError(f"{target} is a file; name a folder to make.")
        if target.is_dir():
            files.check_writable(target)
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir()
        try:
            if truth is not None:
                files.write_table(temporary / TRUTH, truth)
            _fill(temporary, frame, chosen, config, standardise, present or {}, progress)
            if target.is_dir() and any(target.iterdir()):
                _same_or_refuse(target, temporary)
            else:
                os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return Pool(target)


def _fill(
    folder: Path,
    frame: pd.DataFrame,
    chosen: Mapping[str, Feature],
    config: dict[str, Any],
    standardise: Sequence[str],
    present: Mapping[str, Bool],
    progress: Progress | None,
) -> None:
    """Write table, views and, last of all, the configuration with the hashes of all files."""
    ids = frame["id"].to_numpy(dtype=np.str_)
    train = frame["split"].to_numpy(dtype=np.str_) == "train"
    files.write_table(folder / "pool.parquet", as_text(frame))
    anything = np.zeros(len(ids), dtype=bool)
    for m, (name, feature) in enumerate(chosen.items()):
        step = None if progress is None else _part(progress, m * len(ids), len(chosen) * len(ids))
        scaled = train if name in standardise else None
        anything |= write_view(folder, name, "given", feature, ids, present.get(name), scaled, progress=step)
    if not chosen:
        anything = frame.drop(columns=["id", "label", "split"]).notna().any(axis=1).to_numpy()
    if not anything.all():
        raise ValueError(f"item {str(ids[np.argmin(anything)])!r} has no modality at all; give it one or leave it out.")
    missing = config.pop("missing", ())
    if missing:
        (folder / "missing.txt").write_text("".join(f"{name}\n" for name in missing), encoding="utf-8")
    written = sorted(p for p in folder.rglob("*") if p.is_file())
    hashes = {p.relative_to(folder).as_posix(): files.file_hash(p) for p in written}
    files.write_json(folder / "config.json", {**config, "ingested": hashes})


def _part(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)


def _same_or_refuse(target: Path, made: Path) -> None:
    """Leave a pool made from the same content as it is, whatever was added to it since."""
    there = target / "config.json"
    if not there.is_file() or files.read_json(there).get("kind") != "pool":
        raise ValueError(f"{target} holds other files; name a new or empty folder.")
    if files.read_json(there).get("ingested") != files.read_json(made / "config.json")["ingested"]:
        raise ValueError(f"{target} is a pool of other content; name a new folder, or remove that one first.")
