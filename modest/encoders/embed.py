"""From raw media to views: encode columns of a pool shard by shard, so that a kill loses at most one shard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from modest.data.lock import held
from modest.data.pool import Pool
from modest.encoders import jobs, raw, ready
from modest.encoders.encoder import slug
from modest.encoders.hub import kinds, load
from modest.encoders.shards import Target
from modest.encoders.written import Report

Progress = Callable[[int, int], None]


def embed(
    pool: Pool | str | Path,
    encoders: Mapping[str, str],
    *,
    columns: Mapping[str, str] | None = None,
    batch_size: int = 64,
    shard: int = 1024,
    device: Any = None,
    fresh: bool = False,
    half: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> dict[str, Report]:
    """Encode raw columns of a pool and write the views.

    Per modality it writes ``views/<modality>/<name>.npy`` (n, d) with ``.json``, ``.present.npy`` where rows are absent
    and ``.skipped.csv`` (id, value, reason) where values could not be read; those are absent, and so are empty cells. A
    view of the same encoder over the same rows is left as it is; where it has the first rows of the table only the rest
    is encoded. Memory holds one shard of features and one batch of samples, whatever the length of the pool, beside the
    ids and raw values themselves.

    Parameters
    ----------
    pool : Pool, or its folder
    encoders : mapping modality -> URI
        See :func:`modest.encoders.load`; ``npy:<file>`` takes ready features, by row, or by the ``id`` array of a
        ``.npz`` (``npy:<file.npz>:<key>``).
    columns : mapping modality -> raw column, optional
        Left out, the column of the modality's name; for ``audio`` without one, the one column of videos.
    batch_size : samples decoded and encoded at once
    shard : rows between two markers on disk
    device : left out, CUDA if it is there
    fresh : make views of these names again, whoever made them
    half : store float16 instead of float32
    dry_run : write nothing; time the encoders on at most 32 rows drawn by id
    progress : callable, optional
        Called with (rows done, rows) over all modalities.

    Returns
    -------
    dict modality -> :class:`modest.encoders.written.Report`.

    Raises
    ------
    ValueError
        One sentence: no raw column, an encoder that does not read it, a view of the same name by another encoder, or
        not one value that can be read; nothing is written for that modality then.
    ImportError, FileNotFoundError, OSError
        A missing extra, a missing pool, a full disk, another run that makes the same view.
    """
    pool = Pool(pool) if isinstance(pool, (str, Path)) else pool
    if not encoders:
        raise ValueError("encoders names no modality; give a mapping such as {'image': 'pixels'}.")
    for name, value in (("batch_size", batch_size), ("shard", shard)):
        if value < 1:
            raise ValueError(f"{name}={value} is too small; give 1 or more.")
    for modality in [name for name in columns or {} if name not in encoders]:
        raise ValueError(f"columns names {modality!r}, which no encoder is given for; it has {', '.join(encoders)}.")
    plans: list[jobs.Job | ready.Features] = []
    for modality, uri in encoders.items():
        possible = _check(modality, uri)
        if not possible:
            plans.append(ready.find(modality, uri, half))
            continue
        column = raw.column_of(pool, modality, columns)
        values = raw.values_of(pool, column)
        encoder = load(uri, raw.encoded_as(modality, column, values, possible), device)
        dtype = np.dtype(np.float16 if half else np.float32)
        target = Target(pool.path / "views" / modality, encoder.name, len(pool), encoder.dim, dtype)
        plans.append(jobs.Job(modality, column, values, encoder, target, batch_size, shard, fresh))
    reports = {}
    for k, plan in enumerate(plans):
        step = None if progress is None else _part(progress, k * len(pool), len(plans) * len(pool))
        name = slug(plan.uri) if isinstance(plan, ready.Features) else plan.target.name
        lock, view = pool.path / f".{plan.modality}.{name}.lock", pool.path / "views" / plan.modality / name
        with nullcontext() if dry_run else held(lock, view):
            if isinstance(plan, ready.Features):
                reports[plan.modality] = ready.write(pool, plan, fresh, dry_run, step)
            else:
                reports[plan.modality] = jobs.forecast(pool, plan) if dry_run else jobs.run(pool, plan, step)
    return reports


def _check(modality: str, uri: str) -> tuple[str, ...]:
    """Kinds that the encoder of a modality may read; () for ready features."""
    if not modality or "/" in modality or modality.startswith("."):
        raise ValueError(f"encoders names a modality {modality!r}; use a plain name, such as image or audio.")
    return kinds(uri)


def _part(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
