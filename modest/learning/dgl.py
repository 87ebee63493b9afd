r"""DGL: encoders learn from their own losses only, the joint head from the joint loss only; neither disturbs the other.

Helps when the joint loss starves a modality: what reaches an encoder no longer depends on how sure the others are.
Reference: *Disentangled Gradient Learning* (DGL), ICCV 2025.

=======  ====================  ============  =============================================
symbol   here                  shape         meaning
=======  ====================  ============  =============================================
f_m      ``towers``            (n, s)        encoder of modality m
W, b     ``head``              (C, M s)      joint head over all features side by side
g_m      ``own[m]``            (C, s)        head of modality m
sg                                           its argument as a constant: no gradient passes
O_m                                          the rows in which m is present
=======  ====================  ============  =============================================

Equations: z_i = W sg[f_1i; ...; f_Mi] + b; loss = mean_i CE(z_i, y_i) + alpha sum_m mean over O_m of
CE(g_m(f_mi), y_i); the gradient as a whole is shortened to the norm ``clip`` where it is longer; prediction =
softmax(z_i).

So the encoders are those of ``late`` (exactly, with alpha = 1 and no clipping) under a head that learns to weigh them.
``through="fusion"`` lets a modality speak through its slice of the joint head, held constant, in place of a head of its
own: CE(sg[W_m] f_m + sg[b] / M). What we know of the paper can be read either way.

alpha = 4 is what the released script uses on CREMA-D (2 to 3 on Kinetics-Sounds). Where optimisers divide by the
gradient's size (AdamW) alpha changes nothing but the clipping. That the 40 of ``clip`` bounds the norm of all gradients
together is from memory, unverified.

An absent modality is a zero feature in the joint head, has no loss and no gradient. Cost: one pass per modality and
row.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.functional import linear as affine

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.concat import alone, join
from modest.learning.joint import Joint, own_losses
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["DGL", "Options"]


@dataclass(frozen=True)
class Options:
    """``alpha`` > 0: weight of the modalities' own losses; ``clip``: largest norm of the gradient, None for no limit.

    ``through``: "own", a head per modality, or "fusion", its slice of the joint head held constant.
    """

    alpha: float = 4.0
    clip: float | None = 40.0
    through: str = "own"

    def __post_init__(self) -> None:
        """Check the numbers and the name."""
        known(self.through, ("own", "fusion"), "options['through']")
        if not 0 < self.alpha < math.inf:
            raise ValueError(f"options['alpha']={self.alpha} is not a positive number; the default is 4.")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ValueError(f"options['clip']={self.clip} is not a positive number; None leaves clipping out.")


class DGL(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        head = linear(towers.width * len(towers), classes, generator, towers.dtype)
        count = len(towers) if options.through == "own" else 0
        own = [linear(towers.width, classes, generator, towers.dtype) for _ in range(count)]
        super().__init__("dgl", towers, head, join, alone, own)
        self.options = options

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss of constant features, and the modalities' own."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        loss = cross_entropy(join(self.head, blocks.detach(), active), batch.labels)
        for own in self._own(blocks, active, batch.labels):
            loss = loss + self.options.alpha * own
        yield "all", loss

    def _own(self, blocks: Tensor, active: Tensor, labels: Tensor) -> list[Tensor]:
        """The modalities' own losses, as far as they have rows."""
        if len(self.own):
            return own_losses(self.own, blocks, active, labels)
        assert isinstance(self.head, nn.Linear)
        weight, bias = self.head.weight.detach(), self.head.bias.detach() / len(blocks)
        slices = weight.chunk(len(blocks), dim=1)
        spoken = [(m, active[:, m]) for m in range(len(blocks)) if bool(active[:, m].any())]
        return [cross_entropy(affine(blocks[m][rows], slices[m], bias), labels[rows]) for m, rows in spoken]

    def before_step(self, group: str) -> None:
        """Shorten the gradient as a whole."""
        if self.options.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), self.options.clip)
