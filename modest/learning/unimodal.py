r"""Every modality trained wholly on its own, predictions put together at the end: the control of balanced learning.

Whatever balances modalities must beat encoders that never met: here none can be lazy, because nobody else is there.
Reference: what reviewers of MLA asked for; Table 1 of BalanceBenchmark prints such encoders one by one.

=======  ============  =========  ==================================
symbol   here          shape      meaning
=======  ============  =========  ==================================
f_m      ``towers``    (n, s)     encoder of modality m
g_m      ``heads[m]``  (C, s)     its linear head
z_m                    (n, C)     logits g_m(f_m(x))
O_m                               the rows in which m is present
=======  ============  =========  ==================================

Equations: stage m minimises L_m = mean over O_m of CE(z_mi, y_i) with an optimiser, a schedule and a best epoch (the
one in which z_m alone validates best) of its own; prediction = softmax of the mean over present m of z_mi, or of their
mean by confidence with ``fusion="entropy"`` (``fusion.py``).

``late`` minimises the same losses in one stage: the gradients are the same, but one epoch is kept for all modalities,
the one in which the mean of their logits validates best. With one modality both are the plain training of one encoder
and its head. In a stage's validation a row that lacks the modality says the same in every epoch: it does not move the
choice, but lowers the accuracy told. A modality absent from a row has no loss, gradient or weight there.

Cost: one pass per modality and row, as ``late``; every stage reads the batches anew, so raw media are decoded M times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.fusion import FUSIONS
from modest.learning.late import modality_logits
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["Alone", "Options", "Unimodal"]


@dataclass(frozen=True)
class Options:
    """``fusion``: "mean" or "entropy" at prediction."""

    fusion: str = "mean"

    def __post_init__(self) -> None:
        """Check the name."""
        known(self.fusion, FUSIONS, "options['fusion']")


class Alone:
    """The stage of one modality: its encoder and head, nothing else moves.

    Parameters
    ----------
    recipe : whose stage it is
    m : place of the modality
    """

    def __init__(self, recipe: Unimodal, m: int) -> None:
        self.m, self.group = m, recipe.names[m]
        self.name = f"{recipe.name}/{self.group}"
        self.towers, self.head = recipe.towers, recipe.heads[m]
        self.net = recipe.net  # all of it, so that rates may name any encoder; who has no gradient stays as it is

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: the modality."""
        return {self.group: nn.ModuleList([self.towers.encoders[self.m], self.head])}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn, where the modality is there."""
        features, rows = self.towers.features(batch, self.m)
        if len(features):
            yield self.group, cross_entropy(self.head(features), batch.labels[rows])

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """What the modality says, with all the weight in the rows where it speaks."""
        features, rows = self.towers.features(batch, self.m)
        spoken: Tensor = self.head(features)
        own = spoken.new_zeros(len(self.towers), len(batch), spoken.shape[1])
        own[self.m, rows] = spoken
        weights = spoken.new_zeros(len(batch), len(self.towers))
        weights[rows, self.m] = 1.0
        return Logits(own[self.m], own, weights)


class Unimodal:
    """The recipe; see the module."""

    name = "unimodal"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.options = options
        self.names = tuple(names)
        self.towers = towers
        self.heads = nn.ModuleList(linear(towers.width, classes, generator, towers.dtype) for _ in self.names)
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "heads": self.heads})

    def stages(self) -> list[Task]:
        """One stage per modality, in the order of the views."""
        return [Alone(self, m) for m in range(len(self.names))]

    def logits(self, batch: Batch) -> Logits:
        """Own logits of each modality, fused over those that speak."""
        own = modality_logits(self.towers, list(self.heads), batch)
        fused, weights = FUSIONS[self.options.fusion](own, self.towers.active(batch))
        return Logits(fused, own, weights)
