r"""MLA: modalities take turns on one shared head, whose gradient is projected so that nobody undoes the others' work.

Helps when one modality learns fast and the others stay lazy: each has its own steps, so none can hide behind another.
Reference: Zhang, Yoon, Bansal, Yao, *Multimodal Representation Learning by Alternating Unimodal Adaptation*, CVPR 2024.

===========  ===================  ==========  ==================================================
paper        here                 shape       meaning
===========  ===================  ==========  ==================================================
f_m          ``towers``           (n, s)      encoder of modality m
g            ``head``             (C, s)      one linear head for all modalities
m_t = t % M  order of ``turns``               whose step it is, within each mini-batch
h_t          mean feature         (s,)        mean over the batch rows where m is present
P_t          ``projector``        (s, s)      see ``projection.py``
lambda_m     fusion weights       (n, M)      see ``fusion.py``
===========  ===================  ==========  ==================================================

Equations: L_m = mean over present rows of CE(g(f_m(x)), y); step m: encoder m by its gradient, the head's weight by
(dL_m/dW) P_t, the bias by its gradient; prediction = softmax(sum_m lambda_m g(f_m(x))).

Where we depart. Eq. 1 says "t > M"; every t alternates, as in the released code. P takes the mini-batch mean (the data
set's mean would cost a pass per step). The very first step neither updates P nor is projected (Eq. 4). The released
code at its head never projects, for a parameter name that does not occur; ours does, and counts ``projector.updates``.
``alpha="decay"`` is the code's 0.1^(1 + b/B) over the batches b of an epoch. ``project_step="step"`` multiplies the
movement of the weight, after momentum, decay and Adam's scaling, instead of the gradient: an optimiser with a memory
cannot leave the subspace then. ``project_with="previous"`` is the text's stated intent; P then takes every batch.
Absent rows: no loss, no mean, no weight; a modality absent from the whole batch has no turn.

Cost: one pass per modality and row, O(s^2 + C s^2) per turn on top.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.fusion import FUSIONS
from modest.learning.late import modality_logits
from modest.learning.projection import GradientProjector
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["MLA", "Options", "decay"]


def decay(share: float) -> float:
    """Alpha of the released code at a ``share`` b/B of the epoch: 0.1^(1 + share).

    Examples
    --------
    >>> round(decay(0.0), 3), round(decay(1.0), 3)
    (0.1, 0.01)
    """
    return float(0.1 ** (1.0 + share))


@dataclass(frozen=True)
class Options:
    """The three switches and the knobs of the projection.

    ``alternate``: a step per modality within each mini-batch, else one step on the sum of the losses; ``project``: the
    projection on or off; ``fusion``: "entropy" or "mean". ``alpha``: a number, "decay", or a function of the share of
    the epoch done; ``project_step``: "gradient" or "step"; ``first_accumulates``: let the first step update P (it stays
    unprojected); ``normalize``, ``reset``, ``project_with``: as in GradientProjector.
    """

    alternate: bool = True
    project: bool = True
    fusion: str = "entropy"
    alpha: float | str | Callable[[float], float] = 0.1
    project_step: str = "gradient"
    project_with: str = "current"
    normalize: str = "none"
    reset: str = "never"
    first_accumulates: bool = False

    def __post_init__(self) -> None:
        """Check the names; the projector checks its own."""
        known(self.fusion, FUSIONS, "options['fusion']")
        known(self.project_step, ("gradient", "step"), "options['project_step']")
        if isinstance(self.alpha, str):
            known(self.alpha, ("decay",), "options['alpha']")

    def alpha_at(self, share: float) -> float:
        """Alpha at a share of the epoch."""
        if isinstance(self.alpha, str):
            return decay(share)
        return self.alpha(share) if callable(self.alpha) else float(self.alpha)


class MLA:
    """The recipe; see the module."""

    name = "mla"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.options = options
        self.names = tuple(names)
        self.towers = towers
        self.head = linear(towers.width, classes, generator, towers.dtype)
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "head": self.head})
        self.projector = GradientProjector(
            towers.width, options.alpha_at(0.0), options.normalize, options.reset, options.project_with
        )
        self.steps = 0
        self._mean: Tensor | None = None

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group per modality, its encoder and the shared head; without alternation one group, ``"all"``."""
        if not self.options.alternate:
            return {"all": self.net}
        return {name: nn.ModuleList([e, self.head]) for name, e in zip(self.names, self.towers.encoders)}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn per modality that is there, in the order of the views."""
        if batch.index == 0:
            self.projector.start_epoch()
        self.projector.alpha = self.options.alpha_at(batch.index / batch.count)
        losses, means = [], []
        for m, name in enumerate(self.names):
            features, rows = self.towers.features(batch, m)
            if not len(features):
                continue
            loss = cross_entropy(self.head(features), batch.labels[rows])
            if self.options.alternate:
                yield from self._turn(name, loss, features.detach().mean(dim=0))
            else:
                losses.append(loss)
                means.append(features.detach())
        if losses:
            yield from self._turn("all", torch.stack(losses).sum(), torch.cat(means).mean(dim=0))

    def _turn(self, group: str, loss: Tensor, mean: Tensor) -> Iterator[tuple[str, Tensor]]:
        self._mean = mean
        before = self.head.weight.detach().clone()
        first = self.steps == 0
        yield group, loss
        if self.options.project and self.options.project_step == "step" and not first:
            with torch.no_grad():
                self.head.weight.copy_(before + self.projector.project(self.head.weight - before))

    def before_step(self, group: str) -> None:
        """Update P with the turn's mean feature and project the gradient of the head's weight; the bias is left."""
        first, self.steps = self.steps == 0, self.steps + 1
        options, gradient = self.options, self.head.weight.grad
        if not options.project or self._mean is None or gradient is None:
            return
        if not first or options.first_accumulates or options.project_with == "previous":
            self.projector.update(self._mean)
        if not first and options.project_step == "gradient":
            self.head.weight.grad = self.projector.project(gradient)

    def state(self) -> Mapping[str, Tensor]:
        """P and the number of steps, for a checkpoint."""
        return {**self.projector.state(), "steps": torch.tensor(self.steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.projector.load_state(state)
        self.steps = int(state["steps"])

    def logits(self, batch: Batch) -> Logits:
        """The shared head on each modality, fused over those that speak."""
        own = modality_logits(self.towers, [self.head] * len(self.names), batch)
        fused, weights = FUSIONS[self.options.fusion](own, self.towers.active(batch))
        return Logits(fused, own, weights)
