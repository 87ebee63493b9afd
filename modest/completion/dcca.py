r"""Deep canonical correlation: encoders learn from pairs of views what these have in common, then a head is put on.

Helps where what views share is what is asked. Where a view knows more than it shares it does harm: see the departures.
Reference: Andrew, Arora, Bilmes, Livescu, *Deep Canonical Correlation Analysis*, ICML 2013; as a completion: Lian et
al., *GCNet*, TPAMI 2023, which Table 2 of MLA follows.

======  ==================  =========  ==============================================================================
symbol  here                shape      meaning
======  ==================  =========  ==============================================================================
z_m     ``views``           (n, k)     linear projector of encoder m; the encoder of the mean where m is absent
s_ij    ``shared``          (k,)       singular values of T of views i and j with ridge r, see ``correlation.py``
N       ``Standard``        (n, M k)   less the running mean, divided by the running deviation
W, b    ``head``            (C, M k)   linear head
======  ==================  =========  ==============================================================================

Equations, first stage: L = - sum_{i<j} sum_l s_ij,l over all l, or the ``top`` largest. Beside it W, b minimise CE on
detached z, which moves no encoder: L has no opinion of classes, and this head's accuracy is what tells which epoch is
kept. Second stage: mean_i CE(W N([z_1i ... z_Mi]) + b, y_i), by head and encoders, or by the head alone (``frozen``).

Of a pair the rows of the batch that have both count; with ``rows="filled"``, as published, all rows, with their
fillings. Then encoders are also paid for telling what is absent from what is there, for presence of one modality tells
of another's: where each row has one of three, the indicators correlate by -1/2 and there is nothing else to correlate.
A pair of fewer than two rows is left out, a batch without any pair adds 0. A batch of no more rows than k correlates
perfectly in whatever directions it spans: its gradient vanishes (but for the ridge), so it teaches nothing and does no
harm. Batches of at least 4 k rows are better.

Departures. The release (GCNet) freezes the encoders under a linear SVM (C = 0.01) on raw z; its third view goes
through the second encoder, so the third encoder is never trained; its root has a second ridge inside, and where all
singular values are asked for it takes the root entry by entry, whose gradient is NaN. Its networks are deep, with
batch norm and batches of 1024. Here ``frozen`` is that protocol with a softmax on standardised z: the loss knows no
scale of z, and a regularised head on raw z learns as fast as z happens to be large.

Why published figures are low, and ours would be. On scene15 (30 % of cells absent, one seed, 15 epochs, validation
rows) frozen encoders gave 0.55 with k = 10, beside 0.70 of zero filling and 0.51 of a logistic regression on z of
encoders that were never trained. Correlating better did not help: pooling the covariances of batches (tried and left
out) raised the correlation of validation rows from 14.8 to 17.0 of 30, and the regression on z fell from 0.53 to
0.47. What views share is not what tells classes apart, what a view knows alone is the first to go, and k directions
are all that is left. So ``frozen=False`` is the default: a head that may still move its encoders, for which the first
stage is a start (6 epochs: 0.52 with k = 10, 0.63 with the default 20, 0.66 of zero filling).

Ready views only, M >= 2. Cost: a pass per modality and row, filled ones too, in either stage; O(n k^2 + k^3) a pair.
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

__all__ = ["DCCA", "Options", "Standard", "correlation"]

ROWS = ("both", "filled")


@dataclass(frozen=True)
class Options:
    """``components``: k >= 1, at most the width of the encoders is used; ``top``: how many singular values count.

    ``ridge`` > 0: r; ``squared``: squares of the singular values, as in cca_zoo; ``rows``: "both" or "filled";
    ``frozen``: encoders rest while the head is trained.
    """

    components: int = 20
    top: int | None = None
    ridge: float = 1e-3
    squared: bool = False
    rows: str = "both"
    frozen: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value in (("components", self.components), ("top", self.top)):
            whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
            if not (whole or (name == "top" and value is None)):
                raise ValueError(f"options[{name!r}]={value} is not a whole number of at least 1; leave it out.")
        if not 0 < self.ridge < math.inf:
            raise ValueError(f"options['ridge']={self.ridge} is not a number above 0; the default is 1e-3.")
        known(self.rows, ROWS, "options['rows']")


def correlation(
    views: Sequence[Tensor],
    speaks: Tensor,
    ridge: float,
    top: int | None = None,
    squared: bool = False,
) -> Tensor:
    """() minus the sum over pairs of views of the singular values of T, see ``correlation.py``; 0 without any pair.

    Parameters
    ----------
    views : (n, k) each
    speaks : (n, M) bool, the rows of a view that count; of a pair those that count in both
    ridge, top, squared : see :func:`modest.completion.correlation.shared`
    """
    loss = views[0].new_zeros((), dtype=torch.float64)
    for i, j in combinations(range(len(views)), 2):
        rows = speaks[:, i] & speaks[:, j]
        degrees = int(rows.sum()) - 1
        if degrees < 1:
            continue
        covariance = scatter(views[i][rows], views[j][rows]) / degrees
        loss = loss - shared(covariance, views[i].shape[1], ridge, top, squared)
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

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: minus the correlation, what stands beside it, and the head's own loss."""
        recipe, options = self.recipe, self.recipe.options
        views = recipe.views(batch)
        speaks = recipe.speaks(batch)
        loss = correlation(views, speaks, options.ridge, options.top, options.squared)
        head = cross_entropy(recipe.head_of([view.detach() for view in views]), batch.labels)
        yield "all", loss + recipe.beside(batch, views) + head
