"""The loop of a bench: what is left to do, how long it will take, then cell after cell, each kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from statistics import median
from typing import Any

from modest.bench.cell import Task, Work
from modest.bench.process import spread
from modest.bench.protocol import Protocol
from modest.bench.sets import Ground, prepare
from modest.bench.store import Store
from modest.types import Record


def run(protocol: Protocol, progress: Callable[[int, int], None] | None = None, jobs: int = 1) -> Iterator[Record]:
    """Run a bench, or what is left of it.

    Yields first a Record of stage ``"plan"`` (values: cells, finished, seconds), then one of stage ``"cell"`` per cell
    as it finishes (values: its row of results); ``epoch`` counts finished cells, ``step`` all cells. To predict the
    time, one cell of each (set, method, learner) is run beforehand at the budget nearest the mean budget - the mean
    cost when cost grows linearly with the budget; cells timed before in this folder serve as well.

    A selection is computed once per (set, missing rate, method, seed, budget) and shared by the learners; in rounds the
    budgets of a seed's method follow each other in one process. Stopping the iteration, Ctrl-C or a kill keeps every
    finished cell; running the same protocol again goes on from there and ends in the same files, except ``timings``.

    Parameters
    ----------
    protocol : Protocol
    progress : callable(done, total), optional
        Cells finished and cells in all.
    jobs : int
        Processes. Each cell computes with one thread, so that their number changes no result. With more than one, a
        script that calls this needs the usual ``if __name__ == "__main__":``.

    Raises
    ------
    ValueError
        If the folder holds another protocol, a budget exceeds a subsample, or a set is not fit for a bench.
    OSError
        If the folder cannot be written or is in use.
    """
    if jobs < 1:
        raise ValueError(f"jobs={jobs} is below one; give the number of processes, such as the cores you have.")
    grounds = _grounds(protocol)
    tasks = plan(protocol, grounds)
    store = Store(protocol.out)
    with store.begun(describe(protocol, grounds)):
        try:
            yield from _cells(protocol, grounds, tasks, store, progress, jobs)
        finally:
            store.merge()


def plan(protocol: Protocol, grounds: dict[str, Ground]) -> list[Task]:
    """All tasks in the order they are run: set, seed, missing rate, method, budget."""
    return [
        Task(name, rate, seed, method, items)
        for name, ground in grounds.items()
        for seed in range(protocol.seeds)
        for rate in protocol.missing
        for method in protocol.methods
        for items in protocol.items(ground)
    ]


def describe(protocol: Protocol, grounds: dict[str, Ground]) -> dict[str, Any]:
    """What is written into ``protocol.json``: the protocol, and per set its parts, hashes and budgets in items."""
    sets = {
        name: {
            **ground.about,
            "budgets": {str(items): budgets for items, budgets in protocol.items(ground).items()},
            "budget_share": {str(items): items / len(ground.pool) for items in protocol.items(ground)},
        }
        for name, ground in grounds.items()
    }
    return {"protocol": protocol.described(), "sets": sets}


def _cells(
    protocol: Protocol,
    grounds: dict[str, Ground],
    tasks: list[Task],
    store: Store,
    progress: Callable[[int, int], None] | None,
    jobs: int,
) -> Iterator[Record]:
    total = len(tasks) * len(protocol.learners)
    done = finished = len(store.all("cells"))
    left = [task for task in tasks if _unfinished(store, task, protocol)]
    work = Work(store, grounds, protocol)
    ahead = [work.rows(task) for task in _pilots(store, left, protocol)]
    left = [task for task in left if _unfinished(store, task, protocol)]
    seconds = _predict(store, left, protocol) / jobs
    yield Record(
        "plan", finished, total, {"cells": total, "finished": finished + sum(map(len, ahead)), "seconds": seconds}
    )
    chains = _chains(left) if protocol.rounds else [[task] for task in left]
    rest = (
        spread(partial(_begin, store, protocol), chains, jobs) if jobs > 1 and len(chains) > 1 else map(work.rows, left)
    )
    for rows in chain(ahead, rest):
        for row in rows:
            done += 1
            if progress is not None:
                progress(done, total)
            yield Record("cell", done, total, row)


def _grounds(protocol: Protocol) -> dict[str, Ground]:
    return {name: prepare(name, source, protocol.test_share) for name, source in protocol.sets.items()}


def _begin(store: Store, protocol: Protocol) -> Work:
    """The worker of another process, which opens the sets itself."""
    return Work(store, _grounds(protocol), protocol)


def _chains(tasks: list[Task]) -> list[list[Task]]:
    """Tasks that build upon each other, together and in order."""
    found: dict[tuple[str, float, int, str], list[Task]] = {}
    for task in tasks:
        found.setdefault((task.set, task.missing, task.seed, task.method), []).append(task)
    return list(found.values())


def _unfinished(store: Store, task: Task, protocol: Protocol) -> bool:
    return not all(store.has("cells", f"{task.key}~{learner}") for learner in protocol.learners)


def _pilots(store: Store, left: list[Task], protocol: Protocol) -> list[Task]:
    """One task per (set, method) nearest the mean budget, where nothing was timed yet."""
    timed = {(key.split("~")[0], key.split("~")[3]) for key in store.all("timings") if key.count("~") == 5}
    pilots: dict[tuple[str, str], Task] = {}
    for name in dict.fromkeys(task.set for task in left):
        own = [task for task in left if task.set == name]
        mean = sum(task.items for task in own) / len(own)
        for task in own:
            at = (name, task.method)
            nearer = at not in pilots or abs(task.items - mean) < abs(pilots[at].items - mean)
            if at not in timed and nearer:
                pilots[at] = task
    return list(pilots.values())


def _predict(store: Store, left: list[Task], protocol: Protocol) -> float:
    """Seconds for the cells left: medians of the choices and fits timed so far."""
    chosen: dict[tuple[str, str], list[float]] = {}
    fitted: dict[tuple[str, str], list[float]] = {}
    for key, timing in store.all("timings").items():
        parts = key.split("~")
        book, what = (chosen, parts[3]) if len(parts) == 5 else (fitted, parts[5])
        book.setdefault((parts[0], what), []).append(float(timing["seconds"]))
    seconds = 0.0
    for task in left:
        if not store.has("choices", task.key):
            seconds += median(chosen.get((task.set, task.method), [0.0]))
        for learner in protocol.learners:
            if not store.has("cells", f"{task.key}~{learner}"):
                seconds += median(fitted.get((task.set, learner), [0.0]))
    return seconds
