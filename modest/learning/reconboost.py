r"""ReconBoost: modalities take turns of some epochs, each fitting what the others leave over; then all are rectified.

Helps when modalities err on different items: each is told to be right where the ensemble of the others is not.
Reference: Hua et al., *ReconBoost: Boosting Can Achieve Modality Reconcilement*, ICML 2024.

=======  ====================  =========  =========================================================
symbol   here                  shape      meaning
=======  ====================  =========  =========================================================
f_k,g_k  ``towers``, ``head``  (n, s)     encoder and linear head of modality k
z_k,p_k                        (n, C)     logits g_k(f_k(x)), their softmax
q                              (n, C)     softmax of the sum of the other present modalities' logits
y                              (n, C)     one-hot labels
rho      ``reconcile``         number     how much of the others' answer is taken off the target
p_old    ``remembered``        (n, M, C)  p_k of the row in the last epoch of a stage of k
mu       ``memory``            number     weight of staying true to it
O_k                                       the rows in which k is present
=======  ====================  =========  =========================================================

Equations. Epochs run in cycles: ``stage_epochs`` for each modality, then ``rectify_epochs`` for all. In k's stage only
f_k and g_k move, by the mean over O_k of -sum_c t_c log p_kc with t = max(y - rho q, 0) + mu p_old: fit the labels, the
less the surer the others are of them, and stay near to what k said before. Rectifying epochs minimise
mean_i CE(sum over present m of z_mi, y_i); prediction is its softmax.

Where we depart. ``signed`` leaves out the maximum: the loss is then CE(p_k, y) - rho KL(q || p_k) + mu KL(p_old || p_k)
but for constants, and with rho = 1, mu = 0 its gradient is q - y, the residual that boosting corrects. Negative entries
leave it without a lower bound, logits grow for as long as a stage lasts, and in a first trial (GRID letters, one seed,
24 epochs of AdamW) accuracy fell from 0.93 with rho = 0 to 0.55 with 1/2; so it is off. The released code has a second
loss (GA, weight 1 beside 5) both of whose sides are detached: it has no gradient and changes nothing. In its place
stands the memory, at that share (mu = 1/5), whose gradient flows to k. From memory of the paper, unverified: the signed
target, the purpose of the memory (the paper holds outputs to earlier ones in another way), and rectifying once per
cycle rather than after every stage. The authors begin with pretrained encoders; ours are as they are.

The others are asked in evaluation mode, without gradient. A row without another modality has q = 0 (M = 1 with mu = 0
is plain training), one that no stage of k has ended with has no p_old. An absent modality has no logits, no gradient
and no share. Cost: a pass per modality and row, in a stage backward through one of them; the memory holds n M C
numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from modest.encoders.towers import linear
from modest.learning.joint import Joint
from modest.learning.sum import alone, join
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["Options", "ReconBoost", "residual"]


@dataclass(frozen=True)
class Options:
    """``stage_epochs`` >= 1 for each modality, ``rectify_epochs`` >= 0 for all.

    ``reconcile`` in [0, 1]: rho; ``memory`` >= 0: mu; ``signed``: negative entries of the target stay.
    """

    stage_epochs: int = 4
    rectify_epochs: int = 4
    reconcile: float = 0.5
    memory: float = 0.2
    signed: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name, value, least in (("stage_epochs", self.stage_epochs, 1), ("rectify_epochs", self.rectify_epochs, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"options[{name!r}]={value} is not a whole number of at least {least}; try 4.")
        if not 0 <= self.reconcile <= 1:
            raise ValueError(f"options['reconcile']={self.reconcile} is not in [0, 1]; the default is 0.5.")
        if not 0 <= self.memory < math.inf:
            raise ValueError(f"options['memory']={self.memory} is not a number of at least 0; the default is 0.2.")

    def stage(self, epoch: int, modalities: int) -> tuple[int | None, bool]:
        """Place of the modality whose stage an epoch belongs to, None where all are rectified; whether it is its last.

        Examples
        --------
        >>> [Options(stage_epochs=2, rectify_epochs=1).stage(epoch, 2) for epoch in range(6)]
        [(0, False), (0, True), (1, False), (1, True), (None, False), (0, False)]
        """
        k, done = divmod(epoch % (modalities * self.stage_epochs + self.rectify_epochs), self.stage_epochs)
        return (k, done == self.stage_epochs - 1) if k < modalities else (None, False)


def residual(labels: Tensor, others: Tensor, some: Tensor, reconcile: float, signed: bool = False) -> Tensor:
    """(n, C) target: one-hot labels less ``reconcile`` times the others' probabilities, where there are others.

    What is negative in it is 0 unless ``signed``.

    Parameters
    ----------
    labels : (n,) int64
    others : (n, C) sum of the other modalities' logits
    some : (n,) bool, rows that have another modality
    reconcile : rho

    Examples
    --------
    >>> z = torch.zeros(2, 2)
    >>> residual(torch.tensor([0, 1]), z, torch.tensor([True, False]), 0.5).tolist()
    [[0.75, 0.0], [0.0, 1.0]]
    """
    said = torch.softmax(others, dim=1) * some[:, None]
    target = one_hot(labels, others.shape[1]).to(said.dtype) - reconcile * said
    return target if signed else target.clamp_min(0.0)


class ReconBoost(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.heads = nn.ModuleList(linear(towers.width, classes, generator, towers.dtype) for _ in names)
        super().__init__("reconboost", towers, self.heads, join, alone)
        self.options, self.names, self.classes = options, tuple(names), classes
        self.remembered = torch.zeros(0, len(towers), classes)  # by row of the table, zeros where there is nothing yet

    def modules(self) -> Mapping[str, nn.Module]:
        """One group per modality, its encoder and head, and ``"all"``."""
        own = {n: nn.ModuleList([e, h]) for n, e, h in zip(self.names, self.towers.encoders, self.heads)}
        return {**own, "all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the stage's modality, if it is there, or all."""
        k, last = self.options.stage(batch.epoch, len(self.names))
        if k is None:
            yield from super().turns(batch)
            return
        features, rows = self.towers.features(batch, k)
        if not len(features):
            return
        others, some = self._others(batch, k)
        target = residual(batch.labels, others, some, self.options.reconcile, self.options.signed)[rows]
        places = None
        if batch.rows is not None and self.options.memory > 0:
            places = self._places(batch.rows[rows])
            target = target + self.options.memory * self.remembered[places, k].to(target)
        log_p = torch.log_softmax(self.heads[k](features), dim=1)
        yield self.names[k], -(target * log_p).sum(dim=1).mean()
        if places is not None and last:
            self.remembered[places, k] = log_p.detach().exp().to(self.remembered)

    def _others(self, batch: Batch, k: int) -> tuple[Tensor, Tensor]:
        """(n, C) sum of the logits of all but modality k, as they would predict, and (n,) bool where there are any."""
        active = self.towers.active(batch)
        total = torch.zeros(len(batch), self.classes, dtype=self.towers.dtype, device=active.device)
        for m, (encoder, head) in enumerate(zip(self.towers.encoders, self.heads)):
            if m == k:
                continue
            training = encoder.training
            encoder.eval()
            with torch.no_grad():
                features, rows = self.towers.features(batch, m)
                total[rows] += head(features).to(total)
            encoder.train(training)
        return total, (active.sum(dim=1) > active[:, k].long())

    def _places(self, rows: Tensor) -> Tensor:
        """(r,) where rows of the table stand in the memory, which grows to hold them."""
        short = int(rows.max()) + 1 - len(self.remembered)
        if short > 0:
            more = self.remembered.new_zeros(short, *self.remembered.shape[1:])
            self.remembered = torch.cat([self.remembered, more])
        return rows.cpu()

    def state(self) -> Mapping[str, Tensor]:
        """What is remembered, for a checkpoint."""
        return {"remembered": self.remembered}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.remembered = state["remembered"]
