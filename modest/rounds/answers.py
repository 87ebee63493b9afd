"""Answers about partners on their way into a pool: read from a file, checked as a whole, written at once.

Every answer is kept as it was given; what is odd about it is flagged (:class:`modest.pairing.Ledger`) and reported.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modest.data.pairs import asked, query_rounds, read_pairs, write_pairs, writing_pairs
from modest.pairing import Flag, Ledger
from modest.pairing.human import task_lines
from modest.rounds.book import as_table, count, has, ledger, pending
from modest.types import Answer, Query

if TYPE_CHECKING:
    import pandas as pd

    from modest.data.pool import Pool

Direction = tuple[str, str]
Key = tuple[str, str, int]  # side, target, round
Line = tuple[str, Mapping[str, Any]]  # where it stands, and the task with its answer
NONE, UNSURE, EMPTY = "none of these", "cannot tell", "empty"
_WHERE = {"side": "as", "target": "for", "round": "in round"}


@dataclass(frozen=True)
class Taken:
    """What a file had: new ``answers`` (``no_match``: there is no partner; ``skipped``: nobody knows), ``pairs``,
    their ``cost``, ``flags`` in words, rows left ``unanswered``, and for how many questions the pool still ``waits``.
    """

    answers: int
    pairs: int
    no_match: int
    skipped: int
    cost: float
    flags: tuple[str, ...]
    unanswered: int
    waits: int


def answer(
    pool: Pool,
    path: str | Path | Iterable[Line],
    *,
    none: Literal["no_match", "skipped"] = "no_match",
    rest: bool = False,
) -> Taken:
    """Read answers into a pool; all of them or nothing.

    Parameters
    ----------
    pool : Pool that asked
    path : the file of tasks, filled in (``.jsonl``; :mod:`modest.pairing.human` has the form), or a ``.csv`` with the
        columns id and match (several partners with ``|`` between; "none of these") and, where an id alone does not tell
        the question, side, target and round; cost and annotator may be there. Or lines as such a file would give
        them: (where it stands, {"id": .., "answer": ..}); the answer "cannot tell" skips the row at its cost
    none : what "none of these" says: nobody is the partner, or nobody knows ("skipped": it may be asked again)
    rest : rows left empty are skipped, and may be asked again; without, they go on waiting

    Raises
    ------
    ValueError, FileNotFoundError, OSError
        Naming file and line: an id that was not asked, a partner that is not in the pool, lacks the modality or is of
        another split, a line that cannot be read; or another run is writing.
    """
    told = Path(path) if isinstance(path, str) else path
    with writing_pairs(pool.path):
        table = asked(pool.path)
        if not len(table):
            raise ValueError(f"{pool.path} has asked for no pair yet; run: modest pair choose {pool.path} --budget 200")
        asking = Asked(pool, table)
        lines = [asking.line(*one) for one in (_tasks(told) if isinstance(told, Path) else told)]
        book, old = ledger(pool), len(read_pairs(pool.path))
        pairs, cost = count(book), book.cost
        flags = _take(book, asking, lines, none, rest, told if isinstance(told, Path) else "answers")
        whole = as_table(book, pool)
        if len(whole) > old:
            write_pairs(pool.path, whole)
    new = whole.iloc[old:]
    status = new.drop_duplicates("answer")["status"].value_counts()
    empty = sum(one.status == EMPTY for _, one in lines)
    return Taken(
        answers=int(status.sum()),
        pairs=count(book) - pairs,
        no_match=int(status.get("no_match", 0)),
        skipped=int(status.get("skipped", 0)),
        cost=book.cost - cost,
        flags=tuple(asking.named(flag.told) for flag in flags),
        unanswered=0 if rest else empty,
        waits=len(pending(pool)),
    )


def _take(
    book: Ledger, asking: Asked, lines: Sequence[tuple[Key, Answer]], none: str, rest: bool, path: Path | str
) -> list[Flag]:
    """Give the ledger all answers, question by question in the order of the file."""
    flags = []
    grouped: dict[Key, list[Answer]] = {}
    for key, one in lines:
        grouped.setdefault(key, []).extend([_decided(one, none)] if rest or one.status != EMPTY else [])
    for (side, target, number), answers in grouped.items():
        rows = np.unique([one.row for one in answers]).astype(np.int64)
        nothing = np.full(len(rows), np.nan)
        query = Query(side, target, rows, asking.pool.ids[rows], np.empty((len(rows), 0), np.int64), nothing, "human")
        try:
            flags += book.take(query, answers, number)
        except ValueError as error:
            raise ValueError(f"{path}: {asking.named(str(error))}") from None
    return flags


def _tasks(path: Path) -> Iterator[Line]:
    """(file and line, task) of a file of answers; of a CSV, ``match`` is the answer."""
    if path.suffix.lower() != ".csv":
        yield from task_lines(path)
        return
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the file that holds the answers.")
    try:
        path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text; save it as CSV in UTF-8.") from None
    with path.open(encoding="utf-8-sig", newline="") as handle:
        reader = csv.DictReader(handle)
        if not {"id", "match"} <= set(reader.fieldnames or ()):
            told = ", ".join(reader.fieldnames or ()) or "none"
            raise ValueError(f"{path} has the columns {told}; it needs id and match.")
        for row in reader:
            task: dict[str, Any] = {name: cell.strip() for name, cell in row.items() if name and (cell or "").strip()}
            match = task.pop("match", None)
            said = match if match is None or match.lower() == NONE else [part.strip() for part in match.split("|")]
            yield f"{path} line {reader.line_num}", {**task, "answer": said}


class Asked:
    """All questions of a pool, looked up by the lines that answer them."""

    def __init__(self, pool: Pool, table: pd.DataFrame) -> None:
        self.pool, self.ids = pool, pool.ids.tolist()
        self.place: dict[str, int] = dict(zip(self.ids, range(len(self.ids))))
        self.by_id: dict[str, list[dict[str, Any]]] = {}
        for one in table.to_dict("records"):
            self.by_id.setdefault(one["id"], []).append(one)
        self.partners = {name: has(pool, name) for name in table["target"].unique()}
        splits = {one.number: one.manifest.get("split") for one in query_rounds(pool.path)}
        self.split = {number: None if name is None else pool.split == name for number, name in splits.items()}

    def line(self, told: str, task: Mapping[str, Any]) -> tuple[Key, Answer]:
        """(side, target, round) and answer of one task, rows those of the pool; not answered is the status EMPTY."""
        one = self.question(told, task)
        said = task.get("answer")
        unsure = isinstance(said, str) and said.strip().lower() == UNSURE
        said = [] if unsure or (isinstance(said, str) and said.strip().lower() == NONE) else said
        partners = said if isinstance(said, list) else [said]
        rows = () if said is None else tuple(self._partner(str(name), one, told) for name in partners)
        try:
            cost = float(task.get("cost", one["cost"]))
        except (TypeError, ValueError):
            raise ValueError(f"{told} has the cost {task['cost']!r}; write a number.") from None
        status = EMPTY if said is None else "skipped" if unsure else "matched" if rows else "no_match"
        answer = Answer(self.place[one["id"]], rows, status, cost, str(task.get("annotator", "")))
        return (one["modality"], one["target"], int(one["round"])), answer

    def named(self, told: str) -> str:
        """Words about rows as words about ids."""
        return re.sub(r"\brow (\d+) of (\w+)", lambda found: f"{found[2]} {self.ids[int(found[1])]!r}", told)

    def question(self, told: str, task: Mapping[str, Any]) -> dict[str, Any]:
        """The last question that a line can mean."""
        if "id" not in task:
            raise ValueError(f"{told} has no 'id'; keep what the task came with and fill in the answer only.")
        found = self.by_id.get(str(task["id"]), [])
        for key, column in (("side", "modality"), ("target", "target"), ("round", "round")):
            if task.get(key) is not None:
                found = [one for one in found if str(one[column]) == str(task[key])]
        if not found:
            where = "".join(f" {word} {task[key]}" for key, word in _WHERE.items() if task.get(key) is not None)
            raise ValueError(f"{told} answers {str(task['id'])!r}, which was not asked{where}; leave the line out.")
        if len({(one["modality"], one["target"]) for one in found}) > 1:
            raise ValueError(f"{told} answers {task['id']!r}, asked in several directions; add side and target.")
        return found[-1]

    def _partner(self, name: str, one: Mapping[str, Any], told: str) -> int:
        """Row of a partner, which the pool must have as that modality, and where partners were sought."""
        target, inside = one["target"], self.split.get(int(one["round"]))
        if name not in self.place:
            raise ValueError(f"{told} names {name!r}, which is no id of the pool; answer with an id, or {NONE!r}.")
        row = self.place[name]
        if not self.partners[target][row]:
            raise ValueError(f"{told} names {name!r}, which has no {target}; answer with an id that has.")
        if inside is not None and not inside[row]:
            raise ValueError(
                f"{told} names {name!r} of split {self.pool.split[row]}, outside the rows that were asked; "
                "answer with one of these."
            )
        return row


def _decided(one: Answer, none: str) -> Answer:
    """An answer as the ledger takes it: what "none of these" and nothing at all say."""
    if one.status == EMPTY:
        return replace(one, status="skipped", cost=0.0)
    return replace(one, status=none) if one.status == "no_match" else one
