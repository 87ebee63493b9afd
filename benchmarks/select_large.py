"""Choosing from millions of memory-mapped rows: seconds and anonymous memory, and what sampling costs in coverage.

    python -m benchmarks.select --large --n 2000000 --share 0.01

The first part makes n x 512 float16 rows on disk and chooses in a process of its own, whose anonymous memory (RssAnon,
the page cache of the map left out) is read every 50 ms. The second chooses 1 % of ``--compare`` rows with the samples
the method takes by default and without sampling, and measures the mean similarity (rbf, bandwidth 1) of all rows to the
nearest choice.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.select_rows import make, opened


class Watch(threading.Thread):
    """Reads the anonymous memory of this process until told to stop; ``peak`` in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak, self.done = anonymous(), threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.05):
            self.peak = max(self.peak, anonymous())


def anonymous() -> float:
    """MB of memory of this process that no file backs."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise OSError("no RssAnon in /proc/self/status; this benchmark needs Linux.")


def one(folder: str, share: float, method: str, memory: str, knobs: dict[str, int]) -> None:
    """Child process: choose, and write the figures as JSON."""
    import modest

    views = opened(folder)
    held, watch = anonymous(), Watch()
    watch.start()
    begin, used = time.perf_counter(), time.process_time()
    choice = modest.select(views, share, method, memory=memory, **knobs)
    told = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - used}
    watch.done.set()
    watch.join()
    told |= {"peak": watch.peak, "before": held, "rows": choice.rows.tolist()}
    told |= {k: choice.trace[k] for k in ("coverage", "candidates", "targets", "sampled") if k in choice.trace}
    sys.stdout.write(json.dumps(told) + "\n")


def child(folder: str, args: argparse.Namespace, **knobs: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.select_large", folder, str(args.share), args.method, args.memory]
    done = subprocess.run([*command, json.dumps(knobs)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def coverage(folder: str, rows: list[int], tile: int = 4096) -> float:
    """Mean over all rows of the similarity to the nearest of some, exp(-d^2)."""
    import torch

    x = next(iter(opened(folder).arrays.values()))

    def unit(part: np.ndarray) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.as_tensor(np.asarray(part, dtype=np.float32)))

    chosen = unit(x[np.sort(rows)])
    total = 0.0
    for start in range(0, len(x), tile):
        total += float(torch.exp(2 * (unit(x[start : start + tile]) @ chosen.T).amax(1) - 2).double().sum())
    return total / len(x)


def large(args: argparse.Namespace) -> None:
    """Both parts, printed."""
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        print(
            f"{args.n} x 512 float16, {args.n * 1024 / 1e9:.1f} GB on disk, choosing {args.share:.2%} by {args.method}"
        )
        make(Path(folder), args.n, [512], dtype=np.float16)
        told = child(folder, args)
        print(
            f"{len(told['rows'])} rows in {told['seconds']:.0f} s ({told['cpu']:.0f} s of processor time), anonymous "
            f"memory at most {told['peak']:.0f} MB ({told['before']:.0f} before); candidates {told.get('candidates')}, "
            f"targets {told.get('targets')}, coverage {told.get('coverage')}",
            flush=True,
        )
    if not args.compare:
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        make(Path(folder), args.compare, [512], dtype=np.float16)
        found = {}
        for name, knobs in (("sampled", {}), ("unsampled", {"candidates": args.compare, "targets": args.compare})):
            told = child(folder, args, **knobs)
            found[name] = coverage(folder, told["rows"])
            print(f"{args.compare} rows, {name}: coverage {found[name]:.5f} in {told['seconds']:.0f} s", flush=True)
        print(f"sampled is {1 - found['sampled'] / found['unsampled']:+.3%} below unsampled (goal: within 1 %)")


if __name__ == "__main__":
    given = sys.argv[1:]
    one(given[0], float(given[1]), given[2], given[3], json.loads(given[4]))
