r"""IF-MMIN: imagination that leans on what all modalities have in common, which is there whichever of them is.

MMIN (``mmin.py``, whose symbols hold here) with a second encoder that maps every modality's features into one
distribution; each autoencoder of the cascade is shown these. Reference: Zuo, Liu, Zhao, Gao, Li: *Exploiting
Modality-Invariant Feature for Robust Multimodal Emotion Recognition with Missing Modalities*, arXiv 2210.15359, 2022.

==========  ===================  ===========  =================================================================
paper       here                 shape        meaning
==========  ===================  ===========  =================================================================
E_inv       ``shared``           (n, s)       one net for all modalities: twice Linear, LeakyReLU(0.01)
H           ``invariant``        (n, M s)     E_inv of each modality's part of h, side by side
H_t         ``taught_shared``    (n, M s)     the same by the teacher, of all that the batch has
W           ``head``             (C, 2 M s)   the teacher's classifier, over h and H
CMD         ``cmd.py``           ()           central moment discrepancy of five moments, mean over pairs
==========  ===================  ===========  =================================================================

Equations. Teacher: mean_i CE(W [h, H] + b, y_i) + ``cmd`` CMD of the H_m. Student, whose encoders and E_inv start from
it: CE(g(c), y) + ``imagination`` mean_A |h' - t(x)|^2 + ``invariant`` mean |H - H_t|^2, the last over all cells that
the data has, shown or hidden; (h', c) by the cascade with H (``residual.py``). No cycle. Prediction: g(c).

Departures: those of MMIN; CMD takes, of each modality, the rows that have it, and a pair without such rows is left out.
The feature of an absent modality is zero, so its invariant feature is E_inv(0), a constant that learns: in the release
it is E_inv of the encoder's answer to zeros, a constant too. The release passes its weight of 100 on H to an option
that does not exist, and runs with 1.

Cost: as MMIN, without the cycle.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.completion import mmin
from modest.completion.cmd import spread
from modest.completion.mmin import gap
from modest.completion.residual import chain
from modest.encoders.towers import linear
from modest.learning.joint import Joint
from modest.learning.towers import Towers
from modest.training.task import Batch, Task

__all__ = ["IFMMIN", "Options", "Pretraining"]


@dataclass(frozen=True)
class Options(mmin.Options):
    """As MMIN's, with the paper's weights.

    ``invariant`` and ``cmd`` >= 0: weights of the student's loss on invariant features and of the teacher's on their
    discrepancy. A ``cycle`` above 0 adds MMIN's, which the paper leaves out.
    """

    imagination: float = 1.0
    cycle: float = 0.0
    invariant: float = 1.0
    cmd: float = 1.0

    def weights(self) -> dict[str, float]:
        """Weights of the losses beside the classifier's, by name."""
        return {**super().weights(), "invariant": self.invariant, "cmd": self.cmd}


class Pretraining(Joint):
    """The teacher's stage: encoders, ``shared`` and a linear classifier over both their features."""

    def __init__(self, name: str, towers: Towers, shared: nn.Module, head: nn.Module, weight: float) -> None:
        self.weight = weight
        super().__init__(name, towers, nn.ModuleDict({"shared": shared, "linear": head}), _join, _alone)

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss and the discrepancy."""
        blocks, active = self.towers.blocks(batch), self.towers.active(batch)
        apart = spread(self.head["shared"](blocks), active)  # type: ignore[index]
        yield "all", cross_entropy(_join(self.head, blocks, active), batch.labels) + self.weight * apart


def _join(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    parts = [*blocks, *head["shared"](blocks)]  # type: ignore[index]
    joined: Tensor = head["linear"](torch.cat(parts, dim=1))  # type: ignore[index]
    return joined


def _alone(head: nn.Module, blocks: Tensor, active: Tensor) -> Tensor:
    own = torch.eye(len(blocks), dtype=blocks.dtype, device=blocks.device)[:, :, None, None]
    return torch.stack([_join(head, blocks * only, active) for only in own])


class IFMMIN(mmin.MMIN):
    """The recipe; see the module."""

    name = "ifmmin"
    options: Options

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        super().__init__(towers, names, classes, generator, options)
        s = towers.width
        self.head = linear(2 * s * len(towers), classes, generator, towers.dtype)
        self.shared = chain((s, s, s), generator, towers.dtype, nn.LeakyReLU, nn.LeakyReLU)
        self.taught_shared = copy.deepcopy(self.shared).requires_grad_(False)
        own = {"shared": self.shared, "taught_shared": self.taught_shared}
        self.net = nn.ModuleDict({"towers": towers, "student": self.student, "teacher": self.teacher, **own})

    def stages(self) -> list[Task]:
        """Two stages: the teacher with the invariant encoder, then the student."""
        teacher = Pretraining(f"{self.name}/teacher", self.towers, self.shared, self.head, self.options.cmd)
        return [teacher, self]

    def begin(self) -> None:
        """Make the encoders as they are the teacher's."""
        super().begin()
        self.taught_shared.load_state_dict(self.shared.state_dict())

    def loss(self, batch: Batch, kept: Tensor, seen: Tensor, taught: Tensor) -> Tensor:
        """Student's loss () as MMIN's, and of its invariant features ((n, M s), from ``seen``) to the teacher's."""
        wanted = self._each(self.taught_shared, taught)
        apart = gap(self.invariant(seen), wanted, self.entries(batch.present))
        return super().loss(batch, kept, seen, taught) + self.options.invariant * apart

    def invariant(self, embedding: Tensor) -> Tensor:
        """(n, M s) invariant features of an embedding (n, M s)."""
        return self._each(self.shared, embedding)

    def _each(self, shared: nn.Module, embedding: Tensor) -> Tensor:
        found: Tensor = shared(embedding.reshape(-1, self.towers.width))
        return found.reshape(embedding.shape)
