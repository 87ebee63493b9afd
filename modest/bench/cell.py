"""One cell of a bench: a seed's subsample and mask, a choice from it, a learner fitted on it, its scores."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from modest.bench.probe import Probe, Standard
from modest.bench.protocol import PROBE, SUPERVISED, Protocol
from modest.bench.sets import Ground
from modest.bench.store import Store
from modest.classifier import MultimodalClassifier
from modest.data.files import rows_hash
from modest.data.masks import kept_one
from modest.data.presence import missing_mask, observed
from modest.data.splits import split_hash, subsample
from modest.evaluation import METRICS, scores
from modest.rounds import Way, turn
from modest.rounds.turn import Ask
from modest.selection import select
from modest.types import Float, Ids, Int, Views


@dataclass(frozen=True)
class Task:
    """One choice and the cells that learn from it: the unit of work."""

    set: str
    missing: float
    seed: int
    method: str
    items: int

    @property
    def key(self) -> str:
        """Name of its files; a cell's adds the learner."""
        return f"{self.set}~missing-{self.missing:g}~seed-{self.seed}~{self.method}~{self.items}"


class Arena:
    """What the cells of one (set, missing rate, seed) share: subsample, mask, and the views under it.

    ``rows`` (k,) are the subsample, in the frame of the whole set; ``present`` (n, M) what is left after the mask.
    """

    def __init__(self, ground: Ground, protocol: Protocol, missing: float, seed: int) -> None:
        self.ground, self.protocol, self.seed = ground, protocol, seed
        ids = ground.views.ids
        self.rows: Int = ground.pool[subsample(len(ground.pool), protocol.subsample, seed, ids[ground.pool].tolist())]
        own = observed(ground.views)
        mask = missing_mask(len(own), own.shape[1], missing, seed, ids.tolist())
        self.present = kept_one(own, mask, seed, ids)
        self.mask_hash = split_hash(ids, self.present)
        self.table = Views(ground.views.arrays, None if self.present.all() else self.present, ids)
        self.pool = self.table[self.rows]
        self.test = self.table[ground.test]
        self._fitted: tuple[Int, Probe] | None = None

    @cached_property
    def standard(self) -> Standard:
        """Statistics of the unlabelled subsample, for the probe."""
        return Standard.of(self.pool)

    def row_of(self, ids: Sequence[str]) -> Int:
        """Rows (frame of the whole set) of some ids."""
        return np.array([self._position[name] for name in ids], dtype=np.int64)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.table.ids.tolist())}

    def choose(self, method: str, items: int) -> Int:
        """Rows (frame of the whole set) that a method buys; all of the subsample needs no method."""
        if items >= len(self.rows):
            return self.rows
        knobs = self.protocol.knobs.get(method, {})
        return self.rows[select(self.pool, items, method, self.seed, **knobs).rows]

    def extend(self, method: str, items: int, before: Int) -> tuple[Int, dict[str, str]]:
        """Rows bought after a round, those of ``before`` first, and which method chose and why."""
        if items >= len(self.rows):
            return self.rows, {"method": "all", "why": "the budget buys all of the subsample"}
        way, taken = Way.of(method, self.protocol.first), np.isin(self.rows, before)
        choice, why = turn(
            self.pool, items - len(before), way, taken, self._ask(before), self.seed, self.protocol.knobs
        )
        return np.append(before, self.rows[choice.rows]), {"method": choice.method, "why": why}

    def _ask(self, bought: Int) -> Ask | None:
        """Warm arrays of the subsample from a classifier fitted on the bought rows; None for fewer than two classes."""
        y = self.ground.labels[bought].astype(np.str_)
        if len(set(y.tolist())) < 2:
            return None
        known, asked = self.ground.labels[self.rows], self.protocol.asked
        known[~np.isin(self.rows, bought)] = None

        def ask(needs: Sequence[str]) -> dict[str, Any]:
            if isinstance(asked, str):
                return self._probe(bought, y).arrays(self.pool, needs, known)
            clf = MultimodalClassifier(**{"random_state": self.seed, **asked, "method": "concat"})
            return clf.fit(self.table[bought], y, False).arrays(self.pool, needs, y=known)

        return ask

    def _probe(self, bought: Int, y: Ids) -> Probe:
        """The probe of the bought rows; the last one is kept, since a round is scored before the next one asks it."""
        if self._fitted is None or not np.array_equal(self._fitted[0], bought):
            self._fitted = bought, Probe(self.standard, self.protocol.c).fit(self.table[bought], y)
        return self._fitted[1]

    def score(self, learner: str, bought: Int) -> dict[str, Any]:
        """Metrics on the test rows of a learner fitted on the bought rows, fused and per modality."""
        y, truth = self.ground.labels[bought].astype(np.str_), self.ground.labels[self.ground.test].astype(np.str_)
        classes, fused, own = self._answer(learner, bought, y)
        result = scores(truth, fused, own, classes, self.table.names)
        flat = {name: result["fused"][name] for name in (*METRICS, "rows")}
        flat["classes_bought"] = len(set(y.tolist()))
        for modality, values in result["modality"].items():
            flat |= {f"{modality}:{name}": values[name] for name in (*METRICS, "rows")}
        return {name: None if value != value else value for name, value in flat.items()}

    def _answer(self, learner: str, bought: Int, y: Ids) -> tuple[Ids, Float, Float]:
        """Classes (C,), fused (n, C) and own (M, n, C) probabilities for the test rows."""
        if learner == PROBE or len(set(y.tolist())) == 1:  # a recipe needs two classes; the probe answers the one
            probe = self._probe(bought, y)
            return (probe.classes_, *probe.predict(self.test))
        recipe, _, way = learner.partition("@")
        arguments = {"method": recipe, "random_state": self.seed, **self.protocol.classifier}
        if way:
            return self._from_media(arguments, way, bought, y)
        clf = MultimodalClassifier(**arguments).fit(self.table[bought], y, *self._validation(bought))
        return np.asarray(clf.classes_), clf.predict_proba(self.test), clf.modality_proba(self.test)

    def _from_media(self, arguments: dict[str, Any], way: str, bought: Int, y: Ids) -> tuple[Ids, Float, Float]:
        """The answer of a recipe that reads the pool's own media: from scratch, or from pretrained encoders."""
        encoders = self.protocol.encoders if way == SUPERVISED else self.protocol.start
        labels = np.full(len(self.ground.labels), None, dtype=object)
        labels[bought] = y
        full = len(bought) >= len(self.rows)
        if full:
            labels[self.ground.val] = self.ground.labels[self.ground.val]
        clf = MultimodalClassifier(**arguments, encoders=encoders)
        clf.fit(self.ground.source, labels, None if full else False)
        found = clf.outputs(self.ground.source, self.ground.test)
        return np.asarray(clf.classes_), found.proba, found.modality

    def _validation(self, bought: Int) -> tuple[Any, Any]:
        """(validation, groups) of a recipe: none under a budget; with all labels the validation rows, or a carve."""
        if len(bought) < len(self.rows):
            return False, None
        val = self.ground.val
        if len(val):
            return (self.table[val], self.ground.labels[val].astype(np.str_)), None
        return None, None if self.ground.groups is None else self.ground.groups[bought]


