"""Balanced learning measured: every recipe on six sets, the ablations, isolation, provoked laziness, stability of MLA.

    python -m benchmarks.balance --into FOLDER --series table --predict         # only says how long it will take
    python -m benchmarks.balance --into FOLDER --series table --processes 2     # runs what is missing
    python -m benchmarks.balance --into FOLDER --table --date 2026-11-22 [--csv FILE] > page.md

    rates      the learning rates of --grid, per recipe and set, all labels, seed 0; with --chosen the series table
               takes for each recipe and set the one of the best validation accuracy
    table      every recipe of METHODS on all sets, with all labels and with 5 %
    ablation   {separate heads, shared head} x {projection} x {fusion}
    isolation  modalities masked in training, wholly and in half of the rows
    pilot      ways to provoke laziness, under concat and late
    provoked   every recipe on the set the pilot chose
    stable     mla over 100 epochs under its options

A cell is a training of its own (``balance_cells.py``) and two files in FOLDER/cells, so a cut run goes on. Settings are
the classifier's defaults for every recipe, but batches of 64 rows with all labels, as in the paper; the epoch is chosen
on validation rows alone. With 5 % of the labels there are none, and all 40 epochs are trained (after them the
training loss of concat, late and mla is below 0.02 a row).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.balance_cells import Job, run
from benchmarks.balance_jobs import CHOSEN, SERIES, jobs

# seconds of late, all labels, 40 epochs, on one core of the machine of docs/results, and of others relative to it
SECONDS = {"grid_letter": 12.0, "fashion": 14.0, "mosi": 6.5, "av_digits": 15.5, "wikipedia": 6.5, "emoji": 6.5}
RELATIVE = {
    "mla": 1.6, "concat": 1.1, "late": 1.0, "sum": 1.1, "film": 1.2, "bigated": 1.2, "ogm_ge": 1.6, "qmf": 1.5,
    "mmpareto": 1.8, "reconboost": 0.9, "lfm": 1.3, "dgl": 1.3, "unimodal": 1.5, "auto": 1.2,
}  # fmt: skip
OTHERS = 1.8  # of a recipe not measured
EPOCHS = 40
WIDENED = 1.5  # of a set with more columns
ITEMS_5 = 0.07  # with 5 % of the labels, of the time with all


def missing(args: argparse.Namespace, series: str) -> list[Job]:
    """Jobs without a cell."""
    return [job for job in jobs(series, args) if not (args.into / "cells" / f"{job.key}.json").exists()]


def predicted(todo: Iterable[Job], timed: dict[tuple[str, ...], list[float]]) -> float:
    """Seconds on one core: by cells alike that there are, else by those above."""
    total = 0.0
    for job in todo:
        alike = timed.get(kind(job.__dict__))
        if alike:
            total += median(alike)
            continue
        base = SECONDS[job.set.partition("+")[0]] * RELATIVE.get(job.method, OTHERS)
        share = job.knobs.get("epochs", EPOCHS) / EPOCHS * (1.0 if job.labels == "full" else ITEMS_5)
        part = 0.6 if job.rows.startswith("only") else 1.0
        total += base * share * part * (WIDENED if "+" in job.set else 1.0) + 1.0
    return total


def kind(told: Any) -> tuple[str, ...]:
    """What cells must share to take the same time."""
    return tuple(str(told[part]) for part in ("series", "set", "labels", "name", "rows"))


def timed(into: Path) -> dict[tuple[str, ...], list[float]]:
    """Processor seconds of the cells of a folder, by kind: what they take when nobody else is there."""
    found: dict[tuple[str, ...], list[float]] = {}
    for path in (into / "cells").glob("*.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(kind(told), []).append(told["cell_cpu"])
    return found


def sweep(args: argparse.Namespace, todo: Sequence[Any], run: Callable[..., Any] = run) -> list[str]:
    """Run cells, ``processes`` at a time; returns the keys of those that failed."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before the children are started
    failed, begin = [], time.perf_counter()
    with ProcessPoolExecutor(args.processes, multiprocessing.get_context("spawn")) as pool:
        waiting = {pool.submit(run, job, str(args.shared), str(args.into)): job for job in todo}
        try:
            for number, done in enumerate(as_completed(waiting), 1):
                job, error = waiting[done], done.exception()
                said = f"failed: {error!r}"[:200] if error else f"{done.result()['fused']['accuracy']:.3f}"
                failed += [job.key] if error else []
                print(f"{number}/{len(todo)} {time.perf_counter() - begin:6.0f} s  {job.key}  {said}", flush=True)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--series", nargs="+", choices=tuple(SERIES), default=("table",))
    parser.add_argument("--methods", nargs="+", help="recipes, or rows of the other series; default all there are")
    parser.add_argument("--sets", nargs="+", help="default: those of the series")
    parser.add_argument("--labels", nargs="+", choices=("full", "5"), default=("full", "5"))
    parser.add_argument("--seeds", type=int, help="default: 5, of pilot and stable 2")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int, help="default the classifier's 40, 100 of stable")
    parser.add_argument("--lr", type=float, help="of adamw; default the classifier's")
    parser.add_argument("--grid", type=float, nargs="+", default=(3e-4, 1e-3, 3e-3), help="rates of the series rates")
    parser.add_argument("--chosen", action="store_true", help="take the rates that the series rates found best")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--predict", action="store_true", help="only say how long what is missing will take")
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    parser.add_argument("--date", default="", help="with --table: stands in the page's title")
    parser.add_argument("--fixed", nargs="+", default=(), help="with --table: sets on which the rule of auto was fixed")
    parser.add_argument("--csv", type=Path, help="with --table: file for the numbers of all cells")
    return parser


def main() -> None:
    args = arguments().parse_args()
    if args.table:
        from benchmarks.balance_page import page

        print(page(args.into, args.date, args.csv, args.fixed))
        return
    failed = []
    for series in args.series:
        todo = missing(args, series)
        seconds = predicted(todo, timed(args.into))
        chosen = f" (provoked on {CHOSEN})" if series == "provoked" else ""
        print(
            f"{series}{chosen}: {len(todo)} cells, about {seconds / 60 / args.processes:.1f} min on {args.processes} "
            "processes",
            flush=True,
        )
        failed += sweep(args, todo) if todo and not args.predict else []
    if failed:
        raise SystemExit(f"{len(failed)} cells failed: {', '.join(failed[:5])}")


if __name__ == "__main__":
    main()
