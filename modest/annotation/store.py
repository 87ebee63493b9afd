"""The store of what people say: one SQLite file in the pool's folder that several people and processes write to.

Answers are appended and never changed; an answer is on the disk when :meth:`Store.answer` returns. Reading makes no one
wait, and no method keeps more than a page in memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from modest.annotation import saying
from modest.annotation.commits import Commits
from modest.annotation.hand_out import lease, open_tasks, turns
from modest.annotation.progress import Progress, progress
from modest.annotation.schema import FILE, SAID, TASK, connect, failures, to_said, to_task
from modest.annotation.task import Said, Task
from modest.data.layout import read_config

CHUNK, PAGE = 2000, 500  # tasks added by one commit, tasks read at once
TASKS = f"SELECT {TASK} FROM task WHERE round = ? AND (place, number) > (?, ?) ORDER BY place, number LIMIT ?"
ANSWERED = "SELECT DISTINCT task FROM standing WHERE task > ? AND verdict <> 'skip' ORDER BY task LIMIT ?"
STANDING = (
    f"SELECT {', '.join(f'said.{name}' for name in SAID.split(', '))} FROM standing "
    "CROSS JOIN said ON said.number = standing.said WHERE standing.task = ? AND standing.verdict <> 'skip'"
)


class Store:
    """What people are asked and what they said, in ``annotations.sqlite`` of a pool.

    Any number of threads may call it, and several processes may have the same file open.

    Parameters
    ----------
    pool : folder of the pool; the file is made when it is not there
    redundancy : how many annotators are to answer each task
    lease : seconds that a task handed out is kept for whoever has it
    clock : seconds since 1970

    Raises
    ------
    FileNotFoundError, ValueError, OSError
        If there is no pool, the file is another thing, damaged or of another format, or may not be written to. Any
        method raises OSError, in one sentence, when the disk is full; what was said before is kept.

    Examples
    --------
    >>> with Store("pool") as store:                                                            # doctest: +SKIP
    ...     task = store.next("ada")[0]
    ...     store.answer(task.number, "ada", "label", ["cat"])
    """

    def __init__(
        self,
        pool: str | Path,
        *,
        redundancy: int = 1,
        lease: float = 600.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not 1 <= redundancy <= 100:
            raise ValueError(f"redundancy is {redundancy}; ask 1 to 100 annotators about each task.")
        if not lease > 0:
            raise ValueError(f"lease is {lease}; give the seconds that a task is kept for somebody, more than 0.")
        read_config(Path(pool))
        self.path = Path(pool) / FILE
        self.redundancy, self.lease, self._clock = redundancy, lease, clock
        self._reading = threading.Lock()
        self._write = Commits(connect(self.path), self.path)
        self._reader = connect(self.path)

    def __enter__(self) -> Store:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, after what is being written; nothing can be asked of it afterwards."""
        with self._reading:
            self._reader.close()
        self._write.close()

    def add(self, tasks: Iterable[Task]) -> int:
        """Write tasks that are not there yet; how many these were.

        Tasks are one if their round, kind, id, side and target are. They are read and written piece by piece: what was
        written before an error stays, and the same call again goes on.

        Raises
        ------
        ValueError
            If the kind of a task is unknown, or it lacks what its kind needs.
        """
        given, count = (saying.check_task(task) for task in tasks), 0
        while piece := list(islice(given, CHUNK)):
            count += self._write(lambda connection, piece=piece: saying.insert(connection, piece))  # type: ignore[misc]
        return count

    def next(
        self,
        annotator: str,
        rounds: Sequence[int] | None = None,
        kind: str | None = None,
        count: int = 1,
        after: Sequence[int] | None = None,
    ) -> list[Task]:
        """Up to ``count`` tasks for an annotator, kept for them from now on; those of the lowest (round, place) first.

        Parameters
        ----------
        rounds, kind : only these rounds, only "label" or "pair"
        after : (round, place) or (round, place, number); only tasks after it

        Returns
        -------
        Tasks that they have neither answered nor skipped, and that answers and other annotators' leases leave open;
        what they hold already is among them. Empty when nothing is left for them.
        """
        who = saying.name(annotator, "annotator")

        def hand_out(connection: Any) -> list[Task]:
            now = self._clock()
            found = open_tasks(connection, who, rounds, kind, count, after, self.redundancy, now)
            lease(connection, found, who, now, now + self.lease)
            return found

        return self._write(hand_out, durable=False)

    def answer(
        self,
        task: int,
        annotator: str,
        verdict: str,
        value: Sequence[str] = (),
        seconds: float = 0.0,
        key: str = "",
    ) -> Said:
        """Write down what an annotator says of a task; on the disk when this returns.

        A second answer of theirs stands in place of the first; both are kept. ``key`` names the request: the same one
        again gives the same answer and writes nothing.

        Raises
        ------
        ValueError, TypeError
            If the task or the verdict is unknown, a label or a partner is missing, empty or too long, or the key was
            used for another answer.
        """
        who, key = saying.name(annotator, "annotator"), saying.name(key, "key") if key else ""

        def say(connection: Any) -> Said:
            found = saying.find(connection, task)
            given = saying.checked(found, verdict, value, seconds)
            return saying.write(connection, found, who, verdict, given, self._clock(), seconds, key)

        return self._write(say)

    def undo(self, annotator: str, key: str = "") -> Task | None:
        """Take back what an annotator said last (a skip, too) and hand its task to them again; None if nothing is left.

        Called again it goes further back. ``key`` as in :meth:`answer`.
        """
        who, key = saying.name(annotator, "annotator"), saying.name(key, "key") if key else ""

        def undo(connection: Any) -> Task | None:
            now = self._clock()
            task = saying.take_back(connection, who, now, key)
            if task is not None:
                lease(connection, [task], who, now, now + self.lease)
            return task

        return self._write(undo)

    def release(self, annotator: str) -> None:
        """Give back what an annotator holds."""
        who = saying.name(annotator, "annotator")
        self._write(lambda connection: connection.execute("DELETE FROM lease WHERE annotator = ?", (who,)), False)

    def task(self, number: int) -> Task:
        """The task of a number; ValueError if there is none."""
        with self._reading, failures(self.path):
            return saying.find(self._reader, number)

    def tasks(
        self, rounds: Sequence[int] | None = None, after: Sequence[int] | None = None, limit: int = 50
    ) -> list[Task]:
        """Up to ``limit`` tasks by (round, place, number), all of them after ``after``: (round, place[, number])."""
        found: list[Task] = []
        start = None if after is None else (*after, 2**62)[:3]
        with self._reading, failures(self.path):
            for turn in sorted({turn for turn, _ in turns(self._reader, rounds)}):
                if len(found) < limit and (start is None or turn >= start[0]):
                    place = (-1, -1) if start is None or turn > start[0] else start[1:]
                    found += map(to_task, self._reader.execute(TASKS, (turn, *place, limit - len(found))))
        return found

    def said(self, after: int = 0, limit: int = 1000) -> list[Said]:
        """Up to ``limit`` answers as they were given, those after a number, in the order they came."""
        rows = self._read(f"SELECT {SAID} FROM said WHERE number > ? ORDER BY number LIMIT ?", after, limit)
        return list(map(to_said, rows))

    def answers(self, numbers: Iterable[int]) -> dict[int, list[Said]]:
        """What stands for some tasks: {number: answers, one per annotator, skips left out}; as they came."""
        return {number: sorted(map(to_said, self._read(STANDING, number)), key=_number) for number in numbers}

    def standing(
        self, rounds: Sequence[int] | None = None, kind: str | None = None
    ) -> Iterator[tuple[Task, list[Said]]]:
        """Every answered task, by number, with what stands for it: one answer per annotator, skips left out."""
        last = 0
        while page := [row[0] for row in self._read(ANSWERED, last, PAGE)]:
            for number, said in self.answers(page).items():
                task = self.task(number)
                if said and (rounds is None or task.round in rounds) and kind in (None, task.kind):
                    yield task, said
            last = page[-1]

    def progress(self, rounds: Sequence[int] | None = None) -> Progress:
        """How far all rounds, or some, have come."""
        with self._reading, failures(self.path):
            return progress(self._reader, rounds, self.redundancy, self._clock())

    def classes(self) -> tuple[str, ...]:
        """Classes that people added, in the order they came."""
        return tuple(row[0] for row in self._read("SELECT name FROM class ORDER BY number"))

    def add_class(self, name: str, annotator: str) -> bool:
        """Add a class; False when it was there."""
        told = (saying.name(name, "class"), saying.name(annotator, "annotator"), self._clock())
        insert = "INSERT INTO class (name, annotator, at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        return self._write(lambda connection: connection.execute(insert, told).rowcount > 0)

    def _read(self, query: str, *told: Any) -> list[Any]:
        with self._reading, failures(self.path):
            return self._reader.execute(query, told).fetchall()


def _number(one: Said) -> int:
    return one.number
