"""Small networks over ready views: standardise, then linear layers with ReLU between; and the linear projector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from modest.data.presence import dense
from modest.types import Float, Int

__all__ = ["Tower", "identity", "linear", "standardise", "statistics"]

_CHUNK = 8192


def linear(inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Linear layer with weights and bias uniform in +-1 / sqrt(inputs), drawn from ``generator``."""
    layer = nn.Linear(inputs, outputs, dtype=dtype, device="meta").to_empty(device="cpu")
    bound = 1.0 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def identity(width: int) -> nn.Linear:
    """Linear layer that changes nothing until it is trained."""
    layer = nn.Linear(width, width, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.eye(width))
        layer.bias.zero_()
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

    @property
    def standardised(self) -> bool:
        """Whether mean and deviation were set, here or by whoever trained the weights."""
        return bool(self.shift.any()) or bool((self.scale != 1).any())

    def forward(self, x: Tensor) -> Tensor:
        """Features (k, width) of rows (k, d)."""
        encoded: Tensor = self.layers((x - self.shift) / self.scale)
        return encoded


def statistics(array: Any, rows: Int) -> tuple[Float, Float]:
    """Mean and standard deviation (divisor n) per feature over some rows of a view, two passes in float64.

    No rows give mean 0 and deviation 1.
    """
    width = int(array.shape[1])
    if not len(rows):
        return np.zeros(width), np.ones(width)
    parts = [rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK)]
    mean: Float = np.sum([dense(array[part]).astype(np.float64).sum(axis=0) for part in parts], axis=0) / len(rows)
    square = np.sum([((dense(array[part]).astype(np.float64) - mean) ** 2).sum(axis=0) for part in parts], axis=0)
    return mean, np.sqrt(square / len(rows))


def standardise(tower: Tower, array: Any, rows: Int) -> None:
    """Set a tower's mean and deviation from some rows of its view."""
    tower.standardise(*(torch.from_numpy(numbers) for numbers in statistics(array, rows)))


def standardised(array: Any, rows: Int) -> Float:
    """(k, d) float64 rows of a view less their mean, divided by their deviation: what a tower from scratch sees.

    Features that vary by rounding alone, next to their mean, are only shifted.
    """
    mean, deviation = statistics(array, rows)
    scale = np.where(deviation > 1e-8 * (1.0 + np.abs(mean)), deviation, 1.0)
    return np.asarray((dense(array[rows]).astype(np.float64) - mean) / scale)
