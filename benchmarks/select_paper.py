"""Seconds of activeft and mmcsal at the sizes of Table 5 of Shen et al., MMAsia 2024, beside the printed ones.

    python -m benchmarks.select --paper --limit 600

Cells are run from the cheapest on until ``--limit`` seconds are spent; the others follow from the cost of the methods,

    seconds = a n + f b n + g b^2,

fitted to the cells that were run (no negative part) and marked ~. The printed seconds are of their GPU.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.paper_printed import SECONDS
from benchmarks.select_rows import make

SIZES = {"Food101": 45_719, "KineticsSound": 22_588, "VGGSound": 180_911}
SHARES = (0.01, 0.02, 0.05, 0.1)
PRINTED = {"activeft": "activeft", "mmcsal": "mmcsal-final"}


def terms(n: int, b: int) -> list[float]:
    return [n * 1e-6, n * b * 1e-8, b * b * 1e-7]


def fitted(cells: dict[tuple[int, int], float]) -> np.ndarray:
    """Coefficients of the cost, not negative, from {(n, b): seconds}; errors count by their share."""
    from scipy.optimize import nnls

    a = np.array([terms(*cell) for cell in cells]) / np.array(list(cells.values()))[:, None]
    return nnls(a, np.ones(len(a)))[0]


def paper(args: argparse.Namespace, run) -> None:
    """The grid, printed; ``run(folder, method, budget)`` gives the figures of one process."""
    grid = sorted((n * share, name, n, int(n * share)) for name, n in SIZES.items() for share in SHARES)
    found: dict[str, dict[tuple[int, int], float]] = {method: {} for method in PRINTED}
    begin, last = time.perf_counter(), 0.0
    for _, name, n, b in sorted(grid, key=lambda cell: cell[2] * cell[3]):
        if time.perf_counter() - begin + 2 * last > args.limit:
            break
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            make(Path(folder), n, [512, 512])
            started = time.perf_counter()
            for method in PRINTED:
                found[method][n, b] = run(folder, method, b)["seconds"]
                print(f"ran {method} on {name}, {b} rows: {found[method][n, b]:.1f} s", flush=True)
            last = time.perf_counter() - started
    for method, printed in PRINTED.items():
        if len(found[method]) < 3:
            print(f"{method}: fewer than three cells were run; nothing can be extrapolated, raise --limit.")
            continue
        weight = fitted(found[method])
        print(f"\n{method:14} {'1 %':>18} {'2 %':>18} {'5 %':>18} {'10 %':>18}   (printed)")
        for s, (name, n) in enumerate(SIZES.items()):
            line = f"{name:14}"
            for k, share in enumerate(SHARES):
                b = int(n * share)
                mark, seconds = ("", found[method][n, b]) if (n, b) in found[method] else ("~", weight @ terms(n, b))
                line += f" {f'{mark}{seconds:.1f} ({SECONDS[printed][4 * s + k]})':>18}"
            print(line)
