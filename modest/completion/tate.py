r"""TATE: a tag tells the network which modalities are absent, and a model that saw more is imitated.

Every two modalities are projected into a space they share; what an item lacks is written behind each step; one
transformer block reads all of it. Helps where rows lack modalities in many patterns, which a tag tells apart.
Reference: Zeng, Zhou, Liu: Robust Multimodal Sentiment Analysis via Tag Encoding of Uncertain Missing Modalities, IEEE
Transactions on Multimedia 2022.

======  ===============  ==================  ==========================================================
symbol  here             shape               meaning
======  ===============  ==================  ==========================================================
X_m     ``sequences``    (n, T_m, s)         steps of modality m, zeros where it is absent
E_m     ``own``          (n, T_m, s)         its own block of ``attention.py``
W_mo    ``pairs``        (p, s)              projection that m and o share, p = s / (M - 1) rounded up
t       ``tags``         (n, M + 1)          tag: 1 if nothing is absent, then a 1 for what is
S       ``tagged``       (n, T, D)           all steps with their tag, D = (M - 1) p + M + 1
H, G    ``encoded``,     (n, T, D)           S through one block, H through another
        ``decoded``
H*                       (n, T, D)           H of the first model, shown all that the row has
u       ``pooled``       (n, D)              attention over the steps of H
======  ===============  ==================  ==========================================================

Equations: common_m = [W_mo E_m of all o != m]; S = [common_m, t] of all m one after the other; z = W_l W u + b;
loss = CE(z, y) + kl J(H, H*) + decoder J(G, S) + tag mean |t - sigmoid(last M + 1 of u)| + l2 5e-5 (|W_l|^2 + |b|^2),
where J adds both Kullback-Leibler divergences between softmaxes over the D entries of a step, clipped at 1e-7, a mean
over steps. First stage: without H*, nothing hidden. Then its model is frozen, and trained further while modalities
are hidden: one of a row's (``hide="one"``) with probability ``share``, or ``hiding.draw`` (``hide="any"``).

Any M >= 2: for three modalities t is the published table, which is already a flag for "whole" and one per absence.

Departures. Towers have no time axis: a modality is a sequence of one step, so attention within it is a linear map, and
steps of the shared block are modalities. Where it is absent its embedding is zero (the paper: its input, through a
layer without bias: the same); with another ``fill`` it is an encoding, and the tag still says absent. Losses are means
over rows (the release sums CE and J over the batch, not the tag's). H* is shown the row with nothing hidden; the
release shows its first model the same incomplete rows, drops once for all epochs, has only four of its six patterns
drawn, and compares flags with a graph tensor, so that every row carries one and the same tag. It leaves dropout on at
test, and keeps the best epoch of the test rows. The second model starts from the first.

What the second model finds for an absent step imitates a block that also reads the others, so it is no picture of that
modality alone, and nothing here is offered as a reconstruction. Cost: two stages, and (11 M + 25) s^2 weights or so
beside the encoders; the frozen model is kept, so memory and a saved model hold everything twice.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.completion.hiding import answers, draw, hidden
from modest.completion.tags import Encoded, Network, losses, tags
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["TATE", "Options", "Stage", "left"]

HIDES = ("one", "any")


@dataclass(frozen=True)
class Options:
    """Weights of the losses, and how modalities are hidden in the second stage.

    ``kl`` to the first model, ``decoder``, ``tag``, ``l2``: weights; ``tags``: whether steps carry the tag (without
    it zeros stand there, and its loss is off); ``hide``, ``share``: see the module; ``heads`` of attention; ``dropout``
    on attention weights.
    """

    kl: float = 0.1
    decoder: float = 0.1
    tag: float = 0.1
    l2: float = 0.1
    tags: bool = True
    hide: str = "any"
    share: float = 0.5
    heads: int = 4
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Check names and ranges."""
        known(self.hide, HIDES, "options['hide']")
        for name in ("kl", "decoder", "tag", "l2"):
            weight = getattr(self, name)
            if not 0 <= weight < float("inf"):
                raise ValueError(f"options[{name!r}]={weight} is no weight; try 0.1, or 0 to leave it out.")
        if not 0 <= self.share <= 1:
            raise ValueError(f"options['share']={self.share} is not a share in [0, 1]; try 0.5.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"options['dropout']={self.dropout} is not a share in [0, 1); try 0.2.")
        if isinstance(self.heads, bool) or not isinstance(self.heads, int) or self.heads < 1:
            raise ValueError(f"options['heads']={self.heads!r} is no whole number above 0; try 4.")


def left(present: Tensor, hide: str, share: float) -> Tensor:
    """Modalities that stay (n, M) bool; with "one" a row that has several loses one with probability ``share``.

    Drawn from torch's own generator.
    """
    if hide == "any":
        return draw(present, share)
    luck, whether = torch.rand(present.shape), torch.rand(len(present)) < share
    there = present.cpu()
    lost = torch.where(there, luck, torch.full_like(luck, -1.0)).argmax(dim=1)
    lost = nn.functional.one_hot(lost, present.shape[1]).bool() & (whether & (there.sum(dim=1) > 1))[:, None]
    return present & ~lost.to(present.device)


class Stage:
    """The first training, or with ``hides`` the second one, beside the frozen first model."""

    def __init__(self, recipe: TATE, hides: bool) -> None:
        self.recipe, self.hides, self.net, self.logits = recipe, hides, recipe.net, recipe.logits
        self.name = recipe.name if hides else f"{recipe.name}/first"

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the sum of all losses."""
        recipe = self.recipe
        less = batch
        if self.hides:
            if batch.epoch == batch.index == 0:
                recipe.freeze()
            less = hidden(batch, left(batch.present, recipe.options.hide, recipe.options.share))
        first = recipe.imitated(batch) if self.hides else None
        found, tag = recipe.read(less)
        parts = losses(found, tag, batch.labels, recipe.network.head, first)
        yield "all", parts.pop("ce") + sum(recipe.weight(name) * part for name, part in parts.items())

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""


class TATE:
    """The recipe; see the module."""

    name = "tate"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        if len(towers) < 2:
            raise ValueError(f"method='tate' compares modalities, and {names[0]!r} is the only one; use 'concat'.")
        self.options, self.towers = options, towers
        self.network = Network(
            len(towers), towers.width, classes, generator, towers.dtype, options.heads, options.dropout
        )
        self._model = nn.ModuleDict({"towers": towers, "network": self.network})
        self.first = copy.deepcopy(self._model).requires_grad_(False)
        self.net: nn.Module = nn.ModuleDict({**self._model, "first": self.first})

    def stages(self) -> list[Task]:
        """Two: with nothing hidden, and with modalities hidden beside the frozen model of the first."""
        return [Stage(self, hides=False), Stage(self, hides=True)]

    def freeze(self) -> None:
        """Make the model as it stands the one that is imitated."""
        self.first.load_state_dict(self._model.state_dict())

    def weight(self, part: str) -> float:
        """Weight of a part of the loss."""
        return 0.0 if part == "tag" and not self.options.tags else float(getattr(self.options, part))

    def read(self, batch: Batch) -> tuple[Encoded, Tensor]:
        """What the model makes of the batch, and the rows' tags."""
        return self._read(self._model, batch)

    def imitated(self, batch: Batch) -> Tensor:
        """(n, M, D): H* of the first model, without gradients or dropout."""
        towers = self.first["towers"]
        assert isinstance(towers, Towers)
        towers.world = self.towers.world
        self.first.eval()
        with torch.no_grad():
            return self._read(self.first, batch)[0].encoded

    def _read(self, model: nn.ModuleDict, batch: Batch) -> tuple[Encoded, Tensor]:
        towers, network = model["towers"], model["network"]
        assert isinstance(towers, Towers)
        tag = tags(batch.present) * float(self.options.tags)
        found: Encoded = network([block[:, None] for block in towers.blocks(batch)], tag)
        return found, tag

    def logits(self, batch: Batch) -> Logits:
        """What the model says of all that is there, and of each modality alone."""
        return answers(lambda some: self.read(some)[0].logits, batch)
