"""The questions that a pool has for people, as tasks: what rounds chose to label, and the pairs they asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modest.annotation.task import Task
from modest.data import files
from modest.data.pairs import asked, query_rounds
from modest.rounds.book import pending

if TYPE_CHECKING:
    from modest.data.pool import Pool
    from modest.data.rounds import Round

PIECE = 1 << 14  # rows read at once
WHOLE = 0  # the round of tasks that no round chose; rounds of a pool are 1, 2 ...


def tasks_of(
    pool: Pool, rounds: Sequence[int] | None = None, *, relabel: bool = False, whole: bool = False
) -> Iterator[Task]:
    """Tasks of a pool, round by round; a task's ``place`` is its row in the file of the round.

    Parameters
    ----------
    pool : Pool
    rounds : numbers of rounds, of labels or of pairs; all by default
    relabel : also items that have a label already
    whole : every training item, in the pool's order, as round 0, whatever the rounds chose; read piece by piece

    Returns
    -------
    Tasks to label (items without a label), and to pair (questions that wait for an answer); none where there is no
    round.

    Raises
    ------
    ValueError
        If a round is not there.
    """
    if whole:
        return _whole(pool, relabel)
    chosen, queries = pool.rounds, query_rounds(pool.path)
    there = {one.number for one in (*chosen, *queries)}
    lacking = sorted(set(rounds or ()) - there)
    if lacking:
        told = f"it has {', '.join(map(str, sorted(there)))}" if there else "it has none yet"
        raise ValueError(f"round {lacking[0]} is not in {pool.path}; {told}.")
    wanted = there if rounds is None else set(rounds)
    return _of_rounds(pool, [one for one in (*chosen, *queries) if one.number in wanted], relabel)


def _of_rounds(pool: Pool, rounds: Sequence[Round], relabel: bool) -> Iterator[Task]:
    """Tasks of some rounds, by number."""
    kinds = [one.manifest.get("kind", "round") for one in rounds]
    choices = {one.number: one.choice for one, kind in zip(rounds, kinds) if kind == "round"}
    ids = {name for choice in choices.values() for name in choice["id"]}
    skipped = set() if relabel or not ids else {name for name, label, _ in _rows(pool) if label and name in ids}
    waiting = _waiting(pool) if "query" in kinds else {}
    for one in sorted(rounds, key=lambda one: one.number):
        if one.number not in choices:
            digest = files.file_hash(one.path / "query.parquet")
            yield from (_pair(row, place, digest) for place, row in waiting.get(one.number, ()))
            continue
        digest = files.file_hash(one.path / "choice.parquet")
        for place, row in enumerate(choices[one.number].sort_values("order", kind="stable").to_dict("records")):
            if row["id"] not in skipped:
                score = float(row["score"])
                told = score if math.isfinite(score) else None
                yield Task(one.number, "label", place, str(row["id"]), digest, told, str(row["reason"] or ""))


def _waiting(pool: Pool) -> dict[int, list[tuple[int, dict[str, Any]]]]:
    """{round: (place in its file, row)} of all questions without an answer."""
    places = asked(pool.path).groupby("round").cumcount()
    table = pending(pool)
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for place, row in zip(places.loc[table.index], table.to_dict("records")):
        found.setdefault(int(row["round"]), []).append((int(place), row))
    return found


def _pair(row: dict[str, Any], place: int, digest: str) -> Task:
    """Task of one question."""
    margin, side, target = float(row["margin"]), str(row["modality"]), str(row["target"])
    if math.isnan(margin):
        reason = f"chosen by {row['method']}; {side} and {target} have no common space that would tell how sure it is"
    elif math.isinf(margin):
        reason = f"chosen by {row['method']}; it has fewer than two free candidates"
    else:
        reason = f"chosen by {row['method']}; the likeliest {target} leads the second by {margin:.3f} in similarity"
    score = margin if math.isfinite(margin) else None
    listed = tuple(map(str, row["shortlist"]))
    return Task(int(row["round"]), "pair", place, str(row["id"]), digest, score, reason, side, target, listed)


def _whole(pool: Pool, relabel: bool) -> Iterator[Task]:
    """Every training item as a task of round 0."""
    digest, reason = str(pool.config["rows"]), "no round chose it: all items are asked about in the pool's order"
    for place, (name, label, split) in enumerate(_rows(pool)):
        if split == "train" and (relabel or not label):
            yield Task(WHOLE, "label", place, name, digest, None, reason)


def _rows(pool: Pool) -> Iterator[tuple[str, str | None, str]]:
    """(id, label or None, split) of every item, read piece by piece."""
    import pyarrow.parquet as pq

    left = len(pool)  # a killed append left more
    with pq.ParquetFile(pool.path / "pool.parquet") as handle:
        for batch in handle.iter_batches(PIECE, columns=["id", "label", "split"]):
            columns = (batch.column(name).to_pylist() for name in ("id", "label", "split"))
            yield from list(zip(*columns))[:left]
            left -= min(left, len(batch))
