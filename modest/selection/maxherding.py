"""MaxHerding: greedy coverage of the pool by a kernel around every choice; strong at small budgets, deterministic.

Reference: Bae, Noh, Sutherland, ECCV 2024 ("Generalized coverage for more robust low-budget active learning").

    symbol   variable    shape   meaning
    k        kernel              similarity from distance, 1 at 0: rbf exp(-(d/h)^2), laplace exp(-d/h),
                                 student (1 + 2 (d/h)^2)^(-3/4), tophat [d < h]
    h        bandwidth           in units of distance between unit rows, [0, 2]
    best_i                (n,)   covered similarity of row i

    next = argmax_c sum_i max(0, k(c, i) - best_i)

The objective is submodular, so the greedy is within 1 - 1/e of the best; computed lazily, with the same picks.
Several modalities: d^2 is the mean over shared modalities, the distance of the jointly normalised concatenation.
Departures: the released code holds the n x n kernel and draws 35,000 candidates unseeded; here at most ``candidates``
rows may be picked, or 20 for each pick made so far if that is more, and ``targets`` rows are covered, drawn by (seed,
id) when the pool is larger, and the trace says so.
Cost candidates x targets x d once and a part of it per pick; memory one tile. ``scores``: gain in mean coverage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows
from modest.selection.answer import answer, free_rows, inner_limits, inner_mask
from modest.selection.herding import Kernel, herd
from modest.selection.limits import Limits
from modest.types import Choice, Views


def maxherding(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    limits: Limits | None = None,
    since: Mapping[str, Any] | None = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    bandwidth: float = 1.0,
    kernel: Kernel = "rbf",
    candidates: int = 35_000,
    targets: int = 35_000,
) -> Choice:
    """Choose ``budget`` rows that cover the pool best, greedily.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and are to be covered all the same.
    limits : Limits, optional
        Quotas and costs, see ``limits.py``; with costs it is the gain per cost that is compared.
    since : mapping, optional
        ``state`` of an earlier choice of which these rows are a grown pool, ``taken`` what was chosen: only products
        of new rows with all are computed. The answer is that of a choice without it.
    seed, memory, device
        As in :func:`modest.select`; the seed only matters when the pool exceeds ``candidates`` or ``targets``.
    bandwidth, kernel
        h and k above.
    candidates, targets : int
        Most rows that may be picked (or 20 for each pick made so far) and that are to be covered.

    Examples
    --------
    >>> import numpy as np
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])})
    >>> maxherding(views, 2).rows.tolist()
    [1, 3]
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    found = herd(
        rows, count, covered, kernel=kernel, bandwidth=bandwidth, seed=seed, candidates=candidates, targets=targets,
        closed=~free, limits=None if limits is None else inner_limits(rows, limits), start=since,
    )  # fmt: skip
    reasons = [f"raises mean coverage by {gain:.4f}, like {gain * len(rows):.0f} copies of it" for gain in found.gains]
    return answer(rows, found.picks, found.gains, "maxherding", reasons, found.trace, found.state)
