"""Rows of a table read in tiles: normalised, checked and put in id order while they are read.

Modalities lie side by side in one matrix x (n, D), the absent ones as zeros, with p (n, M) presence and q (n, M)
squared norms per modality. Then, for items i and j with S shared modalities,

    d2(i, j) = mean over shared m of |x_im - x_jm|^2 = (q_i . p_j + p_i . q_j - 2 x_i . x_j) / (p_i . p_j),

a mean with weights w_m where modalities differ in importance: x, p and q are then held times sqrt(w_m). It is 4, the
largest value between unit rows, where nothing is shared. Between unit rows d2 = 2 - 2 mean cosine.
Everything inside works in the frame of ascending ids, so that ties go to the lowest id and the order in which the
table was handed over cannot change an answer; ``original`` leads back to the table's own rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.checks import memory_bytes
from modest.neighbours.device import Precision, decide, precise, tile_length
from modest.neighbours.reading import Reader
from modest.types import Bool, Float, Int, Views

FAR = 4.0
AT_CENTRE = 1e-5  # a centred row shorter than this is what rounding left of nothing


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
    if len(a) and len(b) and bool(a.p.all() and b.p.all()):  # nothing is absent: fewer passes over the tile
        root = a.p[0]
        d2 = torch.addmm(b.q @ root, a.x, b.x.T, alpha=-2.0).add_((a.q @ root)[:, None])
        weight = float(root @ root)
        return (d2 if weight == 1.0 else d2.div_(weight)).clamp_min_(0.0)
    shared = a.p @ b.p.T
    total = a.q @ b.p.T + a.p @ b.q.T - 2.0 * (a.x @ b.x.T)
    some = shared > 0
    return torch.where(some, total / torch.where(some, shared, 1.0), FAR).clamp_min_(0.0)


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
    centre : bool or mapping name -> (d_m,)
        Subtract from the unit rows of every modality their mean, or the vector given, and divide by the norm again; a
        row at the centre itself stays zero. ``self.centre`` keeps the means.
    importance : mapping name -> float above 0, optional
        Weight w_m of a modality in the mean, 1 where left out.

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
        centre: bool | Mapping[str, Float] = False,
        importance: Mapping[str, float] | None = None,
    ) -> None:
        self.device = decide(device)
        self.dtype, self.fast = precise(precision, self.device)
        self.memory = memory_bytes(memory)
        self.views, self.names = views, views.names
        self.dims = tuple(shape[1] for shape in views.shape.values())
        self.width = sum(self.dims)
        self._reader = Reader(views, np.float64 if self.dtype == torch.float64 else np.float32, called)
        self.unit, self._centred = unit, centre is not False
        self.original, self.ids = self._reader.original, self._reader.ids
        self.centre: Mapping[str, Float] = centre if isinstance(centre, Mapping) else {}
        self._root = np.sqrt([1.0 if importance is None else importance.get(name, 1.0) for name in self.names])
        itemsize = torch.finfo(self.dtype).bits // 8
        self.tile = tile_length(self.memory, self.width * itemsize * 3, len(views))
        keep = len(views) * self.width * itemsize <= self.memory // 4
        self._scale = np.ones((len(views), len(self.names)))
        self._again = np.ones((len(views), len(self.names))) if self._centred else self._scale
        self._kept: Tensor | None = None
        self._half: Tensor | None = None
        self._scan(keep)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.ids)

    def _scan(self, keep: bool) -> None:
        """One pass over all rows, two where they are centred: presence, norms, checks; keeps the rows when they fit."""
        squared = np.zeros((len(self), len(self.names)))
        self.present: Bool = np.zeros((len(self), len(self.names)), dtype=bool)
        sums = [np.zeros(d) for d in self.dims]
        kept = []
        for rows, block, there in self._raw_tiles():
            self._reader.check(block, there, rows)
            self.present[rows] = there
            for m, part in enumerate(block):
                squared[rows, m] = np.einsum("nd,nd->n", part, part, dtype=np.float64)
            if self.unit:
                self._reader.refuse_zero(there & (squared[rows] == 0.0), rows)
                self._scale[rows] = 1.0 / np.sqrt(np.where(there, squared[rows], 1.0))
            if self._centred:
                for m, part in enumerate(block):
                    sums[m] += self._scale[rows, m] @ part
            elif keep:
                kept.append(self._assemble(block, rows))
        self._reader.refuse_empty(self.present)
        if self.unit:
            squared = self.present.astype(np.float64)
        if self._centred:
            if not self.centre:
                self.centre = {m: s / max(1, k) for m, s, k in zip(self.names, sums, self.present.sum(axis=0).tolist())}
            for rows, block, _ in self._raw_tiles():
                squared[rows] = self._centre_scale(block, rows)
                if keep:
                    kept.append(self._assemble(block, rows))
        self.p = torch.as_tensor(self.present * self._root, dtype=self.dtype, device=self.device)
        self.q = torch.as_tensor(squared * self._root, dtype=self.dtype, device=self.device)
        self.weight = 1.0 / self.p.square().sum(1)
        self._kept = torch.cat(kept) if keep else None

    def _raw_tiles(self) -> Iterator[tuple[Int, list[NDArray[np.floating]], Bool]]:
        for start in range(0, len(self), self.tile):
            rows = np.arange(start, min(start + self.tile, len(self)))
            yield rows, *self._reader.block(rows)

    def _centre_scale(self, block: list[NDArray[np.floating]], rows: Int) -> Float:
        """(k, M) squared norms after centring, 1, or 0 for a row at the centre itself; sets what they are scaled by."""
        norm = np.zeros((len(rows), len(self.names)))
        for m, part in enumerate(self._centred_parts(block, rows)):
            norm[:, m] = np.sqrt(np.einsum("nd,nd->n", part, part, dtype=np.float64))
        away = norm > AT_CENTRE
        self._again[rows] = np.where(away, 1.0 / np.where(away, norm, 1.0), 0.0)
        return away.astype(np.float64)

    def _centred_parts(self, block: list[NDArray[np.floating]], rows: Int) -> Iterator[NDArray[np.floating]]:
        for m, (name, part) in enumerate(zip(self.names, block)):
            moved = part * self._scale[rows, m : m + 1].astype(part.dtype) - self.centre[name].astype(part.dtype)
            yield np.where(self.present[rows, m : m + 1], moved, part.dtype.type(0.0))

    def _assemble(self, block: list[NDArray[np.floating]], rows: Int) -> Tensor:
        scale = self._again if self._centred else self._scale
        parts = self._centred_parts(block, rows) if self._centred else block
        whole = [b * (scale[rows, m : m + 1] * self._root[m]).astype(b.dtype) for m, b in enumerate(parts)]
        x = whole[0] if len(whole) == 1 else np.concatenate(whole, axis=1)
        return torch.as_tensor(x, dtype=self.dtype, device=self.device)

    def take(self, rows: Int | Tensor) -> Block:
        """Block of some rows (frame of ids), in the order given."""
        at = torch.as_tensor(rows, dtype=torch.int64, device=self.device)
        if self._kept is not None:
            return Block(self._kept[at], self.p[at], self.q[at])
        host = at.cpu().numpy()
        return Block(self._assemble(self._reader.block(host)[0], host), self.p[at], self.q[at])

    def tiles(self, length: int | None = None) -> Iterator[tuple[int, Block]]:
        """(first row, Block) over all rows in order; ``length`` overrides the rows per tile."""
        step = length or self.tile
        for start in range(0, len(self), step):
            stop = min(start + step, len(self))
            if self._kept is not None:
                yield start, Block(self._kept[start:stop], self.p[start:stop], self.q[start:stop])
            else:
                rows = np.arange(start, stop)
                x = self._assemble(self._reader.block(rows)[0], rows)
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
