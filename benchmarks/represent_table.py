"""Tables of ``benchmarks.represent`` and ``benchmarks.represent_tune`` as Markdown, and their numbers as CSV.

    python -m benchmarks.represent_table --into FOLDER [--csv docs/results/2026-11-21-represent]

Means over seeds with the 95 % bootstrap interval of ``modest.evaluation.curves`` (of two seeds nearly their range,
of one none); differences are paired by seed.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.raw_sets import RAW
from benchmarks.represent import UNTRAINED, VARIANTS
from benchmarks.represent_measure import METHODS
from modest.evaluation.curves import compare, curve

Cell = dict[str, Any]
TOLD = {UNTRAINED: "(untrained)", "without": "without", "eval": 'with, "eval"', "epoch": 'with, "epoch"'}


def read(into: Path) -> list[Cell]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((into / "cells").glob("*.json"))]


def of(cells: Iterable[Cell], name: str, variant: str) -> list[Cell]:
    """Cells of one set and variant, by seed."""
    return sorted((c for c in cells if c["set"] == name and c["variant"] == variant), key=lambda c: c["seed"])


def percent(values: Sequence[float]) -> str:
    return shown([100 * value for value in values], 1)


def shown(values: Sequence[float], digits: int = 3) -> str:
    if not values:
        return "-"
    found = curve(values)
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    mean, low, high = (float(x) for x in (found.mean, found.low, found.high))
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def difference(a: dict[int, float], b: dict[int, float]) -> str:
    """Points, over the seeds that both have."""
    seeds = sorted(a.keys() & b.keys())
    if not seeds:
        return "-"
    found = compare([a[s] for s in seeds], [b[s] for s in seeds])
    mean, low, high = (100 * x for x in (found.mean, found.low, found.high))
    return f"{mean:+.1f}" if len(seeds) == 1 else f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def per_variant(
    cells: list[Cell], value: Callable[[Cell], Sequence[float]], digits: int = 3, variants: Iterable[str] = VARIANTS
) -> list[list[str]]:
    """One row per set and variant, one column per number that ``value`` gives."""
    rows = []
    for name in RAW:
        for variant in variants:
            found = [list(value(c)) for c in of(cells, name, variant)]
            if found:
                columns = [shown(column, digits) for column in zip(*found)]
                rows.append([name, TOLD[variant], str(len(found)), *columns])
    return rows


def gaps(cells: list[Cell]) -> None:
    for part in ("train", "test"):
        print(f"Modality gap, {part} rows\n")
        head = ["set", "prototypes", "seeds", "gap", "S_uni m1", "S_uni m2", "S_cross", "paired", "unpaired"]
        table(head, per_variant(cells, lambda c, part=part: list(c["gap"][part].values()), variants=TOLD))
    print("Losses\n")
    told = ["set", "prototypes", "seeds", "L_cross, unaugmented", "L_uni, unaugmented"]
    table(told, per_variant(cells, lambda c: list(c["still"]["train"].values()), variants=TOLD))
    table(["set", "prototypes", "seeds", "training loss, last epoch"], per_variant(cells, lambda c: [c["loss"][-1]]))


def probe(cell: Cell, method: str, items: int, metric: str) -> float:
    return next(float(r[metric]) for r in cell["probe"] if r["method"] == method and r["items"] == items)


def bought(cells: list[Cell], name: str) -> list[int]:
    return sorted({r["items"] for c in cells if c["set"] == name for r in c.get("probe", []) if r["method"] != "all"})


def labels(cells: list[Cell], metric: str) -> None:
    print(f"Linear probe, {metric}, per cent\n")
    for name in RAW:
        items = bought(cells, name)
        rows = []
        for variant in TOLD:
            own = of(cells, name, variant)
            for method in METHODS if own else ():
                found = [percent([probe(c, method, k, metric) for c in own]) for k in items]
                rows.append([TOLD[variant], str(len(own)), method, *found])
            every = [r[metric] for c in own for r in c["probe"] if r["method"] == "all"]
            if own:
                rows.append([TOLD[variant], str(len(own)), "all labels", *["" for _ in items[1:]], percent(every)])
        table([f"{name}: prototypes", "seeds", "choice", *(f"{k} labels" for k in items)], rows)


def differences(cells: list[Cell]) -> None:
    print("Paired differences of accuracy, points, mean over the budgets of a seed\n")

    def means(name: str, variant: str, method: str) -> dict[int, float]:
        items = bought(cells, name)
        own = of(cells, name, variant)
        return {c["seed"]: float(np.mean([probe(c, method, k, "accuracy") for k in items])) for c in own}

    rows = []
    for name in RAW:
        for variant in VARIANTS:
            against = [difference(means(name, variant, m), means(name, variant, "random")) for m in METHODS[1:]]
            own = [difference(means(name, variant, m), means(name, "without", m)) for m in ("random", "mmcsal")]
            rows.append([name, TOLD[variant], *against, *(own if variant != "without" else ["", ""])])
    more = ["random: with - without", "mmcsal: with - without"]
    table(["set", "prototypes", *(f"{m} - random" for m in METHODS[1:]), *more], rows)


def tuned(cells: list[Cell], metric: str) -> None:
    print(f"Classifier, {metric}, per cent\n")
    rows = []
    for name in RAW:
        for start in ("scratch", "without", "eval"):
            own = of(cells, name, f"tune_{start}")
            for method in dict.fromkeys(r["method"] for c in own for r in c["tuned"]):
                by = {
                    share: [r[metric] for c in own for r in c["tuned"] if (r["method"], r["share"]) == (method, share)]
                    for share in (0.05, 0.1)
                }
                rows.append([name, start, method, *(percent(values) for values in by.values())])
    table(["set", "encoders start from", "choice", "5 % of labels", "10 % of labels"], rows)


def costs(cells: list[Cell]) -> None:
    rows = []
    for name in RAW:
        for cell in of(cells, name, "cost"):
            middle = {v: {k: float(np.median(cell[v][k][1:])) for k in ("wall", "cpu")} for v in VARIANTS}
            for variant, told in middle.items():
                more = [f"{100 * (told[k] / middle['without'][k] - 1):+.0f} %" for k in ("cpu", "wall")]
                rows.append([name, TOLD[variant], f"{told['cpu']:.2f}", more[0], f"{told['wall']:.2f}", more[1]])
    if rows:
        print("Cost per epoch, in turns in one process\n")
        table(["set", "prototypes", "processor s", "more", "wall s", "more"], rows)
    if not any("cpu" in c for c in cells):
        return
    print("Whole training and memory\n")
    head = ["set", "prototypes", "seeds", "processor s, whole training", "peak MB", "of these before training"]
    timed = [c for c in cells if "cpu" in c]
    table(head, per_variant(timed, lambda c: [sum(c["cpu"]), c["peak_mb"], c["before_mb"]], 0))
    print("Processor seconds of an epoch after the warm-up, each variant in a process of its own\n")
    late = {(c["set"], c["variant"], c["seed"]): float(np.median(c["cpu"][RAW[c["set"]].warmup :])) for c in timed}
    rows = []
    for name in RAW:
        for variant in VARIANTS:
            own = {s: t for (n, v, s), t in late.items() if (n, v) == (name, variant)}
            more = [100 * (t / late[name, "without", s] - 1) for s, t in own.items() if (name, "without", s) in late]
            rows.append([name, TOLD[variant], shown(list(own.values()), 2), ", ".join(f"{x:+.0f} %" for x in more)])
    table(["set", "prototypes", "processor s", "more, seed by seed"], rows)


def write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as handle:
        out = csv.writer(handle, lineterminator="\n")
        out.writerow(head)
        out.writerows([f"{x:.6g}" if isinstance(x, float) else x for x in row] for row in rows)


def write_all(cells: list[Cell], stem: str) -> None:
    """Three small CSV files: per cell, per choice, per epoch of the cost cells."""
    whole = [c for c in cells if c["variant"] in TOLD]
    names = ("gap", "uni_1", "uni_2", "across", "paired", "unpaired")
    gap = [[c["gap"][part][k] for part in ("train", "test") for k in c["gap"][part]] for c in whole]
    losses = [[*c.get("loss", [""])[-1:], c["still"]["train"]["cross"], c["still"]["train"]["uni"]] for c in whole]
    spent = [[float(sum(c[k])) if k in c else "" for k in ("cpu", "wall")] for c in whole]
    more = [[*spent[i], c.get("peak_mb", ""), c.get("before_mb", "")] for i, c in enumerate(whole)]
    key = [[c["set"], c["variant"], c["seed"]] for c in whole]
    head = ["set", "variant", "seed", *(f"{part}_{n}" for part in ("train", "test") for n in names)]
    head += ["last_loss", "cross", "uni", "cpu_s", "wall_s", "peak_mb", "before_mb"]
    write(Path(f"{stem}-cells.csv"), head, [k + g + x + m for k, g, x, m in zip(key, gap, losses, more)])
    chosen = [
        [c["set"], c["variant"], c["seed"], r["method"], r["items"], r["accuracy"], r["macro_accuracy"]]
        for c in cells
        for r in [*c.get("probe", []), *c.get("tuned", [])]
    ]
    write(Path(f"{stem}-labels.csv"), ["set", "variant", "seed", "method", "items", "accuracy", "macro"], chosen)
    timed = [
        [c["set"], variant, epoch, float(wall), float(cpu)]
        for c in cells
        if c["variant"] == "cost"
        for variant in VARIANTS
        for epoch, (wall, cpu) in enumerate(zip(c[variant]["wall"], c[variant]["cpu"]))
    ]
    write(Path(f"{stem}-cost.csv"), ["set", "variant", "epoch", "wall_s", "cpu_s"], timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--csv", help="beginning of the names of the CSV files to write")
    args = parser.parse_args()
    cells = read(args.into)
    if any(c["variant"] in VARIANTS for c in cells):
        gaps(cells)
        for metric in ("accuracy", "macro_accuracy"):
            labels(cells, metric)
        differences(cells)
    if any("tuned" in c for c in cells):
        for metric in ("accuracy", "macro_accuracy"):
            tuned(cells, metric)
    costs(cells)
    if args.csv:
        write_all(cells, args.csv)


if __name__ == "__main__":
    main()
