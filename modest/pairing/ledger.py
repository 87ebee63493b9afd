"""The ledger of alignments: every answer that was bought, and what follows from it; an append-only log and its sums.

A row is in exactly one of three states: free; in a pair; rejected (its answer was "no_match", so it counts as covered
and is never trained on). Both members of a pair leave the free rows, "skipped" leaves its row as it was. What is odd is
kept and flagged, never mended in silence: a partner that is in a pair already, one row answered in two ways, a partner
that was rejected. What is impossible is refused before anything is applied: an answer for a row that was not asked, or
a partner the side does not have.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.pairing.sides import Direction, read_pairs
from modest.types import Answer, Bool, Int, Query

STATUS = ("matched", "no_match", "skipped")


@dataclass(frozen=True)
class Flag:
    """Something odd that was kept: ``kind`` ("conflict" | "known" | "shared" | "rejected"), ``side`` and ``row`` it is
    about, ``told`` one sentence.
    """

    kind: str
    side: str
    row: int
    told: str


class Ledger:
    """What has been bought on sides of fixed ``sizes`` {side: rows}.

    Parameters
    ----------
    sizes : {side: n}, two or more
    pairs : (k, 2) or {(side, side): (k, 2)}, optional
        Alignments known before anything was bought; they cost nothing.
    again : bool
        Whether a skipped row is free again; without, it is set aside until an answer comes.
    creates : bool
        Whether an annotator may write a partner that is in no table: "matched" without matches. The row asked then
        counts as paired, and the caller keeps the partner.

    Attributes
    ----------
    cost : float, the sum of the costs of all answers; ``flags`` what is odd, in the order it came; ``asked``
        {(side, target): rows asked, in order}.

    Examples
    --------
    >>> from modest.types import Answer, Query
    >>> query = Query("image", "text", np.array([2, 0]), np.array(["c", "a"]), np.zeros((2, 0), int), np.zeros(2), "-")
    >>> ledger = Ledger({"image": 3, "text": 4})
    >>> ledger.take(query, [Answer(2, (1, 3)), Answer(0, status="no_match")])
    []
    >>> ledger.pairs.tolist(), ledger.cost, np.flatnonzero(ledger.free["image"]), np.flatnonzero(ledger.free["text"])
    ([[2, 1], [2, 3]], 2.0, array([1]), array([0, 2]))
    """

    def __init__(self, sizes: Mapping[str, int], pairs: Any = None, *, again: bool = True, creates: bool = False):
        if len(sizes) < 2:
            raise ValueError("sizes must map at least two sides to their rows, e.g. {'image': 100, 'text': 120}.")
        self.sizes = {str(name): int(n) for name, n in sizes.items()}
        self.again, self.creates = again, creates
        self.cost = 0.0
        self.flags: list[Flag] = []
        self.asked: dict[Direction, list[int]] = {}
        self._log: list[tuple[str, str, Answer, int]] = []
        self._said: dict[tuple[str, str, int], list[tuple[Answer, int]]] = {}
        self._pairs: dict[Direction, dict[tuple[int, int], None]] = {}
        self._paired, self._denied, self._aside = (
            {name: np.zeros(n, dtype=bool) for name, n in self.sizes.items()} for _ in range(3)
        )
        self._start = read_pairs(pairs, self.sizes)
        for (a, b), two in self._start.items():
            for i, j in two.tolist():
                self._add(a, i, b, j)

    def __len__(self) -> int:
        """Return the number of pairs known."""
        return sum(map(len, self._pairs.values()))

    @property
    def free(self) -> dict[str, Bool]:
        """{side: (n,) bool}: rows in no pair, not rejected and, unless ``again``, not skipped."""
        aside = {name: mask & (not self.again) for name, mask in self._aside.items()}
        return {name: ~(self._paired[name] | self._denied[name] | aside[name]) for name in self.sizes}

    @property
    def rejected(self) -> dict[str, Bool]:
        """{side: (n,) bool}: rows said to have no partner and in no pair; covered, and never in training."""
        return {name: self._denied[name] & ~self._paired[name] for name in self.sizes}

    @property
    def pairs(self) -> Any:
        """(k, 2) int64 rows of the two sides in the order they were bought; {(side, side): (k, 2)} for more sides."""
        read = {way: np.array(list(two), dtype=np.int64).reshape(-1, 2) for way, two in self._pairs.items()}
        if len(self.sizes) > 2:
            return read
        return read.get(tuple(self.sizes), np.empty((0, 2), dtype=np.int64))  # type: ignore[arg-type]

    def take(self, query: Query, answers: Iterable[Answer], round: int | None = None) -> list[Flag]:
        """Check the answers to a query, then apply them all.

        Rows without an answer stay as they are. The same answer by the same annotator in the same ``round`` (left out,
        the query's own) is one answer, so reading a file twice changes nothing.

        Returns
        -------
        The flags these answers raised.

        Raises
        ------
        ValueError
            An answer for a row that was not asked, a partner the side does not have, an unknown status, a cost below
            0; nothing of ``answers`` is applied then.
        """
        side, target = query.modality, query.target
        for name in (side, target):
            if name not in self.sizes:
                raise ValueError(f"query names the side {name!r}; this ledger has {', '.join(self.sizes)}.")
        rows = query.rows.tolist()
        odd = [row for row in rows if not 0 <= row < self.sizes[side]]
        if odd:
            raise ValueError(f"query asks row {odd[0]} of {side}, which has rows 0 to {self.sizes[side] - 1}.")
        checked = [self._check(answer, side, target, set(rows)) for answer in answers]
        number, before = int(query.trace.get("round", 0) if round is None else round), len(self.flags)
        known = self.asked.setdefault((side, target), [])
        known.extend(sorted(set(rows) - set(known), key=rows.index))
        for answer in checked:
            self._apply(side, target, answer, number)
        return self.flags[before:]

    def _check(self, answer: Answer, side: str, target: str, asked: set[int]) -> Answer:
        if not isinstance(answer, Answer):
            raise TypeError(f"answers holds {type(answer).__name__}; give modest.types.Answer, one per row.")
        row, matches = int(answer.row), tuple(dict.fromkeys(int(match) for match in answer.matches))
        if row not in asked:
            raise ValueError(f"answers holds row {row} of {side}, which was not asked; leave it out or ask it first.")
        if answer.status not in STATUS:
            raise ValueError(f"the answer for row {row} of {side} has status {answer.status!r}; known: {STATUS}.")
        odd = [match for match in matches if not 0 <= match < self.sizes[target]]
        if odd:
            end = self.sizes[target] - 1
            raise ValueError(f"the answer for row {row} of {side} names row {odd[0]} of {target}: it has 0 to {end}.")
        if matches and answer.status != "matched":
            raise ValueError(f"the answer for row {row} of {side} names partners and says {answer.status!r}; drop one.")
        if not matches and answer.status == "matched" and not self.creates:
            raise ValueError(f"the answer for row {row} of {side} says 'matched' and names no partner; name one.")
        if not (math.isfinite(answer.cost) and answer.cost >= 0):
            raise ValueError(f"the answer for row {row} of {side} costs {answer.cost}; a cost is 0 or more.")
        return Answer(row, matches, answer.status, float(answer.cost), str(answer.annotator))

    def _apply(self, side: str, target: str, answer: Answer, round: int) -> None:
        row, earlier = answer.row, self._said.setdefault((side, target, answer.row), [])
        same = [(a, r) for a, r in earlier if (a.status, set(a.matches)) == (answer.status, set(answer.matches))]
        if any((a.annotator, r) == (answer.annotator, round) for a, r in same):
            return
        self._log.append((side, target, answer, round))
        self.cost += answer.cost
        if answer.status != "skipped" and not same and any(a.status != "skipped" for a, _ in earlier):
            self._flag("conflict", side, row, f"row {row} of {side} was answered in two ways; both are kept.")
        earlier.append((answer, round))
        if answer.status == "skipped":
            self._aside[side][row] = True
            return
        if answer.status == "no_match":
            self._denied[side][row] = True
            return
        self._paired[side][row] = True
        for match in answer.matches:
            if self._denied[target][match] and not self._paired[target][match]:
                told = f"row {match} of {target} had no partner and now is one of row {row} of {side}."
                self._flag("rejected", target, match, told)
            taken = bool(self._paired[target][match])
            if self._add(side, row, target, match):
                if taken:
                    told = f"row {match} of {target}, partner of row {row} of {side}, was in a pair already."
                    self._flag("shared", target, match, told)
            elif not same:
                self._flag("known", side, row, f"row {row} of {side} and row {match} of {target} were a pair already.")

    def _add(self, a: str, i: int, b: str, j: int) -> bool:
        """Add a pair, in the order of the sides; False where it is known."""
        names = list(self.sizes)
        way, pair = ((a, b), (i, j)) if names.index(a) < names.index(b) else ((b, a), (j, i))
        known = self._pairs.setdefault(way, {})
        new = pair not in known
        known[pair] = None
        self._paired[a][i] = self._paired[b][j] = True
        return new

    def _flag(self, kind: str, side: str, row: int, told: str) -> None:
        self.flags.append(Flag(kind, side, row, told))

    def table(self) -> dict[str, list[Any]]:
        """All answers as columns, one line per pair: side, row, target, partner (-1 without), status, cost, annotator,
        round, answer (its number; lines of one answer share its cost equally).
        """
        lines: list[tuple[Any, ...]] = []
        for number, (side, target, a, round) in enumerate(self._log):
            share = a.cost / max(1, len(a.matches))
            for match in a.matches or (-1,):
                lines.append((side, a.row, target, match, a.status, share, a.annotator, round, number))
        return {name: [line[k] for line in lines] for k, name in enumerate(COLUMNS)}

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and words, from which :meth:`from_dict` makes the same ledger again."""
        start = [[*way, two.tolist()] for way, two in self._start.items()]
        asked = [[*way, list(rows)] for way, rows in self.asked.items()]
        settings = {"sizes": dict(self.sizes), "again": self.again, "creates": self.creates}
        return {**settings, "start": start, "asked": asked, "answers": self.table()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Ledger:
        """Make a ledger again by applying its answers in their order; errors as in :meth:`take`."""
        start: dict[Direction, Int] = {(a, b): np.array(two).reshape(-1, 2) for a, b, two in content["start"]}
        ledger = cls(content["sizes"], start, again=content["again"], creates=content["creates"])
        ledger.asked = {(a, b): [int(row) for row in rows] for a, b, rows in content["asked"]}
        answers: dict[int, list[tuple[Any, ...]]] = {}
        for line in zip(*(content["answers"][name] for name in COLUMNS)):
            answers.setdefault(int(line[-1]), []).append(line)
        for lines in answers.values():
            side, row, target, _, status, _, annotator, round, _ = lines[0]
            matches = tuple(line[3] for line in lines if line[3] >= 0)
            answer = Answer(row, matches, status, math.fsum(line[5] for line in lines), annotator)
            ledger._apply(side, target, ledger._check(answer, side, target, {int(row)}), int(round))
        return ledger


COLUMNS = ("side", "row", "target", "partner", "status", "cost", "annotator", "round", "answer")
