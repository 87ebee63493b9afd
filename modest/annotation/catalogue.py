"""What the page knows of items: looked up by id, found by their text, without the pool's table in memory.

Built once from ``pool.parquet``, piece by piece, into ``.catalogue.sqlite`` of the pool's folder, and anew when raw
columns or the presence of views have changed (labels may). It holds nothing that the pool does not: delete it at will.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.annotation.schema import failures
from modest.data import files, media, stored
from modest.data.layout import RESERVED
from modest.data.lock import held

if TYPE_CHECKING:
    from modest.data.pool import Pool

FILE, FORMAT = ".catalogue.sqlite", 1
PIECE, LETTERS = 4096, 10_000  # rows read at once, letters of a text that are searched
_TABLES = (
    "CREATE TABLE item (row INTEGER PRIMARY KEY, id TEXT NOT NULL, data TEXT NOT NULL, has TEXT NOT NULL)",
    "CREATE TABLE about (told TEXT NOT NULL)",
    # every three letters in a row are a word of the index, so that a query is found inside words of any language
    "CREATE VIRTUAL TABLE find USING fts5(id, text, has, content='', columnsize=0, tokenize='trigram')",
)
_START = "\x02\x02"  # before every id, so that its first one or two letters are a word of the index, too

ITEM = "SELECT row, id, data, has FROM item WHERE id = ?"
PAGE = "SELECT row, id, data, has FROM item WHERE row >= ? ORDER BY row LIMIT ?"
FOUND = (
    "SELECT item.row, item.id, item.data, item.has FROM find CROSS JOIN item ON item.row = find.rowid "
    "WHERE find MATCH ? AND find.rowid >= ? ORDER BY find.rowid LIMIT ?"
)


@dataclass(frozen=True)
class Item:
    """One item: its ``row`` of the pool (from 0), its ``id``, the ``values`` of raw columns that are there, and which
    modalities it ``has`` (a raw value, or a row of a view).
    """

    row: int
    id: str
    values: dict[str, Any]
    has: tuple[str, ...]


class Catalogue:
    """Items of a pool by id and by text; threads may share it.

    Parameters
    ----------
    pool : Pool
    progress : called with (rows done, rows) while it is built

    Raises
    ------
    OSError
        If it cannot be written, or another run is building it now.
    """

    def __init__(self, pool: Pool, progress: Callable[[int, int], None] | None = None) -> None:
        self.path, self._lock = pool.path / FILE, threading.Lock()
        told = _about(pool)
        if _kept(self.path) != told:
            with held(self.path.with_suffix(".lock"), self.path):
                _build(self.path, pool, told, progress)
        with failures(self.path):
            self._connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True,
                                               isolation_level=None, check_same_thread=False)  # fmt: skip
        self.modalities = tuple(told["modalities"])

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def item(self, id: str) -> Item | None:
        """The item of an id, None if there is none."""
        return next(iter(self._ask(ITEM, id)), None)

    def search(self, text: str, modality: str | None = None, limit: int = 20, after: int = 0) -> list[Item]:
        """Up to ``limit`` items in the pool's order, from row ``after`` on; the next page is after the last row + 1.

        Found are items that hold every word of the text, or a part of it in a longer word, in their id, their texts or
        the names of their files; capitals do not matter, and of several words those of one or two letters are left out.
        A text of such words alone is the beginning of an id. Without a text, all items.

        Parameters
        ----------
        text : what to look for; no sign in it has a meaning of its own
        modality : only items that have it
        """
        words = text.replace("\0", " ").split()
        long = [word for word in words if len(word) > 2]
        query = [f"{{id text}} : {_quoted(word)}" for word in long]
        if words and not long:
            query = [f"id : {_quoted(_START + ' '.join(words))}"]
        if modality is not None:
            if modality not in self.modalities:
                return []
            query.append(f"has : {_quoted(_sign(self.modalities.index(modality)))}")
        if not query:
            return self._ask(PAGE, after, limit)
        return self._ask(FOUND, " AND ".join(query), after, limit)

    def _ask(self, query: str, *told: Any) -> list[Item]:
        with self._lock, failures(self.path):
            rows = self._connection.execute(query, told).fetchall()
        return [Item(row, name, json.loads(data), tuple(json.loads(has))) for row, name, data, has in rows]


def _quoted(text: str) -> str:
    """A text as one string of the query language, whatever is in it."""
    return '"' + text.replace('"', '""') + '"'


def _sign(number: int) -> str:
    """The word of the index that stands for a modality: three letters that no language has."""
    return chr(0xE000 + number) * 3


def _raw(pool: Pool) -> list[str]:
    """Names of the raw columns of a pool."""
    import pyarrow.parquet as pq

    return [name for name in pq.read_schema(pool.path / "pool.parquet").names if name not in RESERVED]


def _batches(pool: Pool) -> Iterator[Any]:
    """Id and raw columns of some thousand items at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(pool.path / "pool.parquet") as handle:
        yield from handle.iter_batches(PIECE, columns=["id", *_raw(pool)])


