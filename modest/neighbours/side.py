"""Some rows of a table that an engine goes through again and again."""

from __future__ import annotations

import torch
from torch import Tensor

from modest.neighbours.rows import Block, Rows
from modest.types import Int


class Side:
    """Some rows (frame of ids): at hand when they fit in a quarter of the memory, else read whenever asked for."""

    def __init__(self, rows: Rows, which: Int) -> None:
        self.rows, self.which = rows, which
        fits = len(which) * rows.width * torch.finfo(rows.dtype).bits // 8 <= rows.memory // 4
        self.block = rows.take(which) if fits else None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.which)

    def __getitem__(self, at: slice | Tensor) -> Block:
        """Block of some of the rows."""
        if self.block is not None:
            return self.block[at]
        return self.rows.take(self.which[at.cpu().numpy() if isinstance(at, Tensor) else at])
