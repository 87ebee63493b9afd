r"""Late fusion: every modality has its own encoder and head; predictions are averaged. A strong control for MLA.

Reference: the "Late Fusion" row of MLA (see ``mla.py``), Table 1. Symbols: f_m features (n, s), g_m head of modality m,
z_m = g_m(f_m(x)) logits (n, C), O_m the rows in which m is present.

Equation: loss = sum_m mean_{i in O_m} CE(z_mi, y_i); prediction = softmax(mean over present m of z_mi).

With separate heads the modalities do not touch each other, so one step on the sum equals a step for each.
``head="shared"`` lets all use one head (then it is MLA with all three switches off); ``fusion="entropy"`` weighs
predictions as MLA does.
A modality absent from a row has no loss, no gradient and no weight there. Cost: one pass per modality and row.
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
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["Late", "Options", "modality_logits"]


@dataclass(frozen=True)
class Options:
    """``head``: "separate" or "shared"; ``fusion``: "mean" or "entropy" at prediction."""

    head: str = "separate"
    fusion: str = "mean"

    def __post_init__(self) -> None:
        """Check the names."""
        known(self.head, ("separate", "shared"), "options['head']")
        known(self.fusion, FUSIONS, "options['fusion']")


def modality_logits(towers: Towers, heads: Sequence[nn.Module], batch: Batch) -> Tensor:
    """(M, n, C) logits of each modality's own head, zero where it does not speak."""
    rows_of = []
    for m, head in enumerate(heads):
        features, rows = towers.features(batch, m)
        spoken: Tensor = head(features)
        out = spoken.new_zeros(len(batch), spoken.shape[1])
        out[rows] = spoken
        rows_of.append(out)
    return torch.stack(rows_of)


class Late:
    """The recipe; see the module."""

    name = "late"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        dtype = towers.dtype
        count = 1 if options.head == "shared" else len(towers)
        self.options = options
        self.towers = towers
        heads = [linear(towers.width, classes, generator, dtype) for _ in range(count)]
        self.heads = heads if count > 1 else heads * len(towers)
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "heads": nn.ModuleList(heads)})

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the sum of the modalities' own losses over their present rows."""
        losses = []
        for m, head in enumerate(self.heads):
            features, rows = self.towers.features(batch, m)
            if len(features):
                losses.append(cross_entropy(head(features), batch.labels[rows]))
        if losses:
            yield "all", torch.stack(losses).sum()

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """Own logits of each modality, fused over those that speak."""
        own = modality_logits(self.towers, self.heads, batch)
        fused, weights = FUSIONS[self.options.fusion](own, self.towers.active(batch))
        return Logits(fused, own, weights)
