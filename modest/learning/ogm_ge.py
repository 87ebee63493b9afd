r"""OGM-GE: the gradient of the encoder that is ahead is damped, so that the others catch up; noise is added to all.

Helps when one modality answers most of the joint loss and starves the others of gradient.
Reference: Peng, Wei, Deng, Wang, Hu, *Balanced Multimodal Learning via On-the-fly Gradient Modulation*, CVPR 2022.

========  ====================  =======  =============================================================
paper     here                  shape    meaning
========  ====================  =======  =============================================================
o_m       ``alone``             (n, C)   a modality's part of the joint logits
s_m       score                 ()       sum over rows of softmax(o_m)[y]; here their mean
rho_m     ``ratios``            (M,)     own score / mean score of the others
k_m       ``coefficients``      (M,)     factor of the gradient of encoder m
alpha     ``alpha``             ()       strength of the damping
h(xi)     ``noise``             as grad  Gaussian noise, GE
========  ====================  =======  =============================================================

Equations: rho_m = s_m / mean_{v != m} s_v; k_m = 1 - tanh(alpha rho_m) if rho_m > 1, else 1; a gradient g of encoder m
becomes k_m g + N(0, (std(g) + 1e-8)^2), the deviation that of g's entries before they are damped (n - 1 form, 0 for a
single number). Heads keep their gradients. The loss is that of ``concat`` or ``sum``, the prediction too.

Where we depart. The paper has two modalities, M are ours: the mean of the others gives the paper at M = 2 and damps
nobody who is just average (the release damps audio at ratio 1; MLA's three-modality version compares with the sum and
damps one modality always). The noise of the paper has the covariance of SGD over batches; the spread within the tensor
is the release's, and ours, drawn from (seed, epoch, batch), so that a training can be repeated and taken up. Only 4-D
parameters are damped in the release (``scale="conv"``); "all", the equation's, takes biases, norms and linear layers.

Absence: a modality's score is the mean over the rows in which it speaks, since sums would call the rarer one lazy; with
all present the ratios are those of the sums. One absent from the whole batch has no score and is nobody's other. Where
fewer than two modalities speak there is nothing to balance: such a batch is left alone; one modality trains plainly.

Cost: one pass per modality and row, O(M n C) for scores, one normal number per parameter of the encoders and step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.learning import concat
from modest.learning import sum as added
from modest.learning.joint import Joint
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["OGMGE", "Options", "coefficients", "noise", "ratios", "scores"]


@dataclass(frozen=True)
class Options:
    """``head``: "concat" or "sum"; ``alpha`` >= 0; ``modulation``: "ogm_ge", or "ogm" without noise.

    ``scale``: "all" parameters of the encoders or "conv", those with four dimensions; ``starts``, ``ends``: first and
    last epoch of the modulation, from 0.
    """

    head: str = "concat"
    alpha: float = 0.3
    modulation: str = "ogm_ge"
    scale: str = "all"
    starts: int = 0
    ends: int = 50

    def __post_init__(self) -> None:
        """Check the names and alpha."""
        if self.head in ("film", "bigated", "gated"):
            raise ValueError(
                f"options['head']={self.head!r} mixes modalities before its last layer, so that no part of its logits "
                "is one modality's and there is nothing to compare; use 'concat' or 'sum'."
            )
        known(self.head, ("concat", "sum"), "options['head']")
        known(self.modulation, ("ogm_ge", "ogm"), "options['modulation']")
        known(self.scale, ("all", "conv"), "options['scale']")
        if not (math.isfinite(self.alpha) and self.alpha >= 0):
            raise ValueError(f"options['alpha']={self.alpha} is not a number from 0 on; the papers use 0.1 to 0.8.")


def scores(own: Tensor, active: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of the label, summed over the rows in which a modality speaks, and their number.

    Parameters
    ----------
    own : (M, n, C) logits
    active : (n, M) bool
    labels : (n,) int64

    Returns
    -------
    scores : (M,)
    rows : (M,)
    """
    right = own.softmax(dim=-1)[:, torch.arange(len(labels), device=labels.device), labels]
    return torch.where(active.T, right, torch.zeros_like(right)).sum(dim=1), active.sum(dim=0)


