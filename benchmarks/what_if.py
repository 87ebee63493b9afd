"""What-if against what happens: accuracy of every presence pattern, predicted from other rows, measured on test rows.

    python -m benchmarks.what_if --cells FILE          # trains what FILE lacks; some five minutes of one core
    python -m benchmarks.what_if --cells FILE --table PAGE

Training rows lack modalities at a rate of 0.3, drawn by seed, which redraws the classifier too. Measured: all test rows
reduced to a pattern. Predicted by ``modest.evaluation.what_if``, from

    validation   the set's validation rows, complete; they chose the epoch. av_digits has none: a speaker is held out
    cross-fit    training and validation rows with what they lack, each asked of a model that has not seen it (3 folds,
                 whole videos or speakers together, no validation rows); for `zero` alone, for time
    fresh        one half of the test rows, measured on the other half: rows of the same kind, which nobody has seen
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from math import erf, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sets

SETS = ("mosi", "scene15", "av_digits")
METHODS = ("zero", "dropout", "late", "mla", "auto")
CROSSED = ("zero",)
RATE, FOLDS, NEAR, SEEDS = 0.3, 3, 0.03, 5
KNOBS: dict[str, Any] = {"hidden": (128, 128), "width": 128, "epochs": 8, "batch_size": 64, "device": "cpu"}
SOURCES = ("validation", "cross-fit", "fresh")


def cell(given: sets.Set, method: str, seed: int) -> list[dict[str, Any]]:
    """One line per source and pattern: predicted with its interval, the rows it stands on, measured on how many."""
    import modest
    from modest.data.splits import carve
    from modest.evaluation import what_if

    n, names = len(given.y), given.views.names
    split = given.split.copy()
    if not (split == "val").any():
        train = np.flatnonzero(split == "train")
        split[train[carve(given.y[train], 0.25, seed, given.groups[train])]] = "val"  # type: ignore[index]
    train, val, test = (np.flatnonzero(split == part) for part in ("train", "val", "test"))
    views = modest.Views(given.views.arrays, modest.data.missing_mask(n, len(names), RATE, seed), given.views.ids)

    def fit(rows: np.ndarray, validation: Any) -> Any:
        clf = modest.MultimodalClassifier(method=method, random_state=seed, **KNOBS)
        return clf.fit(views[rows], given.y[rows], validation)

    clf = fit(train, (given.views[val], given.y[val]))
    one = _half(given, test, seed)
    truth = what_if(clf.predict_proba, given.views[test], given.y[test])
    other = what_if(clf.predict_proba, given.views[test[~one]], given.y[test[~one]])
    told = [
        ("validation", what_if(clf.predict_proba, given.views[val], given.y[val], groups=_of(given, val)), truth),
        ("fresh", what_if(clf.predict_proba, given.views[test[one]], given.y[test[one]]), other),
    ]
    if method in CROSSED:
        rows = np.concatenate([train, val])
        ask = _crossed(given, rows, seed, lambda some: fit(some, False))
        told.append(("cross-fit", what_if(ask, views[rows], given.y[rows], groups=_of(given, rows)), truth))
    return [
        {"set": given.name, "method": method, "seed": seed, "source": source, "pattern": "+".join(p.shown),
         "predicted": p.accuracy, "low": p.low, "high": p.high, "rows": p.rows, "measured": t.accuracy, "of": t.rows}
        for source, found, real in told for p, t in zip(found.patterns, real.patterns)
    ]  # fmt: skip


def _of(given: sets.Set, rows: np.ndarray) -> np.ndarray | None:
    """Videos or speakers of some rows; a set of fewer than ten has too few to count by."""
    if given.groups is None or len(set(given.groups[rows])) < 10:
        return None
    return np.asarray(given.groups[rows])


def _half(given: sets.Set, test: np.ndarray, seed: int) -> np.ndarray:
    """(k,) bool: half of the test rows, whole videos together."""
    from modest.data.splits import carve

    return carve(given.y[test], 0.5, seed, _of(given, test))


def _crossed(given: sets.Set, rows: np.ndarray, seed: int, fit: Callable[[np.ndarray], Any]) -> Callable[[Any], Any]:
    """Function from views to probabilities: each row by the model of the folds that it is not in."""
    units = given.views.ids[rows] if given.groups is None else given.groups[rows]
    names, code = np.unique(units, return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(names)) % FOLDS)[code]
    models = [fit(rows[fold != k]) for k in range(FOLDS)]
    of = dict(zip(given.views.ids[rows].tolist(), fold.tolist()))

    def predict(views: Any) -> np.ndarray:
        mine = np.array([of[name] for name in views.ids.tolist()])
        proba = np.zeros((len(views), len(models[0].classes_)))
        for k, model in enumerate(models):
            if (mine == k).any():
                proba[mine == k] = model.predict_proba(views[mine == k])
        return proba

    return predict


def page(lines: list[dict[str, Any]]) -> str:
    """Shares within three points, by set, recipe and source; then each set's patterns."""
    text = ["| set | source | patterns | within 3 points | expected of perfect prediction | inside its interval | mean "
            "predicted - measured |", "|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in (*SETS, "all"):
        for source in SOURCES:
            own = [x for x in lines if x["source"] == source and name in (x["set"], "all")]
            text.append(f"| {name} | {source} | {_row(own)} |")
    text += ["", "| source | " + " | ".join(METHODS) + " |", "|---" * (len(METHODS) + 1) + "|"]
    for source in SOURCES:
        cells = [[x for x in lines if x["source"] == source and x["method"] == method] for method in METHODS]
        text.append(f"| {source} | " + " | ".join(f"{100 * _within(own):.0f} %" if own else "" for own in cells) + " |")
    for name in SETS:
        text += ["", f"| {name}, `zero` | validation | cross-fit | measured |", "|---|---|---|---|"]
        mine = [x for x in lines if x["set"] == name and x["method"] == "zero"]
        for pattern in dict.fromkeys(x["pattern"] for x in mine):
            at = [x for x in mine if x["pattern"] == pattern]
            shown = [_mean([x["predicted"] for x in at if x["source"] == source]) for source in SOURCES[:2]]
            real = _mean([x["measured"] for x in at if x["source"] == "validation"])
            text.append(f"| {pattern} | {shown[0]} | {shown[1]} | {real} |")
    return "\n".join(text)


def _row(own: list[dict[str, Any]]) -> str:
    apart = [100 * (x["predicted"] - x["measured"]) for x in own]
    inside = np.mean([x["low"] <= x["measured"] <= x["high"] for x in own])
    seeds = [np.mean([a for a, x in zip(apart, own) if x["seed"] == seed]) for seed in {x["seed"] for x in own}]
    from modest.evaluation import curve

    gap, share = curve(seeds), f"{100 * _within(own):.0f} %"
    told = f"{float(gap.mean):+.1f} [{float(gap.low):+.1f}, {float(gap.high):+.1f}]"
    return f"{len(own)} | {share} | {100 * _expected(own):.0f} % | {100 * inside:.0f} % | {told}"


def _within(own: list[dict[str, Any]]) -> float:
    return float(np.mean([abs(x["predicted"] - x["measured"]) <= NEAR for x in own]))


def _expected(own: list[dict[str, Any]]) -> float:
    """Share within three points if predicted and measured rows were drawn from the same: what counting noise leaves."""
    spread = [sqrt(x["measured"] * (1 - x["measured"]) * (1 / x["rows"] + 1 / x["of"])) for x in own]
    return float(np.mean([erf(NEAR / (s * sqrt(2))) if s else 1.0 for s in spread]))


def _mean(values: list[float]) -> str:
    return f"{100 * float(np.mean(values)):.1f}" if values else ""


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--cells", type=Path, required=True, help="JSON of all cells; those there are not made again")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--table", type=Path, help="write the tables into this page, after its line <!-- tables -->")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines: list[dict[str, Any]] = json.loads(args.cells.read_text(encoding="utf-8")) if args.cells.exists() else []
    done = {(x["set"], x["method"], x["seed"]) for x in lines}
    begin = time.process_time()
    for seed in () if args.table else range(SEEDS):
        for name in args.sets:
            given = sets.load(name, args.shared)
            for method in METHODS:
                if (name, method, seed) not in done:
                    lines += cell(given, method, seed)
                    args.cells.write_text(json.dumps(lines), encoding="utf-8")
                    print(f"{name} {method} {seed}: {time.process_time() - begin:.0f} s of processor", flush=True)
    if args.table:
        head, mark, _ = args.table.read_text(encoding="utf-8").partition("<!-- tables -->\n")
        args.table.write_text(f"{head}{mark}\n{page(lines)}\n", encoding="utf-8")
    else:
        print(page(lines))


if __name__ == "__main__":
    main()
