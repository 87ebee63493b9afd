"""The few pairs that still count in greedy coverage: candidate c and target i with k(c, i) above what covers i already.

What covers a target only grows, so a pair left out once never counts again, and after t picks about n^2 / t pairs are
left where rows are alike. Once they are few enough to be held, by candidate and by target, no similarity is computed
again: a pick reads its own list, and the gains of others fall along the lists of the targets it changed. Exact.
Memory 40 bytes a pair while they are sorted, 16 after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BYTES = 40


@dataclass(frozen=True, eq=False)
class Lists:
    """``start`` (k + 1,) where the list of each row begins in ``other`` (p,) int32 and ``value`` (p,)."""

    start: Tensor
    other: Tensor
    value: Tensor

    def of(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Entries of some rows (r,): place of each in ``rows``, its other row, its value."""
        begin, length = self.start[rows], self.start[rows + 1] - self.start[rows]
        place = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length)
        entry = torch.arange(len(place), device=rows.device) + (begin - length.cumsum(0) + length)[place]
        return place, self.other[entry].long(), self.value[entry]


@dataclass(frozen=True, eq=False)
class Pairs:
    """The same pairs twice: lists by candidate, whose other rows are targets, and lists by target."""

    by_candidate: Lists
    by_target: Lists


def collect(tiles: Iterator[tuple[int, int, Tensor, Tensor]], candidates: int, targets: int, most: int) -> Pairs | None:
    """Pairs from tiles of (first candidate, first target, similarities, mask); None if there are more than ``most``."""
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    count = 0
    for first, begin, similarity, mask in tiles:
        at = mask.nonzero()
        count += len(at)
        if count > most:
            return None
        c, i = at[:, 0], at[:, 1]
        found.append(((c + first).int(), (i + begin).int(), similarity[c, i]))
    c, i, value = (torch.cat(part) for part in zip(*found))
    found.clear()
    return Pairs(_lists(c, i, value, candidates), _lists(i, c, value, targets))


def _lists(row: Tensor, other: Tensor, value: Tensor, rows: int) -> Lists:
    order = row.argsort(stable=True)
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return Lists(start, other[order], value[order])
