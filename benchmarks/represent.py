"""Stage 1 on raw media with and without prototypes: gap, losses, label-efficiency, time and memory.

    python -m benchmarks.represent --into FOLDER --predict   # times three epochs, says how long all will take
    python -m benchmarks.represent --into FOLDER --workers 2
    python -m benchmarks.represent_table --into FOLDER

Each cell is a process of its own that writes one JSON file; a second run does only what is missing. ``cost`` cells
train the three variants in turns, epoch by epoch in one process, so that a busy machine hits all of them alike.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.raw_sets import RAW, ingest_raw, parameters
from benchmarks.represent_measure import TEMPERATURE, measured

VARIANTS: dict[str, dict[str, Any]] = {
    "without": {"prototypes": 0},
    "eval": {"cluster_on": "eval"},
    "epoch": {"cluster_on": "epoch"},
}
UNTRAINED = "untrained"  # the same first weights, for comparison
WIDTH = 512


def start(name: str, variant: str, seed: int, pool: Any, epochs: int | None = None, warmup: int | None = None) -> Any:
    """Run of stage 1, not yet begun."""
    from modest.representation.objective import Objective
    from modest.representation.pretrain import pretrain
    from modest.training import Plan

    raw = RAW[name]
    objective = Objective(temperature=TEMPERATURE, **VARIANTS[variant])
    times = {"epochs": epochs or raw.epochs, "warmup": warmup or raw.warmup}
    plan = Plan(**times, lr=1e-3, weight_decay=0.02, betas=(0.9, 0.95), schedule="cosine")
    return pretrain(
        pool, raw.encoders, objective=objective, plan=plan, batch_size=raw.batch, width=WIDTH, seed=seed, device="cpu"
    )


def epochs(run: Any) -> Any:
    """Per epoch: (wall seconds, processor seconds of all threads, mean loss)."""
    begin, used = time.perf_counter(), time.process_time()
    for record in run:
        if "losses" in record.values:
            yield time.perf_counter() - begin, time.process_time() - used, record.values["losses"]["all"]
            begin, used = time.perf_counter(), time.process_time()


def cell(name: str, variant: str, seed: int, pool: Any, into: Path) -> dict[str, Any]:
    """Train one variant, encode, and measure everything the tables need."""
    told: dict[str, Any] = {}
    if variant == UNTRAINED:
        representation = untrained(name, seed)
    else:
        before, run = peak(), start(name, variant, seed, pool)
        wall, cpu, loss = zip(*epochs(run))
        representation = run.result
        told = {"wall": wall, "cpu": cpu, "loss": loss, "peak_mb": peak(), "before_mb": before}
        representation.save(into / "models" / f"{name}-{variant}-{seed}")
    rows = np.flatnonzero(pool.split != "val")
    views = representation.encode(pool, rows, device="cpu")
    return {**told, **measured(name, views, pool.labels[rows], pool.split[rows], RAW[name].batch, seed)}


def untrained(name: str, seed: int) -> Any:
    """Representation with the first weights of stage 1."""
    import torch

    from modest.encoders.trainable import build
    from modest.representation.embedding import Embedding, Representation

    generator = torch.Generator().manual_seed(seed)
    backbones = {m: build(**knobs, generator=generator) for m, knobs in RAW[name].encoders.items()}
    return Representation(list(backbones), backbones, Embedding(list(backbones.values()), WIDTH, generator))


def cost(name: str, seed: int, pool: Any, count: int = 6) -> dict[str, Any]:
    """Seconds per epoch of the three variants in turns; epoch 0 decodes and does not count."""
    runs = {variant: epochs(start(name, variant, seed, pool, count, 1)) for variant in VARIANTS}
    found: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
    for epoch in range(count):
        names = list(runs) if epoch % 2 else list(runs)[::-1]
        for variant in names:
            begin, used = time.perf_counter(), time.process_time()
            next(runs[variant])
            found[variant].append([time.perf_counter() - begin, time.process_time() - used])
    return {variant: {"wall": [t[0] for t in times], "cpu": [t[1] for t in times]} for variant, times in found.items()}


def peak() -> float:
    """Largest memory this process ever held, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def pool_of(name: str, shared: Path, into: Path) -> Any:
    """Pool of a set, made once; ``sweep`` makes it before any two processes can ask for it."""
    import modest

    folder = into / "pools" / name
    return modest.open(folder) if folder.exists() else ingest_raw(name, shared, folder)


def one(args: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)
    name, variant, seed = args.one.split("-")
    pool = pool_of(name, args.shared, args.into)
    begin = time.perf_counter()
    told = cost(name, int(seed), pool) if variant == "cost" else cell(name, variant, int(seed), pool, args.into)
    about = {"set": name, "variant": variant, "seed": int(seed), "parameters": parameters(name)}
    write(args.into / "cells" / f"{args.one}.json", {**about, **told, "seconds": time.perf_counter() - begin})


def write(path: Path, told: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(told), encoding="utf-8")
    part.replace(path)


def sweep(args: argparse.Namespace, module: str, keys: list[str]) -> int:
    """Run what is missing, ``workers`` processes at a time; returns how many failed."""
    args.into.mkdir(parents=True, exist_ok=True)
    for name in RAW:
        pool_of(name, args.shared, args.into)
    keys = [key for key in keys if not (args.into / "cells" / f"{key}.json").exists()]

    def child(key: str) -> int:
        begin = time.perf_counter()
        command = [sys.executable, "-m", module, "--one", key, "--into", str(args.into), "--shared", str(args.shared)]
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
        )
        told = "done" if done.returncode == 0 else f"failed: {done.stderr.strip().splitlines()[-1:]}"
        print(f"{key:24} {time.perf_counter() - begin:7.1f} s  {told}", flush=True)
        return int(done.returncode != 0)

    with ThreadPoolExecutor(args.workers) as workers:
        return sum(workers.map(child, keys))


def predict(args: argparse.Namespace) -> None:
    """Time two epochs of the dearest variant of each set and say how long the whole sweep will take."""
    import torch

    torch.set_num_threads(1)
    total = 0.0
    for name in RAW:
        run = epochs(start(name, "eval", 0, pool_of(name, args.shared, args.into), 3, 1))
        first, _, third = (t[0] for t in run)
        whole = len(VARIANTS) * args.seeds * (first + third * (RAW[name].epochs - 1)) + 18 * third
        total += whole
        each = f"first epoch {first:.1f} s, with clustering {third:.1f} s"
        print(f"{name:8} {parameters(name)} {each}, all {whole / 60:.1f} min")
    print(f"training in all about {total / 60:.0f} min on one core, {total / 60 / args.workers:.0f} on {args.workers}")


def arguments(text: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--predict", action="store_true", help="only say how long it will take")
    parser.add_argument("--cost", action="store_true", help="only the seconds per epoch, some minutes")
    args = parser.parse_args()
    if args.one:
        one(args)
    elif args.predict:
        predict(args)
    else:
        keys = [f"{name}-{variant}-{s}" for s in range(args.seeds) for name in reversed(RAW) for variant in VARIANTS]
        raw = [name for name, about in RAW.items() if about.frozen is None]
        dear = [f"{name}-cost-0" for name in raw]
        more = [f"{name}-{UNTRAINED}-{s}" for s in range(args.seeds) for name in raw]
        sys.exit(sweep(args, "benchmarks.represent", dear if args.cost else keys + dear + more))


if __name__ == "__main__":
    main()
