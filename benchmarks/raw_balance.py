"""Balanced learning from raw MP4 cut to the word: quarter-width ResNet-18s, audio and video, trained from scratch.

    python -m benchmarks.raw_balance --into FOLDER --predict       # times some epochs, says how long all will take
    python -m benchmarks.raw_balance --into FOLDER --processes 2   # runs what is missing
    python -m benchmarks.raw_balance --into FOLDER --table         # the page of what there is

Two tasks of grid_s1: the colour (4 classes) and the digit (10) of each sentence, 600 clips to train on, 100 validate
and choose the epoch, 300 test. Sound is a log spectrogram of half a second, picture three frames of 48x48, each through
one ResNet-18. Every recipe has the same encoders, batches of 32, AdamW at 1e-3 and as many epochs: nothing was tuned.
A cell is one training in a process of its own with one thread, which decodes each clip once.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.balance_printed import MLA_ALONE, SETS, TABLE_1
from benchmarks.balance_stats import crossed
from benchmarks.raw_sets import grid
from modest.evaluation import curve

TASKS, METHODS, SEEDS = ("colour", "digit"), ("concat", "late", "ogm_ge", "mla"), 3
EPOCHS, BATCH = 25, 32
ENCODERS: dict[str, dict[str, Any]] = {
    "audio": {"name": "audio_resnet18", "width": 0.25, "clip": 0.6, "seconds": 0.5, "augment": 0.25},
    "video": {
        "name": "video_resnet18", "width": 0.25, "size": 48, "keep": 54, "frames": 3, "of": 6, "augment": 0.25
    },
}  # fmt: skip


def classifier(method: str, seed: int, epochs: int = EPOCHS) -> Any:
    import modest

    return modest.MultimodalClassifier(
        method=method, encoders=ENCODERS, epochs=epochs, batch_size=BATCH, device="cpu", random_state=seed
    )


def pool_of(task: str, shared: Path, into: Path) -> Any:
    """Pool of a task with raw columns only, made once."""
    import modest

    folder = into / "pools" / task
    if folder.exists():
        return modest.open(folder)
    return modest.ingest(grid(shared.resolve() / "data" / "grid_s1", task), folder)


def cell(task: str, method: str, seed: int, shared: Path, into: Path) -> dict[str, Any]:
    """Train one recipe, look at the test rows once, and write what was found."""
    import torch

    from modest.data.files import write_json

    torch.set_num_threads(1)
    pool, begin, used = pool_of(task, shared, into), time.perf_counter(), time.process_time()
    clf = classifier(method, seed).fit(pool)
    test = np.flatnonzero(np.asarray(pool.split) == "test")
    told, truth = clf.outputs(pool, test), np.searchsorted(clf.classes_, np.asarray(pool.labels)[test].astype(str))
    best = next(record for record in reversed(clf.history_) if record.values["best"])
    found = {
        "task": task, "method": method, "seed": seed, "epoch": best.epoch, "epochs": EPOCHS,
        "validation": best.values["validation"]["accuracy"], "classes": len(clf.classes_), "y": truth.tolist(),
        "fused": told.proba.argmax(axis=1).tolist(),
        **{name: told.modality[m].argmax(axis=1).tolist() for m, name in enumerate(clf.names_)},
        "weights": told.weights.mean(axis=0).tolist(),
        "seconds": time.perf_counter() - begin, "processor": time.process_time() - used,
    }  # fmt: skip
    write_json(path_of(into, task, method, seed), found)
    return found


def path_of(into: Path, task: str, method: str, seed: int) -> Path:
    return into / "cells" / f"{task}-{method}-{seed}.json"


def sweep(args: argparse.Namespace) -> list[str]:
    """Run the cells that are missing; returns what failed."""
    os.environ["OMP_NUM_THREADS"] = "1"  # before the children are started
    for task in TASKS:
        pool_of(task, args.shared, args.into)
    (args.into / "cells").mkdir(exist_ok=True)
    wanted = [(task, method, seed) for seed, task, method in product(range(args.seeds), TASKS, METHODS)]
    todo = [key for key in wanted if not path_of(args.into, *key).exists()]
    failed, begin = [], time.perf_counter()
    with ProcessPoolExecutor(args.processes, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as workers:
        waiting = {workers.submit(cell, *key, args.shared, args.into): key for key in todo}
        for number, done in enumerate(as_completed(waiting), 1):
            key, error = "-".join(map(str, waiting[done])), done.exception()
            failed += [f"{key}: {error!r}"] if error else []
            said = "failed" if error else f"fused {share(done.result(), 'fused').mean():.3f}"
            print(f"{number}/{len(todo)} {time.perf_counter() - begin:6.0f} s  {key}  {said}", flush=True)
    return failed


def predict(args: argparse.Namespace) -> None:
    """Time three epochs of mla, whose first decodes, and say how long all cells will take."""
    import torch

    torch.set_num_threads(1)
    pool, times = pool_of("digit", args.shared, args.into), [(time.perf_counter(), time.process_time())]
    for record in classifier("mla", 0, 3).run(pool):
        if "losses" in record.values:
            times.append((time.perf_counter(), time.process_time()))
    cells = len(TASKS) * len(METHODS) * args.seeds
    for name, (first, _, third) in zip(("wall", "processor"), np.diff(times, axis=0).T):
        each = first * 4 / 3 + third * (EPOCHS - 1)  # a third more: the test rows are decoded too
        total = f"{cells} cells in {cells * each / 60 / args.processes:.0f} min on {args.processes} processes"
        print(f"by {name} time: first epoch {first:.1f} s, another {third:.1f} s, a cell {each / 60:.1f} min, {total}")


def share(told: Mapping[str, Any], what: str) -> np.ndarray:
    """(n,) bool, which test rows were right."""
    return np.asarray(told[what]) == np.asarray(told["y"])


def page(cells: Sequence[Mapping[str, Any]]) -> str:
    """Accuracies as markdown: means and intervals over seeds, and the difference to concat over seeds and rows."""
    lines, head = [], ("method", "seeds", "fused", *ENCODERS, "fused - concat", "epoch chosen", "minutes")
    for task in TASKS:
        own = sorted((c for c in cells if c["task"] == task), key=lambda c: c["seed"])
        if not own:
            continue
        counts = np.bincount(own[0]["y"])
        lines += ["", f"### {task}: {own[0]['classes']} classes, {len(own[0]['y'])} test rows", ""]
        lines.append(f"Chance {1 / own[0]['classes']:.1%}; always the most frequent {counts.max() / counts.sum():.1%}.")
        lines += ["", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        by = {method: {c["seed"]: c for c in own if c["method"] == method} for method in METHODS}
        for method, found in by.items():
            if not found:
                continue
            scores = [_interval([share(c, what).mean() for c in found.values()]) for what in ("fused", *ENCODERS)]
            apart = "" if method == "concat" else _apart(found, by["concat"])
            chosen = ", ".join(str(c["epoch"] + 1) for c in found.values())
            minutes = np.mean([c["seconds"] for c in found.values()]) / 60
            lines.append(f"| {method} | {len(found)} | {' | '.join(scores)} | {apart} | {chosen} | {minutes:.1f} |")
    lines += ["", "### the paper's Table 1 (full-width ResNet-18s, other sets)", ""]
    lines += ["| method | " + " | ".join(SETS[:2]) + " |", "|---|---|---|"]
    lines += [f"| {method} | " + " | ".join(f"{x:.2f}" for x in TABLE_1[method][:2]) + " |" for method in METHODS]
    lines += ["", "mla's modalities alone there: " + "; ".join(f"{name} {MLA_ALONE[name]}" for name in SETS[:2]) + "."]
    return "\n".join(lines).strip()


def _interval(values: Sequence[float]) -> str:
    found = curve([100 * value for value in values])
    return f"{found.mean:.1f} [{found.low:.1f}, {found.high:.1f}]"


def _apart(found: Mapping[int, Any], other: Mapping[int, Any]) -> str:
    """Points above another method, over the seeds that both have, with the interval over seeds and test rows."""
    seeds = sorted(found.keys() & other.keys())
    if not seeds:
        return "-"
    told = crossed(*(np.stack([share(cells[seed], "fused") for seed in seeds]) for cells in (found, other)))
    return f"{100 * told.mean:+.1f} [{100 * told.low:+.1f}, {100 * told.high:+.1f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--predict", action="store_true", help="only say how long it will take")
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    args = parser.parse_args()
    if args.table:
        files = sorted((args.into / "cells").glob("*.json"))
        print(page([json.loads(path.read_text(encoding="utf-8")) for path in files]))
    elif args.predict:
        predict(args)
    elif failed := sweep(args):
        raise SystemExit(f"{len(failed)} cells failed: {'; '.join(failed)[:500]}")


if __name__ == "__main__":
    main()
