"""Which task goes to whom: leases, so that nobody is handed what enough others work on.

All functions take the connection inside a transaction. A task is open to an annotator as long as its answers and other
annotators' live leases are fewer than the redundancy, and they have neither answered nor skipped it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from modest.annotation.schema import TASK, to_task
from modest.annotation.task import Task

# tasks of one round and number of answers, in their order, by the index task_open
OPEN = f"""
SELECT {TASK} FROM task WHERE round = :round AND kind = :kind AND answers = :answers
    AND (:after IS NULL OR (place, number) > (:after, :number))
    AND NOT EXISTS (SELECT 1 FROM standing WHERE standing.task = task.number AND standing.annotator = :annotator)
    AND (SELECT COUNT(*) FROM lease WHERE lease.task = task.number AND lease.annotator <> :annotator
        AND lease.until > :now) < :redundancy - :answers
ORDER BY place, number LIMIT :count"""

NEWEST = "SELECT task, said FROM standing WHERE annotator = ? ORDER BY said DESC LIMIT 1"


def open_tasks(
    connection: sqlite3.Connection,
    annotator: str,
    rounds: Sequence[int] | None,
    kind: str | None,
    count: int,
    after: Sequence[int] | None,
    redundancy: int,
    now: float,
) -> list[Task]:
    """Up to ``count`` tasks that are open to an annotator, lowest (round, place, number) first, all after ``after``."""
    found: list[Task] = []
    start = None if after is None else (*after, 2**62)[:3]  # of a place alone: after all of its tasks
    for turn, sort in turns(connection, rounds, kind):
        if start is not None and turn < start[0]:
            continue
        told = {"round": turn, "kind": sort, "annotator": annotator, "now": now, "redundancy": redundancy}
        told |= {"after": None, "number": None, "count": count - len(found)}
        if start is not None and turn == start[0]:
            told |= {"after": start[1], "number": start[2]}
        rows = [row for had in range(redundancy) for row in connection.execute(OPEN, told | {"answers": had})]
        tasks = sorted(map(to_task, rows), key=lambda task: (task.place, task.number))
        found += tasks[: count - len(found)]
        if len(found) == count:
            break
    return found


def turns(
    connection: sqlite3.Connection, rounds: Sequence[int] | None = None, kind: str | None = None
) -> Iterator[tuple[int, str]]:
    """(round, kind) of all tasks, ascending; some rounds or one kind only if named."""
    wanted = None if rounds is None else set(rounds)
    for turn, sort in connection.execute("SELECT DISTINCT round, kind FROM tally ORDER BY round, kind").fetchall():
        if (wanted is None or turn in wanted) and kind in (None, sort):
            yield turn, sort


def lease(connection: sqlite3.Connection, tasks: Sequence[Task], annotator: str, now: float, until: float) -> None:
    """Hold tasks for an annotator, anew where they are held already; leases that have run out are cleared away."""
    connection.execute("DELETE FROM lease WHERE until <= ?", (now,))
    connection.executemany(
        "INSERT INTO lease VALUES (?, ?, ?) ON CONFLICT (task, annotator) DO UPDATE SET until = excluded.until",
        [(task.number, annotator, until) for task in tasks],
    )
