"""Fine-tuning as the one loop's task: the loss over each direction's pairs; and batches in which no row stands twice.

Two captions of one picture in one batch would be negatives of each other, and false ones. So the pairs of an epoch are
dealt: in random order, each into the first batch that is not full and has no pair that shares a row (or a group) with
it on either side; what fits nowhere opens a new batch. Where no row stands in two pairs this is cutting a shuffle into
slices. A batch of one pair has nothing to tell it from and is dropped; every epoch has an order of its own, so that
over the epochs all pairs are seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from modest.representation.clip import Scale
from modest.representation.embedding import Embedding
from modest.representation.objective import exact
from modest.training import Batch, Column
from modest.types import Bool, Int

__all__ = ["Aligning", "Picked", "deal"]


@dataclass(frozen=True)
class Picked:
    """Column over some rows of another one: row p is row ``rows[p]`` of ``column``."""

    column: Column
    rows: Int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row's tensor."""
        return self.column.shape

    @property
    def eager(self) -> bool:
        """Whether blocks are worth making ahead."""
        return self.column.eager

    def block(self, rows: Int, epoch: int | None) -> tuple[Tensor, Bool]:
        """Rows of the column behind."""
        return self.column.block(self.rows[rows], epoch)


def deal(keys: Int, size: int, rng: np.random.Generator) -> list[Int]:
    """Batches of an epoch, as this module says.

    Parameters
    ----------
    keys : (k, 2) whole numbers; two pairs that have one in common never stand in one batch
    size : pairs of a batch at most
    rng : seeded

    Returns
    -------
    Arrays of pair numbers, of 2 to ``size``; k numbers in all, less those of batches of one.

    Examples
    --------
    >>> sorted(map(len, deal(np.array([[0, 5], [0, 6], [0, 7], [1, 8], [1, 9]]), 4, np.random.default_rng(0))))
    [2, 2]
    """
    order = rng.permutation(len(keys))
    if len(np.unique(keys)) == keys.size:
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        return [part for part in parts if len(part) > 1]
    batches: list[list[int]] = []
    seen: list[set[int]] = []
    room: list[int] = []  # batches that are not full
    for pair in order.tolist():
        own = set(keys[pair].tolist())
        at = next((batch for batch in room if not own & seen[batch]), len(batches))
        if at == len(batches):
            batches.append([])
            seen.append(set())
            room.append(at)
        batches[at].append(pair)
        seen[at] |= own
        if len(batches[at]) == size:
            room.remove(at)
    return [np.array(batch, dtype=np.int64) for batch in batches if len(batch) > 1]


class Aligning:
    """Fine-tuning on pairs; a :class:`modest.training.Task` whose rows are pairs.

    Parameters
    ----------
    net : Embedding
    scale : the loss and what it learns
    ways : numbers of the two modalities, per direction; the loss is the mean over those of which a batch has two pairs
    locked : modality whose encoder and projector stay as they are, running means included
    """

    name = "finetune"

    def __init__(self, net: Embedding, scale: Scale, ways: Sequence[tuple[int, int]], locked: int | None) -> None:
        self._embedding, self._scale, self._ways, self._locked = net, scale, tuple(ways), locked
        self.net: nn.Module = nn.ModuleDict({"embedding": net, "scale": scale})

    def modules(self) -> Mapping[str, nn.Module]:
        """One group: everything. What is locked has no gradient, and the loop leaves such parameters alone."""
        return {"all": self.net}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn, unless the batch has two pairs of no direction; CLIP's scale is cut after the step."""
        r = [self._features(batch, m) for m in range(batch.present.shape[1])]
        losses = []
        with exact(batch.present.device):
            for a, b in self._ways:
                both = batch.present[:, a] & batch.present[:, b]
                if int(both.sum()) > 1:
                    here = slice(None) if bool(both.all()) else both
                    losses.append(self._scale(r[a][here], r[b][here]))
        if losses:
            yield "all", torch.stack(losses).mean()
            self._scale.clamp()

    def _features(self, batch: Batch, m: int) -> Tensor:
        if m != self._locked:
            features: Tensor = self._embedding(batch, m)
            return features
        self._embedding.encoders[m].eval()
        with torch.no_grad():
            locked: Tensor = self._embedding(batch, m)
        return locked

    def before_step(self, group: str) -> None:
        """Leave the gradients alone."""
