"""The file ``annotations.sqlite``: its tables, what keeps them true, and one sentence for every way it can fail.

What was said is never changed: triggers refuse it. What follows from it is kept by triggers in the same transaction, so
that no crash comes between: ``standing`` (what each annotator says of a task now), ``task.answers`` (how many of these
are answers), and two small tables of counts, ``tally`` (tasks by answers) and ``people`` (answers by annotator).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from modest.annotation.task import Said, Task

FILE = "annotations.sqlite"
FORMAT = 1
_KIND = 0x6D646E6E  # application_id of the file: "mdnn"
BUSY = 30.0  # seconds to wait for another process that writes

TASK = "number, round, kind, place, id, side, target, score, reason, shortlist, round_hash"
SAID = "number, task, annotator, verdict, value, at, seconds, round_hash"

_TABLES = """
CREATE TABLE task (number INTEGER PRIMARY KEY, round INTEGER NOT NULL, kind TEXT NOT NULL, place INTEGER NOT NULL,
    id TEXT NOT NULL, side TEXT NOT NULL, target TEXT NOT NULL, score REAL, reason TEXT NOT NULL,
    shortlist TEXT NOT NULL, round_hash TEXT NOT NULL, answers INTEGER NOT NULL DEFAULT 0,
    UNIQUE (round, kind, id, side, target));
CREATE INDEX task_open ON task (round, kind, answers, place, number);
CREATE INDEX task_place ON task (round, place, number);
CREATE TABLE said (number INTEGER PRIMARY KEY, task INTEGER NOT NULL REFERENCES task, annotator TEXT NOT NULL,
    verdict TEXT NOT NULL, value TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL, round_hash TEXT NOT NULL,
    key TEXT NOT NULL);
CREATE UNIQUE INDEX said_key ON said (annotator, key) WHERE key <> '';
CREATE INDEX said_at ON said (at);
CREATE TABLE standing (task INTEGER NOT NULL REFERENCES task, annotator TEXT NOT NULL,
    said INTEGER NOT NULL REFERENCES said, verdict TEXT NOT NULL, PRIMARY KEY (task, annotator)) WITHOUT ROWID;
CREATE INDEX standing_newest ON standing (annotator, said);
CREATE TABLE lease (task INTEGER NOT NULL REFERENCES task, annotator TEXT NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (task, annotator)) WITHOUT ROWID;
CREATE INDEX lease_annotator ON lease (annotator);
CREATE INDEX lease_until ON lease (until);
CREATE TABLE tally (round INTEGER, kind TEXT, answers INTEGER, tasks INTEGER NOT NULL,
    PRIMARY KEY (round, kind, answers)) WITHOUT ROWID;
CREATE TABLE people (round INTEGER, annotator TEXT, verdict TEXT, answers INTEGER NOT NULL,
    PRIMARY KEY (round, annotator, verdict)) WITHOUT ROWID;
CREATE TABLE class (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, annotator TEXT NOT NULL, at REAL NOT NULL);

CREATE TRIGGER said_kept BEFORE UPDATE ON said BEGIN SELECT RAISE(ABORT, 'answers are never changed'); END;
CREATE TRIGGER said_stays BEFORE DELETE ON said BEGIN SELECT RAISE(ABORT, 'answers are never removed'); END;
CREATE TRIGGER said_new BEFORE INSERT ON said WHEN EXISTS (SELECT 1 FROM said WHERE number = NEW.number)
    OR (NEW.key <> '' AND EXISTS (SELECT 1 FROM said WHERE annotator = NEW.annotator AND key = NEW.key))
    BEGIN SELECT RAISE(ABORT, 'answers are never replaced'); END;
CREATE TRIGGER class_kept BEFORE UPDATE ON class BEGIN SELECT RAISE(ABORT, 'classes are never changed'); END;
CREATE TRIGGER class_stays BEFORE DELETE ON class BEGIN SELECT RAISE(ABORT, 'classes are never removed'); END;
CREATE TRIGGER task_kept BEFORE UPDATE OF number, round, kind, place, id, side, target, round_hash ON task
    BEGIN SELECT RAISE(ABORT, 'tasks are never changed'); END;
CREATE TRIGGER task_stays BEFORE DELETE ON task BEGIN SELECT RAISE(ABORT, 'tasks are never removed'); END;

CREATE TRIGGER task_counted AFTER INSERT ON task BEGIN
    INSERT INTO tally VALUES (NEW.round, NEW.kind, 0, 1)
        ON CONFLICT (round, kind, answers) DO UPDATE SET tasks = tasks + 1; END;
