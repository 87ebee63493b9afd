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
PARTS = 12  # pairs added at different times are joined when there are more parts than that


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


class Pairs:
    """The same pairs twice: lists by candidate, whose other rows are targets, and lists by target."""

    def __init__(self, candidates: int, targets: int, device: torch.device) -> None:
        self.candidates, self.targets, self.device = candidates, targets, device
        self.parts: list[tuple[Lists, Lists]] = []
        self.thinned = 1

    @property
    def count(self) -> int:
        """Number of pairs held."""
        return sum(len(lists.value) for lists, _ in self.parts)

    def add(self, tiles: Iterator[tuple[Tensor, Tensor, Tensor, Tensor]], most: int) -> bool:
        """Hold pairs from tiles of (candidates, targets, similarities, mask); False if more than ``most``."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        count = 0
        for rows, targets, similarity, mask in tiles:
            at = mask.nonzero()
            count += len(at)
            if count > most:
                return False
            c, i = at[:, 0], at[:, 1]
            found.append((rows[c].int(), targets[i].int(), similarity[c, i]))
        if found:
            c, i, value = (torch.cat(part) for part in zip(*found))
            found.clear()
            self.put(c, i, value)
        return True

    def put(self, c: Tensor, i: Tensor, value: Tensor) -> None:
        """Hold pairs of candidates ``c`` and targets ``i`` (p,) int32, which are not among those held."""
        self.parts.append((_lists(c, i, value, self.candidates), _lists(i, c, value, self.targets)))

    def of_candidate(self, place: int) -> tuple[Tensor, Tensor]:
        """Targets of one candidate and the similarity of each."""
        row = torch.tensor([place], device=self.device)
        found = [lists.of(row) for lists, _ in self.parts]
        return torch.cat([f[1] for f in found]), torch.cat([f[2] for f in found])

    def of_targets(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs of some targets: place of each in ``rows``, its candidate, its similarity."""
        found = [lists.of(rows) for _, lists in self.parts]
        place, candidates, value = (torch.cat(part) for part in zip(*found))
        return place, candidates, value

    def crowded(self, picked: int) -> bool:
        """Whether it is time to let go of pairs that no longer count: many parts, or twice the picks of last time."""
        return len(self.parts) > PARTS or picked >= 2 * self.thinned

    def triples(self, best: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidates, targets and similarities of the pairs above ``best`` (t,)."""
        found = []
        for lists, _ in self.parts:
            target, keep = lists.other, lists.value > best[lists.other.long()]
            length = lists.start[1:] - lists.start[:-1]
            c = torch.repeat_interleave(torch.arange(len(length), device=self.device, dtype=torch.int32), length)
            found.append((c[keep], target[keep], lists.value[keep]))
        c, i, value = (torch.cat(part) for part in zip(*found))
        return c, i, value

    def thin(self, best: Tensor, picked: int) -> None:
        """Let go of pairs not above ``best`` (t,), and join the parts."""
        c, i, value = self.triples(best)
        self.parts.clear()
        self.put(c, i, value)
        self.thinned = picked


def _lists(row: Tensor, other: Tensor, value: Tensor, rows: int) -> Lists:
    order = row.argsort(stable=True)
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return Lists(start, other[order], value[order])
