"""One chain of a pairing bench: rounds of embedding, choosing, asking, entering, training and scoring.

A buffer of a stream is a pool whose free rows are its own and whose other rows are the pairs bought before; a pool is a
stream of one buffer that is shown again and again. What chooses receives rows, the pairs that were bought, and row
numbers of shuffled tables as ids; the truth is read by the oracle and, after the choice, by the diagnostics.

    radius(side)  =  max over free rows i of min over covered rows s of |e_i - e_s|      before the choice
    AUROC(side)   =  of the margin of every free row, whether its most similar free row is its partner
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from modest.bench.pairing.learners import LEARNERS
from modest.bench.pairing.protocol import PairProtocol
from modest.bench.pairing.sets import PairGround
from modest.data.files import rows_hash
from modest.data.keys import order
from modest.encoders.towers import standardised
from modest.evaluation import auroc
from modest.neighbours import covered_distance, top_k
from modest.pairing import METHODS, choose
from modest.pairing.ledger import Ledger
from modest.pairing.oracle import Hidden, corrupt
from modest.pairing.sides import Setting, read_setting
from modest.types import Int, Query

FIRST = "random"


@dataclass(frozen=True)
class Task:
    """A chain, the unit of work."""

    set: str
    setting: str
    learner: str
    method: str
    seed: int

    @property
    def key(self) -> str:
        """Name of its files."""
        return f"{self.set}~{self.setting}~{self.learner}~{self.method}~seed-{self.seed}"


class Chain:
    """The chain of a task; :meth:`rounds` plays it."""

    def __init__(self, ground: PairGround, protocol: PairProtocol, task: Task) -> None:
        self.ground, self.protocol, self.task = ground, protocol, task
        self.sides, self.truth = ground.pool(task.seed, protocol.subsample, protocol.missing)
        self.names = ground.names
        told = corrupt(self.truth, wrong=protocol.wrong, missing=protocol.unknown, seed=task.seed)
        self.oracle = Hidden(told, self.names, noise=protocol.noise, seed=task.seed)
        self.ledger = Ledger({name: len(x) for name, x in self.sides.items()})
        self.learner = LEARNERS[task.learner](task.seed, protocol.retrain, **protocol.training_of(task.learner))
        self.learner.start(self.sides, ground.given.common)
        raw = {} if ground.given.common else self.sides
        self.views = {name: standardised(x, np.arange(len(x))) for name, x in raw.items()}

    def rounds(self) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
        """(row of results, seconds) of every round; first, where there is a space at once, of no round at all."""
        asked = 0
        if self.learner.ready:
            yield {"round": -1, "asked": 0, **self._sums(), **self._scores()}, {}
        for number, buffer in enumerate(self._buffers()):
            seen = _Seen(self, buffer)
            if not any(mask.any() for mask in seen.free.values()):
                return
            begin = time.perf_counter()
            queries = self._chosen(seen, number)
            chosen = time.perf_counter()
            told = seen.diagnosed()
            train = time.perf_counter()
            for query in queries:
                self.ledger.take(query, self.oracle(query))
            self.learner.fit(self.ledger.pairs)
            spent = {"acquire": chosen - begin, "train": time.perf_counter() - train}
            asked += sum(map(len, queries))
            row = {"round": number, "asked": asked, **self._sums(), **self._told(queries), **told, **self._scores()}
            yield row, spent

    def _chosen(self, seen: _Seen, number: int) -> list[Query]:
        """Queries of a round in the frames of the whole sides."""
        budget = min(self.protocol.per_round(seen.pairs), sum(int(mask.sum()) for mask in seen.free.values()))
        method, knobs = self.protocol.knobs(self.task.method, budget)
        if not self.learner.ready and (self.protocol.first == "shared" or METHODS[method].space):
            method, knobs = FIRST, {}
        if METHODS[method].views and self.views:
            knobs = {"views": seen.views, **knobs}
        found = choose(**seen.given, budget=budget, method=method, seed=self.task.seed, round=number, **knobs)
        return [seen.outside(query) for query in found if len(query)]

    def _buffers(self) -> Iterator[Mapping[str, Int]]:
        """Rows per side that may be asked about, round by round."""
        rows = {name: np.arange(len(x)) for name, x in self.sides.items()}
        if self.task.setting == "pool":
            for _ in range(self.protocol.rounds):
                yield rows
            return
        a, b = self.names
        units = np.unique(self.truth[:, 0])
        units = units[order(units.astype(str), self.task.seed, "stream")]
        count = max(1, math.ceil(len(units) / self.protocol.buffer))
        part = np.full(len(rows[a]), -1, dtype=np.int64)
        part[units] = np.arange(len(units)) // self.protocol.buffer
        where = {a: part, b: np.full(len(rows[b]), -1, dtype=np.int64)}
        where[b][self.truth[:, 1]] = part[self.truth[:, 0]]
        for place in where.values():  # rows without partner come by turns
            alone = np.flatnonzero(place < 0)
            place[alone] = np.arange(len(alone)) % count
        for number in range(count):
            yield {name: np.flatnonzero(place == number) for name, place in where.items()}

    def _sums(self) -> dict[str, Any]:
        pairs = self.ledger.pairs
        right = {tuple(pair) for pair in self.truth.tolist()}
        wrong = sum(tuple(pair) not in right for pair in pairs.tolist())
        return {"pairs": len(pairs), "wrong": wrong, "cost": self.ledger.cost}

    def _told(self, queries: list[Query]) -> dict[str, Any]:
        """What the queries of a round say of themselves; the candidates are those of the notes of a method."""
        counts = {f"asked:{name}": sum(len(q) for q in queries if q.modality == name) for name in self.names}
        known = [int(q.trace["evaluations"]) for q in queries if "evaluations" in q.trace]
        names = [f"{q.modality}/{row}" for q in queries for row in q.rows.tolist()]
        return {**counts, "evaluations": max(known, default=None), "choice": rows_hash(np.array(names, dtype=np.str_))}

    def _scores(self) -> dict[str, float]:
        return self.ground.score(self.learner.embed(self.ground.given.test)) if self.learner.ready else {}


class _Seen:
    """What is in sight in a round: rows of a buffer, and those of pairs bought before, under the learner as it is."""

    def __init__(self, chain: Chain, buffer: Mapping[str, Int]) -> None:
        self._chain, pairs = chain, chain.ledger.pairs
        self.pairs = int(np.isin(chain.truth[:, 0], buffer[chain.names[0]]).sum())
        self._rows = {name: np.union1d(buffer[name], pairs[:, k]) for k, name in enumerate(chain.names)}
        free = chain.ledger.free  # no row of a pair is
        self.free = {name: free[name][rows] for name, rows in self._rows.items()}
        ids = {name: np.char.zfill(rows.astype(str), len(str(len(free[name])))) for name, rows in self._rows.items()}
        plain = {name: chain.sides[name][rows] for name, rows in self._rows.items()}
        sides = chain.learner.embed(plain) if chain.learner.ready else plain
        self.views = {name: x[self._rows[name]] for name, x in chain.views.items()}
        inside = [np.searchsorted(rows, pairs[:, k]) for k, rows in enumerate(self._rows.values())]
        self.given: dict[str, Any] = {"sides": sides, "pairs": np.stack(inside, 1), "free": self.free, "ids": ids}

    def outside(self, query: Query) -> Query:
        """A query in the frames of the whole sides."""
        lists, there = query.shortlists.copy(), query.shortlists >= 0
        lists[there] = self._rows[query.target][lists[there]]
        return replace(query, rows=self._rows[query.modality][query.rows], shortlists=lists)

    def diagnosed(self) -> dict[str, float | None]:
        """Radius and AUROC of each side, None where there is no common space or nothing to tell."""
        if not self._chain.learner.ready:
            return {}
        setting = read_setting(**self.given)
        told: dict[str, float | None] = {}
        for name, side in setting.sides.items():
            told[f"radius:{name}"] = None
            if len(side.covered) and side.free.any():
                far = covered_distance(side.rows, side.covered)[side.free].max()
                told[f"radius:{name}"] = round(math.sqrt(float(far)), 6)
        for a, b in (self._chain.names, self._chain.names[::-1]):
            told[f"auroc:{a}"] = self._auroc(setting, a, b)
        return told

    def _auroc(self, setting: Setting, a: str, b: str) -> float | None:
        side, target = setting.sides[a], setting.sides[b]
        if not side.free.any() or target.free.sum() < 2:
            return None
        best, at = top_k(target.rows, side.rows.take(side.open).x, 2, torch.as_tensor(target.free))
        column = self._chain.names.index(a)
        true = {tuple(pair) for pair in self._chain.truth[:, [column, 1 - column]].tolist()}
        first = zip(self._rows[a][side.open].tolist(), self._rows[b][at[:, 0].numpy()].tolist())
        value = auroc((best[:, 0] - best[:, 1]).numpy(), np.array([pair in true for pair in first], dtype=bool))
        return None if math.isnan(value) else value
