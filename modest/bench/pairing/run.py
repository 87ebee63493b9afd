"""The loop of a pairing bench: which chains are left, how long they will take, then chain after chain, kept at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain as joined
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from modest.bench.pairing.chain import Chain, Task
from modest.bench.pairing.protocol import PairProtocol
from modest.bench.pairing.sets import PairGround, prepare
from modest.bench.process import spread
from modest.bench.store import Store, about_bench
from modest.types import Record

KIND = "pairing bench"
POINT = ("set", "setting", "learner", "method", "seed")
ORDER = (*POINT, "round")


@dataclass(frozen=True, eq=False)
class Work:
    """Runs chains with one thread each: no result depends on the number of processes."""

    store: Store
    grounds: Mapping[str, PairGround]
    protocol: PairProtocol

    def rows(self, task: Task) -> list[dict[str, Any]]:
        """Play a chain and write it; its rows, one per round."""
        with threadpool_limits(1):
            played = list(Chain(self.grounds[task.set], self.protocol, task).rounds())
        spent = [seconds for _, seconds in played if seconds]
        timing = {what: [one[what] for one in spent] for what in ("acquire", "train")}
        self.store.write("timings", task.key, {**timing, "seconds": sum(map(sum, timing.values()))})
        cell = {**{name: getattr(task, name) for name in POINT}, "retrain": self.protocol.retrain}
        cell["rounds"] = [row for row, _ in played]
        self.store.write("cells", task.key, cell)
        return flat(cell)


def flat(cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of a chain's file, one per round."""
    told = {name: value for name, value in cell.items() if name != "rounds"}
    return [{**told, **row} for row in cell["rounds"]]


def run(protocol: PairProtocol, progress: Callable[[int, int], None] | None = None, jobs: int = 1) -> Iterator[Record]:
    """Run a pairing bench, or what is left of it.

    Yields first a Record of stage ``"plan"`` (values: cells, finished, seconds), then one of stage ``"cell"`` per chain
    as it finishes (values: the row of its last round); ``epoch`` counts finished chains, ``step`` all of them. To
    predict the time, one chain of each set, setting and learner is run beforehand, unless some are there; the others
    are taken to last as long. Stopping the iteration, Ctrl-C or a kill keeps every finished chain; running the same
    protocol again goes on from there and ends in the same files, except ``timings``.

    Parameters
    ----------
    protocol : PairProtocol
    progress : callable(done, total), optional
    jobs : int
        Processes; with more than one, a script needs the usual ``if __name__ == "__main__":``.

    Raises
    ------
    ValueError
        If the folder holds another protocol, or a set is not fit for a bench.
    OSError
        If the folder cannot be written or is in use.
    """
    if jobs < 1:
        raise ValueError(f"jobs={jobs} is below one; give the number of processes, such as the cores you have.")
    grounds = _grounds(protocol)
    store = Store(protocol.out, KIND, ORDER)
    about = {"protocol": protocol.described(), "sets": {name: dict(ground.about) for name, ground in grounds.items()}}
    with store.begun(about):
        try:
            yield from _cells(protocol, grounds, store, progress, jobs)
        finally:
            store.merge(flat)


def plan(protocol: PairProtocol) -> list[Task]:
    """All chains in the order they are run: set, setting, learner, seed, method."""
    return [
        Task(name, setting, learner, method, seed)
        for name in protocol.sets
        for setting in protocol.setting
        for learner in protocol.learner
        for seed in range(protocol.seeds)
        for method in protocol.methods
    ]


def results(path: str | Path) -> pd.DataFrame:
    """Results of a pairing bench, one row per round of every finished chain.

    Columns: set, setting, learner, retrain, method, seed, round (-1: before any), asked, pairs, wrong (of the pairs),
    cost, scores (text, image, group, match where there are groups; ``recall@k`` and ``recall@k:a>b``), per side
    ``asked:<side>`` in this round, ``radius:<side>`` and ``auroc:<side>`` before its choice, evaluations, choice.

    Raises
    ------
    FileNotFoundError
        If there is no such bench, or no chain has finished yet.
    """
    about_bench(path, KIND)
    file = Path(path) / "results.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no finished results; run its bench again to go on.")
    return pd.read_csv(file, dtype={"set": str, "setting": str, "learner": str, "method": str, "choice": str})


def seconds(path: str | Path) -> pd.DataFrame:
    """Seconds of the finished chains: set, setting, learner, method, seed, acquire and train (sums over rounds)."""
    store = Store(Path(path), KIND, ORDER)
    rows = []
    for key, told in store.all("timings").items():
        *names, seed = key.split("~")
        point = dict(zip(POINT, [*names, int(seed.removeprefix("seed-"))]))
        rows.append({**point, **{what: sum(told[what]) for what in ("acquire", "train")}})
    return pd.DataFrame(rows, columns=[*POINT, "acquire", "train"])


def _cells(
    protocol: PairProtocol,
    grounds: dict[str, PairGround],
    store: Store,
    progress: Callable[[int, int], None] | None,
    jobs: int,
) -> Iterator[Record]:
    tasks = plan(protocol)
    left = [task for task in tasks if not store.has("cells", task.key)]
    finished = done = len(tasks) - len(left)
    work = Work(store, grounds, protocol)
    pilots = _pilots(store, left)
    ahead = [work.rows(task) for task in pilots]
    left = [task for task in left if task not in pilots]
    told = {"cells": len(tasks), "finished": finished + len(ahead), "seconds": _predict(store, left) / jobs}
    yield Record("plan", finished, len(tasks), told)
    begin = partial(_begin, store, protocol)
    rest = spread(begin, [[task] for task in left], jobs) if jobs > 1 and len(left) > 1 else map(work.rows, left)
    for rows in joined(ahead, rest):
        done += 1
        if progress is not None:
            progress(done, len(tasks))
        yield Record("cell", done, len(tasks), rows[-1])


def _pilots(store: Store, left: list[Task]) -> list[Task]:
    """The first chain of every set, setting and learner that none has been timed of."""
    timed = {tuple(key.split("~")[:3]) for key in store.all("timings")}
    first: dict[tuple[str, str, str], Task] = {}
    for task in left:
        first.setdefault((task.set, task.setting, task.learner), task)
    return [task for place, task in first.items() if place not in timed]


def _predict(store: Store, left: list[Task]) -> float:
    """Seconds of the chains left: means of those timed, of the same method where there is one."""
    timed: dict[tuple[str, ...], list[float]] = {}
    for key, told in store.all("timings").items():
        parts = key.split("~")
        for place in (tuple(parts[:3]), tuple(parts[:4])):
            timed.setdefault(place, []).append(float(told["seconds"]))
    places = [(task.set, task.setting, task.learner, task.method) for task in left]
    return sum(mean(timed.get(place) or timed.get(place[:3]) or [0.0]) for place in places)


def _grounds(protocol: PairProtocol) -> dict[str, PairGround]:
    return {name: prepare(name, source, protocol.test_share) for name, source in protocol.sets.items()}


def _begin(store: Store, protocol: PairProtocol) -> Work:
    """The worker of another process, which opens the sets itself."""
    return Work(store, _grounds(protocol), protocol)
