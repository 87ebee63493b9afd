"""Rows of a table read in tiles: normalised, checked and put in id order while they are read.

Modalities lie side by side in one matrix x (n, D), the absent ones as zeros, with p (n, M) presence and q (n, M)
squared norms per modality. Then, for items i and j with S shared modalities,

    d2(i, j) = mean over shared m of |x_im - x_jm|^2 = (q_i . p_j + p_i . q_j - 2 x_i . x_j) / (p_i . p_j),

and 4, the largest value between unit rows, where nothing is shared. Between unit rows d2 = 2 - 2 mean cosine.
Everything inside works in the frame of ascending ids, so that ties go to the lowest id and the order in which the
table was handed over cannot change an answer; ``original`` leads back to the table's own rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.checks import memory_bytes
from modest.data.presence import dense
from modest.neighbours.device import Precision, decide, precise, tile_length
from modest.types import Bool, Ids, Int, Views

FAR = 4.0


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows at once: ``x`` (k, D), ``p`` (k, M), ``q`` (k, M) as described at the top of the file."""

    x: Tensor
    p: Tensor
    q: Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.x)

    def __getitem__(self, rows: Tensor | slice) -> Block:
        """Some of the rows."""
        return Block(self.x[rows], self.p[rows], self.q[rows])


def squared_distances(a: Block, b: Block) -> Tensor:
    """(k_a, k_b) mean over shared modalities of the squared Euclidean distance; 4 where none is shared."""
    if bool(a.p.all() and b.p.all()):  # nothing is absent: fewer passes over the tile
        d2 = torch.addmm(b.q.sum(1), a.x, b.x.T, alpha=-2.0).add_(a.q.sum(1)[:, None])
        return (d2 if a.p.shape[1] == 1 else d2.div_(a.p.shape[1])).clamp_min_(0.0)
    shared = a.p @ b.p.T
    total = a.q @ b.p.T + a.p @ b.q.T - 2.0 * (a.x @ b.x.T)
    return torch.where(shared > 0, total / shared.clamp_min(1.0), FAR).clamp_min_(0.0)


