"""ProbCover: as many rows as possible within a ball of fixed radius around some choice; made for very small budgets.

Reference: Yehuda, Dekel, Hacohen, Weinshall, NeurIPS 2022 ("Active learning through a covering lens").

    symbol    variable   shape   meaning
    B(c)                         ball of c: the rows i with d(c, i) < delta, strictly; c itself among them
    delta     delta              radius, in distance of unit rows, [0, 2]
    alpha     purity             share of balls that should be pure, 0.95

    next = argmax_c |B(c) without what is covered|        delta* = max {delta: share of rows with a pure ball >= alpha}

which is maxherding with the kernel [d < delta]. A ball is pure when its rows share one pseudo-label, the cluster of
k-means with ``classes`` centres. It is so exactly while delta is at most the distance r_i from its row to the nearest
row of another cluster, hence delta* is the value that a share alpha of the r_i reaches: no search by halving is needed.
It is rounded down to a thousandth, so that no pair of rows lies on the edge.
Departures: the paper sets ``classes`` to the true number; without it we take sqrt(n / 2). The released code gives the
last n mod 500 rows no ball and, once all is covered, returns row 0 again and again; here every row has its ball, and
what is left of the budget is chosen by maxherding with an rbf of bandwidth delta on top of what was taken. Purity and
coverage are measured on ``targets`` rows, and ``candidates`` rows may be picked, drawn by (seed, id) where there are
more; the trace says so.
Cost n^2 d for the balls, twice with ``delta="auto"``; memory both samples and one tile. ``scores``: share of the rows
newly covered, 0 for picks after everything was.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, kmeans, nearest_members, other_distance
from modest.selection.answer import answer, cluster_sample, free_rows, inner_limits, inner_mask, keyed_rows
from modest.selection.herding import herd
from modest.selection.limits import Limits
from modest.types import Choice, Views

LEAST = 1e-3  # below this radius a ball in fp32 may miss its own row


def probcover(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    limits: Limits | None = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    delta: float | Literal["auto"] = "auto",
    purity: float = 0.95,
    classes: int | None = None,
    candidates: int = 35_000,
    targets: int = 35_000,
) -> Choice:
    """Choose rows whose balls of radius ``delta`` cover most of the pool, greedily.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows whose balls count as covered; they may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and are to be covered all the same.
    limits : Limits, optional
        Quotas and costs, see ``limits.py``; with costs it is the gain per cost that is compared.
    seed, memory, device
        As in :func:`modest.select`; the seed matters for ``delta="auto"`` and for samples of a large pool.
    delta : float or "auto"
        Radius, at least 0.001, or the largest that keeps the share ``purity`` of balls pure.
    purity, classes
        Of ``"auto"`` alone: alpha above, in (0, 1], and the number of pseudo-classes, at least 2.
    candidates, targets : int
        Most rows that may be picked (or 20 for each pick made so far) and that are to be covered.

    Raises
    ------
    ValueError
        If ``delta``, ``purity`` or ``classes`` is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])})
    >>> choice = probcover(views, 3, delta=0.12)
    >>> choice.rows.tolist(), choice.scores.tolist()
    ([1, 3, 0], [0.75, 0.25, 0.0])
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    radius = pure_radius(rows, seed, purity, classes, targets) if delta == "auto" else _radius(delta)
    pick = partial(
        herd, rows, bandwidth=radius, seed=seed, candidates=candidates, targets=targets, closed=~free & ~covered
    )
    inner = None if limits is None else inner_limits(rows, limits)
    balls = pick(count, covered, kernel="tophat", limits=inner)
    kept = int((balls.gains > 0).sum())
    picks = balls.picks[:kept]
    reasons = [f"{gain * len(rows):.0f} items lie within {radius:.3f} of it alone" for gain in balls.gains[:kept]]
    if kept < count:
        seen = covered.copy()
        seen[picks] = True
        rest = pick(count - kept, seen, kernel="rbf", limits=None if inner is None else inner.after(picks))
        picks = np.append(picks, rest.picks)
        reasons += [f"all is covered; raises soft coverage by {gain:.4f}" for gain in rest.gains]
    trace = {**balls.trace, "delta": radius, "after_full_coverage": len(picks) - kept}
    scores = np.append(balls.gains[:kept], np.zeros(len(picks) - kept))
    return answer(rows, picks, scores, "probcover", reasons, trace)


def pure_radius(rows: Rows, seed: int, purity: float, classes: int | None, targets: int) -> float:
    """delta* of the equation above, from k-means pseudo-labels on at most ``targets`` rows."""
    if not 0.0 < purity <= 1.0:
        raise ValueError(f"purity={purity} is no share in (0, 1]; the paper takes 0.95.")
    if classes is not None and not 2 <= classes <= len(rows):
        raise ValueError(f"classes={classes} must lie between 2 and the number of rows, {len(rows)}.")
    k = min(len(rows), max(2, round((len(rows) / 2) ** 0.5))) if classes is None else classes
    everything = np.ones(len(rows), dtype=bool)
    centres = kmeans(rows, k, cluster_sample(rows, k, seed), seed=seed)
    label = nearest_members(rows, centres, everything)[1]
    some = np.sort(keyed_rows(rows, seed + 1, targets, everything))
    reach = np.sort(other_distance(rows, some, label[some]))[::-1]
    largest = float(reach[int(np.ceil(purity * len(reach) - 1e-9)) - 1])
    return max(LEAST, min(2.0, float(np.floor(largest * 1000) / 1000)))


def _radius(delta: Any) -> float:
    if isinstance(delta, bool) or not isinstance(delta, (int, float, np.number)) or not delta >= LEAST:
        raise ValueError(f"delta={delta!r} must be 'auto' or a radius from {LEAST} to 2 between unit rows.")
    return float(delta)
