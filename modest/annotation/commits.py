"""Writing from many threads: what waits while the disk works is committed together, by one sync for all of it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from modest.annotation.schema import failures

T = TypeVar("T")
# after these SQLite has given up the whole transaction, whichever statement it was
_FATAL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_CORRUPT)


class _Job:
    """One piece of work, and what became of it."""

    def __init__(self, run: Callable[[sqlite3.Connection], Any], durable: bool) -> None:
        self.run, self.durable = run, durable
        self.result: Any = None
        self.error: BaseException | None = None
        self.done = False


class Commits:
    """The one connection that writes; call it with a function that does so.

    Threads that come while another commits wait, and the next one in commits for all of them. So many annotators wait
    for about one sync of the disk each, not for one after another. A function that raises undoes its own work alone;
    a disk that fails undoes all of the commit, and each of its callers hears of it.

    Parameters
    ----------
    connection : sqlite3.Connection in autocommit mode, used by nobody else
    path : its file, for what errors say
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path
        self._writing, self._listing = threading.Lock(), threading.Lock()
        self._waiting: list[_Job] = []
        self._durable = True

    def __call__(self, run: Callable[[sqlite3.Connection], T], durable: bool = True) -> T:
        """What ``run(connection)`` returns, once its work is committed; on the disk then, if ``durable``.

        Work that is not durable survives the end of the process, and is lost at most when the machine stops.
        """
        job = _Job(run, durable)
        with self._listing:
            self._waiting.append(job)
        with self._writing:
            if not job.done:
                with self._listing:
                    batch, self._waiting = self._waiting, []
                self._commit(batch)
        if job.error is not None:
            with failures(self._path):
                raise job.error
        result: T = job.result
        return result

    def close(self) -> None:
        """Close the connection, after what is being written."""
        with self._writing:
            self._connection.close()

    def _commit(self, batch: list[_Job]) -> None:
        try:
            with failures(self._path):
                self._sync(any(job.durable for job in batch))
                self._connection.execute("BEGIN IMMEDIATE")
                for job in batch:
                    self._run(job)
                self._connection.execute("COMMIT")
        except BaseException as error:
            for job in batch:
                job.result, job.error = None, job.error or error
            if not isinstance(error, Exception):
                raise
        finally:
            for job in batch:
                job.done = True
            self._undo()

    def _run(self, job: _Job) -> None:
        """Run one piece of work; its own failure undoes it and nothing else."""
        execute = self._connection.execute
        execute("SAVEPOINT job")
        try:
            job.result = job.run(self._connection)
        except Exception as error:
            if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _FATAL:
                raise
            execute("ROLLBACK TO job")
            job.error = error
        execute("RELEASE job")

    def _undo(self) -> None:
        """Leave no transaction open after a failure."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            pass  # SQLite has rolled back already, or the connection is closed: there is nothing left to undo

    def _sync(self, durable: bool) -> None:
        """Sync the disk at the next commit, or let the system do it; every later sync covers what was left."""
        if durable != self._durable:
            self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
