r"""QMF: late fusion weighed by each modality's energy, with a loss that ranks confidences by how easy a row has been.

Helps when modalities are noisy on some rows and not on others: a modality is to be sure where it has been right.
Reference: Zhang, Wu, Zhang, Hu, Fu, Zhou, Peng, *Provable Dynamic Fusion for Low-Quality Multimodal Data*, ICML 2023.

==========  ==================  =========  ====================================================================
paper       here                shape      meaning
==========  ==================  =========  ====================================================================
o_m         ``own``             (M, n, C)  logits of a modality's own head
c_m         ``confidence``      (M, n)     logsumexp(o_m) / 10, the negative energy
H_m         ``history``         (M, N)     cross-entropy of every row so far, summed over epochs; -1: never seen
kappa_m     ``difficulty``      (k,)       history of the batch's rows, min-max normalised over the rows seen
lambda      ``weight``          ()         of the rank term
==========  ==================  =========  ====================================================================

Equations: fused = sum_m c_m o_m; with t = sign(kappa_i - kappa_j), d = |kappa_i - kappa_j| over pairs (i, i + 1), last
row against first, R_m = mean of max(0, t (c_i - c_j) + d), 0 for ties: the row with the larger past loss is to be the
less confident, by the margin d. loss = sum_m CE(o_m, y) + CE(fused, y) + lambda sum_m R_m.

Where we depart. The release subtracts the margin (``rank="released"``): its history holds losses where the paper counts
rights, so it turned the sign of the target, but not the margin's, and its term is almost always 0. Its two programs
differ: text and image have ``update="before"`` (the history takes the batch before it ranks it), ``detach=True`` (no
gradient through c in the fused logits) and ``weight=1``; colour and depth "after", False and 0.1, our defaults, for the
loss is then a function whose gradient is taken whole. A history all equal, as on the first batch, is 0/0 there and all
ties here. Rows never seen have no part in minimum and maximum (there they hold 0): rows that validate share the table.

Weights told are c_m / sum of c, where a c below 0 counts as 0, equal if no c is above 0. The fused logits keep the
equation's c: below 0 (only if all logits of the row are) it turns a modality's vote round; the joint loss unlearns it.

Absence: absent modalities have no part in the fused sum, no loss, and no history; pairs are formed of the rows in which
the modality speaks. The history sums over visits, so with ``modality_dropout`` rows dropped more often look easier.
Cost: one pass per modality and row, O(M n C + M N) per batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from modest.checks import known
from modest.encoders.towers import linear
from modest.learning.fusion import mean_fusion
from modest.learning.late import modality_logits
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["QMF", "Options", "confidence", "difficulty", "fuse", "rank_losses", "ranking"]


@dataclass(frozen=True)
class Options:
    """``rank``: "paper" or "released"; ``weight`` of the rank term; ``detach``: no gradient through fusion weights.

    ``update``: whether the history takes a batch "before" ranking it or "after".
    """

    rank: str = "paper"
    weight: float = 0.1
    detach: bool = False
    update: str = "after"

    def __post_init__(self) -> None:
        """Check the names and the weight."""
        known(self.rank, ("paper", "released"), "options['rank']")
        known(self.update, ("before", "after"), "options['update']")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"options['weight']={self.weight} is not a number from 0 on; the authors use 0.1 and 1.")


def confidence(logits: Tensor) -> Tensor:
    """Negative energy over ten, (..., C) -> (...)."""
    return logits.logsumexp(dim=-1) / 10


def fuse(own: Tensor, active: Tensor, detach: bool = False) -> tuple[Tensor, Tensor]:
    """Fused logits (n, C), and weights (n, M) as they are told, of logits (M, n, C) and who speaks, (n, M) bool."""
    c = torch.where(active.T, confidence(own), torch.zeros_like(own[..., 0]))
    fused = torch.einsum("mn,mnc->nc", c.detach() if detach else c, own)
    positive = c.detach().clamp(min=0).T
    total = positive.sum(dim=1, keepdim=True)
    shares = positive / torch.where(total > 0, total, torch.ones_like(total))
    return fused, torch.where(total > 0, shares, mean_fusion(own, active)[1])


def difficulty(history: Tensor, rows: Tensor) -> Tensor:
    """(k,) in [0, 1] of some rows: history (N,), below 0 where never seen, min-max normalised; 0 if all is equal.

    Examples
    --------
    >>> difficulty(torch.tensor([3.0, -1.0, 1.0, 2.0]), torch.tensor([0, 3])).tolist()
    [1.0, 0.5]
    """
    seen = history[history >= 0]
    low, high = seen.min(), seen.max()
    return (history[rows] - low) / torch.where(high > low, high - low, torch.ones_like(high))


def ranking(kappa: Tensor) -> tuple[Tensor, Tensor]:
    """Target and margin of each row against the next, the last against the first: (k,), (k,)."""
    apart = kappa - kappa.roll(-1)
    return apart.sign(), apart.abs()


def rank_losses(confidence: Tensor, kappa: Tensor, rank: str = "paper") -> Tensor:
    """(k,) losses of the pairs, of confidences (k,) and difficulties (k,)."""
    target, margin = ranking(kappa)
    apart = target * (confidence - confidence.roll(-1))
    return (apart + margin if rank == "paper" else apart - margin).relu()


class QMF:
    """The recipe; see the module."""

    name = "qmf"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        self.options, self.towers = options, towers
        self.heads = nn.ModuleList([linear(towers.width, classes, generator, towers.dtype) for _ in names])
        self.net: nn.Module = nn.ModuleDict({"towers": towers, "heads": self.heads})
        self.history = torch.zeros(len(names), 0, dtype=torch.float64)

    def stages(self) -> list[Task]:
        """One stage: the recipe itself."""
        return [self]

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: own losses, joint loss and rank terms; after the step the history takes the batch's losses.

        A batch that does not tell its rows has no history, and its rows are all ties.
        """
        own, active, labels = self._own(batch), self.towers.active(batch), batch.labels
        losses = [cross_entropy(fuse(own, active, self.options.detach)[0], labels)]
        taken = []
        for m, there in enumerate(active.T):
            if not bool(there.any()):
                continue
            each = cross_entropy(own[m][there], labels[there], reduction="none")
            losses.append(each.mean())
            if batch.rows is not None:
                rows = batch.rows[there]
                before, after = self._past(m, rows, each.detach())
                kappa = difficulty(after if self.options.update == "before" else before, rows).to(each.dtype)
                terms = rank_losses(confidence(own[m][there]), kappa, self.options.rank)
                losses.append(self.options.weight * terms.mean())
                taken.append((m, rows, after[rows]))
        yield "all", torch.stack(losses).sum()
        for m, rows, values in taken:
            self.history[m, rows] = values

    def _own(self, batch: Batch) -> Tensor:
        return modality_logits(self.towers, list(self.heads), batch)

    def _past(self, m: int, rows: Tensor, losses: Tensor) -> tuple[Tensor, Tensor]:
        """History (N,) of modality m without the losses (k,) of these rows, and with them; N grows as needed."""
        missing = int(rows.max()) + 1 - self.history.shape[1]
        self.history = self.history.to(rows.device)
        if missing > 0:
            unseen = self.history.new_full((len(self.history), missing), -1.0)
            self.history = torch.cat([self.history, unseen], dim=1)
        before = self.history[m].clone()
        before[rows] = before[rows].clamp(min=0)
        return before, before.index_add(0, rows, losses.to(before))

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""

    def state(self) -> Mapping[str, Tensor]:
        """The history, for a checkpoint."""
        return {"history": self.history}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.history = state["history"].clone()

    def logits(self, batch: Batch) -> Logits:
        """Own logits of each modality, fused by confidence over those that speak."""
        own = self._own(batch)
        fused, weights = fuse(own, self.towers.active(batch))
        return Logits(fused, own, weights)
