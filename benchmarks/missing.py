"""Missing modalities measured: every method at every rate, the ceiling, ablations, and rates that differ at the test.

    python -m benchmarks.missing --into FOLDER --series table --predict       # only says how long it will take
    python -m benchmarks.missing --into FOLDER --series table --processes 2   # runs what is missing
    python -m benchmarks.missing --into FOLDER --table --date 2026-11-22 [--csv FILE] [--figures FOLDER] > page.md

    table      the paper's recipes, auto and every completion, one rate in training, validation and test rows
    ceiling    a classifier per presence pattern, trained and validated on complete rows
    ablation   every method that imagines, with that part switched off
    shifted    trained on complete rows, tested at the highest rate, or without one modality

Sets: mosi and scene15 (three modalities), av_digits (two; other speakers in test). A rate is the share of cells of the
table that are absent; every row keeps one, so 2/3 (1/2 of two) is the most. Masks are drawn by (seed, id), fixed for
all methods and epochs. Encoders are three layers of 128, batches of 64, all else the classifier's defaults, for every
method; the epoch is chosen on validation rows, which lack as much as the others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.balance import sweep
from benchmarks.missing_cells import Job, given, run
from modest.classifier import METHODS

SETS = ("mosi", "scene15", "av_digits")
RATES = {2: (0.0, 0.1, 0.3, 0.5), 3: (0.0, 0.1, 0.3, 0.5, 2 / 3)}
HEADLINE = ("zero", "dropout", "concat", "late", "mla", "auto", "mmin")
OTHERS = ("mean", "qmf", "cca", "dcca", "dccae", "ae", "cra", "ifmmin", "cpm", "tate")  # not at 10 % by default
PARTS = {"headline": HEADLINE, "others": OTHERS}
SEEDS = {"headline": 5, "others": 3, "ceiling": 5, "ablation": 3, "shifted": 3}
SECONDS = {"mosi": 5.0, "scene15": 10.0, "av_digits": 10.0}  # of zero, on one core
RELATIVE = {"mla": 1.6, "qmf": 1.5, "mmin": 3.0, "ifmmin": 3.0, "tate": 4.0, "cpm": 3.0, "cra": 2.0, "dccae": 2.0}

# method -> options that switch off what it imagines; with share=0 besides, zeros for what is absent are all there is
WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "ae": {"weight": 0.0},
    "cra": {"weight": 0.0},
    "mmin": {"imagination": 0.0, "cycle": 0.0},
    "ifmmin": {"imagination": 0.0, "invariant": 0.0, "cmd": 0.0},
    "tate": {"kl": 0.0, "decoder": 0.0, "tag": 0.0, "tags": False},
}
ZEROS, HIDING = "zeros", "hiding"  # the two ablations: nothing but zeros, and zeros with modalities hidden in training


def jobs(series: str, args: argparse.Namespace) -> list[Job]:
    """All cells of a series, the first seed's first."""
    made = SERIES[series](args)
    return sorted((job for job in made if not args.methods or job.method in args.methods), key=lambda job: job.seed)


def rates(name: str, args: argparse.Namespace) -> tuple[float, ...]:
    """Rates of a set."""
    return tuple(args.rates or RATES[len(given(name, str(args.shared)).views.names)])


def table(args: argparse.Namespace) -> Iterator[Job]:
    """Every method at every rate."""
    for part, methods in PARTS.items():
        for seed, name in product(range(args.seeds or SEEDS[part]), args.sets or SETS):
            for rate, method in product(rates(name, args), methods):
                if part == "headline" or args.rates or rate != 0.1:
                    yield Job("table", name, rate, seed, method, method)


def ceiling(args: argparse.Namespace) -> Iterator[Job]:
    """Every pattern's own classifiers; of several modalities concat and late, of which validation takes the better."""
    for seed, name in product(range(args.seeds or SEEDS["ceiling"]), args.sets or SETS):
        names = given(name, str(args.shared)).views.names
        for size in range(1, len(names) + 1):
            for only, method in product(combinations(names, size), ("concat", "late")[: min(size, 2)]):
                yield Job("ceiling", name, 0.0, seed, method, method, only=only)


def ablation(args: argparse.Namespace) -> Iterator[Job]:
    """Every method that imagines beside itself without, at 30 % and the highest rate."""
    for seed, name in product(range(args.seeds or SEEDS["ablation"]), args.sets or SETS):
        for rate, (method, options) in product(args.rates or (0.3, rates(name, args)[-1]), WITHOUT.items()):
            for what, more in ((ZEROS, {"share": 0.0}), (HIDING, {})):
                yield Job("ablation", name, rate, seed, f"{method}, {what}", method, {**options, **more})


def shifted(args: argparse.Namespace) -> Iterator[Job]:
    """Complete training rows, tested at the highest rate; and a modality that no test row has."""
    for seed, name in product(range(args.seeds or SEEDS["shifted"]), args.sets or SETS):
        names = given(name, str(args.shared)).views.names
        for method in [*HEADLINE, *OTHERS]:
            yield Job("shifted", name, 0.0, seed, method, method, test_rate=rates(name, args)[-1])
            for m in names:
                yield Job("shifted", name, 0.0, seed, method, method, test_rate=0.0, absent=(m,))


SERIES = {"table": table, "ceiling": ceiling, "ablation": ablation, "shifted": shifted}


def predicted(todo: list[Job], into: Path) -> float:
    """Seconds on one core: by cells of the same set and method that there are, else by those above."""
    timed: dict[tuple[str, str], list[float]] = {}
    for path in (into / "cells").glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        timed.setdefault((told["set"], told["method"]), []).append(told["cell_cpu"])
    return sum(
        median(timed[job.set, job.method])
        if (job.set, job.method) in timed
        else SECONDS[job.set] * RELATIVE.get(job.method, 1.2)
        for job in todo
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--series", nargs="+", choices=tuple(SERIES), default=("table", "ceiling"))
    parser.add_argument("--methods", nargs="+", choices=tuple(METHODS), help="default: all of the series")
    parser.add_argument("--sets", nargs="+", choices=SETS, help="default: all")
    parser.add_argument("--rates", type=float, nargs="+", help="default: 0 to the most, by modalities")
    parser.add_argument("--seeds", type=int, help=f"default: {SEEDS}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--predict", action="store_true", help="only say how long what is missing will take")
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    parser.add_argument("--date", default="", help="with --table: stands in the page's title")
    parser.add_argument("--csv", type=Path, help="with --table: file for the numbers of all cells")
    parser.add_argument("--figures", type=Path, help="with --table: folder for the plots")
    args = parser.parse_args()
    if args.table:
        from benchmarks.missing_page import page

        print(page(args.into, args.date, args.csv, args.figures))
        return
    failed = []
    for series in args.series:
        todo = [job for job in jobs(series, args) if not (args.into / "cells" / f"{job.key}.json").exists()]
        seconds = predicted(todo, args.into)
        told = f"about {seconds / 60 / args.processes:.1f} min on {args.processes} processes"
        print(f"{series}: {len(todo)} cells, {told}", flush=True)
        failed += sweep(args, todo, run) if todo and not args.predict else []
    if failed:
        raise SystemExit(f"{len(failed)} cells failed: {', '.join(failed[:5])}")


if __name__ == "__main__":
    main()
