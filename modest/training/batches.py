"""Mini-batches of ready views: rows drawn from seeded shuffles, absent rows zeroed, modality dropout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from modest.data.presence import dense
from modest.training.task import Batch
from modest.types import Bool, Int, Views

__all__ = ["Batches", "drop_modalities"]


def drop_modalities(present: Bool, share: float, rng: np.random.Generator) -> Bool:
    """Drop each present modality with probability ``share``, never the last of a row.

    A row that would lose all keeps one of its own, drawn uniformly.

    Parameters
    ----------
    present : (n, M) bool
    share : float in [0, 1]
    rng : seeded generator

    Returns
    -------
    (n, M) bool, a subset of ``present``.
    """
    luck = rng.random(present.shape)
    kept: Bool = present & (luck >= share)
    empty = present.any(axis=1) & ~kept.any(axis=1)
    kept[empty, np.where(present, luck, -1.0).argmax(axis=1)[empty]] = True
    return kept


@dataclass(frozen=True)
class Batches:
    """Batches of some rows of a table.

    ``present`` (n, M) and ``y`` (n,) are in the frame of ``views``; ``rows`` (k,) says which rows take part. Without
    ``shuffle`` the rows come in order. Epoch e is drawn from (seed, e) alone.
    """

    views: Views
    present: Bool
    rows: Int
    y: Int | None = None
    size: int = 64
    seed: int = 0
    shuffle: bool = True
    modality_dropout: float = 0.0
    dtype: torch.dtype = torch.float32
    device: torch.device | str = "cpu"

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return -(-len(self.rows) // self.size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch; the last one may be smaller."""
        rng = np.random.default_rng([self.seed, number])
        rows = rng.permutation(self.rows) if self.shuffle else self.rows
        for index in range(len(self)):
            part = rows[index * self.size : (index + 1) * self.size]
            present = self.present[part]
            if self.modality_dropout > 0:
                present = drop_modalities(present, self.modality_dropout, rng)
            yield self._batch(part, present, index, number)

    def _batch(self, rows: Int, present: Bool, index: int, epoch: int) -> Batch:
        there = torch.from_numpy(present)
        x = []
        for m, array in enumerate(self.views.arrays.values()):
            block = torch.tensor(dense(array[rows]), dtype=self.dtype)
            block[~there[:, m]] = 0.0
            x.append(block.to(self.device))
        y = None if self.y is None else torch.from_numpy(self.y[rows]).to(self.device)
        return Batch(tuple(x), there.to(self.device), y, index, len(self), epoch)
