"""Small towers over ready views: standardise, fill what is absent, encode to one common width.

``fill`` says what happens to an absent modality: ``"feature"`` - nothing is computed for it; ``"zero"`` - its raw input
is taken as zero; ``"mean"`` - as the mean of the training rows. In the last two it is then treated as if it were there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.training.task import Batch

__all__ = ["FILLS", "Towers", "linear"]

FILLS = ("feature", "zero", "mean")


def linear(inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Linear layer with weights and bias uniform in +-1 / sqrt(inputs), drawn from ``generator``."""
    layer = nn.Linear(inputs, outputs, dtype=dtype, device="meta").to_empty(device="cpu")
    bound = 1.0 / math.sqrt(inputs)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer


def tower(
    inputs: int, hidden: Sequence[int], width: int, generator: torch.Generator, dtype: torch.dtype
) -> nn.Sequential:
    """Linear layers with ReLU between them: inputs -> hidden... -> width; one linear layer when ``hidden`` is empty."""
    sizes = [inputs, *hidden, width]
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.ReLU(), linear(a, b, generator, dtype)]
    return nn.Sequential(*layers[1:])


class Towers(nn.Module):
    """One encoder per modality, all emitting ``width`` features.

    Parameters
    ----------
    inputs : d_m per modality
    width : features emitted, s
    hidden : sizes of hidden layers, empty for one linear layer
    fill : "feature" | "zero" | "mean"
    generator : seeded; the only source of the initial weights

    ``shift[m]`` and ``scale[m]`` (d_m,), saved with the weights but never trained, standardise the input of modality m;
    they start at 0 and 1.
    """

    def __init__(
        self,
        inputs: Sequence[int],
        width: int,
        generator: torch.Generator,
        hidden: Sequence[int] = (),
        fill: str = "feature",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.width = width
        self.fill = known(fill, FILLS, "fill")
        self.encoders = nn.ModuleList([tower(d, hidden, width, generator, dtype) for d in inputs])
        self.shift = nn.ParameterList([nn.Parameter(torch.zeros(d, dtype=dtype), requires_grad=False) for d in inputs])
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(d, dtype=dtype), requires_grad=False) for d in inputs])

    def __len__(self) -> int:
        """Return the number of modalities, M."""
        return len(self.encoders)

    def standardise(self, m: int, mean: Tensor, deviation: Tensor) -> None:
        """Set mean and standard deviation (d_m,) of modality m; features that never vary are only shifted."""
        with torch.no_grad():
            self.shift[m].copy_(mean)
            self.scale[m].copy_(torch.where(deviation > 0, deviation, torch.ones_like(deviation)))

    def active(self, batch: Batch) -> Tensor:
        """(n, M) bool: modalities that speak, ``present`` with fill="feature", else all."""
        return batch.present if self.fill == "feature" else torch.ones_like(batch.present)

    def features(self, batch: Batch, m: int) -> tuple[Tensor, Tensor]:
        """Encode modality m: features (k, s) of the k active rows, and (n,) bool which rows they are."""
        rows = self.active(batch)[:, m]
        x = batch.x[m][rows]
        if self.fill == "mean":
            x = torch.where(batch.present[rows, m, None], x, self.shift[m])
        if not len(x):  # no pass at all: the encoder must have no gradient, so that momentum and decay leave it alone
            return x.new_zeros(0, self.width), rows
        encoded: Tensor = self.encoders[m]((x - self.shift[m]) / self.scale[m])
        return encoded, rows
