r"""LFM: one loss on the mean of the modalities' logits, and one that makes their predictions alike, row by row.

Helps when modalities could say the same of an item but drift apart: agreement lets the stronger one teach the weaker.
Reference: Yang et al., *Facilitating Multimodal Classification via Dynamically Learning Modality Gap*, NeurIPS 2024.

=========  ====================  ==========  =====================================================
symbol     here                  shape       meaning
=========  ====================  ==========  =====================================================
f_m, g_m   ``towers``, ``head``  (n, s)      encoder and linear head of modality m
z_m, p_m                         (n, C)      logits g_m(f_m(x)), their softmax
S_i        ``active``            (n, M)      modalities present in row i, k_i of them
alpha_1,2  ``fit``, ``match``    numbers     weights of the two losses
=========  ====================  ==========  =====================================================

Equations: zbar_i = (1/k_i) sum over m in S_i of z_mi; q_i = (1/k_i) sum of p_mi;
JS_i = (1/k_i) sum over m in S_i of KL(p_mi || q_i), in [0, log k_i]; loss = 2 (alpha_1 mean_i CE(zbar_i, y_i) +
alpha_2 mean_i JS_i); prediction = softmax(zbar_i).

Where we depart. The released code gives the divergence with the arguments of KL exchanged, KL(q || p_m), which has no
bound: a modality that calls a class impossible is punished without end; ours is Jensen and Shannon's. Two modalities
become any number by the general form above, equal shares over those present; a row with one modality has JS_i = 0. The
paper calls the second loss contrastive; the code's is not, and neither is this one: no row is compared with another.
``fit`` and ``match`` may be functions of the epoch. From memory, unverified: the paper moves its weights in the course
of training, by a falling curve or learned; here they stay at 1/2 each, which makes the loss CE + JS, unless told.
Absent modalities have no logits, no gradient and no share. Cost: one pass per modality and row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.encoders.towers import linear
from modest.learning.fusion import mean_fusion
from modest.learning.joint import Joint
from modest.learning.sum import alone
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["LFM", "Options", "divergence", "join"]

Weight = float | Callable[[int], float]


@dataclass(frozen=True)
class Options:
    """``fit`` and ``match``: alpha_1 and alpha_2, numbers >= 0 or functions of the epoch, which counts from 0."""

    fit: Weight = 0.5
    match: Weight = 0.5

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, weight in {"fit": self.fit, "match": self.match}.items():
            if not callable(weight) and not 0 <= weight < math.inf:
                raise ValueError(f"options[{name!r}]={weight} is not a number of at least 0; the default is 0.5.")

    def at(self, epoch: int) -> tuple[float, float]:
        """(alpha_1, alpha_2) of an epoch."""
        fit, match = (w(epoch) if callable(w) else float(w) for w in (self.fit, self.match))
        return fit, match


def divergence(logits: Tensor, present: Tensor) -> Tensor:
    """Jensen and Shannon's divergence of the present modalities' predictions, row by row.

    Parameters
    ----------
    logits : (M, n, C)
    present : (n, M) bool

    Returns
    -------
    (n,) nats, in [0, log of the number present]; 0 in a row with one modality or none.

    Examples
    --------
    >>> z = torch.tensor([[[50.0, 0.0]], [[0.0, 50.0]]])
    >>> round(float(divergence(z, torch.ones(1, 2, dtype=torch.bool))), 4)  # log 2
    0.6931
    """
    log_p = torch.log_softmax(logits, dim=-1)
    p = log_p.exp()
    middle, shares = mean_fusion(p, present)
    log_middle = middle.clamp_min(torch.finfo(p.dtype).tiny).log()
    return ((p * (log_p - log_middle)).sum(dim=-1) * shares.T).sum(dim=0)


def join(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(n, C) mean of the present modalities' logits."""
    return mean_fusion(alone(head, blocks, active), active)[0]


class LFM(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        heads = [linear(towers.width, classes, generator, towers.dtype) for _ in names]
        super().__init__("lfm", towers, nn.ModuleList(heads), join, alone)
        self.options = options

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: fit and agreement."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        own = alone(self.head, blocks, active)
        fit, match = self.options.at(batch.epoch)
        loss = cross_entropy(mean_fusion(own, active)[0], batch.labels)
        yield "all", 2.0 * (fit * loss + match * divergence(own, active).mean())
