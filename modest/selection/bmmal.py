"""BMMAL: BADGE with each modality's gradient weighed by its share in the prediction, so that none is left unasked.

Reference: Shen et al., ACM MM 2023 ("Towards balanced active learning for multimodal classification"), read in the
authors' code; Shapley values: Shapley 1953.

    symbol     variable          shape         meaning
    p_S        coalition_proba   (2^M, n, C)   probabilities with the features of the coalition S alone
    z_im       features          (n, d_m)      features of modality m, zero where absent
    y_i                                        argmax of p of all modalities, lowest on ties
    q_i                          (n, C)        p_i - onehot(y_i), of all modalities
    phi_im     share             (n, M)        share of modality m in the prediction
    s_im       scale             (n, M)

    delta_m = sum over S without m of |S|! (M - |S| - 1)! / M! (p_{S + m} - p_S)      at y_i
    phi_m = |delta_m| / sum_k |delta_k|,   s_m = 1 - (max_k phi_k - phi_m)
    g_i = [q_i s_i1 (x) z_i1, ..., q_i s_iM (x) z_iM], then k-means++ as in BADGE

For two modalities this is the published rule: the stronger keeps 1, the weaker 1 - (phi_strong - phi_weak). Both blocks
have the multimodal residual, as the authors' code has it.
Departures: more than two modalities, with exact Shapley values up to five; shares of 0 / 0 are equal, so that the
scale is 1 (published: NaN); the pool is never cut by free memory. ``cover_taken`` as in BADGE, whose draws these are;
with all scales 1 it is BADGE. Cost 2^M n C once and n (C + D) per pick; memory as BADGE. ``scores`` as in BADGE.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np
import torch

from modest.checks import budget_items, taken_mask
from modest.neighbours import Products, Rows
from modest.neighbours.device import Precision
from modest.selection.answer import free_rows, inner_mask
from modest.selection.arrays import coalitions, feature_rows, residuals
from modest.selection.badge import seeded
from modest.selection.limits import Limits
from modest.types import Choice, Float, Views

MOST = 5


def shapley(worth: Float) -> Float:
    """(M, ...) Shapley value of every player, for the worth (2^M, ...) of every coalition; bit m stands for player m.

    Examples
    --------
    >>> shapley(np.array([0.0, 1.0, 2.0, 5.0])).tolist()
    [2.0, 3.0]
    """
    players = len(worth).bit_length() - 1
    found = np.zeros((players, *worth.shape[1:]))
    for m in range(players):
        for S in range(len(worth)):
            if not S >> m & 1:
                size = S.bit_count()
                weight = factorial(size) * factorial(players - size - 1) / factorial(players)
                found[m] += weight * (worth[S | 1 << m] - worth[S])
    return found


def shares(delta: Float) -> Float:
    """(M, n) share of every modality for its Shapley value (M, n) at the predicted class; equal where all vanish."""
    size = np.abs(delta)
    total = size.sum(axis=0)
    return np.where(total > 1e-9, size / np.maximum(total, 1e-9), 1.0 / len(delta))


def scales(share: Float) -> Float:
    """(M, n) factor of every modality's block of the gradient: 1 for the strongest, less for the weaker ones."""
    return np.asarray(1.0 - (share.max(axis=0) - share))


def bmmal(
    views: Views,
    budget: int | float,
    *,
    features: Any,
    coalition_proba: Any,
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
    """Choose ``budget`` rows by k-means++ over gradients balanced between the modalities.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; only ids and presence matter.
    budget : int or float
        Items, or a share of the rows.
    features : {modality: (n, d)}
        Input of the last layer, at most five modalities.
    coalition_proba : (2^M, n, C)
        Probabilities of every coalition; bit m of the index is the m-th modality of ``features``.
    taken, closed, seed, memory, device, limits, uniforms, cover_taken, precision
        As in :func:`modest.selection.badge.badge`.

    Raises
    ------
    ValueError
        Above five modalities; shapes that do not fit together.

    Examples
    --------
    >>> x = {"a": np.eye(3), "b": np.eye(3)}
    >>> even = np.full((4, 3, 2), 0.5)
    >>> len(bmmal(Views(x), 2, features=x, coalition_proba=even))
    2
    """
    rows = Rows(views, device=device, memory=memory)
    covered = inner_mask(rows, taken_mask(taken, len(rows)))
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    inputs = feature_rows(rows, views, features, memory, precision)
    M = len(inputs.names)
    if M > MOST:
        raise ValueError(
            f"bmmal takes Shapley values over all coalitions, of up to {MOST} modalities, and features has {M}; "
            "leave some out, or use badge."
        )
    proba = coalitions(rows, coalition_proba, M)
    predicted = proba[-1].argmax(axis=1)
    worth = np.stack([p[np.arange(len(rows)), predicted].astype(np.float64) for p in proba])
    share = shares(shapley(worth))[:, rows.table_rows(np.arange(len(rows)))]
    scale = torch.as_tensor(scales(share).T, dtype=inputs.dtype, device=inputs.device)
    products = Products(inputs, residuals(rows, proba[-1], inputs.dtype), scale)
    told = {"mean_share": dict(zip(inputs.names, share.mean(axis=1).tolist()))}
    return seeded("bmmal", rows, products, covered, free, count, seed, uniforms, cover_taken, limits, told)
