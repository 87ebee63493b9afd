"""ActiveFT: free parameters move to match the pool's distribution and stay apart; their nearest rows are chosen.

Reference: Xie et al., CVPR 2023 ("Active finetuning"), in the form that was released; MMCSAL Eq. 5-7 restate it.

    symbol    variable     shape    meaning
    r_i       rows         (n, D)   unit rows, one unit half per modality
    theta_j   theta        (B, D)   leaves; normalised half by half in every pass
    s(i, j)                (n, B)   mean cosine over the modalities item i has (never held whole)
    tau       temperature           divides cosines
    lambda    balance               weight of the repulsion; additive as log lambda in the released form

    J = mean_i softplus(log lambda + log sum_k exp(s(sg theta_k, theta_{s_i}) / tau) - s(i, s_i) / tau)

with s_i the nearest parameter and k running over all parameters, the own one included. Then every parameter, in order,
takes its most similar free row that no earlier one took.

Departures: the printed objective D - lambda R leaves out k = j; it repels parameters off the data and returns its
random start (``objective="printed"``, kept for study; ``"self"`` is Eq. 5 with the self term). lambda inside the log is
not a linear weight. Assignment and item weights are refreshed every ``refresh`` steps, which moved the objective by
0.24 % from the exact fp32 run (docs/results); ``refresh=1`` is the released algorithm. Several modalities: every half
is normalised by itself, so that none can fade. Taken rows become parameters that never move, and the loss counts the
other rows only.
Cost n B D / refresh + B^2 D per step; memory one tile x B. ``scores``: share of the items that the row's parameter
represents; rows are in that order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, farthest_first, match, nearest
from modest.neighbours.device import Precision
from modest.selection.answer import answer, free_rows, given_rows, inner_mask, keyed_rows
from modest.selection.parametric import Objective, Optimised, Schedule, Settings, halves, optimise, start_at
from modest.types import Bool, Choice, Int, Views


def activeft(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    init: Any = None,
    objective: Objective = "released",
    balance: float = 1.0,
    temperature: float = 0.07,
    steps: int = 300,
    lr: float = 1e-3,
    schedule: Schedule = "constant",
    refresh: int = 5,
    precision: Precision = "auto",
) -> Choice:
    """Choose the rows nearest ``budget`` optimised parameters.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and still belong to the pool that is matched.
    seed, memory, device
        As in :func:`modest.select`.
    init : (b,) int or "farthest", optional
        Rows of the table the parameters start from, in that order; ``"farthest"`` starts from farthest-first rows;
        left out, rows are drawn by (seed, id).
    objective, balance, temperature, steps, lr, schedule, refresh
        As above; ``schedule="cosine"`` lets the rate fall to 1e-6.
    precision : {"auto", "float32", "float64"}
        ``"auto"``: fp32 with bf16 products where the processor has them fast.

    Examples
    --------
    >>> views = Views({"x": np.repeat(np.eye(3), 4, axis=0) + 0.1 * np.arange(36).reshape(12, 3) % 0.3})
    >>> sorted(row // 4 for row in activeft(views, 3, init=[0, 4, 8]).rows.tolist())
    [0, 1, 2]
    """
    if not balance > 0:
        raise ValueError(f"balance={balance} must be above 0; at 0 the loss no longer depends on the data.")
    settings = Settings(objective, "none", balance, 0.0, temperature, steps, lr, schedule, refresh)
    rows = Rows(views, device=device, memory=memory, precision=precision)
    return choose_by_parameters("activeft", rows, budget, taken, closed, seed, init, settings)


def choose_by_parameters(
    method: str, rows: Rows, budget: int | float, taken: Any, closed: Any, seed: int, init: Any, settings: Settings
) -> Choice:
    """Start, optimise, match and report: what ActiveFT and MMCSAL have in common."""
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    start = _start(rows, seed, init, count, ~covered)
    fixed = start_at(rows, rows.take(np.flatnonzero(covered))) if covered.any() else None
    end = optimise(rows, start_at(rows, rows.take(start)), settings, used=~covered, fixed=fixed)
    by_parameter, before = match(rows, end.u, free)
    counts = end.counts.cpu().numpy()
    order = np.argsort(-counts, kind="stable")
    picks = by_parameter[order]
    own = _own_similarity(rows, by_parameter, end.u)[order]
    reasons = [
        f"represents {counts[j]} items; cosine {c:.3f} to the parameter standing for them" for j, c in zip(order, own)
    ]
    trace = _trace(rows, end, by_parameter, before, start, settings, covered)
    return answer(rows, picks, counts[order] / max(1, int((~covered).sum())), method, reasons, trace)


def _start(rows: Rows, seed: int, init: Any, count: int, free: Bool) -> Int:
    if init is None:
        return keyed_rows(rows, seed, count, free)
    if isinstance(init, str):
        if init != "farthest":
            raise ValueError(f"init={init!r} is unknown; give rows of the table, 'farthest', or leave it out.")
        taken = np.flatnonzero(~free)
        first = None if len(taken) else int(keyed_rows(rows, seed, 1, free)[0])
        return farthest_first(rows, count, free, first=first, covered=taken)[0]
    return given_rows(rows, init, "init", count, free)


def _own_similarity(rows: Rows, picks: Int, u: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    block = rows.take(picks)
    return np.asarray(((block.x * u).sum(1) / block.p.sum(1)).double().cpu().numpy())


def _pair_cosine(parts: list[Tensor]) -> float | None:
    """Mean cosine between the modalities of a row or parameter, over pairs of modalities; None where there is none."""
    if len(parts) < 2 or len({part.shape[1] for part in parts}) > 1:
        return None
    pairs = [(a * b).sum(1) for i, a in enumerate(parts) for b in parts[i + 1 :]]
    return float(torch.stack(pairs).mean())


def _trace(
    rows: Rows, end: Optimised, picks: Int, before: Int, start: Int, settings: Settings, covered: Bool
) -> dict[str, Any]:
    everything = np.append(np.flatnonzero(covered), picks)
    _, similarity = nearest(rows, start_at(rows, rows.take(everything)))
    whole = rows.take(picks)
    complete = bool((whole.p == 1).all())
    return {
        "objective": end.losses,
        "objective_steps": end.refreshed,
        "steps": settings.steps,
        "align": settings.align,
        "coverage": float(similarity.double().mean()),
        "dead": int((end.counts == 0).sum()),
        "collisions": len(before) - len(np.unique(before)),
        "kept_from_start": float(np.isin(picks, start).mean()),
        "pair_cosine_parameters": _pair_cosine(halves(end.u, rows.dims)),
        "pair_cosine_chosen": _pair_cosine(halves(whole.x, rows.dims)) if complete else None,
        "by_parameter": rows.table_rows(picks).tolist(),
        "before_duplicates": rows.table_rows(before).tolist(),
    }