def ratios(scores: Tensor, rows: Tensor) -> Tensor:
    """(M,) mean score over the mean of the others' that have rows; 1 where there is nothing to compare.

    Examples
    --------
    >>> ratios(torch.tensor([3.0, 1.0, 0.0]), torch.tensor([4, 2, 0])).tolist()  # 0.75 against 0.5
    [1.5, 0.6666666865348816, 1.0]
    """
    mean, there = scores / rows.clamp(min=1), (rows > 0).to(scores)
    others = (1 - torch.eye(len(scores), dtype=scores.dtype, device=scores.device)) * there
    count = others.sum(dim=1)
    rival = ((others @ mean) / count.clamp(min=1)).clamp(min=torch.finfo(scores.dtype).tiny)
    return torch.where((count > 0) & (rows > 0), mean / rival, torch.ones_like(mean))


def coefficients(ratios: Tensor, alpha: float) -> Tensor:
    """(M,) factors: 1 - tanh(alpha ratio) above 1, else 1.

    Examples
    --------
    >>> [round(k, 3) for k in coefficients(torch.tensor([2.0, 0.5, 1.0]), 0.5).tolist()]
    [0.238, 1.0, 1.0]
    """
    return torch.where(ratios > 1, 1 - torch.tanh(alpha * ratios), torch.ones_like(ratios))


def noise(gradient: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise, as wide as the entries of ``gradient`` spread; of its shape, drawn on its device."""
    deviation = gradient.std() if gradient.numel() > 1 else gradient.new_zeros(())
    drawn = torch.randn(gradient.shape, dtype=gradient.dtype, device=gradient.device, generator=generator)
    return (deviation + 1e-8) * drawn


class OGMGE(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        if options.head == "concat":
            plain = concat.concat(towers, names, classes, generator, concat.Options())
        else:
            plain = added.summed(towers, names, classes, generator, added.Options())
        super().__init__("ogm_ge", towers, plain.head, plain.join, plain.alone)
        self.options, self.names = options, tuple(names)
        for name, encoder in zip(self.names, towers.encoders):
            if options.scale == "conv" and not any(p.ndim == 4 for p in encoder.parameters()):
                raise ValueError(
                    f"options['scale']='conv' damps four-dimensional weights and the encoder of {name!r} has none; use "
                    "scale='all'."
                )
        self._seed = generator.initial_seed()
        self._place = (0, 0)
        self._scores: list[tuple[Tensor, Tensor]] = []  # of the batches of the next step
        self._told: list[tuple[Tensor, Tensor]] = []  # coefficients of an epoch's steps, and who spoke

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss; the scores are taken beside it."""
        if batch.index == 0:
            self._told = []
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        if self.options.starts <= batch.epoch <= self.options.ends:
            with torch.no_grad():
                self._scores.append(scores(self.alone(self.head, blocks, active), active, batch.labels))
        self._place = (batch.epoch, batch.index)
        yield "all", cross_entropy(self.join(self.head, blocks, active), batch.labels)

    def before_step(self, group: str) -> None:
        """Damp the gradients of the encoders, and add the noise."""
        if not self._scores:
            return
        score, rows = (torch.stack(of).sum(dim=0) for of in zip(*self._scores))
        self._scores = []
        factors, there = coefficients(ratios(score, rows), self.options.alpha), rows > 0
        self._told.append((factors, there))
        if int(there.sum()) < 2:
            return
        draws = torch.Generator(score.device).manual_seed(self._key())
        for factor, encoder in zip(factors, self.towers.encoders):
            for parameter in self._modulated(encoder):
                if parameter.grad is not None:
                    spread = noise(parameter.grad, draws) if self.options.modulation == "ogm_ge" else 0.0
                    parameter.grad = parameter.grad * factor + spread

    def _key(self) -> int:
        """Seed of a step's noise."""
        return int(np.random.SeedSequence((self._seed, *self._place)).generate_state(1, np.uint64)[0] >> np.uint64(1))

    def _modulated(self, encoder: nn.Module) -> list[nn.Parameter]:
        every = [p for p in encoder.parameters() if p.requires_grad]
        return every if self.options.scale == "all" else [p for p in every if p.ndim == 4]

    def notes(self) -> Mapping[str, float]:
        """Mean coefficient of every modality over the steps of the epoch in which it spoke; 1 without any."""
        if not self._told:
            return {f"coefficient/{name}": 1.0 for name in self.names}
        factors, there = (torch.stack(of).double() for of in zip(*self._told))
        means = torch.where(there.any(dim=0), (factors * there).sum(dim=0) / there.sum(dim=0).clamp(min=1), 1.0)
        return {f"coefficient/{name}": value for name, value in zip(self.names, means.tolist())}
