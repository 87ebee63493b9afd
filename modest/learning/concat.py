r"""Concatenation: one linear head over all modalities' features side by side, trained jointly. The usual baseline.

Symbols: f_m features (n, s), W = [W_1 ... W_M] (C, M s), b (C,), r_im = 1 if modality m is present in row i.

Equation: z_i = sum_m r_im W_m f_m(x_i) + b; loss = mean_i CE(z_i, y_i).

With ``unimodal_heads`` every modality also has a head of its own, H_m (C, s), and the loss is the mean of all M + 1 (of
those the batch has rows for):
(CE(z) + sum_m CE(H_m f_m)) / (M + 1), each over the rows it has, as in the classifier that MMCSAL's experiments take
over from BMMAL. Prediction is the joint head's either way.

An absent modality is a zero feature: nothing is computed for it and no gradient flows to its encoder or its slice W_m.
A modality's own logits are its own head's, or its slice with its part of the bias, W_m f_m + b / M. There are no fusion
weights to learn; ``weights`` reports equal shares among the modalities that speak. Cost: one pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.encoders.towers import linear
from modest.learning.fusion import mean_fusion
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["Concat", "Options"]


@dataclass(frozen=True)
class Options:
    """``unimodal_heads``: whether each modality also has a head and a loss of its own."""

    unimodal_heads: bool = False


class Concat:
    """The recipe; see the module."""

    name = "concat"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.towers = towers
        self.head = linear(towers.width * len(towers), classes, generator, towers.dtype)
        dtype, count = towers.dtype, len(towers) if options.unimodal_heads else 0
        self.own = nn.ModuleList([linear(towers.width, classes, generator, dtype) for _ in range(count)])
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "head": self.head, "own": self.own})

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def _features(self, batch: Batch) -> list[Tensor]:
        """(n, s) per modality, zero where it does not speak."""
        blocks = []
        for m in range(len(self.towers)):
            features, rows = self.towers.features(batch, m)
            block = features.new_zeros(len(batch), self.towers.width)
            block[rows] = features
            blocks.append(block)
        return blocks

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss, or its mean with the modalities' own."""
        blocks, active = self._features(batch), self.towers.active(batch)
        losses = [cross_entropy(self.head(torch.cat(blocks, dim=1)), batch.labels)]
        for m, head in enumerate(self.own):
            if bool(active[:, m].any()):
                losses.append(cross_entropy(head(blocks[m][active[:, m]]), batch.labels[active[:, m]]))
        yield "all", torch.stack(losses).mean()

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """Joint logits; each modality's own are its head's, or else its slice of the joint head with bias / M."""
        blocks = self._features(batch)
        active = self.towers.active(batch)
        slices = self.head.weight.reshape(-1, len(blocks), self.towers.width)
        parts = torch.einsum("mns,cms->mnc", torch.stack(blocks), slices)
        spoken = parts + self.head.bias / len(blocks)
        if len(self.own):
            spoken = torch.stack([head(block) for head, block in zip(self.own, blocks)])
        own = spoken * active.T[:, :, None]
        return Logits(parts.sum(dim=0) + self.head.bias, own, mean_fusion(own, active)[1])
