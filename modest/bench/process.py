"""Cells in several processes, which end at once when the run that began them ends, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Protocol, TypeVar

Task = TypeVar("Task")
Task_contra = TypeVar("Task_contra", contravariant=True)
_LOOK_EVERY = 0.1  # seconds
_WORK: list[Worker[Any]] = []  # of this process, put there once when it begins


class Worker(Protocol[Task_contra]):
    """Who runs tasks: ``rows(task)`` writes what is missing of one and returns its rows of results."""

    def rows(self, task: Task_contra) -> list[dict[str, Any]]:
        """Run a task."""


def spread(
    begin: Callable[[], Worker[Task]], left: Sequence[Sequence[Task]], jobs: int
) -> Iterator[list[dict[str, Any]]]:
    """Rows of the chains of tasks ``left`` as they finish in ``jobs`` processes; the files are written there.

    ``begin`` makes the worker of a process. Raises what a cell raises. Closing the iterator waits for the cells at work
    and begins no more.
    """
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, context, initializer=_begin, initargs=(os.getpid(), begin))
    try:
        for future in as_completed([pool.submit(_rows, chain) for chain in left]):
            yield future.result()
    except BrokenProcessPool:
        raise OSError(
            "a process of the bench died, perhaps for want of memory; run it again with fewer jobs to go on."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(parent: int, begin: Callable[[], Worker[Any]]) -> None:
    """Leave Ctrl-C to the parent, leave with it, and open the sets."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    _WORK.append(begin())


def _leave_with(parent: int) -> None:
    """End this process when its parent is gone: a killed run must not write beside the one that resumes it."""
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY)
    os._exit(1)


def _rows(chain: Sequence[Any]) -> list[dict[str, Any]]:
    return [row for task in chain for row in _WORK[0].rows(task)]
