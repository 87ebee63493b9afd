r"""Autoencoder: features of what is there pass a narrow code and come out as features of everything.

The classifier reads the output of the autoencoder, and decoders must find the hidden views in it. Helps where views
are redundant enough that one says what another would hold. Reference: Bengio, Lamblin, Popovici, Larochelle: Greedy
Layer-Wise Training of Deep Networks, NIPS 2006, as compared with in GCNet (TPAMI 2023) and MLA (CVPR 2024).

===========  =======================  ==========  =================================================================
symbol       here                     shape       meaning
===========  =======================  ==========  =================================================================
x_m          ``Towers.inputs``        (n, d_m)    ready view m, standardised by training rows
h            ``embedding``            (n, M s)    features of all modalities side by side, zero where absent
c            ``latent``               (n, l)      code, LeakyReLU(0.01) after every layer of the encoder
h'           ``reconstruction``       (n, M s)    output; LeakyReLU inside the decoder, ReLU after its last layer
x'_m         ``decoded``              (n, d_m)    ``decoders[m]`` of h', linear layers with ReLU between
\            ``logits``               (n, C)      ``head`` of h', built alike
T_i          ``targets``              (n, M)      views of row i that a step hides though they are there
w, p         ``weight``, ``share``    ()          weight of the error; probability of being hidden (``hiding.draw``)
===========  =======================  ==========  =================================================================

Equations: h' = dec(enc(h)); loss = mean_i CE(head(h'_i), y_i) + w / n sum_i sum_{m in T_i} |x'_mi - x_mi|^2 / d_m.

Where we depart. The paper trains layer by layer, the comparisons and we everything at once. They mask complete data and
take what is masked as targets; here absent views are never seen, and targets are views that the step hides. Their
code sums the error over the batch, so that w depends on the batch's size (0.2 at 256 rows is 51 per row);
``missing_error`` has that as ``over="batch"``. They send zeros through the encoder of an absent view, whose biases
still speak; here its features are zero (``fill="mean"`` comes close to theirs). Their decoders and classifier have two
hidden layers (``hidden=(1.0, 1.0)``), ours none, which learns sooner from few rows. Sizes are multiples of the width.

Needs ready views, at least two. Cost: as ``concat`` and M + 3 chains of linear layers for all rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.completion.hiding import answers, draw, hidden
from modest.completion.residual import chain
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["Autoencoder", "Found", "Imagination", "Options", "Reconstructing", "ae", "missing_error", "sizes"]


@dataclass(frozen=True)
class Options:
    """``weight`` of the reconstruction error; ``share``: probability that a view is hidden in a step.

    Sizes in multiples of the width: ``layers`` of the encoder, the last that of the code; ``hidden`` layers of
    decoders and classifier, which are one linear layer without any.
    """

    weight: float = 1.0
    share: float = 0.5
    layers: tuple[float, ...] = (2.0, 1.0)
    hidden: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not self.weight >= 0:
            raise ValueError(f"options['weight']={self.weight} is below 0; use 0 for no reconstruction.")
        if not 0 <= self.share <= 1:
            raise ValueError(f"options['share']={self.share} is not a share in [0, 1]; try 0.5.")
        for name, given in (("layers", self.layers), ("hidden", self.hidden)):
            if not all(size > 0 for size in given):
                raise ValueError(f"options[{name!r}]={given} must be positive multiples of the width.")
        if not self.layers:
            raise ValueError("options['layers']=() leaves no code; give one size at least, such as (2.0, 1.0).")


class Found(NamedTuple):
    """``reconstruction`` (n, M s); ``decoded``: (n, d_m) per view; ``logits`` (n, C)."""

    reconstruction: Tensor
    decoded: list[Tensor]
    logits: Tensor


def sizes(layers: Sequence[float], width: int) -> list[int]:
    """Multiples of the width as numbers of units, one at least."""
    return [max(1, round(size * width)) for size in layers]


def missing_error(decoded: Sequence[Tensor], truth: Sequence[Tensor], targets: Tensor, over: str = "rows") -> Tensor:
    """Squared error per width of the views ``targets`` (n, M) bool, added over views, zero where there is no target.

    Parameters
    ----------
    decoded, truth : (n, d_m) per view
    over : "rows", mean over all rows of the batch; "batch", their sum, as the authors of GCNet have it

    Examples
    --------
    >>> one = torch.ones(4, 2)
    >>> missing_error([one], [3 * one], torch.tensor([[True], [False], [False], [False]])).item()
    1.0
    """
    known(over, ("rows", "batch"), "over")
    cells = torch.stack([(ours - true).square().mean(dim=1) for ours, true in zip(decoded, truth)], dim=1)
    total = (cells * targets).sum()
    return total / len(targets) if over == "rows" else total


class Autoencoder(nn.Module):
    """(n, width) -> reconstruction (n, width) and code (n, layers[-1])."""

    def __init__(self, width: int, layers: Sequence[int], generator: torch.Generator, dtype: torch.dtype) -> None:
        super().__init__()
        units = [width, *layers]
        self.encoder = chain(units, generator, dtype, nn.LeakyReLU, nn.LeakyReLU)
        self.decoder = chain(units[::-1], generator, dtype, nn.LeakyReLU, nn.ReLU)

    def forward(self, embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction and code."""
        code = self.encoder(embedding)
        return self.decoder(code), code


