"""Mini-batches: rows drawn from seeded shuffles, asked of each modality's column, absent rows zeroed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from modest.data.presence import dense
from modest.training.task import Batch
from modest.types import Bool, Int, Views

__all__ = ["Batches", "Column", "Ready", "drop_modalities", "ready"]


class Column(Protocol):
    """One modality of a table: blocks of rows as tensors."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row's tensor."""
        ...

    @property
    def eager(self) -> bool:
        """Whether blocks are worth making ahead, in a thread of their own (decoding is, slicing is not)."""
        ...

    def block(self, rows: Int, epoch: int | None) -> tuple[Tensor, Bool]:
        """Return rows (k,) as a (k, *shape) tensor and (k,) bool, which of them could be read.

        ``epoch`` is a number in training (augmented rows, drawn from it and the row), None when rows are to be the
        same each time.
        """
        ...


@dataclass(frozen=True)
class Ready:
    """Column over a ready view ``array`` (n, d): NumPy array, memory map or tensor."""

    array: Any
    dtype: torch.dtype = torch.float32
    eager: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """(d,)."""
        return (int(self.array.shape[1]),)

    def block(self, rows: Int, epoch: int | None) -> tuple[Tensor, Bool]:
        """Rows as they are."""
        return torch.tensor(dense(self.array[rows]), dtype=self.dtype), np.ones(len(rows), dtype=bool)


def ready(views: Views, dtype: torch.dtype = torch.float32) -> tuple[Column, ...]:
    """Columns over all modalities of ready views."""
    return tuple(Ready(array, dtype) for array in views.arrays.values())


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

    ``columns`` one per modality; ``present`` (n, M) and ``y`` (n,) are in their frame; ``rows`` (k,) says which rows
    take part. Without ``shuffle`` the rows come in order; without ``augment`` columns are asked for the same tensors
    each time. Epoch e is drawn from (seed, e) alone. ``whole`` leaves out a last batch that is not full. ``part``
    (r, R): of every batch only each R-th row from row r on, the share of process r of R; together the R parts are the
    batches of one process. ``deal``: an epoch's batches from its generator, where rows may not stand together as they
    come; then ``rows``, ``size``, ``shuffle`` and ``whole`` are its business, and epochs may differ in length.
    """

    columns: Sequence[Column]
    present: Bool
    rows: Int
    y: Int | None = None
    size: int = 64
    seed: int = 0
    shuffle: bool = True
    modality_dropout: float = 0.0
    device: torch.device | str = "cpu"
    augment: bool = True
    whole: bool = False
    part: tuple[int, int] = (0, 1)
    deal: Callable[[np.random.Generator], Sequence[Int]] | None = None

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self.rows) // self.size if self.whole else -(-len(self.rows) // self.size)

    def epoch(self, number: int = 0) -> Iterator[Batch]:
        """Yield the batches of one epoch; the last one may be smaller."""
        batches = self._epoch(number)
        return _ahead(batches) if any(column.eager for column in self.columns) else batches

    def _epoch(self, number: int) -> Iterator[Batch]:
        rng = np.random.default_rng([self.seed, number])
        parts = self._slices(rng) if self.deal is None else self.deal(rng)
        for index, part in enumerate(parts):
            present = self.present[part]
            if self.modality_dropout > 0:
                present = drop_modalities(present, self.modality_dropout, rng)
            mine = slice(self.part[0], None, self.part[1])
            yield self._batch(part[mine], present[mine], (index, len(parts)), number)

    def _slices(self, rng: np.random.Generator) -> list[Int]:
        rows = rng.permutation(self.rows) if self.shuffle else self.rows
        return [rows[k * self.size : (k + 1) * self.size] for k in range(len(self))]

    def _batch(self, rows: Int, present: Bool, place: tuple[int, int], epoch: int) -> Batch:
        present, x = present.copy(), []
        for m, column in enumerate(self.columns):
            there = np.flatnonzero(present[:, m])
            block, read = column.block(rows[there], epoch if self.augment else None)
            present[there[~read], m] = False
            if len(there) < len(rows) or not read.all():
                whole = block.new_zeros((len(rows), *column.shape))
                whole[torch.from_numpy(there[read])] = block[torch.from_numpy(read)]
                block = whole
            x.append(block.to(self.device))
        y = None if self.y is None else torch.from_numpy(self.y[rows]).to(self.device)
        has = torch.from_numpy(present).to(self.device)
        return Batch(tuple(x), has, y, *place, epoch, torch.from_numpy(rows).to(self.device))


def _ahead(batches: Iterator[Batch], depth: int = 2) -> Iterator[Batch]:
    """Make batches in a thread, at most ``depth`` ahead of whoever reads them; an error there is raised here."""
    made: queue.Queue[Batch | BaseException | None] = queue.Queue(depth)
    stop = threading.Event()

    def put(what: Batch | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return made.put(what, timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for batch in batches:
                put(batch)
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the reader, whatever it is
            put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (got := made.get()) is not None:
            if isinstance(got, BaseException):
                raise got
            yield got
    finally:
        stop.set()
        thread.join()
