"""Stage 1 on raw media with and without prototypes: gap, losses, label-efficiency, time and memory.

    python -m benchmarks.represent --into /tmp/represent --predict   # times three epochs, says how long all will take
    python -m benchmarks.represent --into /tmp/represent --workers 2
    python -m benchmarks.represent_table --into /tmp/represent

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

VARIANTS: dict[str, dict[str, Any]] = {
    "without": {"prototypes": 0},
    "eval": {"cluster_on": "eval"},
    "epoch": {"cluster_on": "epoch"},
}
METHODS = ("random", "activeft", "mmcsal", "maxherding")
BUDGETS = (0.01, 0.02, 0.05, 0.10)
EPOCHS, WARMUP, WIDTH, TEMPERATURE = 15, 5, 512, 0.07


def start(name: str, variant: str, seed: int, pool: Any, epochs: int = EPOCHS, warmup: int = WARMUP) -> Any:
    """Run of stage 1, not yet begun."""
    from modest.representation.objective import Objective
    from modest.representation.pretrain import pretrain
    from modest.training import Plan

    raw = RAW[name]
    objective = Objective(temperature=TEMPERATURE, **VARIANTS[variant])
    plan = Plan(epochs, 1e-3, weight_decay=0.02, betas=(0.9, 0.95), schedule="cosine", warmup=warmup)
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
    before = peak()
    run = start(name, variant, seed, pool)
    told = list(epochs(run))
    representation, trained = run.result, peak()
    representation.save(into / "models" / f"{name}-{variant}-{seed}")
    rows = np.flatnonzero(pool.split != "val")
    views = representation.encode(pool, rows, device="cpu")
    train = pool.split[rows] == "train"
    return {
        "wall": [t[0] for t in told],
        "cpu": [t[1] for t in told],
        "loss": [t[2] for t in told],
        "peak_mb": trained,
        "before_mb": before,
        "still": {"train": still_losses(views[train], RAW[name].batch, seed), "rows": int(train.sum())},
        "gap": {"train": gap(views[train]), "test": gap(views[~train])},
        **label_efficiency(name, views, pool.labels[rows], pool.split[rows], seed),
    }


def gap(views: Any) -> dict[str, float]:
    from modest.representation import modality_gap

    found = modality_gap(views)
    uni = {f"uni_{m}": value for m, value in found.within.items()}
    return {"gap": found.gap, **uni, "cross": found.across, "paired": found.paired, "unpaired": found.unpaired}


def still_losses(views: Any, batch: int, seed: int) -> dict[str, float]:
    """L_cross and L_uni of the final features, unaugmented, over shuffled batches of the training's size.

    L_uni is measured with prototypes clustered on these very features for every variant, also the one without.
    """
    import torch

    from modest.representation.infonce import cross_modal
    from modest.representation.objective import Objective
    from modest.representation.prototypes import cluster, prototype_loss

    r = [torch.from_numpy(np.asarray(array)) for array in views.arrays.values()]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(views)))
    found = [cluster(x, Objective().count(len(x)), seed, TEMPERATURE) for x in r]
    cross, uni = [], []
    for at in range(0, len(order) - batch + 1, batch):
        part = order[at : at + batch]
        pair = cross_modal([x[part] for x in r], torch.ones(len(part), len(r), dtype=torch.bool), TEMPERATURE)
        own = [prototype_loss(x[part], p.centroids, p.assignment[part], p.concentration) for x, p in zip(r, found)]
        cross.append(float(pair))
        uni.append(float(torch.stack(own).mean()))
    return {"cross": float(np.mean(cross)), "uni": float(np.mean(uni))}


def label_efficiency(name: str, views: Any, labels: Any, split: Any, seed: int) -> dict[str, Any]:
    """Budget protocol of the bench on these views: accuracy and macro accuracy of the linear probe, and the choices."""
    from modest.bench.cell import Arena
    from modest.bench.protocol import Protocol
    from modest.bench.sets import LabelledViews, prepare

    given = LabelledViews(views, labels, split)
    ground = prepare(name, given)
    protocol = Protocol(pool={name: given}, out="unused", methods=METHODS, budgets=BUDGETS)
    arena = Arena(ground, protocol, 0.0, seed)
    probe, choices = [], {}
    wanted = [(method, items, shares) for items, shares in protocol.items(ground).items() for method in METHODS]
    for method, items, shares in [*wanted, ("all", len(arena.rows), [1.0])]:
        bought = arena.rows if method == "all" else arena.choose(method, items)
        begin = time.perf_counter()
        scores = arena.score("probe", bought)
        taken = time.perf_counter() - begin
        probe.append({"method": method, "items": items, "shares": shares, **scores, "seconds": taken})
        if method != "all":
            choices[f"{method}~{items}"] = views.ids[bought].tolist()
    return {"probe": probe, "choices": choices}


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
        whole = len(VARIANTS) * args.seeds * (first + third * (EPOCHS - 1)) + 18 * third
        total += whole
        each = f"first epoch {first:.1f} s, with clustering {third:.1f} s"
        print(f"{name:8} {parameters(name)} {each}, all {whole / 60:.1f} min")
    print(f"training in all about {total / 60:.0f} min on one core, {total / 60 / args.workers:.0f} on {args.workers}")


def arguments(text: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, default=Path("/tmp/modest-represent"))
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
        dear = [f"{name}-cost-0" for name in RAW]
        sys.exit(sweep(args, "benchmarks.represent", dear if args.cost else keys + dear))


if __name__ == "__main__":
    main()
