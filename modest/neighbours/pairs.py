"""The few pairs that still count in greedy coverage: candidate c and target i with k(c, i) above what covers i already.

What covers a target only grows, so a pair left out once never counts again, and after t picks about n^2 / t pairs are
left where rows are alike. Once they are few enough to be held, by candidate and by target, no similarity is computed
again: a pick reads its own list, and the gains of others fall along the lists of the targets it changed. Exact.
They are sorted in parts, so that sorting takes little beside what is held. Memory 16 bytes a pair, 40 in the part that
is being sorted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BYTES = 20  # of a pair, with a little to spare for the part that is being sorted
PART = 2**22  # pairs in a part, at most
CROWD = 16  # parts; when there are more they are joined


Triple = tuple[Tensor, Tensor, Tensor]  # candidates, targets, similarities


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
    """The same pairs twice: lists by candidate, whose other rows are targets, and lists by target; in parts."""

    def __init__(self, candidates: int, targets: int, part: int, device: torch.device) -> None:
        self.candidates, self.targets, self.part, self.device = candidates, targets, part, device
        self.parts: list[tuple[Lists, Lists]] = []
        self.thinned = self.crowd = 1

    @property
    def count(self) -> int:
        """Number of pairs held."""
        return sum(len(lists.value) for lists, _ in self.parts)

    def add(self, tiles: Iterator[tuple[Tensor, Tensor, Tensor, Tensor]], most: int) -> bool:
        """Hold pairs from tiles of (candidates, targets, similarities, mask); False, and none, if above ``most``."""
        before, count = len(self.parts), 0

        def found() -> Iterator[Triple]:
            nonlocal count
            for rows, targets, similarity, mask in tiles:
                at = mask.nonzero()
                count += len(at)
                if count > most:
                    return
                c, i = at[:, 0], at[:, 1]
                yield rows[c].int(), targets[i].int(), similarity[c, i]

        self.put(found())
        if count > most:
            del self.parts[before:]
        return count <= most

    def put(self, triples: Iterable[Triple]) -> None:
        """Hold pairs, candidates and targets (p,) int32 and similarities (p,), which are not among those held."""
        waiting: list[Triple] = []
        for triple in triples:
            if waiting and sum(len(w[0]) for w in waiting) + len(triple[0]) > self.part:
                self._sort(waiting)
            waiting.append(triple)
        if waiting:
            self._sort(waiting)

    def _sort(self, waiting: list[Triple]) -> None:
        c, i, value = (torch.cat(part) for part in zip(*waiting))
        waiting.clear()
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

    def above(self, best: Tensor) -> Iterator[Triple]:
        """Candidates, targets and similarities of the pairs above ``best`` (t,), part by part."""
        for lists, _ in self.parts:
            keep = lists.value > best[lists.other.long()]
            length = lists.start[1:] - lists.start[:-1]
            c = torch.repeat_interleave(torch.arange(len(length), device=self.device, dtype=torch.int32), length)
            yield c[keep], lists.other[keep], lists.value[keep]

    def thin(self, best: Tensor, picked: int) -> None:
        """Let go of pairs not above ``best`` (t,) when it is time: at twice the picks of last time, or in a crowd."""
        if picked < 2 * self.thinned and len(self.parts) <= CROWD + self.crowd:
            return
        kept = list(self.above(best))
        self.parts.clear()
        self.put(kept)
        self.thinned, self.crowd = picked, len(self.parts)


def _lists(row: Tensor, other: Tensor, value: Tensor, rows: int) -> Lists:
    order = row.argsort(stable=True)
    start = torch.zeros(rows + 1, dtype=torch.int64, device=row.device)
    start[1:] = torch.bincount(row, minlength=rows).cumsum(0)
    return Lists(start, other[order], value[order])
