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

Where we depart. Eq. 1 says "t > M"; every t alternates, as in the released code. P takes the mini-batch mean; ``mean``
has what lies between it and the data set's (``means.py``). The very first step neither updates P nor is projected
(Eq. 4). The released code at its head never projects, for a parameter name that does not occur; ours does, counts
``projector.updates`` and notes per epoch what is left: ``gain`` = mean over steps of |G P| / |G|, G the head's gradient
(or movement), and ``trace`` = tr P / s. Below a gain of 0.05 the head has frozen, and a warning says so. Never reset,
as in paper and release, P closes every direction in which features lie and the gain falls to a thousandth within some
ten epochs; so by default P starts anew with each epoch (``reset``; measured over 100 epochs, docs/results).
``alpha="decay"`` is the code's 0.1^(1 + b/B) over the batches b of an epoch. ``project_step="step"`` multiplies the
movement of the weight, after momentum, decay and Adam's scaling, instead of the gradient: an optimiser with a memory
cannot leave the subspace then. ``momentum="modality"`` gives each modality a memory of its own for the shared head, so
that nobody's old, differently projected gradients come back in another's step. ``project_with="previous"`` is the
text's stated intent; P then takes every batch. ``published`` imitates the release (``released.py``).
Absent rows: no loss, no mean, no weight; a modality absent from the whole batch has no turn.

Cost: one pass per modality and row, O(s^2 + C s^2) per turn on top.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.fusion import FUSIONS
from modest.learning.late import modality_logits
from modest.learning.means import MEANS, MeanFeature
from modest.learning.projection import GradientProjector
from modest.learning.released import ReleasedProjector, released_fusion
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["FROZEN", "MLA", "Options", "decay"]

