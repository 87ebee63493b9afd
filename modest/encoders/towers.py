"""Small networks over ready views: standardise, then linear layers with ReLU between; and the linear projector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["Tower", "linear"]


def linear(inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Linear layer with weights and bias uniform in +-1 / sqrt(inputs), drawn from ``generator``."""
    layer = nn.Linear(inputs, outputs, dtype=dtype, device="meta").to_empty(device="cpu")
    bound = 1.0 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


class Tower(nn.Module):
    """Encoder of one ready view: (k, d) -> (k, width).

    Parameters
    ----------
    inputs : d
    width : features emitted
    generator : seeded; the only source of the initial weights
    hidden : sizes of hidden layers; empty for one linear layer

    ``shift`` and ``scale`` (d,), saved with the weights but never trained, standardise the input; they start at 0 and
    1.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        generator: torch.Generator,
        hidden: Sequence[int] = (),
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.width = width
        sizes = [inputs, *hidden, width]
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.ReLU(), linear(a, b, generator, dtype)]
        self.layers = nn.Sequential(*layers[1:])
        self.shift = nn.Parameter(torch.zeros(inputs, dtype=dtype), requires_grad=False)
        self.scale = nn.Parameter(torch.ones(inputs, dtype=dtype), requires_grad=False)

    def standardise(self, mean: Tensor, deviation: Tensor) -> None:
        """Set mean and standard deviation (d,) of the input; features that never vary are only shifted."""
        with torch.no_grad():
            self.shift.copy_(mean)
            self.scale.copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def forward(self, x: Tensor) -> Tensor:
        """Features (k, width) of rows (k, d)."""
        encoded: Tensor = self.layers((x - self.shift) / self.scale)
        return encoded
