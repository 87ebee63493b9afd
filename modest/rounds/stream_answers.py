"""Answers to the tasks of a stream, read back into the folder of the tasks: all of a file or nothing of it.

A stream has no pool: what its folder lists, asked or as a possible partner, is all that is known. ``pairs.parquet`` in
that folder holds every answer as it was given, with the columns of a pool's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from modest.data.pairs import COLUMNS, read_pairs, write_pairs, writing_pairs
from modest.pairing import Ledger
from modest.pairing.human import read_answers, read_tasks, task_lines
from modest.rounds.answers import Taken
from modest.rounds.book import count
from modest.types import Ids


def answer_stream(folder: str | Path, path: str | Path, *, none: Literal["no_match", "skipped"] = "no_match") -> Taken:
    """Read answers to the tasks that :func:`modest.rounds.streaming.ask_stream` wrote into ``folder``.

    Parameters
    ----------
    folder : of the ``tasks-*.jsonl``, left as they were written
    path : one of these files filled in, elsewhere; or several put together
    none : what "none of these" says, as :func:`modest.rounds.answers.answer`

    Rows left empty go on waiting. The same file twice changes nothing; a row answered twice differently keeps both
    answers, flagged.

    Raises
    ------
    FileNotFoundError, ValueError, OSError
        If there are no tasks, a line asks what was not asked or names a partner that no list of the folder has, or
        another run is writing.
    """
    place = Path(folder)
    tasks = sorted(place.glob("tasks-*.jsonl"))
    if not tasks:
        raise FileNotFoundError(f"{place} has no tasks-*.jsonl; name the folder that --into named.")
    with writing_pairs(place):
        ids = _listed(tasks)
        queries = [query for file in tasks for query in read_tasks(file, ids)]
        book, old = _book(place, ids)
        pairs, cost, flags, empty = count(book), book.cost, [], 0
        for query, answers in zip(queries, read_answers(path, queries, ids, none=none)):
            said = [one for one in answers if one.status != "skipped" or one.cost]
            empty += len(answers) - len(said)
            flags += [flag.told for flag in book.take(query, said)]
        table = _named(book, ids)
        write_pairs(place, table)
    new = table.iloc[old:].drop_duplicates("answer")["status"].value_counts()
    asked = {(query.modality, name) for query in queries for name in query.ids.tolist()}
    return Taken(
        answers=int(new.sum()),
        pairs=count(book) - pairs,
        no_match=int(new.get("no_match", 0)),
        skipped=int(new.get("skipped", 0)),
        cost=book.cost - cost,
        flags=tuple(flags),
        unanswered=empty,
        waits=len(asked - set(zip(table["modality_a"], table["id_a"]))),
    )


def _listed(tasks: Sequence[Path]) -> dict[str, Ids]:
    """{side: ids} of everything that the tasks ask about or list, ascending."""
    found: dict[str, set[str]] = {}
    for file in tasks:
        for _, task in task_lines(file):
            found.setdefault(task["side"], set()).add(task["id"])
            found.setdefault(task["target"], set()).update(task["shortlist"])
    return {side: np.array(sorted(names), dtype=np.str_) for side, names in found.items()}


def _book(place: Path, ids: Mapping[str, Ids]) -> tuple[Ledger, int]:
    """Ledger of what the folder has been told so far, and its lines."""
    table = read_pairs(place)
    row = {side: {name: k for k, name in enumerate(names.tolist())} for side, names in ids.items()}
    lines = list(zip(table["modality_a"], table["id_a"], table["modality_b"], table["id_b"], table["status"]))
    answers = {
        "side": [a for a, *_ in lines],
        "row": [row[a][name] for a, name, *_ in lines],
        "target": [b for _, _, b, *_ in lines],
        "partner": [row[b][other] if status == "matched" else -1 for _, _, b, other, status in lines],
        **{name: table[name].tolist() for name in COLUMNS[4:]},
    }
    told = {"sizes": {side: len(names) for side, names in ids.items()}, "again": True, "creates": False}
    return Ledger.from_dict({**told, "start": [], "asked": [], "answers": answers}), len(table)


def _named(book: Ledger, ids: Mapping[str, Ids]) -> pd.DataFrame:
    """All answers with ids for rows."""
    told = book.table()
    columns = {"modality_a": told["side"], "id_a": [str(ids[a][k]) for a, k in zip(told["side"], told["row"])]}
    columns["modality_b"] = told["target"]
    columns["id_b"] = [str(ids[b][k]) if k >= 0 else None for b, k in zip(told["target"], told["partner"])]
    return pd.DataFrame({**columns, **{name: told[name] for name in COLUMNS[4:]}})