CREATE TRIGGER task_answered AFTER UPDATE OF answers ON task BEGIN
    UPDATE tally SET tasks = tasks - 1 WHERE round = OLD.round AND kind = OLD.kind AND answers = OLD.answers;
    INSERT INTO tally VALUES (NEW.round, NEW.kind, NEW.answers, 1)
        ON CONFLICT (round, kind, answers) DO UPDATE SET tasks = tasks + 1; END;
CREATE TRIGGER said_stands AFTER INSERT ON said BEGIN
    DELETE FROM lease WHERE task = NEW.task AND annotator = NEW.annotator;
    DELETE FROM standing WHERE task = NEW.task AND annotator = NEW.annotator;
    INSERT INTO standing SELECT NEW.task, NEW.annotator, NEW.number, NEW.verdict WHERE NEW.verdict <> 'undone'; END;
CREATE TRIGGER standing_came AFTER INSERT ON standing BEGIN
    INSERT INTO people SELECT round, NEW.annotator, NEW.verdict, 1 FROM task WHERE number = NEW.task
        ON CONFLICT (round, annotator, verdict) DO UPDATE SET answers = answers + 1;
    UPDATE task SET answers = answers + 1 WHERE number = NEW.task AND NEW.verdict <> 'skip'; END;
CREATE TRIGGER standing_went AFTER DELETE ON standing BEGIN
    UPDATE people SET answers = answers - 1 WHERE annotator = OLD.annotator AND verdict = OLD.verdict
        AND round = (SELECT round FROM task WHERE number = OLD.task);
    UPDATE task SET answers = answers - 1 WHERE number = OLD.task AND OLD.verdict <> 'skip'; END;
"""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made if it is not there, for one thread at a time; answers are on the disk when committed.

    Raises
    ------
    ValueError
        If it is another kind of file, damaged, or of another format.
    OSError
        If it may not be written to, or the disk is full.
    """
    with failures(path):
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            _check(connection, path)
            connection.execute("PRAGMA journal_mode = WAL")
            for setting in ("synchronous = FULL", "foreign_keys = ON", "recursive_triggers = ON"):
                connection.execute(f"PRAGMA {setting}")
            _make(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _make(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables, all of them or none, unless they are there."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not _check(connection, path):
            for statement in _statements():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {_KIND}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements() -> Iterator[str]:
    piece = ""
    for line in _TABLES.splitlines(keepends=True):
        piece += line
        if sqlite3.complete_statement(piece):
            yield piece
            piece = ""


def _check(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there; a file of another kind or format is refused."""
    kind, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if not kind and not version and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        return False
    if kind != _KIND:
        raise ValueError(f"{path} is not what modest annotate writes; move it away and run the same command again.")
    if version != FORMAT:
        mend = "upgrade modest" if version > FORMAT else "export its answers with the modest that wrote it"
        raise ValueError(f"{path} has format {version} and this modest reads {FORMAT}; {mend}.")
    return True


@contextmanager
def failures(path: Path) -> Iterator[None]:
    """Turn an error of SQLite inside the block into one sentence about the file."""
    try:
        yield
    except sqlite3.Error as error:
        raise _told(error, path) from error


def _told(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    kept = "what was answered before is kept"
    if code == sqlite3.SQLITE_FULL:
        return OSError(f"cannot write {path}: the disk is full; free some space and answer again, {kept}.")
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return PermissionError(f"cannot write {path}: it may not be written to; change its rights, {kept}.")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return OSError(f"cannot write {path}: another program held it for {BUSY:.0f} s; close that one, {kept}.")
    if code == sqlite3.SQLITE_IOERR:
        return OSError(f"cannot use {path}: the disk failed ({error}); look at the disk and answer again, {kept}.")
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return ValueError(f"{path} is damaged or no SQLite file ({error}); move it away or put a copy in its place.")
    return ValueError(f"{path} refused this: {error}.")


def to_task(row: Sequence[Any]) -> Task:
    """Task of a row of the columns TASK."""
    number, turn, kind, place, name, side, target, score, reason, shortlist, digest = row
    return Task(turn, kind, place, name, digest, score, reason, side, target, tuple(json.loads(shortlist)), number)


def to_said(row: Sequence[Any]) -> Said:
    """Said of a row of the columns SAID."""
    number, task, annotator, verdict, value, at, seconds, digest = row
    return Said(number, task, annotator, verdict, tuple(json.loads(value)), at, seconds, digest)
