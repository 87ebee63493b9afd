"""A column of raw values for the one loop: decoded when a batch asks, augmented in training, kept while room is."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.checks import memory_bytes
from modest.data.decoding import Unreadable
from modest.data.keys import keys
from modest.encoders.reading import Reading
from modest.types import Bool, Ids, Int

__all__ = ["Decoded"]


class Decoded:
    """Column over raw values; a :class:`modest.training.Column`.

    Parameters
    ----------
    values : (n,) raw values, None where absent; arrays (pixels) where the reading takes them
    ids : (n,) of the items; with ``seed`` and the epoch they decide each row's augmentation, whatever its batch
    reading : how a value becomes a tensor
    seed : of the augmentation
    memory : of decoded values that are kept between epochs
    workers : threads that decode; None: one per core, at most four

    Attributes
    ----------
    unreadable : row -> sentence, of every value met so far that could not be read; such rows count as absent.
    """

    eager = True

    def __init__(
        self,
        values: Sequence[Any] | NDArray[Any],
        ids: Ids,
        reading: Reading,
        seed: int = 0,
        memory: str | int = "2GB",
        workers: int | None = None,
    ) -> None:
        self.reading, self.unreadable = reading, dict[int, str]()
        self.values, self._ids, self._seed = values, ids, seed
        self._kept: dict[int, NDArray[Any]] = {}
        self._fine: set[int] = set()  # rows that could be read
        self._room = memory_bytes(memory)
        self._keeping = threading.Lock()  # several threads decode, and a pass may run beside the training's own
        self._workers = min(4, os.cpu_count() or 1) if workers is None else workers

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a row's tensor."""
        return self.reading.shape

    @cached_property
    def _keys(self) -> NDArray[np.uint64]:
        return keys(self._ids, self._seed, "augment")

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers)

    def block(self, rows: Int, epoch: int | None) -> tuple[Tensor, Bool]:
        """Rows as a (k, *shape) tensor, and (k,) bool, which of them could be read; the others hold zeros."""
        out = torch.zeros((len(rows), *self.shape), dtype=self.reading.dtype)
        read = np.ones(len(rows), dtype=bool)
        made = self._pool.map(lambda row: self._tensor(int(row), epoch), rows)
        for k, tensor in enumerate(made):
            if tensor is None:
                read[k] = False
            else:
                out[k] = tensor
        return out, read

    def look(self, rows: Int) -> None:
        """Read what was never met of some rows, so that ``unreadable`` tells of them all."""
        for _ in self._pool.map(self._sample, (row for row in rows.tolist() if row not in self._fine)):
            pass

    def _tensor(self, row: int, epoch: int | None) -> Tensor | None:
        sample = self._sample(row)
        if sample is None:
            return None
        if epoch is None:
            return self.reading.eval(sample)
        return self.reading.train(sample, np.random.default_rng([epoch, int(self._keys[row])]))

    def _sample(self, row: int) -> NDArray[Any] | None:
        """Decoded value of a row, None if it cannot be read."""
        if row in self._kept or row in self.unreadable:
            return self._kept.get(row)
        try:
            value = self.values[row]
            sample = self.reading.read(value if isinstance(value, np.ndarray) else str(value))
        except Unreadable as error:
            self.unreadable[row] = str(error)
            return None
        with self._keeping:
            self._fine.add(row)
            if sample.nbytes <= self._room and row not in self._kept:
                self._room -= sample.nbytes
                self._kept[row] = sample
        return sample
