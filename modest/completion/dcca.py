r"""Deep canonical correlation: encoders learn from pairs of views what these have in common, then a head is put on.

Reference: Andrew, Arora, Bilmes, Livescu, *Deep Canonical Correlation Analysis*, ICML 2013.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.completion.correlation import scatter, shared
from modest.completion.hiding import answers
from modest.encoders.towers import linear
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["DCCA", "Options", "Pooled", "Standard", "correlation"]

ROWS = ("both", "filled")


@dataclass(frozen=True)
class Options:
    """``components``: k >= 1, at most the width of the encoders is used; ``top``: how many singular values count.

    ``ridge`` > 0: r; ``squared``: squares of the singular values, as in cca_zoo; ``rows``: "both" or "filled";
    ``memory`` in [0, 1): gamma; ``frozen``: encoders rest while the head is trained.
    """

    components: int = 10
    top: int | None = None
    ridge: float = 1e-3
    squared: bool = False
    rows: str = "both"
    memory: float = 0.9
    frozen: bool = True

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in (("components", self.components), ("top", self.top)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not (whole or (name == "top" and value is None)):
                raise ValueError(f"options[{name!r}]={value} is not a whole number of at least 1; leave it out.")
        if not 0 < self.ridge < math.inf:
            raise ValueError(f"options['ridge']={self.ridge} is not a number above 0; the default is 1e-3.")
        if not 0 <= self.memory < 1:
            raise ValueError(f"options['memory']={self.memory} is not in [0, 1); 0 looks at the batch alone.")
        known(self.rows, ROWS, "options['rows']")


class Pooled:
    """Running cross products of every pair of views, (M (M - 1) / 2, 2 k, 2 k), and how many rows stand behind them."""

    def __init__(self, pairs: int, k: int, memory: float) -> None:
        self.memory = memory
        self.total = torch.zeros(pairs, 2 * k, 2 * k, dtype=torch.float64)
        self.weight = torch.zeros(pairs, dtype=torch.float64)

    def covariance(self, pair: int, products: Tensor, degrees: int) -> Tensor:
        """Take in the cross products of a batch with ``degrees`` = n - 1 and return the covariance of all so far."""
        self.total, self.weight = self.total.to(products.device), self.weight.to(products.device)
        self.total[pair] = self.memory * self.total[pair] + products.detach()
        self.weight[pair] = self.memory * self.weight[pair] + degrees
        return self.total[pair] / self.weight[pair]


def correlation(
    views: Sequence[Tensor],
    speaks: Tensor,
    ridge: float,
    top: int | None = None,
    squared: bool = False,
    pooled: Pooled | None = None,
) -> Tensor:
    """() minus the sum over pairs of views of the singular values of T, see ``correlation.py``; 0 without any pair.

    Parameters
    ----------
    views : (n, k) each
    speaks : (n, M) bool, the rows of a view that count; of a pair those that count in both
    ridge, top, squared : see :func:`modest.completion.correlation.shared`
    pooled : cross products so far, to which these are added; without it the batch is all there is
    """
    loss = views[0].new_zeros((), dtype=torch.float64)
    for pair, (i, j) in enumerate(combinations(range(len(views)), 2)):
        rows = speaks[:, i] & speaks[:, j]
        degrees = int(rows.sum()) - 1
        if degrees < 1:
            continue
        products = scatter(views[i][rows], views[j][rows])
        at = None if pooled is None else pooled.covariance(pair, products, degrees)
        loss = loss - shared(products / degrees, views[i].shape[1], ridge, top, squared, at)
    return loss


class Standard(nn.Module):
    """Rows (n, d) less their running mean, divided by their running deviation; both follow batches while training."""

    def __init__(self, width: int, dtype: torch.dtype, rate: float = 0.1) -> None:
        super().__init__()
        self.rate = rate
        self.mean = nn.Parameter(torch.zeros(width, dtype=dtype), requires_grad=False)
        self.variance = nn.Parameter(torch.ones(width, dtype=dtype), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """(n, d); the running numbers are constants to the gradient."""
        if self.training:
            with torch.no_grad():
                mean = rows.mean(dim=0)
                self.mean.lerp_(mean.to(self.mean), self.rate)
                self.variance.lerp_(((rows - self.mean) ** 2).mean(dim=0).to(self.variance), self.rate)
        return (rows - self.mean) * (self.variance + 1e-8).rsqrt()


class DCCA:
    """The recipe; see the module.

    Raises
    ------
    ValueError
        With one modality, raw media, or another ``fill`` than the classifier's own.
    """

    name = "dcca"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        M, dtype = len(towers), towers.dtype
        if M < 2:
            raise ValueError(f"method={self.name!r} correlates pairs of modalities, and X has one; use 'concat'.")
        if towers.fill != "feature":
            raise ValueError(f"method={self.name!r} fills by the mean, but fill={towers.fill!r} was given; omit it.")
        self.widths = towers.widths(names)
        self.options, self.k = options, min(options.components, towers.width)
        self.towers = Towers(list(towers.encoders), towers.width, "mean")
        self.projectors = nn.ModuleList(linear(towers.width, self.k, generator, dtype) for _ in names)
        self.head = nn.Sequential(Standard(M * self.k, dtype), linear(M * self.k, classes, generator, dtype))
        parts = {"towers": self.towers, "projectors": self.projectors, "head": self.head}
        self.net: nn.Module = nn.ModuleDict(parts)

    def views(self, batch: Batch) -> list[Tensor]:
        """(n, k) of every view, what is absent filled by the mean."""
        return [projector(block) for projector, block in zip(self.projectors, self.towers.blocks(batch))]

    def speaks(self, batch: Batch) -> Tensor:
        """(n, M) bool, rows that count in the first stage."""
        return batch.present if self.options.rows == "both" else torch.ones_like(batch.present)

    def beside(self, batch: Batch, views: Sequence[Tensor]) -> Tensor:
        """() what the first stage minimises beside the correlation."""
        return views[0].new_zeros(())

    def head_of(self, views: Sequence[Tensor]) -> Tensor:
        """(n, C) logits of the views side by side."""
        logits: Tensor = self.head(torch.cat(list(views), dim=1))
        return logits

    def stages(self) -> list[Task]:
        """Encoders, then the head."""
        return [Correlating(self), Heading(self)]

    def logits(self, batch: Batch) -> Logits:
        """What the head says of the filled views."""
        return answers(lambda one: self.head_of(self.views(one)), batch)


class Heading:
    """The second stage: the head, and the encoders unless they are frozen."""

    def __init__(self, recipe: DCCA) -> None:
        self.recipe, self.net, self.name = recipe, recipe.net, f"{recipe.name}/head"

    def modules(self) -> Mapping[str, nn.Module]:
        """One group."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the head's cross-entropy."""
        views = self.recipe.views(batch)
        if self.recipe.options.frozen:
            views = [view.detach() for view in views]
        yield "all", cross_entropy(self.recipe.head_of(views), batch.labels)

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def logits(self, batch: Batch) -> Logits:
        """The recipe's."""
        return self.recipe.logits(batch)


class Correlating(Heading):
    """The first stage: correlation, and beside it the head on views it does not shape, by which epochs are compared."""

    def __init__(self, recipe: DCCA) -> None:
        super().__init__(recipe)
        self.name = f"{recipe.name}/correlation"
        M = len(recipe.towers)
        self.pooled = Pooled(M * (M - 1) // 2, recipe.k, recipe.options.memory)

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: minus the correlation, what stands beside it, and the head's own loss."""
        recipe, options = self.recipe, self.recipe.options
        views = recipe.views(batch)
        speaks = recipe.speaks(batch)
        loss = correlation(views, speaks, options.ridge, options.top, options.squared, self.pooled)
        head = cross_entropy(recipe.head_of([view.detach() for view in views]), batch.labels)
        yield "all", loss + recipe.beside(batch, views) + head

    def state(self) -> Mapping[str, Tensor]:
        """Cross products so far, for a checkpoint."""
        return {"total": self.pooled.total, "weight": self.pooled.weight}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.pooled.total, self.pooled.weight = state["total"], state["weight"]
