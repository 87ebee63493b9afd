"""How good choices are: every cold method on six sets, some under the MLA classifier, and some under stress.

    python -m benchmarks.quality --into FOLDER --series cold mla stress --predict   # only says how long it will take
    python -m benchmarks.quality --into FOLDER --series cold                        # runs what is missing
    python -m benchmarks.quality --into FOLDER --table > page.md                    # the page, from what there is

Each set, and each condition of the stress series, is a ``modest bench`` in a folder of its own, so a cut run goes on.
The first rule of ``auto`` was fixed on fashion and scene15; the one it has now was made with all six sets seen
(docs/results). Budgets are 1, 2, 5 and 10 % of the training rows and never below a label per class; 25, 50, 100 and 200
of the GRID letters. ``uherding`` without labels is ``maxherding`` and left out.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

import modest
from benchmarks import quality_page, sets
from benchmarks.handover import predict
from modest import bench

SHARES = (0.01, 0.02, 0.05, 0.10)
BUDGETS = {"grid_letter": (25, 50, 100, 200)}
COLD = ("random", "kcenter", "kmeans", "typiclust", "probcover", "activeft", "mmcsal", "maxherding", "auto")
COLD_SETS = ("fashion", "scene15", "grid_letter", "av_digits", "emoji", "wikipedia")
MLA = ("random", "maxherding", "activeft", "mmcsal", "auto")
MLA_SETS = ("grid_letter", "av_digits", "emoji")
STRESSED = ("random", "kcenter", "kmeans", "typiclust", "activeft", "mmcsal", "maxherding", "auto")
STRESS_SETS = ("av_digits", "wikipedia")
CONDITIONS = (
    "as it is", "mismatched 20 %", "mismatched 40 %", "absent 25 %", "absent 50 %",
    "imbalance 10", "imbalance 100", "copies 10x",
)  # fmt: skip
SERIES = {"cold": COLD_SETS, "mla": MLA_SETS, "stress": STRESS_SETS}


def protocols(series: str, args: argparse.Namespace) -> list[bench.Protocol]:
    """The benches of a series."""
    made = []
    for name in SERIES[series]:
        shares = BUDGETS.get(name, SHARES)
        fixed = {"seeds": args.seeds}
        if series == "cold":
            made.append(bench.Protocol(pool={name: table(name, args)}, methods=COLD, budgets=shares, **fixed,
                                       out=args.into / series / name))  # fmt: skip
        elif series == "mla":
            made.append(bench.Protocol(pool={name: table(name, args)}, methods=MLA, budgets=(shares[1], shares[3]),
                                       learner="mla", **fixed, out=args.into / series / name))  # fmt: skip
        else:
            for condition in CONDITIONS:
                absent = int(condition.split()[1]) / 100 if condition.startswith("absent") else 0.0
                out = args.into / series / f"{name}~{condition.replace(' ', '-').replace('-%', '')}"
                made.append(bench.Protocol(pool={name: stressed(table(name, args), condition)}, methods=STRESSED,
                                           budgets=(0.02, 0.10), missing=(absent,), **fixed, out=out))  # fmt: skip
    return made


def table(name: str, args: argparse.Namespace) -> bench.LabelledViews:
    """A set with the names of its classes."""
    given = sets.load(name, args.shared)
    return bench.LabelledViews(given.views, np.array(given.classes)[given.y], given.split, given.groups)


def stressed(given: bench.LabelledViews, condition: str) -> bench.LabelledViews:
    """The set with its training rows spoilt, once and for all seeds; test rows stay as they are."""
    word, *rest = condition.split()
    train = np.flatnonzero(np.asarray(given.split) == "train")
    rng = np.random.default_rng(0)
    if word == "mismatched":
        wrong = rng.permutation(train)[: round(int(rest[0]) / 100 * len(train))]
        arrays = {m: np.array(array) for m, array in given.views.arrays.items()}
        last = given.views.names[-1]
        arrays[last][wrong] = arrays[last][np.roll(wrong, 1)]
        ids = given.views.ids.astype(object)
        ids[wrong] = [f"{name}-mismatched" for name in ids[wrong]]
        return bench.LabelledViews(modest.Views(arrays, given.views.present, ids.astype(str)), given.labels,
                                   given.split, given.groups)  # fmt: skip
    if word == "imbalance":
        return _taken(given, np.sort(np.append(_imbalanced(given, train, float(rest[0]), rng), _others(given, train))))
    if word == "copies":
        copied = rng.permutation(train)[: len(train) // 10]
        rows = np.append(np.arange(len(given.views)), np.repeat(copied, 9))
        more = _taken(given, rows)
        again = np.arange(len(given.views), len(rows))
        for array in more.views.arrays.values():
            array[again] += 0.02 * array.std(axis=0) * rng.standard_normal(array[again].shape)
        return more
    return given


def _others(given: bench.LabelledViews, train: np.ndarray) -> np.ndarray:
    return np.setdiff1d(np.arange(len(given.views)), train)


def _imbalanced(given: bench.LabelledViews, train: np.ndarray, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Training rows: classes, in a random order, shrink geometrically to 1/ratio of the smallest, never below 2."""
    labels = np.asarray(given.labels)[train]
    classes = rng.permutation(np.unique(labels))
    least = min(int((labels == c).sum()) for c in classes)
    kept = []
    for k, c in enumerate(classes):
        size = max(2, round(least * ratio ** (-k / (len(classes) - 1))))
        kept.append(rng.permutation(train[labels == c])[:size])
    return np.concatenate(kept)


def _taken(given: bench.LabelledViews, rows: np.ndarray) -> bench.LabelledViews:
    """Some rows, some of them again under ids of their own."""
    again = np.zeros(len(rows), dtype=np.int64)
    seen: dict[int, int] = {}
    for place, row in enumerate(rows.tolist()):
        again[place] = seen.get(row, 0)
        seen[row] = again[place] + 1
    ids = [f"{name}-copy{k}" if k else name for name, k in zip(given.views.ids[rows].tolist(), again.tolist())]
    arrays = {m: np.array(array[rows]) for m, array in given.views.arrays.items()}
    present = None if given.views.present is None else given.views.present[rows]
    groups = None if given.groups is None else np.asarray(given.groups)[rows]
    return bench.LabelledViews(
        modest.Views(arrays, present, ids), np.asarray(given.labels)[rows], np.asarray(given.split)[rows], groups
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--series", nargs="+", choices=tuple(SERIES), default=tuple(SERIES))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--predict", action="store_true", help="only say how long it will take")
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    parser.add_argument("--csv", type=Path, help="with --table: folder for one CSV a series")
    args = parser.parse_args()
    if args.table:
        print(quality_page.page(args.into, args.csv))
        return
    for series in args.series:
        plans = protocols(series, args)
        predict(plans, args.jobs)
        for plan in plans if not args.predict else []:
            done = [record.step for record in bench.run(plan, jobs=args.jobs)]
            print(f"{series} {plan.out.name}: {done[-1]} cells", flush=True)


if __name__ == "__main__":
    main()
