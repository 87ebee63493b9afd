"""One view to be made from one raw column: encode it shard by shard, or predict how long that takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files, keys
from modest.data.pool import Pool
from modest.data.presence import nan_rows
from modest.encoders import shards
from modest.encoders.encoder import Encoder, batches, missing
from modest.encoders.written import Report, settle

Progress = Callable[[int, int], None]
SAMPLE = 32  # rows that a dry run times


@dataclass(frozen=True, eq=False)
class Job:
    """A view to make: of which modality, from which column's ``values`` (n,), by which encoder, to where, and how.

    ``batch_size`` samples at once, ``shard`` rows between two markers; ``fresh`` = whatever there is already.
    """

    modality: str
    column: str
    values: Sequence[Any]
    encoder: Encoder
    target: shards.Target
    batch_size: int
    shard: int
    fresh: bool

    @property
    def made_by(self) -> dict[str, Any]:
        """What must be the same for rows of two runs to belong to one view."""
        return {
            "uri": self.encoder.uri,
            "revision": self.encoder.revision,
            "preprocessing_hash": self.encoder.preprocessing_hash,
            "dtype": self.target.dtype.name,
        }

    def report(self, **found: Any) -> Report:
        """What is known of the view, and what was ``found``."""
        t = self.target
        return Report(
            modality=self.modality,
            encoder=t.name,
            uri=self.encoder.uri,
            revision=self.encoder.revision,
            column=self.column,
            path=t.path(".npy"),
            rows=t.rows,
            dim=t.dim,
            bytes=t.rows * t.dim * t.dtype.itemsize,
            shards=-(-t.rows // self.shard),
            **found,
        )


def forecast(pool: Pool, job: Job) -> Report:
    """What :func:`run` would encode, and its seconds by a timed sample of rows drawn by id; nothing is written.

    One sample is encoded before the clock starts, since the first costs more than all others.
    """
    known = shards.standing(job.target, job.made_by, pool.ids, job.fresh)
    left = [row for row in range(known, len(pool)) if not missing(job.values[row])]
    drawn = keys.order(pool.ids[left], 0, "embed/dry-run")[:SAMPLE].tolist() if left else []
    sample = [job.values[left[at]] for at in drawn]
    unreadable: list[int] = []

    def refuse(row: int, reason: str) -> None:
        unreadable.append(row)

    list(batches(job.encoder, sample[:1], 1, refuse))
    unreadable.clear()
    start = time.perf_counter()
    for _ in batches(job.encoder, sample, job.batch_size, refuse):
        pass
    each = (time.perf_counter() - start) / max(1, len(sample))
    return job.report(kept=known, encoded=len(left), skipped=0, seconds=each * len(left))


def run(pool: Pool, job: Job, progress: Progress | None = None) -> Report:
    """Encode what is not there yet, put the view together, and make it the modality's default where it has none.

    Raises
    ------
    ValueError
        If no value can be read, or the name is taken by another encoder's view; nothing is written then.
    """
    target, ids, n = job.target, pool.ids, len(pool)
    known = shards.standing(target, job.made_by, ids, job.fresh)
    if known == n:
        about = files.read_json(target.path(".json"))
        found = {"kept": n, "absent": int(about["absent"]), "skipped": int(about["skipped"])}
        _close(pool, job)
        if progress is not None:
            progress(n, n)
        return job.report(**found)
    shards.begin(target, job.fresh)
    before = shards.read_skipped(target) if known else []
    skipped: shards.Skipped = []
    encoded, anything = 0, False
    for number, first in enumerate(range(0, n, job.shard)):
        rows = range(first, min(first + job.shard, n))
        marker = _marker(job, ids, rows)
        done = shards.finished(target, number, marker)
        if done is None:
            features, done = _encode(job, ids, rows, known, before, progress)
            shards.write_shard(target, number, features, marker, done)
            encoded += sum(not missing(value) for value in job.values[max(first, known) : rows.stop])
        skipped += done
        anything = anything or not bool(nan_rows(shards.read(target, number)).all())
        if progress is not None:
            progress(rows.stop, n)
    if not anything:
        shards.clear(target)
        told = f"the first: {skipped[0][2].rstrip('.')}" if skipped else "every cell is empty"
        raise ValueError(
            f"no value of {job.column!r} can be encoded as {job.encoder.kind} for {job.modality} ({told})."
        )
    present = shards.assemble(target, job.shard, _about(job, ids), skipped)
    _close(pool, job)
    return job.report(kept=known, encoded=encoded, absent=int((~present).sum()), skipped=len(skipped), written=True)


def _close(pool: Pool, job: Job) -> None:
    settle(pool, job.modality, job.target.name)
    shards.clear(job.target)


def _marker(job: Job, ids: NDArray[np.str_], rows: range) -> dict[str, Any]:
    """What a shard of these rows says of itself."""
    return {
        **job.made_by,
        "first": rows.start,
        "rows": len(rows),
        "ids": files.rows_hash(ids[rows.start : rows.stop]),
        "values": shards.values_hash(job.values[rows.start : rows.stop]),
    }


def _encode(
    job: Job, ids: NDArray[np.str_], rows: range, known: int, before: shards.Skipped, progress: Progress | None
) -> tuple[NDArray[Any], shards.Skipped]:
    """(k, dim) features of one shard, NaN where absent, and what was skipped; rows that are known are copied."""
    out = np.full((len(rows), job.target.dim), np.nan, dtype=job.target.dtype)
    names = ids[rows.start : rows.stop].tolist()
    old = min(max(0, known - rows.start), len(rows))
    skipped: list[tuple[int, list[str]]] = []
    if old:
        out[:old] = files.read_npy(job.target.path(".npy"))[rows.start : rows.start + old]
        place = dict(zip(names[:old], range(old)))
        skipped += [(place[line[0]], line) for line in before if line[0] in place]

    def refuse(at: int, reason: str) -> None:
        told = str(job.values[rows.start + old + at])[: shards.SHOWN]
        skipped.append((old + at, [names[old + at], told, reason]))

    for found, features in batches(job.encoder, job.values[rows.start + old : rows.stop], job.batch_size, refuse):
        with np.errstate(over="ignore"):
            stored = features.astype(out.dtype)
        lost = np.flatnonzero(~np.isfinite(stored).all(axis=1) | ~stored.any(axis=1))
        if len(lost):
            name = names[old + found[lost[0]]]
            raise ValueError(f"features of {job.modality} in row {name!r} do not fit float16; leave out --half.")
        out[[old + at for at in found]] = stored
        if progress is not None and found:
            progress(rows.start + old + found[-1] + 1, job.target.rows)
    return out, [line for _, line in sorted(skipped)]


def _about(job: Job, ids: NDArray[np.str_]) -> dict[str, Any]:
    """Describe the view, as ``modest ingest`` does, with what only an encoder knows."""
    return {
        "modality": job.modality,
        "encoder": job.target.name,
        "revision": job.encoder.revision,
        "rows": files.rows_hash(ids),
        "shape": [job.target.rows, job.target.dim],
        "absent": 0,
        "standardised": False,
        "origin": job.column,
        "kind": job.encoder.kind,
        **job.made_by,
        "preprocessing": dict(job.encoder.preprocessing),
        "skipped": 0,
    }
