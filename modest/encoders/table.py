"""What a training reads: one column per modality, over ready views or over raw values, with ids and presence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.checks import as_views, memory_bytes
from modest.data.hidden import MaskedPool
from modest.data.pool import Pool
from modest.data.presence import observed
from modest.encoders import raw
from modest.encoders.decoded import Decoded
from modest.encoders.encoder import missing
from modest.encoders.reading import Reading
from modest.training.batches import Column, Ready
from modest.types import Bool, Ids, Int, Views

__all__ = ["Table", "sample", "table"]


@dataclass(frozen=True, eq=False)
class Table:
    """``names`` of M modalities, their ``columns``, ``present`` (n, M), ``ids`` (n,)."""

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    present: Bool
    ids: Ids

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.ids)

    def look(self, rows: Int) -> None:
        """Try to read what was never met of some rows, so that ``unreadable`` tells of them all."""
        for m, column in enumerate(self.columns):
            if isinstance(column, Decoded):
                column.look(rows[self.present[rows, m]])

    def readable(self, m: int, rows: Int) -> bool:
        """Whether any of some rows can be read in modality ``m``; the first that can be is enough."""
        column, there = self.columns[m], rows[self.present[rows, m]]
        if not isinstance(column, Decoded):
            return bool(len(there))
        return any(bool(column.block(row, None)[1][0]) for row in there[:, None])

    @property
    def unreadable(self) -> dict[str, dict[int, str]]:
        """Modality -> row -> why it could not be read, of the rows met so far."""
        decoded = {name: column for name, column in zip(self.names, self.columns) if isinstance(column, Decoded)}
        return {name: column.unreadable for name, column in decoded.items() if column.unreadable}


def table(
    data: Any,
    readings: Mapping[str, Reading | None],
    *,
    encoders: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    seed: int = 0,
    memory: str | int = "2GB",
    partial: bool = False,
) -> Table:
    """Table of a pool, or of views, for the modalities named.

    Parameters
    ----------
    data : Pool, Views, mapping of arrays, or of lists of raw values (paths, texts, pixels) where a reading takes them
    readings : modality -> how its raw values become tensors; None for a ready view
    encoders : modality -> encoder of the ready view, where a pool has several
    columns : modality -> raw column, where it is not called like the modality
    seed : of augmentation
    memory : of all decoded values kept
    partial : a modality that ``data`` does not have at all counts as absent in every row, as long as one is there

    Raises
    ------
    ValueError
        If there are no raw values for a reading, a modality is unknown, or no item has any of them.
    """
    pool = data if isinstance(data, Pool) else None
    raws = (
        {name: _listed(data[name]) for name, reading in readings.items() if reading and name in data}
        if (isinstance(data, Mapping))
        else {}
    )
    rest = {name: data[name] for name in data if name not in raws} if raws else data
    views = as_views(rest) if pool is None and (rest or not raws) else None
    room = max(10**6, memory_bytes(memory) // max(1, sum(reading is not None for reading in readings.values())))
    ids = data.ids if pool is not None else _ids(views, raws)
    present, found = np.zeros((len(ids), len(readings)), dtype=bool), []
    for m, (name, reading) in enumerate(readings.items()):
        if reading is not None:
            values = raws[name] if name in raws else _values(pool, name, (columns or {}).get(name), partial)
            present[:, m] = [not missing(value) for value in values] if values is not None else False
            present[:, m] &= ~pool.hides(name) if isinstance(pool, MaskedPool) else True
            found.append(_nothing(len(ids)) if values is None else Decoded(values, ids, reading, seed, room))
        else:
            view = _view(pool, views, name, (encoders or {}).get(name, ""), partial)
            present[:, m] = False if view is None else observed(view)[:, 0]
            found.append(_nothing(len(ids)) if view is None else Ready(view.arrays[name]))
    if not present.any():
        raise ValueError(f"no item has any of {', '.join(readings)}; look at the columns and views of the table.")
    return Table(tuple(readings), tuple(found), present, ids)


def _listed(values: Any) -> list[Any]:
    """Raw values as they are kept; pictures of Pillow as their pixels."""
    return [np.asarray(value.convert("RGB")) if hasattr(value, "convert") else value for value in values]


def _ids(views: Views | None, raws: Mapping[str, list[Any]]) -> Ids:
    lengths = {name: len(values) for name, values in raws.items()} | ({} if views is None else {"views": len(views)})
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"data differ in their number of rows ({told}); every modality needs one row per item.")
    n = next(iter(lengths.values()))
    return Views({"rows": np.broadcast_to(np.float32(0), (n, 1))}).ids if views is None else views.ids


def _nothing(n: int) -> Column:
    """Column of a modality that is nowhere; no row of it is ever used."""
    return Ready(np.broadcast_to(np.float32(0), (n, 1)))


def _values(pool: Pool | None, name: str, column: str | None, partial: bool) -> list[Any] | None:
    """Raw values of a modality, None when it may be lacking and is."""
    if pool is None:
        if partial:
            return None
        raise ValueError(f"{name!r} is to be read from raw media, which only a Pool has; give one, or a list of paths.")
    try:
        found = raw.column_of(pool, name, {name: column} if column else None)
    except ValueError:
        if partial:
            return None
        raise
    return raw.values_of(pool, found)


def _view(pool: Pool | None, views: Views | None, name: str, encoder: str, partial: bool) -> Views | None:
    """Ready view of a modality on its own, None when it may be lacking and is."""
    if pool is not None:
        if partial and name not in pool.names:
            return None
        return pool.views({name: encoder})
    if views is None or name not in views.names:
        if partial or views is None:
            return None
        raise ValueError(f"views have no modality {name!r}; they have {', '.join(views.names)}.")
    present = None if views.present is None else views.present[:, [views.names.index(name)]]
    return Views({name: views.arrays[name]}, present, views.ids)


def sample(column: Column, rows: Int) -> str:
    """SHA-256 of about a hundred rows of a ready view, or of all raw values, to tell one content from another."""
    if isinstance(column, Decoded):
        told = hashlib.sha256()
        for row in rows:
            value = column.values[row]
            told.update(value.tobytes() if isinstance(value, np.ndarray) else f"{value}\0".encode())
        return told.hexdigest()
    some = rows[:: max(1, len(rows) // 64)] if len(rows) else rows
    return hashlib.sha256(column.block(some, None)[0].numpy().tobytes()).hexdigest()
