"""Greedy coverage by a kernel, as maxherding, probcover and uherding share it: kernels, samples and gains.

    symbol   variable   shape   meaning
    k        kernel             similarity from distance, 1 at 0: rbf exp(-(d/h)^2), laplace exp(-d/h),
                                student (1 + 2 (d/h)^2)^(-3/4), tophat [d < h]
    h        bandwidth          in units of distance between unit rows, [0, 2]
    w_i      weights    (n,)    importance of covering row i, 1 if left out
    best_i              (n,)    covered similarity of row i

    next = argmax_c mean_i w_i max(0, k(c, i) - best_i)

At most ``candidates`` rows may be picked and ``targets`` rows are covered, drawn by (seed, id) when the pool is larger.
Cost candidates x targets x d once and a part of it per pick; memory both samples and one tile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from modest.checks import known
from modest.neighbours import Rows, greedy_coverage
from modest.selection.answer import keyed_rows
from modest.types import Bool, Float, Int

Kernel = Literal["rbf", "laplace", "student", "tophat"]

# squared distance, bandwidth -> similarity
KERNELS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "rbf": lambda d2, h: (d2 * (-1.0 / h**2)).exp_(),
    "laplace": lambda d2, h: torch.exp(-d2.sqrt() / h),
    "student": lambda d2, h: (1.0 + 2.0 * d2 / h**2) ** -0.75,
    "tophat": lambda d2, h: (d2 < h**2).to(d2.dtype),
}


@dataclass(frozen=True, eq=False)
class Herd:
    """``picks`` (b,) rows in the frame of ids, ``gains`` (b,) in mean weighted coverage, and what to tell of it."""

    picks: Int
    gains: Float
    trace: Mapping[str, Any]


def herd(
    rows: Rows,
    count: int,
    covered: Bool,
    *,
    kernel: Kernel,
    bandwidth: float,
    seed: int,
    candidates: int,
    targets: int,
    weights: Float | None = None,
) -> Herd:
    """Pick ``count`` rows that raise the mean covered similarity most; the equation above.

    Parameters
    ----------
    covered : (n,) bool
        Rows that count as picked already, in the frame of ids.
    candidates, targets : int
        Sizes of the samples; of the candidates at least 20 times ``count`` are kept.
    weights : (n,) float, optional
        In the frame of ids; where no target has any weight, all count the same and the trace says ``even``.

    Raises
    ------
    ValueError
        For an unknown kernel or a bandwidth that is not above 0.
    """
    known(kernel, KERNELS, "kernel")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth={bandwidth} must be above 0; distances between unit rows lie in [0, 2].")
    may_pick = np.sort(keyed_rows(rows, seed, max(candidates, 20 * count), ~covered))
    aims = np.sort(keyed_rows(rows, seed + 1, targets, np.ones(len(rows), dtype=bool)))
    even = weights is None or not weights[aims].any()
    w = None if weights is None or even else weights[aims]
    picks, gains, best = greedy_coverage(
        rows,
        count,
        may_pick,
        aims,
        lambda d2: KERNELS[kernel](d2, bandwidth),
        covered=np.flatnonzero(covered),
        weights=w,
    )
    trace: dict[str, Any] = {
        "coverage": float(best.double().mean()),
        "candidates": len(may_pick),
        "targets": len(aims),
        "sampled": len(may_pick) < int((~covered).sum()) or len(aims) < len(rows),
    }
    if weights is not None:
        trace["even"] = even
    return Herd(picks, gains if w is None else gains * float(w.mean()), trace)
