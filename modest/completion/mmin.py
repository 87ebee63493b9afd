r"""MMIN: a network that has seen modalities teaches one that must imagine what they would have been, from the others.

Helps where modalities tell of each other: what was imagined stands in a code that the classifier reads, whatever is
absent. Reference: Zhao, Li, Jin: *Missing Modality Imagination Network for Emotion Recognition with Uncertain Missing
Modalities*, ACL 2021.

==========  ====================  ===========  =============================================================
paper       here                  shape        meaning
==========  ====================  ===========  =============================================================
f_m         ``towers``            (n, s)       encoders; the teacher trains them, the student goes on
\           ``head``              (C, M s)     the teacher's classifier, needed in its stage only
t_m         ``teacher``           (n, s)       the encoders as the teacher left them; nothing moves them
h           ``embedding``         (n, M s)     features side by side, zero where absent or hidden
h', c       ``imagination``       (n, M s)     cascade of autoencoders (``residual.py``): h' and its codes c
h''         ``cycle``             (n, M s)     a second cascade, from h' back
g           ``classifier``        (n, C)       fully connected net over c
A_im        present, not kept                  cells that a step hides, hence knows
==========  ====================  ===========  =============================================================

Equations. Teacher: mean_i CE(W f(x_i) + b, y_i), W of ``concat.py``. Student: CE(g(c), y) + 4 mean_A |h' - t(x)|^2
+ 2 mean |h'' - h|^2, the means over rows, cells and coordinates, h in the last held fixed. Prediction: g(c).

Departures. The papers see everything in training and mask it; here training rows lack modalities themselves: what the
data does not have is never a target, and the teacher learns from rows with gaps too (a zero feature there). Their
imagination is also told to give, for a modality that is there, the teacher's embedding of an all-zero input; we ask
only for what is hidden (``gap`` without ``where`` is theirs). An absent modality is a zero feature; in the release it
is zeros through the encoder, whose biases speak (``fill="zero"`` does that over ready views). The release shows one of
the incomplete patterns per sample and step, never the full one (``patterns="incomplete"``: of what a row has); the
default hides each modality but one with probability ``share``, so that full rows are met too, as they are at
prediction. Its teacher has a deeper classifier, its student's has dropout after its own layers, its gradients are
clipped at 1 per network, its first weights are normal: here ``dropout`` is of the codes, and the loop and first weights
are those of all recipes. Its cascades have 5 blocks of layers 256, 128, 64 and its dropout is 0.5; on validation
rows of MOSI and Scene-15 smaller cascades did as well at half the cost, and dropout lost a point of accuracy (one and
two seeds). On a row that has one modality nothing can be hidden: it counts in the first and the last term. Needs two
modalities at least.

Cost: two trainings; a step of the student is one pass of every encoder with gradient and one without, and two cascades.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from modest.checks import known
from modest.completion.hiding import answers, draw, hidden
from modest.completion.residual import Cascade, chain
from modest.encoders.towers import linear
from modest.learning import concat
from modest.learning.joint import Joint
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["MMIN", "Options", "Student", "gap", "incomplete"]


@dataclass(frozen=True)
class Options:
    """Sizes, weights of the losses, and what is shown.

    ``layers`` and ``blocks``: of both cascades; ``hidden``: hidden layers of the classifier. ``imagination``, ``cycle``
    >= 0: weights of their losses. ``patterns``: "share" hides modalities with probability ``share``, "incomplete"
    shows any true part of what a row has, all equally likely. ``dropout``: share of codes that a step keeps from the
    classifier.
    """

    layers: Sequence[int] = (128, 64)
    blocks: int = 3
    hidden: Sequence[int] = (128, 128)
    imagination: float = 4.0
    cycle: float = 2.0
    patterns: str = "share"
    share: float = 0.5
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Check sizes, weights and names."""
        for name, sizes in (("layers", self.layers), ("blocks", (self.blocks,)), ("hidden", self.hidden)):
            whole = isinstance(sizes, Sequence) and all(isinstance(k, int) and not isinstance(k, bool) for k in sizes)
            if not whole or min(sizes, default=0) < 1:
                raise ValueError(f"options[{name!r}]={getattr(self, name)} has to be of whole numbers of at least 1.")
        for name, weight in self.weights().items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"options[{name!r}]={weight} is not a weight of at least 0; 0 leaves the loss out.")
        known(self.patterns, ("share", "incomplete"), "options['patterns']")
        for name, share in (("share", self.share), ("dropout", self.dropout)):
            if not 0 <= share <= 1:
                raise ValueError(f"options[{name!r}]={share} is not a share in [0, 1]; try 0.5.")

    def weights(self) -> dict[str, float]:
        """Weights of the losses beside the classifier's, by name."""
        return {"imagination": self.imagination, "cycle": self.cycle}


