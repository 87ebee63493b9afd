"""One set of ``benchmarks.missing``: its cells by rate and method, the ceiling, and the tables made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.balance_page import percent, points, rows
from modest.classifier import METHODS
from modest.evaluation import calibration, compare, weighted_f1

Cell = dict[str, Any]
BASELINE, OURS = "zero", ("mla", "auto")


def read(into: Path) -> list[Cell]:
    """All cells, each with ``proba``, ``y``, ``present`` of its test rows."""
    cells = []
    for path in sorted((into / "cells").glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        with np.load(path.with_suffix(".npz")) as kept:
            told |= {"proba": kept["proba"].astype(np.float32), "y": kept["y"], "present": kept["present"]}
        told["right"] = told["proba"].argmax(axis=1) == told["y"]
        cells.append(told)
    return cells


def of(cells: Iterable[Cell], **where: Any) -> list[Cell]:
    """Those whose fields are so, by seed."""
    return sorted((c for c in cells if all(c[k] == v for k, v in where.items())), key=lambda c: c["seed"])


class Ceiling:
    """Classifiers of one set by seed and pattern, the better of each on validation rows."""

    def __init__(self, cells: Iterable[Cell], names: Sequence[str]) -> None:
        self.names, self.best = list(names), dict[tuple[int, tuple[bool, ...]], Cell]()
        for cell in cells:
            key = (cell["seed"], tuple(m in cell["only"] for m in self.names))
            if key not in self.best or (cell["validated"] or 0) > (self.best[key]["validated"] or 0):
                self.best[key] = cell

    def right(self, seed: int, present: np.ndarray) -> np.ndarray | None:
        """(n,) bool, which rows are answered rightly by the classifier of their pattern; None if one is missing."""
        patterns = {tuple(map(bool, row)) for row in present}
        if not all((seed, pattern) in self.best for pattern in patterns):
            return None
        said = np.zeros(len(present), dtype=bool)
        for pattern in patterns:
            where = (present == pattern).all(axis=1)
            said[where] = self.best[seed, pattern]["right"][where]
        return said


def by_seed(cells: Iterable[Cell]) -> dict[int, float]:
    """Seed -> accuracy."""
    return {cell["seed"]: float(cell["right"].mean()) for cell in cells}


def apart(a: Mapping[int, float], b: Mapping[int, float]) -> Any:
    """Paired difference a - b over the seeds both have; None where there is none."""
    seeds = sorted(a.keys() & b.keys())
    return compare([a[s] for s in seeds], [b[s] for s in seeds]) if seeds else None


def best_or_tied(scores: Mapping[str, Mapping[int, float]]) -> set[str]:
    """Names whose mean is the best of those with most seeds, or that are tied with it or above over common seeds."""
    most = max(map(len, scores.values()))
    best = max((m for m, own in scores.items() if len(own) == most), key=lambda m: np.mean(list(scores[m].values())))
    told = {name: apart(own, scores[best]) for name, own in scores.items()}
    return {name for name, d in told.items() if d is not None and (d.tied or d.low > 0)} | {best}


class Place:
    """The cells of one set in the series ``table``: scores by rate and method, and the ceiling's."""

    def __init__(self, cells: Sequence[Cell], name: str) -> None:
        own = of(cells, series="table", set=name)
        self.name, self.cells = name, own
        self.rates = sorted({cell["rate"] for cell in own})
        found = {cell["method"] for cell in own}
        self.methods = [method for method in METHODS if method in found]
        self.at = {r: {m: of(own, rate=r, method=m) for m in self.methods} for r in self.rates}
        self.at = {r: {m: there for m, there in by.items() if there} for r, by in self.at.items()}
        self.scores = {r: {m: by_seed(there) for m, there in by.items()} for r, by in self.at.items()}
        self.top = Ceiling(of(cells, series="ceiling", set=name), own[0]["names"] if own else ())
        self.ceiling = {r: self._ceiling(r) for r in self.rates}

    def _ceiling(self, rate: float) -> dict[int, float]:
        said = {c["seed"]: self.top.right(c["seed"], c["present"]) for c in self.at[rate].get(BASELINE, ())}
        return {seed: float(right.mean()) for seed, right in said.items() if right is not None}

    def accuracy(self) -> str:
        """Method x rate, with the ceiling last."""
        stars = {r: best_or_tied(own) for r, own in self.scores.items()}
        content = []
        for method in self.methods:
            own = [(r, self.scores[r].get(method)) for r in self.rates]
            told = ["" if v is None else percent(list(v.values()), method in stars[r]) for r, v in own]
            content.append([method, max(len(v or ()) for _, v in own), *told])
        top = ["" if not v else percent(list(v.values())) for v in self.ceiling.values()]
        content.append(["*ceiling*", max(map(len, self.ceiling.values())), *top])
        return rows(["method", "seeds", *(f"{100 * r:.0f} %" for r in self.rates)], content)

    def others(self) -> str:
        """Weighted F1 and calibration error, means only."""
        content = []
        for method in self.methods:
            told = []
            for r in self.rates:
                own = self.at[r].get(method, [])
                f1 = [weighted_f1(c["y"], c["proba"].argmax(axis=1)) for c in own]
                error = [calibration(c["proba"], c["y"]).error for c in own]
                told.append(f"{100 * np.mean(f1):.1f} / {100 * np.mean(error):.1f}" if own else "")
            content.append([method, *told])
        return rows(["weighted F1 / calibration error", *(f"{100 * r:.0f} %" for r in self.rates)], content)

    def way(self) -> tuple[str, list[list[Any]]]:
        """How far ours go from zero filling to the ceiling, and whether first or tied, rate by rate."""
        content = []
        for r in self.rates:
            own, top, base = self.scores[r], self.ceiling[r], self.scores[r].get(BASELINE)
            first = best_or_tied(own)
            for method in OURS:
                if not top or base is None or method not in own:
                    continue
                room, gained = apart(top, base), apart(own[method], base)
                share = gained.mean / room.mean if room.mean > 0.005 else float("nan")
                content.append([self.name, f"{100 * r:.0f} %", method, "yes" if method in first else "no",
                                points(gained), points(room), share])  # fmt: skip
        head = ["set", "rate", "ours", "first or tied", "less zero filling", "ceiling less zero filling", "of the way"]
        told = [[*line[:-1], "no room" if line[-1] != line[-1] else f"{line[-1]:.0%}"] for line in content]
        return rows(head, told), content

    def patterns(self, rate: float, methods: Sequence[str]) -> str:
        """Accuracy by presence pattern at one rate: rows of all seeds together, of methods that have them all."""
        first = self.at[rate][BASELINE]
        by = {m: own for m, own in self.at[rate].items() if m in methods and len(own) == len(first)}
        present = np.concatenate([c["present"] for c in first])
        right = {m: np.concatenate([c["right"] for c in own]) for m, own in by.items()}
        top = [self.top.right(c["seed"], c["present"]) for c in first]
        if all(part is not None for part in top):
            right["*ceiling*"] = np.concatenate(top)
        names, content = first[0]["names"], []
        for pattern in sorted({tuple(row) for row in present.tolist()}, key=lambda p: (sum(p), p), reverse=True):
            where = (present == pattern).all(axis=1)
            told = [f"{100 * own[where].mean():.1f}" for own in right.values()]
            has = " + ".join(name for name, there in zip(names, pattern) if there)
            content.append([has, f"{100 * where.mean():.0f} %", *told])
        return rows(["has", "of the rows", *right], content)