FROZEN = 0.05  # gain of the head's steps below which it has as good as stopped


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
    the epoch done; ``mean``: "batch", "ema" or "dataset"; ``project_step``: "gradient" or "step"; ``momentum``:
    "shared" or "modality"; ``first_accumulates``: let the first step update P (it stays unprojected); ``normalize``,
    ``reset``, ``project_with``: as in GradientProjector. ``published``: "head" (no projection, the batch decides the
    fusion) or "literal" (the same with the projection as it is written), and no other option beside it.
    """

    alternate: bool = True
    project: bool = True
    fusion: str = "entropy"
    alpha: float | str | Callable[[float], float] = 0.1
    mean: str = "batch"
    project_step: str = "gradient"
    project_with: str = "current"
    normalize: str = "none"
    reset: str = "epoch"
    momentum: str = "shared"
    first_accumulates: bool = False
    published: str | None = None

    def __post_init__(self) -> None:
        """Check the names; the projector checks its own."""
        known(self.fusion, FUSIONS, "options['fusion']")
        known(self.mean, MEANS, "options['mean']")
        known(self.project_step, ("gradient", "step"), "options['project_step']")
        known(self.momentum, ("shared", "modality"), "options['momentum']")
        if isinstance(self.alpha, str):
            known(self.alpha, ("decay",), "options['alpha']")
        if self.momentum == "modality" and not self.alternate:
            raise ValueError("options['momentum']='modality' needs turns; leave alternate on, or momentum shared.")
        if self.published is not None:
            known(self.published, ("head", "literal"), "options['published']")
            for field in fields(self):
                if field.name != "published" and getattr(self, field.name) != field.default:
                    raise ValueError(f"options['published'] decides the others too; leave out {field.name!r}.")

    def alpha_at(self, share: float) -> float:
        """Alpha at a share of the epoch."""
        if isinstance(self.alpha, str) or self.published is not None:
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
        copies = len(towers) - 1 if options.momentum == "modality" else 0
        self.heads = [self.head, *(copy.deepcopy(self.head) for _ in range(copies))]
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "head": self.head})
        if copies:
            self.net["copies"] = nn.ModuleList(self.heads[1:])
        self.projects = options.project and options.published != "head"
        kind = ReleasedProjector if options.published == "literal" else GradientProjector
        self.projector = kind(
            towers.width, options.alpha_at(0.0), options.normalize, options.reset, options.project_with
        )
        self.means = MeanFeature(options.mean, len(towers) + 1, towers.width)
        self.fuse = FUSIONS[options.fusion] if options.published is None else released_fusion
        self.steps = 0
        self.gains: list[Tensor] = []
        self._warned = False
        self._mean: Tensor | None = None
        self._turning = self.head

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group per modality, its encoder and the shared head; without alternation one group, ``"all"``."""
        if not self.options.alternate:
            return {"all": self.net}
        encoders = self.towers.encoders
        return {n: nn.ModuleList([encoders[m], self._head(m)]) for m, n in enumerate(self.names)}

    def _head(self, m: int) -> nn.Linear:
        """The shared head, or modality m's copy of it, which has a memory of its own in the optimiser."""
        return self.heads[m if m < len(self.heads) else 0]

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn per modality that is there, in the order of the views."""
        if batch.index == 0:
            self.projector.start_epoch()
            self.means.start_epoch()
            self.gains.clear()
        self.projector.alpha = self.options.alpha_at(batch.index / batch.count)
        losses, met = [], []
        for m, name in enumerate(self.names):
            features, rows = self.towers.features(batch, m)
            if not len(features):
                continue
            loss = cross_entropy(self._head(m)(features), batch.labels[rows])
            if self.options.alternate:
                yield from self._turn(name, loss, self._head(m), self.means(m, features))
            else:
                losses.append(loss)
                met.append(features)
        if losses:
            yield from self._turn("all", torch.stack(losses).sum(), self.head, self.means(-1, torch.cat(met)))

    def _turn(self, group: str, loss: Tensor, head: nn.Linear, mean: Tensor) -> Iterator[tuple[str, Tensor]]:
        self._mean, self._turning = mean, head
        steps = self.projects and self.options.project_step == "step" and self.steps > 0
        before = head.weight.detach().clone() if steps else head.weight
        yield group, loss
        with torch.no_grad():
            if steps:
                head.weight.copy_(before + self._projected(head.weight - before))
            for other in self.heads:
                if other is not head:
                    other.load_state_dict(head.state_dict())

    def before_step(self, group: str) -> None:
        """Update P with the turn's mean feature and project the gradient of the head's weight; the bias is left."""
        first, self.steps = self.steps == 0, self.steps + 1
        options, gradient = self.options, self._turning.weight.grad
        if not self.projects or self._mean is None or gradient is None:
            return
        if not first or options.first_accumulates or options.project_with == "previous":
            self.projector.update(self._mean)
        if not first and options.project_step == "gradient":
            self._turning.weight.grad = self._projected(gradient)

    def _projected(self, change: Tensor) -> Tensor:
        projected = self.projector.project(change)
        self.gains.append(projected.norm() / change.norm().clamp(min=torch.finfo(change.dtype).tiny))
        return projected

    def notes(self) -> Mapping[str, float]:
        """``gain`` and ``trace`` of the epoch, see the module; nothing where nothing is projected."""
        if not self.gains:
            return {}
        gain, trace = float(torch.stack(self.gains).mean()), self.projector.trace
        if gain < FROZEN and not self._warned:
            self._warned = True
            warnings.warn(
                f"the shared head of mla has all but stopped: the projection leaves {gain:.3f} of its steps (tr P / s ="
                f" {trace:.3f}); raise options['alpha'], or use reset='epoch' or normalize='trace'.",
                stacklevel=2,
            )
        return {"gain": gain, "trace": trace}

    def state(self) -> Mapping[str, Tensor]:
        """P, means and the number of steps, for a checkpoint."""
        means = {f"means/{name}": tensor for name, tensor in self.means.state().items()}
        return {**self.projector.state(), **means, "steps": torch.tensor(self.steps)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.projector.load_state(state)
        self.means.load_state({n.removeprefix("means/"): t for n, t in state.items() if n.startswith("means/")})
        self.steps = int(state["steps"])

    def logits(self, batch: Batch) -> Logits:
        """The shared head on each modality, fused over those that speak."""
        own = modality_logits(self.towers, [self.head] * len(self.names), batch)
        fused, weights = self.fuse(own, self.towers.active(batch))
        return Logits(fused, own, weights)
