"""Recipes that train all modalities through one joint head: encoders, a head over their features, one loss.

What differs between them is how the head joins the features and what a modality says alone: two functions of the
head's parameters, the features ``blocks`` (M, n, s), zero where a modality does not speak, and ``active`` (n, M) bool.

Equations: z = join(head, blocks, active) (n, C); loss = mean_i CE(z_i, y_i). With heads of their own, H_m (C, s), the
loss is the mean of all M + 1 losses (of those the batch has rows for), (CE(z) + sum_m CE(H_m f_m)) / (M + 1), each over
the rows it has. Prediction is the joint head's either way. An absent modality is a zero feature: nothing is computed
for it and no gradient flows to its encoder.

A modality's own logits are its own head's where it has one, else ``alone(head, blocks, active)`` (M, n, C). There are
no fusion weights to learn; ``weights`` reports equal shares among the modalities that speak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.learning.fusion import mean_fusion
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["Joined", "Joint", "own_losses"]

Joined = Callable[[nn.Module, Tensor, Tensor], Tensor]


def own_losses(heads: Iterable[nn.Module], blocks: Tensor, active: Tensor, labels: Tensor) -> list[Tensor]:
    """Cross-entropy of every modality's own head over its rows, () each, of those modalities that have any."""
    losses = []
    for m, head in enumerate(heads):
        rows = active[:, m]
        if bool(rows.any()):
            losses.append(cross_entropy(head(blocks[m][rows]), labels[rows]))
    return losses


class Joint:
    """A recipe of one joint head.

    Parameters
    ----------
    name : of the recipe
    towers : the encoders
    head : parameters of the joint head
    join, alone : see the module
    own : a linear head per modality, or none
    """

    def __init__(
        self, name: str, towers: Towers, head: nn.Module, join: Joined, alone: Joined, own: Sequence[nn.Module] = ()
    ) -> None:
        self.name = name
        self.towers, self.head, self.own = towers, head, nn.ModuleList(own)
        self.join, self.alone = join, alone
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "head": head, "own": self.own})

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss, or its mean with the modalities' own."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        losses = [cross_entropy(self.join(self.head, blocks, active), batch.labels)]
        losses += own_losses(self.own, blocks, active, batch.labels)
        yield "all", torch.stack(losses).mean()

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """Joint logits, and what each modality says alone."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        if len(self.own):
            spoken = torch.stack([head(block) for head, block in zip(self.own, blocks)])
        else:
            spoken = self.alone(self.head, blocks, active)
        own = spoken * active.T[:, :, None]
        return Logits(self.join(self.head, blocks, active), own, mean_fusion(own, active)[1])
