r"""MMPareto: where the joint loss and a modality's own pull its encoder apart, it goes where both fall.

Helps when own losses are wanted beside the joint one, but their gradients are so unlike that the sum serves one alone.
Reference: Wei, Hu, *MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance*, ICML 2024.

=========  ==================  ============  =====================================================
symbol     here                shape         meaning
=========  ==================  ============  =====================================================
f_m        ``towers``          (n, s)        encoder of modality m, theta_m its parameters
W, b       ``head``            (C, M s)      joint head over all features side by side
g_m        ``own[m]``          (C, s)        head of modality m
O_m                                          the rows in which m is present
a, u       ``joint``, ``own``  (|theta_m|,)  gradients of the two losses by theta_m
gamma      ``gamma``           number        how long the outcome is, against their sum
=========  ==================  ============  =====================================================

Equations: L = mean_i CE(W [f_1i; ...; f_Mi] + b, y_i), L_m = mean over O_m of CE(g_m(f_mi), y_i), a = dL/dtheta_m,
u = dL_m/dtheta_m. For every encoder: if <a, u> > 0, h = a + u, else h = w a + (1 - w) u with the w in [0, 1] that makes
|h| least, w = <u, u - a> / |u - a|^2; both losses then fall along -h. The encoder's gradient is gamma |a + u| h / |h|.
The heads keep their plain gradients; prediction = softmax of the joint head.

Where we depart. The length is that of the encoder's whole gradient, so h keeps its direction. Where a and u oppose each
other exactly h is zero, and any length would be that of rounding: within 1e-6 the encoder rests. BalanceBenchmark's
version writes w to a variable nobody reads and adds the losses' gradients up; here ``before_step`` puts the outcome
where the step looks. From memory, unverified: the authors' code rescales only where that lengthens (it never shortens
here either: |2 h| <= |a + u|), and takes norms parameter by parameter. gamma > 1 stands for the noise that helps SGD to
generalise; optimisers that divide by the gradient's size (AdamW) undo it.

An absent modality is a zero feature, has no loss and no gradient. Cost: one pass per modality and row, and the backward
pass twice; a copy of the encoders' gradients.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.encoders.towers import linear
from modest.learning.concat import alone, join
from modest.learning.joint import Joint, own_losses
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["MMPareto", "Options", "least_norm", "pareto"]

_RESTS = 1e-6


@dataclass(frozen=True)
class Options:
    """``gamma`` > 0: length of an encoder's gradient against that of the plain sum."""

    gamma: float = 1.5

    def __post_init__(self) -> None:
        """Check the number."""
        if not 0 < self.gamma < math.inf:
            raise ValueError(f"options['gamma']={self.gamma} is not a positive number; the paper's is 1.5.")


def least_norm(a: Tensor, b: Tensor) -> float:
    """The w in [0, 1] for which |w a + (1 - w) b| is least, vectors (d,); 1/2 where they are equal.

    Examples
    --------
    >>> round(least_norm(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 1.0])), 3)  # the longer one counts less
    0.2
    """
    apart = b - a
    square = float(apart @ apart)
    return 0.5 if square == 0 else min(1.0, max(0.0, float(b @ apart) / square))


def pareto(joint: Tensor, own: Tensor, gamma: float = 1.5) -> Tensor:
    """One gradient (d,) of two.

    Examples
    --------
    >>> h = pareto(torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0]), gamma=2.0)
    >>> [round(x, 3) for x in h.tolist()]  # 0.6 a + 0.4 u = (0.2, 0.4), brought to the length of 2 (0, 1)
    [0.894, 1.789]
    """
    total = joint + own
    if float(joint @ own) > 0:
        return gamma * total
    w = least_norm(joint, own)
    h = w * joint + (1 - w) * own
    length = float(h.norm())
    if length <= _RESTS * float(joint.norm() + own.norm()):
        return torch.zeros_like(h)
    return h * (gamma * float(total.norm()) / length)


def _flat(parameters: Sequence[nn.Parameter]) -> Tensor:
    """(d,) all gradients in a row, zeros where there is none."""
    return torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in parameters])


class MMPareto(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        head = linear(towers.width * len(towers), classes, generator, towers.dtype)
        own = [linear(towers.width, classes, generator, towers.dtype) for _ in names]
        super().__init__("mmpareto", towers, head, join, alone, own)
        self.options, self.names = options, tuple(names)
        self._own: list[tuple[int, list[Tensor]]] = []
        self._conflicts: dict[str, list[bool]] = {}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn, the sum of all losses; the gradients of the own ones are noted before."""
        if batch.index == 0:
            self._own, self._conflicts = [], {name: [] for name in self.names}
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        joint = cross_entropy(join(self.head, blocks, active), batch.labels)
        own = own_losses(self.own, blocks, active, batch.labels)
        self._own.append((len(batch), self._gradients(torch.stack(own).sum()) if own else []))
        yield "all", torch.stack([joint, *own]).sum()

    def _gradients(self, loss: Tensor) -> list[Tensor]:
        """(d,) gradient of ``loss`` by each encoder, mean over processes; those of the net stay as they are.

        A full backward pass: torch.autograd.grad by the encoders alone would leave out the gather of a process that
        has no row of a modality, and the others would wait for it.
        """
        parameters = list(self.net.parameters())
        kept = [p.grad for p in parameters]
        for p in parameters:
            p.grad = None
        with torch.autocast(loss.device.type, enabled=False):  # backward passes take the types of the forward one
            loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        found = [self.towers.world.average(_flat(list(one.parameters()))) for one in self.towers.encoders]
        for p, gradient in zip(parameters, kept):
            p.grad = gradient
        return found

    def before_step(self, group: str) -> None:
        """Put what :func:`pareto` makes of both gradients in the place of every encoder's sum."""
        noted, self._own = self._own, []
        rows = sum(n for n, _ in noted)
        for m, (name, encoder) in enumerate(zip(self.names, self.towers.encoders)):
            parameters = list(encoder.parameters())
            if all(p.grad is None for p in parameters):
                continue
            shares = [n / rows * gradients[m] for n, gradients in noted if gradients]  # as the loop weighs batches
            own = torch.stack(shares).sum(dim=0)
            joint = _flat(parameters) - own
            gradient = pareto(joint, own, self.options.gamma)
            self._conflicts[name].append(float(joint @ own) <= 0)
            for p, part in zip(parameters, torch.split(gradient, [p.numel() for p in parameters])):
                if p.grad is not None:
                    p.grad = part.view_as(p)

    def notes(self) -> Mapping[str, float]:
        """Share of the epoch's steps in which an encoder's two gradients were at odds, by modality."""
        return {f"conflict/{name}": sum(of) / len(of) for name, of in self._conflicts.items() if of}
