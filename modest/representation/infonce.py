r"""Symmetric InfoNCE: pull the modalities of one item together, push those of different items apart.

Reference: Shen et al., *Enhancing Modality Representation and Alignment for Multimodal Cold-start Active Learning*, MM
Asia 2024, Eq. 1; the loss is that of CLIP (Radford et al. 2021) with a fixed temperature.

======  ===============  ========  =============================================
paper   here             shape     meaning
======  ===============  ========  =============================================
r^m1    ``a``            (k, d)    features of one modality, divided by their norm
r^m2    ``b``            (k, d)    features of the other, row i of the same item
tau     ``temperature``  scalar    0.07 in the paper
======  ===============  ========  =============================================

Equation, with c the cosine:

    L = -mean_i 1/2 [ log softmax_j(c(a_i, b_j) / tau)_i + log softmax_j(c(b_i, a_j) / tau)_i ]

With more than two modalities ``cross_modal`` takes the mean over all pairs, each over the items that have both.
Cost: k^2 d per pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

__all__ = ["cross_modal", "info_nce"]


def info_nce(a: Tensor, b: Tensor, temperature: Tensor | float = 0.07) -> Tensor:
    """Symmetric InfoNCE of k pairs, Eq. 1: a scalar in the dtype of the features, log k for features without content.

    Parameters
    ----------
    a, b : (k, d) tensors, row i of both belongs to one item; normalised inside
    temperature : tau > 0

    Raises
    ------
    ValueError
        If the shapes differ, or there is no pair.

    Examples
    --------
    >>> x = torch.eye(3)
    >>> round(float(info_nce(x, x, 1.0)), 4), round(float(info_nce(x, x.flip(0), 1.0)), 4)
    (0.5514, 1.2181)
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}; both must be (pairs, features) alike.")
    if not len(a):
        raise ValueError("a and b hold no pair; InfoNCE needs at least one.")
    logits = normalize(a, dim=1) @ normalize(b, dim=1).T / temperature
    own = torch.arange(len(a), device=a.device)
    return 0.5 * (cross_entropy(logits, own) + cross_entropy(logits.T, own))


def cross_modal(r: Sequence[Tensor], present: Tensor, temperature: float = 0.07) -> Tensor | None:
    """Mean of InfoNCE over every pair of modalities, each over the rows that have both.

    Parameters
    ----------
    r : M tensors (n, d), rows of absent modalities hold anything finite
    present : (n, M) bool
    temperature : tau > 0

    Returns
    -------
    Scalar, or None where no two rows share a pair of modalities: one row alone has nobody to be told from.
    """
    losses = []
    for a, b in combinations(range(len(r)), 2):
        both = present[:, a] & present[:, b]
        if int(both.sum()) > 1:
            losses.append(info_nce(r[a][both], r[b][both], temperature))
    return torch.stack(losses).mean() if losses else None