def gap(found: Tensor, wanted: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean squared difference () of two (n, e) over the entries ``where`` (n, e) bool, or all; 0 if there are none.

    Examples
    --------
    >>> gap(torch.zeros(2, 2), torch.tensor([[2.0, 1.0], [0.0, 5.0]]), torch.tensor([[True, True], [False, False]]))
    tensor(2.5000)
    """
    squares = (found - wanted) ** 2
    return squares.mean() if where is None else (squares * where).sum() / where.sum().clamp(min=1)


def incomplete(present: Tensor) -> Tensor:
    """Modalities that are shown (n, M) bool: any true part of what a row has, all equally likely, one at least.

    A row with one modality shows it. Drawn like ``hiding.draw``, from torch's own generator.

    Examples
    --------
    >>> incomplete(torch.tensor([[True, True, True]] * 9)).sum(dim=1).max().item() < 3
    True
    """
    there = present.cpu()
    parts = (2.0 ** there.sum(dim=1).double() - 2.0).clamp(min=1.0)
    number = 1 + (torch.rand(len(there), dtype=torch.float64) * parts).long()
    bit = (there.cumsum(dim=1) - 1).clamp(min=0)
    return present & ((number[:, None] >> bit) & 1).bool().to(present.device)


class Student(nn.Module):
    """What the student adds to the encoders: imagination, cycle and classifier over an embedding of ``width``, e."""

    def __init__(
        self, width: int, classes: int, generator: torch.Generator, options: Options, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__()
        self.options = options
        self.imagination = Cascade(width, options.layers, options.blocks, generator, dtype)
        self.cycle = Cascade(width, options.layers, options.blocks, generator, dtype) if options.cycle else None
        codes = options.blocks * options.layers[-1]
        self.classifier = chain((codes, *options.hidden, classes), generator, dtype)

    def forward(self, embedding: Tensor, invariant: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (n, C) and imagined embedding (n, e)."""
        imagined, codes = self.imagination(embedding, invariant)
        return self.classifier(dropout(codes, self.options.dropout, self.training)), imagined

    def loss(
        self,
        embedding: Tensor,
        labels: Tensor,
        wanted: Tensor,
        where: Tensor | None = None,
        invariant: Tensor | None = None,
    ) -> Tensor:
        """Student's loss (): ``wanted`` (n, e) the teacher's embedding, which counts in the entries ``where``."""
        logits, imagined = self(embedding, invariant)
        total = cross_entropy(logits, labels) + self.options.imagination * gap(imagined, wanted, where)
        if self.cycle is not None:
            total = total + self.options.cycle * gap(self.cycle(imagined)[0], embedding.detach())
        return total


class MMIN:
    """The recipe; see the module."""

    name = "mmin"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        if len(towers) < 2:
            raise ValueError(f"{self.name} imagines a modality from others, and {names[0]!r} is alone; use 'late'.")
        self.options, self.towers = options, towers
        width = towers.width * len(towers)
        self.head = linear(width, classes, generator, towers.dtype)
        self.student = Student(width, classes, generator, options, towers.dtype)
        self.teacher = copy.deepcopy(towers).requires_grad_(False)
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "student": self.student, "teacher": self.teacher})

    def stages(self) -> list[Task]:
        """Two stages: the teacher, then the student."""
        return [Joint(f"{self.name}/teacher", self.towers, self.head, concat.join, concat.alone), self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: all of the student."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the student's loss, from what is left of every row."""
        if batch.epoch == 0 and batch.index == 0:
            self.begin()
        share = self.options.share
        kept = incomplete(batch.present) if self.options.patterns == "incomplete" else draw(batch.present, share)
        seen = self.embedding(self.towers, hidden(batch, kept))
        yield "all", self.loss(batch, kept, seen, self.taught(batch))

    def begin(self) -> None:
        """Make the encoders as they are the teacher's."""
        self.teacher.load_state_dict(self.towers.state_dict())

    def loss(self, batch: Batch, kept: Tensor, seen: Tensor, taught: Tensor) -> Tensor:
        """Student's loss () where only ``kept`` (n, M) bool is shown, ``seen``, of what the teacher has, ``taught``."""
        where = self.entries(batch.present & ~kept)
        return self.student.loss(seen, batch.labels, taught, where, self.invariant(seen))

    def invariant(self, embedding: Tensor) -> Tensor | None:
        """What the cascade is shown beside an embedding: nothing."""
        return None

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def embedding(self, towers: Towers, batch: Batch) -> Tensor:
        """(n, M s) features side by side, zero where absent."""
        return torch.cat(list(towers.blocks(batch)), dim=1)

    def entries(self, cells: Tensor) -> Tensor:
        """(n, M s) bool from cells (n, M)."""
        return cells.repeat_interleave(self.towers.width, dim=1)

    @torch.no_grad()
    def taught(self, batch: Batch) -> Tensor:
        """(n, M s) the teacher's embedding of all that the batch has."""
        self.teacher.world = self.towers.world
        return self.embedding(self.teacher.eval(), batch)

    def said(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Logits (n, C) and imagined embedding (n, M s), from what the batch has."""
        seen = self.embedding(self.towers, batch)
        answer: tuple[Tensor, Tensor] = self.student(seen, self.invariant(seen))
        return answer

    def logits(self, batch: Batch) -> Logits:
        """What the classifier says; a modality's own: where it is all there is."""
        return answers(lambda some: self.said(some)[0], batch)

    def imagined(self, batch: Batch, m: int) -> Tensor:
        """(n, s) what the teacher would make of modality m of every row, from what the row has."""
        return self._of(self.said(batch)[1], m)

    def truth(self, batch: Batch, m: int) -> Tensor:
        """(n, s) what the teacher makes of modality m, zero in rows that lack it."""
        return self._of(self.taught(batch), m)

    def _of(self, embedding: Tensor, m: int) -> Tensor:
        return embedding[:, m * self.towers.width : (m + 1) * self.towers.width]