class Imagination(nn.Module):
    """What stands behind the encoders: ``body`` (embedding to reconstruction and code), decoders and classifier.

    Parameters
    ----------
    body : module of ``width`` features, see ``Autoencoder``
    views : numbers of features of the views, d_m
    hidden : sizes of the hidden layers of decoders and classifier
    """

    def __init__(
        self,
        body: nn.Module,
        width: int,
        views: Sequence[int],
        classes: int,
        hidden: Sequence[int],
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.body = body
        self.decoders = nn.ModuleList(chain((width, *hidden, d), generator, dtype) for d in views)
        self.head = chain((width, *hidden, classes), generator, dtype)

    def forward(self, embedding: Tensor) -> Found:
        """Everything that is made of an embedding (n, width)."""
        reconstruction, _ = self.body(embedding)
        decoded = [decoder(reconstruction) for decoder in self.decoders]
        return Found(reconstruction, decoded, self.head(reconstruction))


class Reconstructing:
    """A recipe that classifies a reconstruction; see the module.

    Parameters
    ----------
    name : of the recipe
    towers, names, classes : of the classifier
    body : see ``Imagination``
    options : see ``Options``

    Raises
    ------
    ValueError
        For one modality alone, or raw media.
    """

    def __init__(
        self,
        name: str,
        towers: Towers,
        names: Sequence[str],
        classes: int,
        body: nn.Module,
        generator: torch.Generator,
        options: Options,
    ) -> None:
        if len(towers) < 2:
            raise ValueError(f"method={name!r} imagines one view from others and there is one only; use 'concat'.")
        views = towers.widths(names)
        self.name, self.towers = name, towers
        self.weight, self.share = options.weight, options.share
        inner = sizes(options.hidden, towers.width)
        width = towers.width * len(towers)
        self.imagination = Imagination(body, width, views, classes, inner, generator, towers.dtype)
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "imagination": self.imagination})

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def found(self, batch: Batch) -> Found:
        """What is made of the modalities that a batch has."""
        found: Found = self.imagination(torch.cat(list(self.towers.blocks(batch)), dim=1))
        return found

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: classes and hidden views, both from what is left of every row."""
        kept = draw(batch.present, self.share)
        found = self.found(hidden(batch, kept))
        truth = [self.towers.inputs(batch, m) for m in range(len(self.towers))]
        error = missing_error(found.decoded, truth, batch.present & ~kept)
        yield "all", cross_entropy(found.logits, batch.labels) + self.weight * error

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """Logits of what each row has, and of each modality where it is all there is."""
        return answers(lambda some: self.found(some).logits, batch)

    def imagined(self, batch: Batch, m: int) -> Tensor:
        """(n, d_m) view m, standardised, as decoded from what each row has."""
        return self.found(batch).decoded[m]

    def truth(self, batch: Batch, m: int) -> Tensor:
        """(n, d_m) view m, standardised; zero in rows that lack it."""
        return self.towers.inputs(batch, m)


def ae(
    towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
) -> Reconstructing:
    """The recipe, untrained."""
    s = towers.width
    body = Autoencoder(s * len(towers), sizes(options.layers, s), generator, towers.dtype)
    return Reconstructing("ae", towers, names, classes, body, generator, options)
