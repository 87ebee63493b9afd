"""Greedy coverage by a kernel, as maxherding, probcover and uherding share it: kernels, samples and gains.

    symbol   variable   shape   meaning
    k        kernel             similarity from distance, 1 at 0: rbf exp(-(d/h)^2), laplace exp(-d/h),
                                student (1 + 2 (d/h)^2)^(-3/4), tophat [d < h]; and without h linear 1 - d^2 / 4,
                                with which coverage is the k-medoids objective (facility location)
    h        bandwidth          in units of distance between unit rows, [0, 2]
    w_i      weights    (n,)    importance of covering row i, 1 if left out
    f_c      factor     (n,)    what the gain of c is multiplied with where candidates are compared, 1 if left out
    best_i              (n,)    covered similarity of row i

    next = argmax_c f_c mean_i w_i max(0, k(c, i) - best_i)

At most ``candidates`` rows may be picked, but 20 for each pick made so far if that is more, and ``targets`` rows are
covered, both drawn by (seed, id) when the pool is larger. What may be picked at pick t thus hangs on t and not on the
budget, and the answer for a smaller budget begins the one for a larger.
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
from modest.selection.limits import Limits
from modest.selection.remembered import recalled, remembered
from modest.types import Bool, Float, Int

Kernel = Literal["rbf", "laplace", "student", "tophat", "linear"]
PER_PICK = 20

# squared distance, bandwidth -> similarity
KERNELS: Mapping[str, Callable[[Tensor, float], Tensor]] = {
    "rbf": lambda d2, h: (d2 * (-1.0 / h**2)).exp_(),
    # below 4e-7 a squared distance is rounding alone, and its root would be no small number
    "laplace": lambda d2, h: torch.exp(-torch.threshold(d2, 4e-7, 0.0).sqrt() / h),
    "student": lambda d2, h: (1.0 + 2.0 * d2 / h**2) ** -0.75,
    "tophat": lambda d2, h: (d2 < h**2).to(d2.dtype),
    "linear": lambda d2, h: 1.0 - 0.25 * d2,
}


@dataclass(frozen=True, eq=False)
class Herd:
    """``picks`` (b,) rows in the frame of ids, ``gains`` (b,) in mean weighted coverage, what to tell of it, and the
    ``state`` from which a later run computes new rows alone (``selection/remembered.py``).
    """

    picks: Int
    gains: Float
    trace: Mapping[str, Any]
    state: Mapping[str, Any]


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
    closed: Bool | None = None,
    factor: Float | None = None,
    limits: Limits | None = None,
    start: Mapping[str, Any] | None = None,
) -> Herd:
    """Pick ``count`` rows that raise the mean covered similarity most; the equation above.

    Parameters
    ----------
    covered : (n,) bool
        Rows that count as picked already, in the frame of ids.
    candidates, targets : int
        Sizes of the samples; there are at least 20 candidates for each of the ``count`` picks.
    weights : (n,) float, optional
        In the frame of ids; where no target has any weight, all count the same and the trace says ``even``.
    closed : (n,) bool, optional
        In the frame of ids: rows that may not be picked and are to be covered all the same.
    factor : (n,) float above 0, optional
        In the frame of ids, f above.
    limits : Limits, optional
        In the frame of ids; with costs it is gain per cost that is compared. Picks end when no row is open.
    start : mapping, optional
        ``state`` of an earlier run; where it does not fit, everything is computed. The trace says ``reused``, the share
        of candidates x targets that was not computed, and ``reuse_refused`` why there is none.

    Raises
    ------
    ValueError
        For an unknown kernel, a bandwidth that is not above 0, or samples of no rows.
    """
    known(kernel, KERNELS, "kernel")
    if not bandwidth > 0:
        raise ValueError(f"bandwidth={bandwidth} must be above 0; distances between unit rows lie in [0, 2].")
    for name, size in (("candidates", candidates), ("targets", targets)):
        if size < 1:
            raise ValueError(f"{name}={size} is below one; it is the size of a sample of rows, by default 35,000.")
    free = ~covered if closed is None else ~(covered | closed)
    if limits is not None:  # no room is given in a sample to what can never be bought
        free = free & limits.open(np.empty(0, dtype=np.int64))
    drawn = keyed_rows(rows, seed, max(candidates, PER_PICK * count), free)
    order = np.argsort(drawn)
    may_pick, turns = drawn[order], np.where(order < candidates, 0, order // PER_PICK)
    aims = np.sort(keyed_rows(rows, seed + 1, targets, np.ones(len(rows), dtype=bool)))
    even = weights is None or not weights[aims].any()
    w = None if weights is None or even else weights[aims]
    told = {"kernel": kernel, "bandwidth": float(bandwidth)}
    past, why = (None, "") if start is None else recalled(rows, start, told, covered, aims, w)
    bought = None if limits is None else limits.take(may_pick)
    found = greedy_coverage(
        rows,
        count,
        may_pick,
        aims,
        lambda d2: KERNELS[kernel](d2, bandwidth),
        covered=np.flatnonzero(covered),
        weights=w,
        factor=_compared(factor, limits, may_pick),
        open=None if bought is None else bought.open,
        turns=turns if turns.any() else None,
        start=past,
    )
    trace: dict[str, Any] = {
        "coverage": float(found.best.double().mean()),
        "candidates": len(may_pick),
        "targets": len(aims),
        "sampled": len(may_pick) < int(free.sum()) or len(aims) < len(rows),
    }
    if weights is not None:
        trace["even"] = even
    if start is not None:
        again = 0 if past is None else int(np.isin(past.candidates, may_pick).sum()) * len(past.targets)
        trace["reused"] = again / max(1, len(may_pick) * len(aims))
        trace |= {"reuse_refused": why} if why else {}
    gains = found.gains if w is None else found.gains * float(w.mean())
    return Herd(found.picks, gains, trace, remembered(rows, found.standing, told, w))


def _compared(factor: Float | None, limits: Limits | None, rows: Int) -> Float | None:
    """(c,) what gains are multiplied with: the factor, divided by the cost where there is one."""
    if limits is None or limits.costs is None:
        return None if factor is None else factor[rows]
    return (1.0 if factor is None else factor[rows]) / limits.costs[rows]
