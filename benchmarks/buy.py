"""Which items to buy a missing modality for: accuracy after buying by expected change, by uncertainty and at random.

    python -m benchmarks.buy --cells FILE              # trains what FILE lacks; some two minutes of one core
    python -m benchmarks.buy --cells FILE --table PAGE

All rows lack modalities at a rate of 0.5, drawn by seed, which redraws the classifier too (`zero`: one head, absent
views are zeros). For each modality in turn 10, 20 and 40 % of the test rows that lack it get it; accuracy is that of
these rows. Values that stand in come from training rows only. Random is the mean of 20 draws. The score `gain` and its
20 neighbours were chosen on the validation rows of both sets (two seeds).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sets

SETS = ("mosi", "scene15")
SHARES = (0.1, 0.2, 0.4)
BY = ("gain", "flip", "variation", "uncertainty", "random")
RATE, DRAWS, SEEDS = 0.5, 20, 5
KNOBS: dict[str, Any] = {"hidden": (128, 128), "width": 128, "epochs": 20, "device": "cpu"}


def cell(given: sets.Set, seed: int) -> list[dict[str, Any]]:
    """One line per modality: rows for sale, accuracy with none and all bought, and by each way at each share."""
    import modest

    n, names = len(given.y), given.views.names
    mask = modest.data.missing_mask(n, len(names), RATE, seed)
    views = modest.Views(given.views.arrays, mask, given.views.ids)
    train, val, test = (np.flatnonzero(given.split == part) for part in ("train", "val", "test"))
    clf = modest.MultimodalClassifier(method="zero", random_state=seed, **KNOBS)
    clf.fit(views[train], given.y[train], (views[val], given.y[val]))
    table, donors = views[np.concatenate([test, train])], np.arange(len(test) + len(train)) >= len(test)
    ask, lines = clf.predict_proba, []
    for m, name in enumerate(names):
        lacks = np.flatnonzero(~mask[test, m])
        among = np.isin(np.arange(len(table)), lacks)
        bought = mask[test].copy()
        bought[:, m] = True
        before = clf.predict(views[test]) == given.y[test]
        after = clf.predict(modest.Views(views[test].arrays, bought)) == given.y[test]
        line: dict[str, Any] = {"set": given.name, "seed": seed, "modality": name, "lacking": len(lacks)}
        line |= {"none": float(before[lacks].mean()), "all": float(after[lacks].mean())}
        for by in BY:
            found = [
                modest.selection.buy(table, 1.0, name, ask, by, seed=draw, among=among, donors=donors).rows
                for draw in range(DRAWS if by == "random" else 1)
            ]
            line[by] = [float(np.mean([_accuracy(rows, share, before, after, lacks) for rows in found]))
                        for share in SHARES]  # fmt: skip
        lines.append(line)
    return lines


def _accuracy(rows: np.ndarray, share: float, before: np.ndarray, after: np.ndarray, lacks: np.ndarray) -> float:
    right = before.copy()
    first = rows[: int(share * len(lacks))]
    right[first] = after[first]
    return float(right[lacks].mean())


def page(lines: list[dict[str, Any]]) -> str:
    """Accuracy by set, modality and share; then `gain` against the others, paired by seed."""
    head = ["set", "modality", "none bought", "bought", *BY, "all bought"]
    text = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    named = list(dict.fromkeys((x["set"], x["modality"]) for x in lines))
    for name, modality in named:
        own = [x for x in lines if (x["set"], x["modality"]) == (name, modality)]
        for k, share in enumerate(SHARES):
            cells = [_mean([x[by][k] for x in own]) for by in BY]
            ends = [_mean([x[end] for x in own]) for end in ("none", "all")]
            text.append(" | ".join([f"| {name}", modality, ends[0], f"{share:.0%}", *cells, ends[1]]) + " |")
    head = ["set", "modality", "bought", *(f"gain - {by}" for by in BY[1:])]
    text += ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in dict.fromkeys(x["set"] for x in lines):
        for modality in [*(m for s, m in named if s == name), "mean"]:
            for k, share in enumerate(SHARES):
                cells = [_apart(lines, name, modality, by, k) for by in BY[1:]]
                text.append(" | ".join([f"| {name}", modality, f"{share:.0%}", *cells]) + " |")
    return "\n".join(text)


def _apart(lines: list[dict[str, Any]], name: str, modality: str, by: str, k: int) -> str:
    from modest.evaluation import compare

    own = [x for x in lines if x["set"] == name and modality in (x["modality"], "mean")]
    seeds = sorted({x["seed"] for x in own})
    one, other = ([np.mean([x[way][k] for x in own if x["seed"] == seed]) for seed in seeds] for way in ("gain", by))
    gap = compare(one, other)
    return f"{100 * gap.mean:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def _mean(values: list[float]) -> str:
    return f"{100 * float(np.mean(values)):.1f}"


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
    done, begin = {(x["set"], x["seed"]) for x in lines}, time.process_time()
    for name in () if args.table else args.sets:
        given = sets.load(name, args.shared)
        for seed in range(SEEDS):
            if (name, seed) not in done:
                lines += cell(given, seed)
                args.cells.write_text(json.dumps(lines), encoding="utf-8")
                print(f"{name} {seed}: {time.process_time() - begin:.0f} s of processor", flush=True)
    if args.table:
        head, mark, _ = args.table.read_text(encoding="utf-8").partition("<!-- tables -->\n")
        args.table.write_text(f"{head}{mark}\n{page(lines)}\n", encoding="utf-8")
    else:
        print(page(lines))


if __name__ == "__main__":
    main()