class Rows:
    """The rows of ``views`` in id order, as tiles of a given memory budget.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; NumPy arrays, memory maps or tensors.
    unit : bool
        Divide every present row of every modality by its norm. ``False`` leaves rows as they are (the engines never
        normalise; the vectors of k-centre and k-means are checked there).
    device, precision, memory
        See ``modest.neighbours.device``; tiles take at most an eighth of ``memory``, and all rows are kept at hand
        when they fit in a quarter of it.
    called : str
        What errors call the arrays.

    Raises
    ------
    ValueError
        NaN or infinity in a present row, a row of norm zero (``unit``), or an item without any modality; the message
        names modality and row.
    """

    def __init__(
        self,
        views: Views,
        *,
        unit: bool = True,
        device: str | None = None,
        precision: Precision = "auto",
        memory: str | int = "2GB",
        called: str = "views",
    ) -> None:
        self.device = decide(device)
        self.dtype, self.fast = precise(precision, self.device)
        self.memory = memory_bytes(memory)
        self.names = views.names
        self.dims = tuple(shape[1] for shape in views.shape.values())
        self.width = sum(self.dims)
        self._views, self._unit, self._called = views, unit, called
        self.original: Int | None = None if views.default_ids else _ascending(views.ids)
        self.ids: Ids = views.ids if self.original is None else views.ids[self.original]
        itemsize = torch.finfo(self.dtype).bits // 8
        self.tile = tile_length(self.memory, self.width * itemsize * 3, len(views))
        keep = len(views) * self.width * itemsize <= self.memory // 4
        self._scale = np.ones((len(views), len(self.names)))
        self._kept: Tensor | None = None
        self._half: Tensor | None = None
        self._scan(keep)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._views)

    def _scan(self, keep: bool) -> None:
        """One pass over all rows: presence, norms, checks; keeps the rows when they fit."""
        present = np.zeros((len(self), len(self.names)), dtype=bool)
        squared = np.zeros((len(self), len(self.names)))
        kept = []
        for start in range(0, len(self), self.tile):
            rows = np.arange(start, min(start + self.tile, len(self)))
            block, there = self._raw(rows)
            for m, name in enumerate(self.names):
                self._check(block[m], there[:, m], rows, name)
                squared[rows, m] = np.einsum("nd,nd->n", block[m], block[m], dtype=np.float64)
            if self._unit:
                self._refuse_zero(there & (squared[rows] == 0.0), rows)
                self._scale[rows] = 1.0 / np.sqrt(np.where(there, squared[rows], 1.0))
            present[rows] = there
            if keep:
                kept.append(self._assemble(block, rows))
        self._refuse_empty(present)
        if self._unit:
            squared = present.astype(np.float64)
        self.present: Bool = present
        self.p = torch.as_tensor(present, dtype=self.dtype, device=self.device)
        self.q = torch.as_tensor(squared, dtype=self.dtype, device=self.device)
        self.weight = 1.0 / self.p.sum(1)
        self._kept = torch.cat(kept) if keep else None

    def _raw(self, rows: Int) -> tuple[list[NDArray[np.floating]], Bool]:
        """Rows of every view in the frame of ids, absent ones zeroed, and their presence (k, M)."""
        at = rows if self.original is None else self.original[rows]
        consecutive = self.original is None and len(rows) and rows[-1] - rows[0] == len(rows) - 1
        where = slice(int(rows[0]), int(rows[-1]) + 1) if consecutive else at
        there = np.ones((len(rows), len(self.names)), dtype=bool)
        if self._views.present is not None:
            there &= self._views.present[where]
        block: list[NDArray[np.floating]] = []
        number = np.float64 if self.dtype == torch.float64 else np.float32
        for m, array in enumerate(self._views.arrays.values()):
            taken: NDArray[np.floating] = dense(array[where]).astype(number)
            if self._views.present is None or bool(np.isnan(taken[:, :1]).any()):
                there[:, m] &= ~np.isnan(taken).all(axis=1)
            taken[~there[:, m]] = 0.0
            block.append(taken)
        return block, there

    def _table_row(self, row: int) -> str:
        at = int(row if self.original is None else self.original[row])
        return f"row {at} (id {self.ids[row]})"

    def _check(self, block: NDArray[np.floating], there: Bool, rows: Int, name: str) -> None:
        bad = ~np.isfinite(block).all(axis=1) & there
        if bad.any():
            row = self._table_row(int(rows[np.flatnonzero(bad)[0]]))
            raise ValueError(
                f"{self._called}[{name!r}] has NaN or infinity in present {row}; mend the value, or make the "
                "whole row NaN or present=False if the modality is absent."
            )

    def _refuse_zero(self, zero: Bool, rows: Int) -> None:
        if zero.any():
            k, m = np.argwhere(zero)[0]
            raise ValueError(
                f"{self._called}[{self.names[m]!r}] has norm zero in present {self._table_row(int(rows[k]))}; "
                "mark the modality absent there (present=False) or drop the item."
            )

    def _refuse_empty(self, present: Bool) -> None:
        empty = ~present.any(axis=1)
        if empty.any():
            row = self._table_row(int(np.flatnonzero(empty)[0]))
            raise ValueError(f"{row} has no modality at all in {self._called}; drop the item or give it at least one.")

    def _assemble(self, block: list[NDArray[np.floating]], rows: Int) -> Tensor:
        parts = [b * self._scale[rows, m : m + 1].astype(b.dtype) for m, b in enumerate(block)]
        return torch.as_tensor(np.concatenate(parts, axis=1), dtype=self.dtype, device=self.device)

    def take(self, rows: Int | Tensor) -> Block:
        """Block of some rows (frame of ids), in the order given."""
        at = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        if self._kept is not None:
            return Block(self._kept[at], self.p[at], self.q[at])
        host = at.cpu().numpy()
        return Block(self._assemble(self._raw(host)[0], host), self.p[at], self.q[at])

    def tiles(self, length: int | None = None) -> Iterator[tuple[int, Block]]:
        """(first row, Block) over all rows in order; ``length`` overrides the rows per tile."""
        step = length or self.tile
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            if self._kept is not None:
                yield start, Block(self._kept[start:stop], self.p[start:stop], self.q[start:stop])
            else:
                rows = np.arange(start, stop)
                x = self._assemble(self._raw(rows)[0], rows)
                yield start, Block(x, self.p[start:stop], self.q[start:stop])

    def half(self, start: int, block: Block) -> Tensor:
        """bf16 copy of a tile's x, kept from call to call when all rows are at hand."""
        if self._kept is None:
            return block.x.to(torch.bfloat16)
        if self._half is None:
            self._half = self._kept.to(torch.bfloat16)
        return self._half[start : start + len(block)]

    def table_rows(self, rows: Int | Tensor) -> Int:
        """Rows of the table given, for rows in the frame of ids."""
        at = np.asarray(rows.cpu() if isinstance(rows, Tensor) else rows, dtype=np.int64)
        return at if self.original is None else self.original[at]

    def inner_rows(self, rows: Int) -> Int:
        """Rows in the frame of ids, for rows of the table given."""
        if self.original is None:
            return np.asarray(rows, dtype=np.int64)
        back = np.empty(len(self), dtype=np.int64)
        back[self.original] = np.arange(len(self))
        return back[np.asarray(rows, dtype=np.int64)]


def _ascending(ids: Ids) -> Int | None:
    """Order of ascending ids, None when they already ascend.

    Raises
    ------
    ValueError
        If an id stands twice.
    """
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise ValueError(f"ids holds {str(ordered[twice[0]])!r} twice; every item needs an id of its own.")
    return None if bool((np.diff(order) == 1).all()) else order.astype(np.int64)
