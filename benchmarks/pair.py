"""Asking among millions of memory-mapped rows: distance evaluations, time against a plain product, anonymous memory.

    python -m benchmarks.pair --n 1000000 --budget 1000 --candidates 4000

First the evaluations of a pool and of one twice as large, which are twice as many. Then two sides of n x 256 float16
rows on disk and one call with 1,000 known pairs, in a process of its own whose anonymous memory (RssAnon, the page
cache of the maps left out) is read every 50 ms. The unit of time is one fp32 product of rows x candidates x 256,
measured in that process: processor time against processor time, since others may be at work.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

WIDTH = 256


def make(folder: Path, n: int, clusters: int = 300, noise: float = 0.05, seed: int = 0) -> None:
    """Two sides around the same centres, ``noise`` per feature of a centre of unit deviation, float16."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((clusters, WIDTH), dtype=np.float32)
    for name in ("image", "text"):
        out = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float16, shape=(n, WIDTH))
        for start in range(0, n, 8192):
            label = rng.integers(0, clusters, min(8192, n - start))
            out[start : start + len(label)] = centres[label] + noise * rng.standard_normal(
                (len(label), WIDTH), dtype=np.float32
            )
        out.flush()


def one(folder: str, budget: int, candidates: int, known: int, knobs: dict) -> None:
    """Child process: one call, and the figures as JSON."""
    import torch

    from benchmarks.select_large import Watch, anonymous
    from benchmarks.select_rows import product_seconds
    from modest.pairing import acquire

    sides = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in ("image", "text")}
    pairs = np.repeat(np.arange(known)[:, None], 2, axis=1)
    n, threads = len(sides["image"]), torch.get_num_threads()
    unit = product_seconds(n, candidates, WIDTH, "cpu")
    held, watch = anonymous(), Watch()
    watch.start()
    begin, used = time.perf_counter(), time.process_time()
    query = acquire(sides, pairs, budget, candidates, device="cpu", **knobs)
    told = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - used}
    watch.done.set()
    watch.join()
    told |= {"unit": unit, "threads": threads, "peak": watch.peak, "before": held, "asked": len(query)}
    told |= {key: query.trace[key] for key in ("evaluations", "candidates", "radius")}
    sys.stdout.write(json.dumps(told) + "\n")


def child(folder: str, args: argparse.Namespace) -> dict:
    knobs = {"memory": args.memory, "modality_rule": args.rule, "uncertainty": args.uncertainty}
    given = [folder, str(args.budget), str(args.candidates), str(args.known), json.dumps(knobs)]
    done = subprocess.run([sys.executable, "-m", "benchmarks.pair", "--child", *given], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def evaluations(n: int, known: int = 50, budget: int = 20) -> int:
    """Of one call on two sides of n rows of 16 features."""
    from modest.pairing import acquire

    rng = np.random.default_rng(0)
    sides = {name: rng.standard_normal((n + known, 16)) for name in ("image", "text")}
    pairs = np.repeat(np.arange(known)[:, None], 2, axis=1)
    return acquire(sides, pairs, budget, 4 * budget, device="cpu").trace["evaluations"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000, help="rows of each side")
    parser.add_argument("--budget", type=int, default=1_000)
    parser.add_argument("--candidates", type=int, default=4_000)
    parser.add_argument("--known", type=int, default=1_000, help="known pairs")
    parser.add_argument("--noise", type=float, default=1.0, help="deviation within a cluster; centres have 1")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--rule", default="relative")
    parser.add_argument("--uncertainty", default="margin")
    parser.add_argument("--folder", default=None, help="where the rows are made; a temporary folder by default")
    args = parser.parse_args()
    small, large = evaluations(1_000), evaluations(2_000)
    print(f"evaluations of 1,000 free rows a side {small:,}, of 2,000 {large:,}: {large / small:.3f} times as many")
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        make(Path(folder), args.n, noise=args.noise)
        told = child(folder, args)
    print(
        f"{args.n:,} + {args.n:,} rows of {WIDTH} float16, {args.known:,} known pairs, {told['asked']:,} asked of "
        f"{told['candidates']:,} candidates: {told['seconds']:.0f} s, {told['cpu']:.0f} s of processor time, "
        f"{told['cpu'] / told['unit'][1]:.2f} products of rows x candidates x {WIDTH} ({told['unit'][1]:.0f} s each, "
        f"{told['threads']} threads; goal 6), anonymous memory at most {told['peak']:.0f} MB ({told['before']:.0f} "
        f"before; goal 2,000), {told['evaluations']:,} evaluations"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        one(sys.argv[2], *map(int, sys.argv[3:6]), json.loads(sys.argv[6]))
    else:
        main()
