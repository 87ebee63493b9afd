r"""Concatenation: one linear head over all modalities' features side by side, trained jointly. The usual baseline.

Symbols: f_m features (n, s), W = [W_1 ... W_M] (C, M s), b (C,), r_im = 1 if modality m is present in row i.

Equation: z_i = sum_m r_im W_m f_m(x_i) + b; loss = mean_i CE(z_i, y_i), see ``joint.py``.

With ``unimodal_heads`` every modality also has a head and a loss of its own, as in the classifier that MMCSAL's
experiments take over from BMMAL. A modality alone is its slice with its part of the bias, W_m f_m + b / M. Cost: one
pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.encoders.towers import linear
from modest.learning.joint import Joint
from modest.learning.towers import Towers

__all__ = ["Options", "alone", "concat", "join"]


@dataclass(frozen=True)
class Options:
    """``unimodal_heads``: whether each modality also has a head and a loss of its own."""

    unimodal_heads: bool = False


def join(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(n, C) logits of a linear ``head`` (C, M s) over features (M, n, s) side by side."""
    joined: Tensor = head(torch.cat(list(blocks), dim=1))
    return joined


def alone(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    """(M, n, C): each modality's slice of the head, with bias / M."""
    assert isinstance(head, nn.Linear)
    M, _, s = blocks.shape
    parts = torch.einsum("mns,cms->mnc", blocks, head.weight.reshape(-1, M, s))
    return parts + head.bias / M


def concat(
    towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
) -> Joint:
    """The recipe, untrained."""
    head = linear(towers.width * len(towers), classes, generator, towers.dtype)
    count = len(towers) if options.unimodal_heads else 0
    own = [linear(towers.width, classes, generator, towers.dtype) for _ in range(count)]
    return Joint("concat", towers, head, join, alone, own)
