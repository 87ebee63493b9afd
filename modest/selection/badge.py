"""BADGE: k-means++ over the gradients of the last layer, so uncertain items that differ; for a trained classifier.

Reference: Ash et al., ICLR 2020 ("Deep batch active learning by diverse, uncertain gradient lower bounds").

    symbol   variable   shape    meaning
    p_i      proba      (n, C)   class probabilities
    v_i      features   (n, D)   input of the last layer, all modalities side by side, zero where absent
    y_i                          argmax p_i, lowest on ties
    q_i                 (n, C)   p_i - onehot(y_i)

    g_i = q_i (x) v_i, the gradient of the loss at the predicted class by the last layer's weights
    first = argmax_i |g_i|,   next i drawn with probability D_i^2 / sum D^2,   D_i = min over picks j of |g_i - g_j|

Never formed: <g_i, g_j> = <q_i, q_j> <v_i, v_j>, see ``neighbours/plusplus.py``.
Departures: draws are keyed by (seed, pick, id); where all distances are zero (copies, a classifier sure of everything)
the next row is drawn evenly instead of failing. As published, taken rows are left out but do not count as covered,
for what a classifier has learnt has small gradients; ``cover_taken=True`` counts them as picks, which rows waiting for
their label need. Cost n (C + D) per pick; memory n (C + 100) numbers besides the features.
``scores``: distance to the nearest pick before it, for the first its norm; they need not fall.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Products, Rows, plus_plus
from modest.neighbours.device import Precision
from modest.selection.answer import answer, free_rows, inner_limits, inner_mask
from modest.selection.arrays import distributions, feature_rows, residuals
from modest.selection.limits import Limits
from modest.types import Bool, Choice, Views


def badge(
    views: Views,
    budget: int | float,
    *,
    proba: Any,
    features: Any,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    limits: Limits | None = None,
    uniforms: Any = None,
    cover_taken: bool = False,
    precision: Precision = "auto",
) -> Choice:
    """Choose ``budget`` rows by k-means++ over gradient embeddings.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; only ids and presence matter.
    budget : int or float
        Items, or a share of the rows.
    proba : (n, C)
        Class probabilities.
    features : {modality: (n, d)}
        Input of the last layer.
    taken : (n,) bool, optional
        Rows that may not be chosen.
    closed : (n,) bool, optional
        The same, and never counted as picks.
    limits : Limits, optional
        Quotas and costs, see ``limits.py``: rows that do not fit are not drawn.
    seed, memory, device
        As in :func:`modest.select`.
    uniforms : (budget - 1,) float, optional
        Numbers in [0, 1) that decide the draws instead, one per pick after the first, over the rows in order of ids.
    cover_taken : bool
        Count taken rows as picks already; there is a draw for every pick then.
    precision : {"auto", "float32", "float64"}
        Of products and distances.

    Examples
    --------
    >>> x, p = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), np.full((4, 2), 0.5)
    >>> p[3] = 1.0, 0.0
    >>> sorted(badge(Views({"x": x}), 3, proba=p, features={"x": x}).rows.tolist())  # row 1 is a copy of row 0
    [0, 2, 3]
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    q = distributions(rows, proba)
    inputs = feature_rows(rows, views, features, memory, precision)
    products = Products(inputs, residuals(rows, q, inputs.dtype))
    return seeded("badge", rows, products, covered, free, count, seed, uniforms, cover_taken, limits)


def seeded(
    name: str, rows: Rows, products: Products, covered: Bool, free: Bool, count: int, seed: int, uniforms: Any,
    cover_taken: bool, limits: Limits | None, told: Mapping[str, Any] | None = None,
) -> Choice:  # fmt: skip
    """Choice of the method ``name`` by k-means++ over ``products``; the closing of BADGE and BMMAL.

    ``told`` joins the trace.
    """
    counted = cover_taken and bool(covered.any())
    numbers = None if uniforms is None else np.asarray(uniforms, dtype=np.float64)
    draws = count - (not counted)
    if numbers is not None and (numbers.shape != (draws,) or not ((numbers >= 0) & (numbers < 1)).all()):
        raise ValueError(f"uniforms has shape {numbers.shape}; it must hold {draws} numbers in [0, 1), one per draw.")
    before = np.flatnonzero(covered) if counted else None
    still = None if limits is None else inner_limits(rows, limits).open
    picks, distances, closest = plus_plus(
        products, count, free, seed=seed, uniforms=numbers, covered=before, still=still
    )
    reasons = [f"its gradient is {d:.4f} from all chosen before" for d in distances]
    if not counted:
        reasons[0] = f"the largest gradient, of norm {distances[0]:.4f}"
    trace = {
        **(told or {}),
        "mean_squared_distance": float(closest.double().mean()),
        "drawn_evenly": int((distances == 0).sum()),
    }
    return answer(rows, picks, distances, name, reasons, trace)