def _about(pool: Pool) -> dict[str, Any]:
    """What a catalogue is made from; another answer means that it is made anew."""
    views = {name: {one: files.read_json(pool.path / "views" / name / f"{one}.json") for one in pool.encoders(name)}
             for name in pool.names}  # fmt: skip
    told = {name: {one: [about["shape"][0], about["absent"]] for one, about in found.items()}
            for name, found in views.items()}  # fmt: skip
    digest = hashlib.blake2b(digest_size=16)
    for batch in _batches(pool):
        digest.update(batch.serialize())
    names = list(dict.fromkeys([*_raw(pool), *pool.names]))
    return {"format": FORMAT, "items": len(pool), "table": digest.hexdigest(), "views": told, "modalities": names}


def _kept(path: Path) -> dict[str, Any] | None:
    """What the catalogue that is there was made from; None where there is none, or it cannot be read."""
    if not path.is_file():
        return None
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        told: dict[str, Any] = json.loads(connection.execute("SELECT told FROM about").fetchone()[0])
    except (sqlite3.Error, ValueError, TypeError):
        return None
    finally:
        connection.close()
    return told


def _build(path: Path, pool: Pool, told: dict[str, Any], progress: Callable[[int, int], None] | None) -> None:
    """Write the whole file, or nothing."""
    with files.replacing(path) as temporary, failures(path):
        temporary.unlink(missing_ok=True)
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = OFF")  # a file that is not finished is thrown away as a whole
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA cache_size = -32768")
            connection.execute("BEGIN")
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("INSERT INTO find (find, rank) VALUES ('hashsize', 16777216)")  # bytes sorted at once
            for rows, words in _rows(pool, told["modalities"]):
                connection.executemany("INSERT INTO item VALUES (?, ?, ?, ?)", rows)
                connection.executemany("INSERT INTO find (rowid, id, text, has) VALUES (?, ?, ?, ?)", words)
                if progress is not None:
                    progress(rows[-1][0] + 1, len(pool))
            connection.execute("CREATE UNIQUE INDEX item_id ON item (id)")
            connection.execute("INSERT INTO about VALUES (?)", (json.dumps(told),))
            connection.execute("COMMIT")
        finally:
            connection.close()
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())


def _rows(pool: Pool, modalities: Sequence[str]) -> Iterator[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
    """(rows of the table ``item``, rows of ``find``), some thousand items at a time."""
    seen = {name: np.zeros(len(pool), dtype=bool) for name in pool.names}
    for name in seen:
        for encoder in pool.encoders(name):
            seen[name] |= stored.presence(pool.path, name, encoder, len(pool))
    start = 0
    for batch in _batches(pool):
        rows, words = [], []
        for number, told in enumerate(batch.to_pylist()[: len(pool) - start], start):  # a killed append left more
            name = str(told.pop("id"))
            values = {key: value for key, value in told.items() if not _absent(value)}
            has = [m for m, key in enumerate(modalities) if key in values or (key in seen and seen[key][number])]
            data = json.dumps(values, ensure_ascii=False, default=files.plain)
            rows.append((number, name, data, json.dumps([modalities[m] for m in has], ensure_ascii=False)))
            words.append((number, _START + name, _text(values), " ".join(map(_sign, has))))
        start += len(rows)
        if rows:
            yield rows, words


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(values: dict[str, Any]) -> str:
    """What can be found of an item: its texts, and the names of its files."""
    texts = [value for value in values.values() if isinstance(value, str)]
    return "\n".join(one[:LETTERS] if media.kind(one) is None else os.path.basename(one) for one in texts)
