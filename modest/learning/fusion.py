r"""Combine the logits of several modalities, per sample, leaving absent ones out.

Reference: MLA (see ``mla.py``), Eq. 5-7. Symbols: ``logits`` (M, n, C) with rows z_mi; ``entropy`` e_mi (n, M), nats;
``weights`` lambda_mi (n, M).

Equation: e_mi = -sum_c p_c log p_c with p = softmax(z_mi); lambda_i = softmax over the present modalities of -e_i (the
maximum in Eq. 7 cancels); fused_i = sum_m lambda_mi z_mi. Plain late fusion has lambda = 1 / number present.

Departure from the released code: it takes the softmax over the batch and one entropy per modality for all rows, which
makes a row's answer depend on its neighbours; Eq. 6 is per sample. Cost: O(M n C).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["FUSIONS", "entropy", "entropy_fusion", "mean_fusion"]


def entropy(logits: Tensor) -> Tensor:
    """Entropy in nats of softmax over the last axis, (..., C) -> (...); finite also for huge logits."""
    log_p = torch.log_softmax(logits, dim=-1)
    p = log_p.exp()
    return -torch.where(p > 0, p * log_p, torch.zeros_like(p)).sum(dim=-1)


def _mask(logits: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Logits with zeros where absent, and (n, M) bool."""
    if logits.ndim != 3:
        raise ValueError(f"logits has shape {tuple(logits.shape)}; it must be (modalities, rows, classes).")
    M, n, _ = logits.shape
    if present is None:
        return logits, torch.ones((n, M), dtype=torch.bool, device=logits.device)
    if present.shape != (n, M):
        raise ValueError(f"present has shape {tuple(present.shape)}; it must be (rows, modalities) = {(n, M)}.")
    there = present.to(logits.device, torch.bool)
    return torch.where(there.T[:, :, None], logits, torch.zeros_like(logits)), there


def entropy_fusion(logits: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fuse by confidence: the lower a modality's entropy on a row, the larger its weight there.

    Parameters
    ----------
    logits : (M, n, C) tensor
        What stands in absent rows, NaN included, does not matter.
    present : (n, M) bool, optional

    Returns
    -------
    fused : (n, C), zero in a row without any modality
    weights : (n, M), 0 where absent; a row with a modality sums to 1

    Raises
    ------
    ValueError
        If the shapes do not fit together.

    Examples
    --------
    >>> fused, weights = entropy_fusion(torch.tensor([[[9.0, 0.0]], [[0.0, 0.0]]]))
    >>> [round(w, 2) for w in weights[0].tolist()]
    [0.67, 0.33]
    """
    clean, there = _mask(logits, present)
    score = (-entropy(clean).T).masked_fill(~there, -torch.inf)
    some = there.any(dim=1, keepdim=True)
    weights = torch.softmax(torch.where(some, score, torch.zeros_like(score)), dim=1) * there
    return torch.einsum("nm,mnc->nc", weights, clean), weights


def mean_fusion(logits: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fuse by the plain mean of the present modalities' logits; shapes as in :func:`entropy_fusion`."""
    clean, there = _mask(logits, present)
    weights = there.to(clean.dtype) / there.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.einsum("nm,mnc->nc", weights, clean), weights


# the fusions of recipes whose modalities have logits of their own
FUSIONS = {"entropy": entropy_fusion, "mean": mean_fusion}
