"""The tables and figures of MMCSAL in kind, on three small sets whose two modalities stage 1 puts into one space.

    python -m benchmarks.paper --into FOLDER --workers 2        # 10 seeds; says first how long it will take; resumes
    python -m benchmarks.paper --into FOLDER --table [--csv FILE] [--figures BEGINNING] > PAGE.md

Stage 1 trains small towers over frozen views, of a seed's unlabelled subsample, without and with prototypes; it and the
sets' encoders are those of ``benchmarks.represent``. ActiveFT is the choice in the space without prototypes, -proto
that with them, -align adds alignment without them, -final has both; k-center and k-means choose without. Warm methods
begin with random's first budget and go on by rounds, asking the learner that is scored. The learner is the linear
probe: *supervised* on the frozen views, *semi-supervised* on those of stage 1 with prototypes, for every method alike.
The classifier ``mla``, supervised, scores a few choices at the third budget.

Cells are one CSV file per (set, seed, method); a process does one (set, seed).
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.paper_cells import FIELDS, SETS, WAYS, Place, draw_map

SECONDS = {"grid_letter": 260, "fashion": 450, "emoji": 100}  # of one seed, on one core of the machine of docs/results


def path_of(into: Path, name: str, seed: int, method: str) -> Path:
    return into / "cells" / f"{name}~{seed}~{method}.csv"


def one(args: argparse.Namespace) -> None:
    """Child: the missing cells of one set and seed."""
    import torch

    torch.set_num_threads(1)
    name, seed = args.one.split("~")
    draw_map(name, args)
    place = None
    for method in WAYS:
        path = path_of(args.into, name, int(seed), method)
        if not path.exists():
            place = place or Place(name, int(seed), args)
            write(path, place.cell(method))


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("w", encoding="utf-8", newline="") as handle:
        out = csv.DictWriter(handle, FIELDS, lineterminator="\n")
        out.writeheader()
        out.writerows([{k: f"{x:.6g}" if isinstance(x, float) else x for k, x in row.items()} for row in rows])
    part.replace(path)


def sweep(args: argparse.Namespace, places: list[tuple[str, int]]) -> int:
    """Run the places with anything left, one process each, ``workers`` at a time; returns how many failed."""

    def child(place: tuple[str, int]) -> int:
        key, begin = f"{place[0]}~{place[1]}", time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.paper", "--one", key]
        command += ["--into", str(args.into), "--shared", str(args.shared)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        told = "done" if done.returncode == 0 else f"failed: {done.stderr.strip().splitlines()[-1:]}"
        print(f"{key:16} {time.perf_counter() - begin:7.1f} s  {told}", flush=True)
        return int(done.returncode != 0)

    with ThreadPoolExecutor(args.workers) as workers:
        return sum(workers.map(child, [place for place in places if left(args.into, *place)]))


def left(into: Path, name: str, seed: int) -> list[str]:
    return [method for method in WAYS if not path_of(into, name, seed, method).exists()]


def predicted(args: argparse.Namespace, places: list[tuple[str, int]]) -> float:
    """Minutes for what is left, by the cells of this folder; before there are any, by ``SECONDS``."""
    total = 0.0
    for name, seed in places:
        for method in left(args.into, name, seed):
            found = sorted((args.into / "cells").glob(f"{name}~*~{method}.csv"))
            heads = [next(csv.DictReader(path.open(encoding="utf-8"))) for path in found]
            timed = [float(row["cell_seconds"]) for row in heads]
            total += median(timed) if timed else SECONDS[name] / len(WAYS)
    return total / 60 / args.workers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--predict", action="store_true", help="only say how long what is left will take")
    parser.add_argument("--table", action="store_true", help="print the tables of what is there")
    parser.add_argument("--csv", type=Path, help="with --table: write all cells into this file")
    parser.add_argument("--figures", help="with --table: draw figures into files that begin so")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return one(args)
    if args.table:
        from benchmarks.paper_table import told

        return told(args)
    places = [(name, seed) for seed in range(args.seeds) for name in args.sets]
    print(f"about {predicted(args, places):.0f} min on {args.workers} cores", flush=True)
    if args.predict:
        return None
    failed = sweep(args, places[: len(args.sets)])
    print(f"seed 0 done; the rest takes about {predicted(args, places):.0f} min", flush=True)
    sys.exit(failed + sweep(args, places) > 0)


if __name__ == "__main__":
    main()
