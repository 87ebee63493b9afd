r"""auto: every modality learns for itself, a joint head learns from all of them, and calibrated experts vote.

Helps where it is not known which modality is weak, lazy or overfitted, and where labels are few: a modality that has
learned its rows by heart is as sure of itself as a good one, and drags an uncalibrated vote down.

The rule, fixed on grid letters and fashion (docs/results):

1. Supervise every modality by a head of its own, so that none is lazy, and a joint head over all features side by side,
   which alone sees what only several modalities say together.
2. Take the temperature of every expert, of M own heads and the joint one, on rows that did not train: those that
   validate, else five folds of the training rows.
3. Let them vote at their temperatures, with equal weights or, item by item, by the entropy of what they say, as in MLA
   (Eq. 6-7), with the joint head among them or without: of these four whichever makes the labels of those rows
   likeliest, once the vote has a temperature too. Where there are no such rows (a label per class, say) the own heads
   vote with equal weights, which is ``late``.

======  ==================  ==============  =======================================================================
symbol  here                shape           meaning
======  ==================  ==============  =======================================================================
f_m     ``towers``          (n, s)          encoder of modality m, zero where it is absent
H_m     ``own``             (C, s)          head of modality m
W       ``head``            (C, M s)        joint head, see ``concat.py``
T_k     ``temperatures``    (M + 1,)        of the own heads and the joint one; 1 until calibrated
T_v     ``vote[0]``         ()              of the vote
\       ``vote[1]``         ()              1 where the experts are weighed by entropy, else 0
\       ``vote[2]``         ()              1 where the joint head votes, else 0
======  ==================  ==============  =======================================================================

Equations: loss = CE(W [f_1 ... f_M] + b) + sum_m CE(H_m f_m), each over the rows it has; z_m = H_m f_m / T_m,
z_J = (W f + b) / T_J; lambda = 1 / (number of experts that vote), or softmax over them of -entropy(softmax z);
prediction = softmax(sum_k lambda_k z_k / T_v). A modality's fusion weight is its own expert's lambda / T, plus an equal
part of the joint one's, of the sum of all: its share in the logits that are added up.

Parts it composes: own heads as in ``late.py`` (a step on the sum of separate losses is what alternating steps are
without a shared head), the joint head of ``concat.py``, ``fusion.py``, ``calibration.py``. With ``detach`` the joint
head is trained on features that it does not shape. Cost: one pass per modality and row; five more trainings of four
fifths of the rows where nothing validates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning import concat
from modest.learning.calibration import likelihood, temperature
from modest.learning.fusion import FUSIONS
from modest.learning.joint import own_losses
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task
from modest.types import Bool, Float, Int

__all__ = ["Auto", "Options"]


@dataclass(frozen=True)
class Options:
    """``detach``: keep the joint loss from the encoders; ``fusion``: "mean" or "entropy", or "likelier" of the two."""

    detach: bool = False
    fusion: str = "likelier"

    def __post_init__(self) -> None:
        """Check the name."""
        known(self.fusion, ("likelier", *FUSIONS), "options['fusion']")


class Auto:
    """The recipe; see the module."""

    name = "auto"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.options, self.towers = options, towers
        self.head = linear(towers.width * len(towers), classes, generator, towers.dtype)
        self.own = nn.ModuleList([linear(towers.width, classes, generator, towers.dtype) for _ in names])
        ones = torch.ones(len(towers) + 1, dtype=towers.dtype)
        self.temperatures = nn.Parameter(ones, requires_grad=False)
        entropic = float(options.fusion == "entropy")
        self.vote = nn.Parameter(torch.tensor([1.0, entropic, 0.0], dtype=towers.dtype), requires_grad=False)
        kept = nn.ParameterDict({"temperatures": self.temperatures, "vote": self.vote})
        parts = {"towers": towers, "head": self.head, "own": self.own, "calibration": kept}
        self.net: nn.Module = nn.ModuleDict(parts)

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the sum of the joint loss and of the modalities' own."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        seen = blocks.detach() if self.options.detach else blocks
        losses = [cross_entropy(concat.join(self.head, seen, active), batch.labels)]
        losses += own_losses(self.own, blocks, active, batch.labels)
        yield "all", torch.stack(losses).sum()

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def experts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(M + 1, n, C) logits of the own heads and the joint one, and (n, M + 1) bool, who has something to say."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        own = torch.stack([head(block) for head, block in zip(self.own, blocks)]) * active.T[:, :, None]
        joint = concat.join(self.head, blocks, active)
        return torch.cat([own, joint[None]]), torch.cat([active, torch.ones_like(active[:, :1])], dim=1)

    @staticmethod
    def _voting(there: Tensor, joint: bool) -> Tensor:
        """(n, M + 1) bool: the experts that vote; the joint one also where no other does."""
        voting = there.clone()
        voting[:, -1] = ~there[:, :-1].any(dim=1) | joint
        return voting

    def calibrate(self, logits: Float, there: Bool, y: Int) -> None:
        """Set temperatures and the way of voting from logits (K, n, C) of rows that did not train, see the module.

        ``there`` (n, K) bool; ``y`` (n,) class numbers.
        """
        warm = [temperature(expert[rows], y[rows]) for expert, rows in zip(logits, there.T)]
        experts = torch.from_numpy(logits / np.array(warm)[:, None, None])
        votes = {}
        fusions = FUSIONS if self.options.fusion == "likelier" else (self.options.fusion,)
        for name, joint in product(fusions, (False, True)):
            fused = FUSIONS[name](experts, self._voting(torch.from_numpy(there), joint))[0].numpy()
            T = temperature(fused, y)
            votes[likelihood(fused / T, y)] = (T, float(name == "entropy"), float(joint))
        with torch.no_grad():
            self.temperatures.copy_(torch.tensor(warm))
            self.vote.copy_(torch.tensor(votes[max(votes)]))

    def logits(self, batch: Batch) -> Logits:
        """The vote; a modality's own logits are those of its own head at its temperature."""
        spoken, there = self.experts(batch)
        experts, active = spoken / self.temperatures[:, None, None], there[:, :-1]
        fusion, voting = "entropy" if self.vote[1] else "mean", self._voting(there, bool(self.vote[2]))
        fused, weights = FUSIONS[fusion](experts, voting)
        shares = weights / self.temperatures
        shares = shares / shares.sum(dim=1, keepdim=True)
        part = shares[:, -1:] * active / active.sum(dim=1, keepdim=True).clamp(min=1)
        return Logits(fused / self.vote[0], experts[:-1], shares[:, :-1] + part)
