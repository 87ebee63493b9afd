r"""What MLA's released code computes in place of Eq. 3 and Eq. 6, for comparison only.

Reference: the authors' repository at ab6c184, classes and loops as read there. Symbols as in ``projection.py`` and
``fusion.py``.

Equations: k = P h; P <- P - k k' / (alpha + k h'), a division element by element by an s x s matrix, where Eq. 3 and
the method it comes from divide by the scalar alpha + h'k; then P <- P / its Frobenius norm; gradient <- gradient P'. P
is neither symmetric nor positive, and as denominators pass near 0 tiny differences grow within some steps. The fusion
takes the softmax over the batch: e_m = -sum_i sum_c p log p with p = softmax over the rows i of z_mic, one number per
modality, so a row's answer depends on who stands beside it; lambda = softmax of -e over the modalities.

At its last commit the released loop never reaches the projection, because it asks for a parameter name that does not
occur. ``published="head"`` of the recipe is that; ``"literal"`` is this projector.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modest.learning.projection import GradientProjector

__all__ = ["ReleasedProjector", "released_fusion"]


class ReleasedProjector(GradientProjector):
    """The released class, made to fire."""

    def update(self, mean: Tensor) -> None:
        """Take in one mean feature, (dim,)."""
        h = mean.detach().to(torch.float64)
        self._previous = self._current.to(h.device)
        k = self._previous @ h
        P = self._previous - torch.outer(k, k) / (self.alpha + torch.outer(k, h))
        self._current = P / torch.linalg.norm(P)
        self.updates += 1

    def project(self, grad: Tensor) -> Tensor:
        """Return ``grad`` (C, dim) times the transpose of P, new, in the dtype of ``grad``."""
        return (grad.to(torch.float64) @ self._current.to(grad.device).T).to(grad.dtype)


def released_fusion(logits: Tensor, present: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Fused logits (n, C) and weights (n, M), the same in every row: see the module.

    Absent rows, which the released code takes as they come out of a zero input, are left out of the entropies and have
    no weight; shapes as in :func:`modest.learning.fusion.entropy_fusion`.
    """
    M, n, _ = logits.shape
    there = torch.ones((n, M), dtype=torch.bool) if present is None else present.to(logits.device, torch.bool)
    entropies = []
    for m in range(M):
        log_p = torch.log_softmax(logits[m][there[:, m]], dim=0)
        p = log_p.exp()
        entropies.append(-torch.where(p > 0, p * log_p, torch.zeros_like(p)).sum())
    score = (-torch.stack(entropies)).expand(n, M).masked_fill(~there, -torch.inf)
    some = there.any(dim=1, keepdim=True)
    weights = torch.softmax(torch.where(some, score, torch.zeros_like(score)), dim=1) * there
    return torch.einsum("nm,mnc->nc", weights, torch.where(there.T[:, :, None], logits, 0.0)), weights
