"""Seconds and peak memory of every selection method beside one plain fp32 product N x B x d (T1) of the same run.

    python -m benchmarks.select --n 22588 --budget 2259 --dims 512 512     the table
    python -m benchmarks.select --exact                                    activeft and mmcsal against refresh=1 in fp32
    python -m benchmarks.select --paper --limit 600                        the sizes of the paper's Table 5
    python -m benchmarks.select --large                                    two million memory-mapped rows
    python -m benchmarks.select --gpu                                      VGGSound's size on a GPU

Each method runs in a process of its own on the same clustered rows (memory-mapped). T1 is the median of three products
before and three after it; memory is the growth of the process's peak over what it held before the method. ``cpu in T1``
is processor time over that of T1, which other work on the machine disturbs less. Ratios travel between machines,
seconds do not; read them together with the processor's name.
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

from benchmarks.select_rows import make, opened, product_seconds, warm


def one(args: argparse.Namespace) -> None:
    """Child process: run one method and print its figures as JSON."""
    import torch

    import modest
    from modest.selection import METHODS

    views = opened(args.folder)
    knobs = {k: json.loads(v) for k, v in (knob.split("=", 1) for knob in args.knob)}
    width = sum(shape[1] for shape in views.shape.values())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    given = warm(views, METHODS[args.one].needs)
    product_seconds(len(views), args.budget, width, device)
    before = product_seconds(len(views), args.budget, width, device)
    if args.gpu:  # what is done once per process is no part of the method
        modest.select(views[:2048], 64, args.one, **knobs)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, used = time.perf_counter(), time.process_time()
    choice = modest.select(views, args.budget, args.one, memory=args.memory, **given, **knobs)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
    t1, cpu_t1 = np.median([before, product_seconds(len(views), args.budget, width, device)], axis=0).tolist()
    losses = choice.trace.get("objective")
    told = {
        "method": args.one, "knobs": knobs, "seconds": seconds, "t1": t1, "ratio": seconds / t1, "cpu": cpu / cpu_t1,
        "peak_mb": peak / 1024, "objective": losses[-1] if isinstance(losses, list) else None,
        "ids": choice.ids.tolist(),
    }  # fmt: skip
    sys.stdout.write(json.dumps(told) + "\n")


def child(args: argparse.Namespace, folder: str, method: str, budget: int, extra: list[str]) -> dict:
    """Figures of one method in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.select", "--one", method, "--folder", folder]
    command += ["--budget", str(budget), "--memory", args.memory, *extra, *(["--gpu"] if args.gpu else [])]
    for knob in args.knob:
        command += ["--knob", knob]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def line(told: dict, reference: list[str] | None) -> str:
    objective = "-" if told["objective"] is None else f"{told['objective']:.5f}"
    same = "-" if reference is None else f"{len(set(reference) & set(told['ids'])) / len(reference):.0%}"
    name = told["method"] + "".join(f" {k}={v}" for k, v in told["knobs"].items())
    figures = f"{told['seconds']:9.2f} {told['t1']:8.3f} {told['ratio']:8.1f} {told['cpu']:9.1f} {told['peak_mb']:8.0f}"
    return f"{name:34} {figures} {objective:>10} {same:>10}"


def table(args: argparse.Namespace) -> None:
    """One line per method, printed as it is done."""
    import torch

    from modest.selection import METHODS

    methods = args.methods or [*(name for name, method in METHODS.items() if not method.needs), "badge"]
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    held = args.n * args.budget * 4 / 2**20
    print(f"N={args.n} B={args.budget} d={'+'.join(map(str, args.dims))} on {where}, {torch.get_num_threads()} threads")
    rows = args.n * sum(args.dims) * 4 / 2**20
    print(f"one N x B float32 array would hold {held:.0f} MB, the rows themselves {rows:.0f} MB; noise {args.noise}")
    heads = (
        f"{'seconds':>9} {'T1':>8} {'in T1':>8} {'cpu in T1':>9} {'peak MB':>8} {'objective':>10} {'same picks':>10}"
    )
    print(f"{'method':34} {heads}", flush=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        make(Path(folder), args.n, args.dims, noise=args.noise)
        for method in methods:
            reference = None
            exact = ["--knob", "refresh=1", "--knob", 'precision="float32"']
            for extra in [exact, []] if args.exact and method in ("activeft", "mmcsal") else [[]]:
                told = child(args, folder, method, args.budget, extra)
                print(line(told, reference), flush=True)
                reference = told["ids"]


def gpu(args: argparse.Namespace) -> None:
    """VGGSound's size: the goal for mmcsal is 20 s."""
    import torch

    if not torch.cuda.is_available():
        sys.exit("--gpu needs CUDA and there is none here; run it where torch.cuda.is_available() is True.")
    args.n, args.budget, args.dims = 180_911, 18_091, [512, 512]
    args.methods = args.methods or ["mmcsal", "activeft", "kcenter", "maxherding"]
    table(args)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, help="rows: 22588, with --large 2000000")
    parser.add_argument("--budget", type=int, default=452)
    parser.add_argument("--dims", type=int, nargs="+", default=[512, 512])
    parser.add_argument("--methods", nargs="+", help="all that need no labels, and badge")
    parser.add_argument("--noise", type=float, default=1.0, help="length of the noise around the cluster centres")
    parser.add_argument("--knob", action="append", default=[], help="name=json, for every method of the run")
    parser.add_argument("--memory", default="2GB")
    parser.add_argument("--exact", action="store_true", help="also run activeft and mmcsal with refresh=1 in fp32")
    parser.add_argument("--paper", action="store_true", help="activeft and mmcsal at the sizes of the paper's Table 5")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for --paper; what does not fit is marked ~")
    parser.add_argument("--large", action="store_true", help="seconds and memory at two million rows")
    parser.add_argument("--share", type=float, default=0.01, help="of the rows of --large")
    parser.add_argument("--compare", type=int, default=100_000, help="rows of --large's second part; 0 leaves it out")
    parser.add_argument("--method", help="of --large: auto if there is one, else maxherding")
    parser.add_argument("--gpu", action="store_true", help="N=180,911, B=18,091 on a GPU")
    parser.add_argument("--folder", help="where the rows are written; the system's temporary folder if left out")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.n = args.n or (2_000_000 if args.large else 22_588)
    if args.one:
        one(args)
    elif args.large:
        from benchmarks.select_large import large
        from modest.selection import METHODS

        args.method = args.method or ("auto" if "auto" in METHODS else "maxherding")
        large(args)
    elif args.paper:
        from benchmarks.select_paper import paper

        paper(args, lambda folder, method, budget: child(args, folder, method, budget, []))
    elif args.gpu:
        gpu(args)
    else:
        table(args)


def _processor() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if text.startswith("model name"):
            return text.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
