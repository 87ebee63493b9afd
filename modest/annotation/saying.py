"""What may be said of a task, and writing it down: checks first, then one row that is never changed."""

from __future__ import annotations

import json
import math
import sqlite3
import unicodedata
from collections.abc import Sequence

from modest.annotation.hand_out import NEWEST
from modest.annotation.schema import SAID, TASK, to_said, to_task
from modest.annotation.task import KINDS, VERDICTS, Said, Task

# the longest annotator, class or key, and id of a partner (letters), and the most partners of one item
NAME, ID, PARTNERS = 200, 2000, 1000
_WORD = {"label": "label", "match": "pair", "none": "pair"}  # verdicts that belong to one kind of task


def name(value: object, argument: str, longest: int = NAME, plain: bool = True) -> str:
    """Text that may be stored as the name of somebody or something; spaces around it are cut if ``plain``.

    Raises
    ------
    TypeError, ValueError
        If it is no text, empty, too long, or has control characters.
    """
    if not isinstance(value, str):
        raise TypeError(f"{argument} is a {type(value).__name__}; give text.")
    text = value.strip() if plain else value
    if not text:
        raise ValueError(f"{argument} is empty; give at least one letter.")
    if len(text) > longest:
        raise ValueError(f"{argument} has {len(text)} letters; {longest} are the most.")
    odd = next((letter for letter in text if unicodedata.category(letter) in ("Cc", "Cs")), None) if plain else None
    if odd or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise ValueError(f"{argument} has a control character in it; write letters, digits and signs only.")
    return text


def insert(connection: sqlite3.Connection, tasks: Sequence[Task]) -> int:
    """Write tasks that are not there yet; how many."""
    count = 0
    for task in tasks:
        shortlist = json.dumps(task.shortlist, ensure_ascii=False)
        count += connection.execute(
            f"INSERT INTO task ({TASK}) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (task.round, task.kind, task.place, task.id, task.side, task.target, task.score, task.reason, shortlist,
             task.round_hash),
        ).rowcount  # fmt: skip
    return count


def find(connection: sqlite3.Connection, number: int) -> Task:
    """The task of a number.

    Raises
    ------
    ValueError
        If there is none.
    """
    whole = isinstance(number, int) and abs(number) < 2**63
    row = connection.execute(f"SELECT {TASK} FROM task WHERE number = ?", (number,)).fetchone() if whole else None
    if row is None:
        raise ValueError(f"task {number!r} is not in the store; numbers are those of Store.tasks().")
    return to_task(row)


def said(connection: sqlite3.Connection, number: int) -> Said:
    """The answer of a number, which is there."""
    return to_said(connection.execute(f"SELECT {SAID} FROM said WHERE number = ?", (number,)).fetchone())


def repeated(connection: sqlite3.Connection, annotator: str, key: str) -> Said | None:
    """What an annotator said before by the same key; None without a key."""
    told = f"SELECT {SAID} FROM said WHERE annotator = ? AND key = ? AND key <> ''"
    row = connection.execute(told, (annotator, key)).fetchone()
    return None if row is None else to_said(row)


def checked(task: Task, verdict: str, value: Sequence[str], seconds: float) -> tuple[str, ...]:
    """The value of an answer as it is stored.

    Raises
    ------
    TypeError, ValueError
        If the verdict is unknown or does not fit the task, or lacks its value or has one too many.
    """
    if verdict not in VERDICTS or verdict == "undone":
        raise ValueError(f"verdict {verdict!r} is unknown; use {', '.join(VERDICTS[:-1])} (and Store.undo).")
    if _WORD.get(verdict, task.kind) != task.kind:
        raise ValueError(f"verdict {verdict!r} does not fit task {task.number}, which asks for a {task.kind}.")
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"seconds is {seconds!r}; give the time it took, 0 or more.")
    given = (value,) if isinstance(value, str) else tuple(value)
    if verdict == "label":
        if len(given) != 1:
            raise ValueError(f"value has {len(given)} labels; a label is exactly one class.")
        return (name(given[0], "label"),)
    if verdict == "match":
        if not 0 < len(given) <= PARTNERS:
            raise ValueError(f"value has {len(given)} partners; a match has 1 to {PARTNERS}, else say none.")
        return tuple(dict.fromkeys(name(one, "partner", ID, plain=False) for one in given))
    if given:
        raise ValueError(f"value is given with verdict {verdict!r}, which has none; leave it out.")
    return ()


def write(
    connection: sqlite3.Connection,
    task: Task,
    annotator: str,
    verdict: str,
    value: Sequence[str],
    at: float,
    seconds: float,
    key: str,
) -> Said:
    """Write an answer down, or give back what was said by the same key.

    Raises
    ------
    ValueError
        If the key was used for another answer.
    """
    before = repeated(connection, annotator, key)
    if before is not None:
        if (before.task, before.verdict, before.value) != (task.number, verdict, tuple(value)):
            raise ValueError(f"key {key!r} has been used for another answer; give every answer a key of its own.")
        return before
    told = (task.number, annotator, verdict, json.dumps(value, ensure_ascii=False), at, float(seconds), task.round_hash)
    cursor = connection.execute(f"INSERT INTO said ({SAID}, key) VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", (*told, key))
    return said(connection, int(cursor.lastrowid or 0))


def take_back(connection: sqlite3.Connection, annotator: str, at: float, key: str) -> Task | None:
    """Take back what an annotator said last and has not taken back; its task, None where nothing is left."""
    before = repeated(connection, annotator, key)
    if before is not None:
        return find(connection, before.task)
    row = connection.execute(NEWEST, (annotator,)).fetchone()
    if row is None:
        return None
    task = find(connection, row[0])
    write(connection, task, annotator, "undone", (), at, 0.0, key)
    return task


def check_task(task: Task) -> Task:
    """A task as it may be stored.

    Raises
    ------
    ValueError
        If its kind is unknown, it has a place below 0, or a pair has no side or target.
    """
    if task.kind not in KINDS:
        raise ValueError(f"task of {task.id!r} has the kind {task.kind!r}; use {' or '.join(KINDS)}.")
    if not task.id or task.place < 0 or (task.kind == "pair" and not (task.side and task.target)):
        raise ValueError(f"task of {task.id!r} lacks its id, its place from 0 on, or the side and target of a pair.")
    return task
