"""What pairing reads of a pool and writes into it: sides, the pairs that are known, what was asked and what was said.

A row of the table that has two modalities is a known pair. What is bought stands in ``pairs.parquet``, one line per
partner of an answer, in the order answers came; an answer without a partner is one line with a null. What was asked
stands in ``rounds/<n>/query.parquet``, with ``tasks.jsonl`` beside it for whoever answers. Rounds of labels and rounds
of pairs share their numbers and nothing else: ``pool.rounds`` are the former, :func:`query_rounds` the latter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.checks import known
from modest.data import files
from modest.data.lock import held
from modest.data.rounds import Round, find_rounds, put_round
from modest.types import Int, Query, Views

if TYPE_CHECKING:
    import pandas as pd

    from modest.data.pool import Pool

FILE, TASKS = "pairs.parquet", "tasks.jsonl"
COLUMNS = ("modality_a", "id_a", "modality_b", "id_b", "status", "cost", "annotator", "round", "answer")
_TYPES = {"cost": "float64", "round": "int64", "answer": "int64"}


def sides(
    pool: Pool, encoders: Mapping[str, str] | Sequence[str] | None = None, split: str | None = "train"
) -> tuple[dict[str, Views], dict[str, Int]]:
    """Sides of a pool for pairing: each modality by itself, without the rows that lack it.

    Parameters
    ----------
    encoders : mapping modality -> encoder, or names of modalities; all that have a view by default
    split : the rows they are of; None for all

    Returns
    -------
    {modality: Views of one modality with ids}, and {modality: (n_m,) rows of the pool}. Where the rows of a side lie
    together in the pool, its view stays on disk.

    Raises
    ------
    ValueError
        If fewer than two modalities are left, one has no row in the split, or the split is unknown.
    FileNotFoundError, ValueError
        As :meth:`modest.Pool.views`.
    """
    views = pool.views(encoders)
    if len(views.names) < 2:
        raise ValueError(f"{pool.path} has a view of {views.names[0]} alone; pairing needs two modalities.")
    inside = np.ones(len(pool), dtype=bool)
    if split is not None:
        known(split, sorted(set(pool.split.tolist())), "split")
        inside = pool.split == split
    found, rows = {}, {}
    for m, name in enumerate(views.names):
        here = np.flatnonzero(inside if views.present is None else inside & views.present[:, m]).astype(np.int64)
        if not len(here):
            where = f"{pool.path} has no row with {name}" + (f" in split {split!r}" if split else "")
            raise ValueError(f"{where}; ingest some, or name other sides.")
        together = here[-1] - here[0] + 1 == len(here)
        cut = slice(int(here[0]), int(here[-1]) + 1) if together else here
        found[name] = Views({name: views.arrays[name][cut]}, None, views.ids[here])
        rows[name] = here
    return found, rows


def inner_pairs(rows: Mapping[str, Int]) -> dict[tuple[str, str], Int]:
    """Pairs that are rows of the table: {(side, side): (k, 2)} of items in two sides, in the frames of the sides.

    Examples
    --------
    >>> inner_pairs({"image": np.array([0, 1, 4]), "text": np.array([1, 2, 4])})[("image", "text")].tolist()
    [[1, 0], [2, 2]]
    """
    found = {}
    for a, b in combinations(rows, 2):
        both, left, right = np.intersect1d(rows[a], rows[b], assume_unique=True, return_indices=True)
        if len(both):
            found[(a, b)] = np.stack([left, right], axis=1).astype(np.int64)
    return found


def read_pairs(pool: Path) -> pd.DataFrame:
    """Table of all answers of a pool, one line per partner, null where there is none; empty before the first.

    Raises
    ------
    ValueError
        If the file is cut off or lacks a column.
    """
    import pandas as pd

    if (pool / FILE).is_file():
        return files.read_table(pool / FILE, list(COLUMNS))
    return pd.DataFrame({name: pd.Series(dtype=_TYPES.get(name, "string")) for name in COLUMNS})


def write_pairs(pool: Path, frame: pd.DataFrame) -> None:
    """Write the table of all answers, atomically; who reads it first holds :func:`writing_pairs` meanwhile."""
    typed = {name: frame[name].astype(_TYPES.get(name, "string")) for name in COLUMNS}
    files.write_table(pool / FILE, frame.assign(**typed)[list(COLUMNS)])


@contextmanager
def writing_pairs(pool: Path) -> Iterator[None]:
    """Keep others from writing pairs inside the block; OSError if another run does so now."""
    with held(pool / f".{FILE}.lock", pool / FILE):
        yield


def bought(pool: Pool, rows: Mapping[str, Int]) -> dict[tuple[str, str], Int]:
    """All known pairs: rows of the table with two modalities, then those bought, distinct, as they came.

    Parameters
    ----------
    rows : {side: (n,) rows of the pool}, as :func:`sides` gives them; pairs with a row outside are left out

    Returns
    -------
    {(side, side): (k, 2)} in the frames and the order of the sides; a couple of sides without a pair is left out.
    """
    names = list(rows)
    place = {name: dict(zip(pool.ids[at].tolist(), range(len(at)))) for name, at in rows.items()}
    found = {way: dict.fromkeys(map(tuple, two.tolist())) for way, two in inner_pairs(rows).items()}
    table = read_pairs(pool.path)
    told = table.loc[table["status"] == "matched", ["modality_a", "id_a", "modality_b", "id_b"]]
    for a, i, b, j in told.itertuples(index=False):
        if a in place and b in place and i in place[a] and j in place[b]:
            way, pair = ((a, b), (place[a][i], place[b][j]))
            if names.index(a) > names.index(b):
                way, pair = way[::-1], pair[::-1]
            found.setdefault(way, {})[pair] = None
    return {way: np.array(list(pairs), dtype=np.int64) for way, pairs in found.items()}


def query_rounds(pool: Path) -> tuple[Round, ...]:
    """Rounds that asked for partners, by number."""
    return find_rounds(pool, "query")


def read_queries(one: Round) -> pd.DataFrame:
    """Table of what a round asked: modality, id, target, order, margin, shortlist (ids, best first), cost, method."""
    return files.read_table(one.path / "query.parquet")


def asked(pool: Path) -> pd.DataFrame:
    """Table of everything that was asked: as :func:`read_queries`, with the round."""
    import pandas as pd

    tables = [read_queries(one).assign(round=one.number) for one in query_rounds(pool)]
    names = ["modality", "id", "target", "order", "margin", "shortlist", "cost", "method", "round"]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=names)


def add_queries(
    pool: Pool,
    queries: Sequence[Query],
    ids: Mapping[str, Any],
    costs: Mapping[tuple[str, str], float],
    tell: Callable[[Path, int], object],
    about: Mapping[str, Any],
) -> int:
    """Write queries, and the tasks made of them, as the next round (a whole folder at once); return its number.

    Parameters
    ----------
    queries : of one choice; rows and shortlists in the frames of the sides
    ids : {side: (n,) ids of its rows}
    costs : {(asked, target): what a row costs} of every query
    tell : function (path, number of the round) that writes the file for whoever answers
    about : what else the manifest says
    """
    import pandas as pd

    parts = [
        pd.DataFrame(
            {
                "modality": query.modality,
                "id": query.ids.astype(object),
                "target": query.target,
                "order": np.arange(len(query)),
                "margin": query.margins,
                "shortlist": [ids[query.target][row[row >= 0]].tolist() for row in query.shortlists],
                "cost": float(costs[query.modality, query.target]),
                "method": query.method,
            }
        )
        for query in queries
    ]

    def fill(folder: Path, number: int) -> dict[str, Any]:
        files.write_table(folder / "query.parquet", pd.concat(parts, ignore_index=True))
        tell(folder / TASKS, number)
        told = [{"modality": q.modality, "target": q.target, "items": len(q), "trace": dict(q.trace)} for q in queries]
        items, method = sum(map(len, queries)), queries[0].method
        return {"kind": "query", "method": method, "items": items, "queries": told, **about}

    return put_round(pool.path, fill, str(pool.config["rows"]))
