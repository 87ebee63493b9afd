r"""Sum: a linear head per modality, their logits added, trained through one joint loss. The smallest joint baseline.

Helps as little or as much as ``concat``: summed linear heads are one linear head over all features, only with a bias
per modality. Reference: the "Sum" row of MLA (see ``mla.py``), Table 1.

Symbols: f_m features (n, s), W_m (C, s) and b_m (C,) the head of modality m, r_im = 1 if modality m speaks in row i.

Equation: z_i = sum_m r_im (W_m f_m(x_i) + b_m); loss = mean_i CE(z_i, y_i), see ``joint.py``.

An absent modality adds nothing, so its bias does not count either (in ``concat`` the whole bias always does). Alone a
modality is its own summand, with its whole bias. Cost: one pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.encoders.towers import linear
from modest.learning.joint import Joint
from modest.learning.towers import Towers

__all__ = ["Options", "alone", "join", "summed"]


@dataclass(frozen=True)
class Options:
    """None."""


def alone(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(M, n, C): each modality's own linear layer of ``head``, bias and all."""
    return torch.stack([layer(block) for layer, block in zip(head.children(), blocks)])


def join(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(n, C): the sum of them over the modalities that speak."""
    return (alone(head, blocks, active) * active.T[:, :, None]).sum(dim=0)


def summed(
    towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
) -> Joint:
    """The recipe, untrained."""
    head = nn.ModuleList([linear(towers.width, classes, generator, towers.dtype) for _ in names])
    return Joint("sum", towers, head, join, alone)
