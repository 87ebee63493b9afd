r"""Hiding modalities that are there: how a completion is taught, and asked, what an item would look like without them.

Published code masks a complete data set and takes the masked cells as targets of the imagination. Who has them does
not need to imagine them, so here what is absent is never seen: targets are present modalities that a step hides.

Equations: of a row with k of M modalities present one, drawn uniformly, stays; each other one is hidden with
probability ``share``, so (k - 1) / k * share of its modalities are hidden on average. ``share=0`` hides nothing, 1 all
but one. Of a batch on several processes everybody draws the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from modest.learning.fusion import mean_fusion
from modest.training.task import Batch, Logits

__all__ = ["answers", "draw", "hidden", "only"]


def hidden(batch: Batch, kept: Tensor) -> Batch:
    """Return the batch as it would be if only the modalities ``kept`` (n, M) bool were there, of those that are."""
    present = batch.present & kept
    rank, size = batch.part
    x = []
    for m, own in enumerate(batch.x):
        there = present[rank::size, m].reshape(-1, *[1] * (own.ndim - 1))
        x.append(torch.where(there, own, torch.zeros_like(own)))
    return replace(batch, x=tuple(x), present=present)


def only(batch: Batch, m: int) -> Batch:
    """Return the batch with modality m alone; a row that lacks it has nothing then."""
    kept = torch.zeros_like(batch.present)
    kept[:, m] = True
    return hidden(batch, kept)


def draw(present: Tensor, share: float) -> Tensor:
    """Modalities that stay (n, M) bool, a subset of ``present`` with one at least in each row that has any.

    Drawn from torch's own generator, which the one loop sets anew for every step.

    Examples
    --------
    >>> draw(torch.tensor([[True, True, False]]), share=1.0).sum().item()
    1
    """
    luck = torch.rand(2, *present.shape)
    guaranteed = torch.where(present.cpu(), luck[0], torch.full_like(luck[0], -1.0)).argmax(dim=1)
    kept = luck[1] >= share
    kept[torch.arange(len(present)), guaranteed] = True
    return present & kept.to(present.device)


def answers(fused: Callable[[Batch], Tensor], batch: Batch) -> Logits:
    """Logits of a completion that says ``fused`` (n, C) of a batch.

    A modality's own are what it says where that modality is all there is; weights are equal shares of those present.
    """
    own = torch.stack([fused(only(batch, m)) for m in range(len(batch.x))]) * batch.present.T[:, :, None]
    return Logits(fused(batch), own, mean_fusion(own, batch.present)[1])
