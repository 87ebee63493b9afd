"""Cells of ``benchmarks.paper``: the spaces of one seed of one set, what a method buys there and what it is worth."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.paper_printed import BUDGETS
from benchmarks.sets import load

SHARES = (0.01, 0.02, 0.05, 0.10)
SETS = {"grid_letter": ("grid_frozen", (25, 50, 100, 200)), "fashion": ("fashion_frozen", SHARES)} | {
    "emoji": ("emoji_frozen", SHARES)
}
ALIGN = "infonce"
LAMBDAS = (0.25, 0.5, 2.0)  # 0 is mmcsal-proto, 1 is mmcsal-final
WITH_MLA = ("random", "activeft", "mmcsal-final")
FIELDS = ("set", "seed", "setting", "learner", "method", "budget", "items", "accuracy", "macro_accuracy")
FIELDS += ("least", "second", "middle", "fourth", "most", "choice", "seconds", "cell_seconds")


@dataclass(frozen=True)
class Way:
    """How to choose: in which ``space`` (raw, without or with prototypes), by which method; ``warm`` ones by rounds."""

    space: str
    method: str
    knobs: dict[str, Any] = field(default_factory=dict)
    warm: bool = False


def _mmcsal(space: str, **knobs: Any) -> Way:
    return Way(space, "mmcsal", {"align": ALIGN, **knobs})


WAYS = {
    "random": Way("raw", "random"),
    **{name: Way("raw", name, warm=True) for name in ("badge", "bmmal", "gcnal", "alfamix")},
    "kcenter": Way("without", "kcenter"),
    "kmeans": Way("without", "kmeans"),
    "activeft": Way("without", "activeft", {"schedule": "cosine"}),
    "mmcsal-proto": _mmcsal("with", align="none"),
    "mmcsal-align": _mmcsal("without"),
    "mmcsal-final": _mmcsal("with"),
    **{f"mmcsal-{value:g}": _mmcsal("with", lambda_align=value) for value in LAMBDAS},
}
EXTRA = tuple(f"mmcsal-{value:g}" for value in LAMBDAS)  # of the table of lambda alone


class Place:
    """One seed of one set: its subsample as frozen views and in the two spaces of stage 1."""

    def __init__(self, name: str, seed: int, args: argparse.Namespace) -> None:
        from modest.bench.cell import Arena
        from modest.bench.protocol import PROBE, Protocol
        from modest.bench.sets import LabelledViews, prepare

        found = load(name, args.shared)
        labels = np.array(found.classes)[found.y]
        methods = tuple(way.method for way in WAYS.values() if way.warm)

        def arena(views: Any) -> Any:
            given = LabelledViews(views, labels, found.split, found.groups)
            protocol = Protocol(
                pool={name: given}, out="unused", methods=methods, budgets=SETS[name][1], rounds=True, warm=PROBE
            )
            return Arena(prepare(name, given), protocol, 0.0, seed)

        self.name, self.seed, self.args, self._arena = name, seed, args, arena
        self.raw = arena(found.views)
        self.counts = {BUDGETS[SETS[name][1].index(b)]: k for k, bs in self._items() for b in bs}

    def _items(self) -> Any:
        return self.raw.protocol.items(self.raw.ground).items()

    def space(self, name: str) -> Any:
        return self.raw if name == "raw" else self.plain if name == "without" else self.with_prototypes

    @cached_property
    def plain(self) -> Any:
        return self._stage_1("without")

    @cached_property
    def with_prototypes(self) -> Any:
        return self._stage_1("eval")

    def _stage_1(self, variant: str) -> Any:
        from benchmarks.represent import start

        run = start(SETS[self.name][0], variant, self.seed, self.raw.pool)
        return self._arena(run.result.encode(self.raw.table, device="cpu"))

    @cached_property
    def bin_of(self) -> dict[str, int]:
        """Fifth of each item of the set's training pool by confidence, 0 the least."""
        from modest.data.tracked import Tracked
        from modest.evaluation import confidence_bins, data_map

        noted = Tracked.load(self.args.into / "maps" / self.name)
        chart = data_map(noted.confidence, noted.correct)
        return dict(zip(noted.ids.tolist(), confidence_bins(chart.confidence).tolist()))

    def cell(self, method: str) -> list[dict[str, Any]]:
        """Rows of one method at all budgets."""
        way, begin = WAYS[method], time.perf_counter()
        settings = ("supervised",) if method in EXTRA else ("supervised", "semi_supervised")
        rows = []
        for setting in settings if way.warm else ("",):
            chosen = self._in_rounds(way, setting) if way.warm else self._at_once(way)
            for budget, (bought, seconds) in chosen.items():
                told = {"set": self.name, "seed": self.seed, "method": method, "budget": budget, "seconds": seconds}
                told |= self._about(bought)
                rows += [told | self._scored(one, "probe", bought) for one in ([setting] if setting else settings)]
                if method in WITH_MLA and budget == BUDGETS[2]:
                    rows.append(told | self._scored("supervised", "mla", bought))
        spent = time.perf_counter() - begin
        return [row | {"cell_seconds": spent} for row in rows]

    def _at_once(self, way: Way) -> dict[str, Any]:
        from modest.selection import select

        arena, found = self.space(way.space), {}
        for budget, items in self.counts.items():
            begin = time.perf_counter()
            choice = select(arena.pool, items, way.method, self.seed, **way.knobs)
            found[budget] = self.raw.rows[choice.rows], time.perf_counter() - begin
        return found

    def _in_rounds(self, way: Way, setting: str) -> dict[str, Any]:
        """From the second budget on; the first is random's."""
        arena, (first, *later) = self.space("raw" if setting == "supervised" else "with"), self.counts.items()
        bought, found = self.raw.choose("random", first[1]), {}
        for budget, items in later:
            begin = time.perf_counter()
            bought, _ = arena.extend(way.method, items, bought)
            found[budget] = bought, time.perf_counter() - begin
        return found

    def _about(self, bought: Any) -> dict[str, Any]:
        from modest.data.files import rows_hash
        from modest.evaluation import preference

        ids = self.raw.table.ids[bought]
        part = np.array([self.bin_of[name] for name in ids.tolist()])
        shares = preference(np.arange(len(part)), part)
        return {"items": len(bought), "choice": rows_hash(ids), **dict(zip(FIELDS[9:14], map(float, shares)))}

    def _scored(self, setting: str, learner: str, bought: Any) -> dict[str, Any]:
        scores = self.space("raw" if setting == "supervised" else "with").score(learner, bought)
        kept = {name: float(scores[name]) for name in ("accuracy", "macro_accuracy")}
        return {"setting": setting, "learner": learner, **kept}


def draw_map(name: str, args: argparse.Namespace) -> None:
    """Confidence per epoch of a classifier trained on all labels of the training pool, where it is not there yet."""
    from modest import MultimodalClassifier
    from modest.data.tracked import FILE, Tracked

    folder = args.into / "maps" / name
    if (folder / FILE).is_file():
        return
    found = load(name, args.shared)
    rows, labels = np.flatnonzero(found.split == "train"), np.array(found.classes)[found.y]
    clf = MultimodalClassifier(method="concat", options={"unimodal_heads": True}, device="cpu")
    noted = clf.run(found.views[rows], labels[rows], validation=False, track_items=True).result.dynamics
    folder.mkdir(parents=True, exist_ok=True)
    Tracked(found.views.ids[rows][noted.rows], labels[rows][noted.rows], noted.confidence, noted.correct).save(folder)
