"""Seconds and peak memory of every selection method beside one plain fp32 product N x B x d (T1) of the same run.

    python -m benchmarks.select --n 22588 --budget 452 --dims 512 512

Each method runs in a process of its own on the same clustered rows (memory-mapped). T1 is the median of three products
before and three after it; memory is the growth of the process's peak over what it held before the method.
Ratios travel between machines, seconds do not; read them together with the processor's name.
"""

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def make(folder: Path, n: int, dims: list[int], seed: int = 0, clusters: int = 300, noise: float = 1.0) -> None:
    """Rows around cluster centres shared by all modalities, one .npy per modality, float32."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, clusters, n)
    for m, d in enumerate(dims):
        centres = rng.standard_normal((clusters, d)).astype(np.float32)
        out = np.lib.format.open_memmap(folder / f"m{m}.npy", mode="w+", dtype=np.float32, shape=(n, d))
        for start in range(0, n, 8192):
            part = label[start : start + 8192]
            out[start : start + len(part)] = centres[part] + noise * rng.standard_normal(
                (len(part), d), dtype=np.float32
            )
        out.flush()


def product_seconds(n: int, budget: int, width: int, device: str) -> float:
    """Median of three plain fp32 products n x budget x width, in row tiles so that the result need not be held."""
    import torch

    x, u = torch.randn(min(n, 8192), width, device=device), torch.randn(budget, width, device=device)
    found = []
    for _ in range(3):
        begin = time.perf_counter()
        for start in range(0, n, len(x)):
            x[: min(len(x), n - start)] @ u.T
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return sorted(found)[1]


def one(args: argparse.Namespace) -> None:
    """Child process: run one method and print its figures as JSON."""
    import torch

    import modest

    views = modest.Views({p.stem: np.load(p, mmap_mode="r") for p in sorted(Path(args.folder).glob("m*.npy"))})
    knobs = {k: json.loads(v) for k, v in (knob.split("=", 1) for knob in args.knob)}
    width = sum(shape[1] for shape in views.shape.values())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    product_seconds(len(views), args.budget, width, device)
    before = product_seconds(len(views), args.budget, width, device)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    choice = modest.select(views, args.budget, args.one, memory=args.memory, **knobs)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    t1 = float(np.median([before, product_seconds(len(views), args.budget, width, device)]))
    losses = choice.trace.get("objective")
    told = {
        "method": args.one, "knobs": knobs, "seconds": seconds, "t1": t1, "ratio": seconds / t1, "peak_mb": peak / 1024,
        "objective": losses[-1] if losses else None, "ids": choice.ids.tolist(),
    }  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=22_588)
    parser.add_argument("--budget", type=int, default=452)
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 512])
    parser.add_argument("--methods", nargs="+", default=["random", "kcenter", "kmeans", "activeft", "mmcsal"])
    parser.add_argument("--knob", action="append", default=[], help="name=json, for every method of the run")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--exact", action="store_true", help="also run activeft and mmcsal with refresh=1 in fp32")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        one(args)
        return
    import torch

    where = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    held = args.n * args.budget * 4 / 2**20
    print(f"N={args.n} B={args.budget} d={'+'.join(map(str, args.dims))} on {where}, {torch.get_num_threads()} threads")
    rows = args.n * sum(args.dims) * 4 / 2**20
    print(f"one N x B float32 array would hold {held:.0f} MB, the rows themselves {rows:.0f} MB")
    print(f"{'method':34} {'seconds':>9} {'T1':>8} {'in T1':>8} {'peak MB':>8} {'objective':>10} {'same picks':>10}")
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), args.n, args.dims)
        for method in args.methods:
            reference = None
            exact = ["--knob", "refresh=1", "--knob", 'precision="float32"']
            runs = [exact, []] if args.exact and method in ("activeft", "mmcsal") else [[]]
            for extra in runs:
                reference = _child(args, folder, method, extra, reference)


def _child(
    args: argparse.Namespace, folder: str, method: str, extra: list[str], reference: list[str] | None
) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.select", "--one", method, "--folder", folder]
    command += ["--budget", str(args.budget), "--memory", args.memory, *extra]
    for knob in args.knob:
        command += ["--knob", knob]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    objective = "-" if told["objective"] is None else f"{told['objective']:.5f}"
    same = "-" if reference is None else f"{len(set(reference) & set(told['ids'])) / len(reference):.0%}"
    name = method + "".join(f" {k}={v}" for k, v in told["knobs"].items())
    figures = f"{told['seconds']:9.2f} {told['t1']:8.3f} {told['ratio']:8.1f} {told['peak_mb']:8.0f}"
    print(f"{name:34} {figures} {objective:>10} {same:>10}", flush=True)
    return list(told["ids"])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