class Work:
    """Runs tasks on one bench, keeping the last arena at hand: tasks of a seed that follow each other share it.

    One thread does a cell: small steps on several cost more than they gain, and no result depends on their number.
    """

    def __init__(self, store: Store, grounds: Mapping[str, Ground], protocol: Protocol) -> None:
        self.store, self.grounds, self.protocol = store, grounds, protocol
        self._place: tuple[str, float, int] | None = None
        self._arena: Arena | None = None

    def rows(self, task: Task) -> list[dict[str, Any]]:
        """Run the unfinished cells of a task, writing each as it ends; return their rows."""
        place = (task.set, task.missing, task.seed)
        with threadpool_limits(1):
            if self._arena is None or place != self._place:
                self._arena = None  # before the next one is made: an arena holds its views in memory
                self._arena = Arena(self.grounds[task.set], self.protocol, task.missing, task.seed)
                self._place = place
            return self._cells(self._arena, task)

    def _cells(self, arena: Arena, task: Task) -> list[dict[str, Any]]:
        """Each learner that has no cell yet, on what the task buys."""
        rows = []
        for learner in arena.protocol.learners:
            key = f"{task.key}~{learner}"
            if self.store.has("cells", key):
                continue
            bought = self._bought(arena, task)
            begin = time.perf_counter()
            row = {
                **{"set": task.set, "missing": task.missing, "learner": learner, "method": task.method},
                **{"items": task.items, "seed": task.seed},
                **arena.score(learner, bought),
                **{"choice": rows_hash(arena.table.ids[bought]), "mask": arena.mask_hash},
            }
            self.store.write("timings", key, {"seconds": time.perf_counter() - begin})
            self.store.write("cells", key, row)
            rows.append(row)
        return rows

    def _bought(self, arena: Arena, task: Task) -> Int:
        """Rows a task buys: read, or chosen and written; in rounds those of the budget before come first."""
        if self.store.has("choices", task.key):
            return arena.row_of(self.store.read("choices", task.key)["ids"])
        before = self._before(task)
        earlier = np.empty(0, dtype=np.int64) if before is None else self._bought(arena, before)
        begin = time.perf_counter()
        if self.protocol.rounds:
            bought, told = arena.extend(task.method, task.items, earlier)
        else:
            bought, told = arena.choose(task.method, task.items), {}
        self.store.write("timings", task.key, {"seconds": time.perf_counter() - begin})
        self.store.write("choices", task.key, {"ids": arena.table.ids[bought].tolist(), **told})
        return bought

    def _before(self, task: Task) -> Task | None:
        """The round before, if there is one."""
        counts = [*self.protocol.items(self.grounds[task.set])] if self.protocol.rounds else [task.items]
        at = counts.index(task.items)
        return replace(task, items=counts[at - 1]) if at else None
