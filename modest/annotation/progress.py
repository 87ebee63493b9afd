"""How far people have come: counts that the store keeps, so that a million tasks are counted as fast as ten."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WINDOW = 600.0  # seconds that the rate looks back
LEASED = "SELECT COUNT(DISTINCT task) FROM lease CROSS JOIN task ON number = task WHERE until > ? AND {named}"
RATE = (
    "SELECT COUNT(*), MIN(said.at) FROM said CROSS JOIN standing ON standing.said = said.number AND "
    "standing.task = said.task AND standing.annotator = said.annotator CROSS JOIN task ON task.number = said.task "
    "WHERE said.at > ? AND said.verdict <> 'skip' AND {named}"
)


@dataclass(frozen=True)
class Progress:
    """Where the tasks stand.

    ``total`` tasks; ``done`` have as many answers as asked for, ``open`` have not; ``leased`` are with somebody now;
    ``answers`` that stand, of them ``unsure`` cannot tell; ``skipped`` times passed on to somebody else;
    ``by_annotator`` answers that stand by who gave them; ``per_minute`` the answers of the last ten minutes that stand,
    by the minutes since the first of these (at least one).
    """

    total: int
    done: int
    open: int
    leased: int
    answers: int
    by_annotator: Mapping[str, int]
    per_minute: float
    skipped: int
    unsure: int


def progress(connection: sqlite3.Connection, rounds: Sequence[int] | None, redundancy: int, now: float) -> Progress:
    """Progress of all rounds, or of some."""
    of = [] if rounds is None else list(rounds)
    named = "TRUE" if rounds is None else f"round IN ({', '.join('?' * len(of))})"
    total = done = 0
    for had, tasks in connection.execute(f"SELECT answers, SUM(tasks) FROM tally WHERE {named} GROUP BY answers", of):
        total += tasks
        done += tasks if had >= redundancy else 0
    people: dict[str, int] = {}
    verdicts: dict[str, int] = {}
    said = connection.execute(f"SELECT annotator, verdict, answers FROM people WHERE {named}", of)
    for annotator, verdict, count in said:
        verdicts[verdict] = verdicts.get(verdict, 0) + count
        if verdict != "skip" and count:
            people[annotator] = people.get(annotator, 0) + count
    leased = connection.execute(LEASED.format(named=named), [now, *of]).fetchone()[0]
    count, first = connection.execute(RATE.format(named=named), [now - WINDOW, *of]).fetchone()
    return Progress(
        total=total,
        done=done,
        open=total - done,
        leased=leased,
        answers=sum(people.values()),
        by_annotator=dict(sorted(people.items())),
        per_minute=count / max((now - first) / 60, 1.0) if count else 0.0,
        skipped=verdicts.get("skip", 0),
        unsure=verdicts.get("unsure", 0),
    )
