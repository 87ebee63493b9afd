"""Who answers in an experiment: oracles that keep the truth to themselves.

An oracle is anything callable, ``oracle(query) -> list[Answer]``; it sees the query and its own secret, and what
chooses sees neither. :class:`Hidden` holds known pairs, :class:`SameKey` serves streams of any length by the name two
halves of a sample share, :func:`corrupt` spoils a truth beforehand, :mod:`modest.pairing.human` asks people.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from modest.checks import known
from modest.data.keys import order, uniform
from modest.pairing.buffer import BufferQuery
from modest.pairing.sides import Direction
from modest.types import Answer, Ids, Int, Query

Partners = tuple[tuple[int, ...], str]  # rows of the target, status


class Oracle(Protocol):
    """Whoever turns a query into answers, rows in the frame of the sides (or the buffer) the query was made from."""

    def __call__(self, query: Query) -> list[Answer]:
        """Answer some or all rows of the query."""


class Simulated(ABC):
    """What simulated oracles share: what an answer costs, and how often it is wrong.

    Parameters
    ----------
    cost : "query" or "pair"
        ``price`` is charged per row asked, or per pair returned; a row without partner always costs one ``price``.
    noise : float in [0, 1]
        Probability that a row gets, in place of its partners, one wrong row drawn uniformly from the first ``among`` of
        its shortlist. Draws are keyed by (seed, side, id): a row asked again errs alike. Where the list holds nothing
        wrong, the truth is told.
    elsewhere : "skipped", "no_match" or "matched"
        What is said of a row whose partner is not in the buffer; "matched" (without a row) is for annotators who write
        the partner themselves (``creates`` of :class:`Ledger` and :func:`stream`).
    """

    def __init__(
        self,
        *,
        cost: Literal["query", "pair"] = "query",
        price: float = 1.0,
        noise: float = 0.0,
        among: int = 10,
        elsewhere: Literal["skipped", "no_match", "matched"] = "skipped",
        seed: int = 0,
    ) -> None:
        known(cost, ("query", "pair"), "cost")
        known(elsewhere, ("skipped", "no_match", "matched"), "elsewhere")
        if not 0.0 <= noise <= 1.0:
            raise ValueError(f"noise={noise} is no probability; give a number from 0 to 1.")
        self.cost, self.price, self.noise, self.among = cost, price, noise, among
        self.elsewhere, self.seed = elsewhere, seed

    @abstractmethod
    def partners(self, query: Query) -> Iterable[Partners]:
        """(rows of the target, status) of every row asked, in order."""

    def __call__(self, query: Query) -> list[Answer]:
        """Answer every row of the query, in its order."""
        errs = uniform(query.ids, self.seed, f"errs/{query.modality}") < self.noise
        where = uniform(query.ids, self.seed, f"wrong/{query.modality}")
        answers = []
        for k, (matches, status) in enumerate(self.partners(query)):
            wrong = [row for row in query.shortlists[k, : self.among].tolist() if row >= 0 and row not in matches]
            if errs[k] and wrong:
                matches, status = (wrong[int(where[k] * len(wrong))],), "matched"
            price = self.price * (max(1, len(matches)) if self.cost == "pair" else 1)
            answers.append(Answer(int(query.rows[k]), matches, status, price, type(self).__name__))
        return answers


class Hidden(Simulated):
    """The truth as a list of pairs: a bijection, or several partners of one row (five captions of an image).

    Parameters
    ----------
    pairs : (k, 2) rows or ids of two sides, or {(side, side): (k, 2)}
        All pairs there are; a row in none of them has no partner. Rows are those of the sides given to the acquisition;
        a stream, whose buffers have rows of their own, needs ids.
    sides : names of the two columns of an array
    ids : {side: (n,)} ids of the rows, for pairs of ids on a pool
    **knobs
        As in :class:`Simulated`.

    Examples
    --------
    >>> query = Query("image", "text", np.array([1, 0]), np.array(["b", "a"]), np.zeros((2, 0), int), np.zeros(2), "-")
    >>> [(answer.matches, answer.cost) for answer in Hidden([[0, 2], [0, 3]], cost="pair")(query)]
    [((), 1.0), ((2, 3), 2.0)]
    """

    def __init__(
        self,
        pairs: Any,
        sides: tuple[str, str] = ("image", "text"),
        *,
        ids: Mapping[str, Any] | None = None,
        **knobs: Any,
    ) -> None:
        super().__init__(**knobs)
        given = pairs if isinstance(pairs, Mapping) else {sides: pairs}
        self._partners: dict[Direction, dict[Any, list[Any]]] = {}
        self._ids = {name: _places(np.asarray(column)) for name, column in (ids or {}).items()}
        self._named = False
        for (a, b), two in given.items():
            table = np.asarray(two).reshape(-1, 2)
            self._named = self._named or table.dtype.kind in "UO"
            for i, j in table.tolist():
                self._partners.setdefault((a, b), {}).setdefault(i, []).append(j)
                self._partners.setdefault((b, a), {}).setdefault(j, []).append(i)

    def partners(self, query: Query) -> Iterable[Partners]:
        """(rows of the target, status) of every row asked: all partners that are at hand."""
        way = (query.modality, query.target)
        if way not in self._partners:
            raise ValueError(f"the oracle holds no pair of {way[0]} and {way[1]}; give them, or other directions.")
        if isinstance(query, BufferQuery) and not self._named:
            raise ValueError("the oracle holds pairs of rows and the query is of a stream; give pairs of ids.")
        there = self._frame(query) if self._named else None
        asked = query.ids.tolist() if self._named else query.rows.tolist()
        for name in asked:
            found = self._partners[way].get(name, [])
            rows = tuple(found) if there is None else tuple(there[other] for other in found if other in there)
            yield rows, "no_match" if not found else "matched" if rows else self.elsewhere

    def _frame(self, query: Query) -> dict[str, int]:
        if isinstance(query, BufferQuery):
            return _places(query.names[query.target])
        if query.target not in self._ids:
            raise ValueError(f"ids of {query.target} is missing; the oracle holds pairs of ids, so give ids as well.")
        return self._ids[query.target]


def key_of(name: str) -> str:
    """Key of an id of :func:`modest.pairing.parted`: what follows its first slash."""
    return name.split("/", 1)[-1]


class SameKey(Simulated):
    """The truth of a stream of samples: ids with one ``key(id)`` belong together. It remembers nothing.

    A row whose key no id of the buffer's other side has is answered as ``elsewhere`` says: "no_match" where left out,
    which is right as long as the halves of a sample come in one buffer and nothing is carried. Further **knobs as in
    :class:`Simulated`.
    """

    def __init__(self, key: Callable[[str], str] = key_of, **knobs: Any) -> None:
        super().__init__(**{"elsewhere": "no_match", **knobs})
        self.key = key

    def partners(self, query: Query) -> Iterable[Partners]:
        """(rows of the target, status) of every row asked."""
        if not isinstance(query, BufferQuery):
            raise ValueError("SameKey answers queries of modest.pairing.stream; on a pool use Hidden.")
        places: dict[str, list[int]] = {}
        for row, name in enumerate(query.names[query.target].tolist()):
            places.setdefault(self.key(name), []).append(row)
        for name in query.ids.tolist():
            rows = tuple(places.get(self.key(name), ()))
            yield rows, "matched" if rows else self.elsewhere


def corrupt(pairs: Any, *, wrong: float = 0.0, missing: float = 0.0, seed: int = 0) -> NDArray[Any]:
    """A spoiled truth, for studies of robustness: some pairs lost, the partners of some others exchanged.

    Parameters
    ----------
    pairs : (k, 2) rows or ids
        One-to-one, one-to-many or many-to-one.
    wrong, missing : shares of the pairs in [0, 1], together at most 1
        round(share * k) pairs each. Members of missing pairs have no partner any more; wrong pairs exchange theirs in a
        circle, so that both directions err alike.

    Returns
    -------
    (k - missing, 2), the pairs that stayed in their order. Draws are keyed by (seed, pair).

    Raises
    ------
    ValueError
        If the shares do not fit, or too few pairs are to be wrong to exchange anything among them.

    Examples
    --------
    >>> corrupt([[0, 5], [1, 6], [2, 7]], wrong=0.67).shape, corrupt([[0, 5], [1, 6], [2, 7]], missing=1).shape
    ((3, 2), (0, 2))
    """
    two = np.asarray(pairs).reshape(-1, 2).copy()
    if wrong < 0 or missing < 0 or wrong + missing > 1:
        raise ValueError(f"wrong={wrong} and missing={missing} must be shares, together at most 1.")
    drawn = order([f"{a}/{b}" for a, b in two.tolist()], seed, "corrupt")
    lost, count = round(missing * len(two)), round(wrong * len(two))
    some = np.sort(drawn[lost : lost + count])
    if count:
        sizes = [int(np.unique(two[some, column], return_counts=True)[1].max()) for column in (0, 1)]
        step, column = max(sizes), int(np.argmax(sizes))
        if 2 * step > count:
            raise ValueError(f"wrong={wrong} makes {count} of {len(two)} pairs wrong, too few to exchange partners.")
        # neighbours in a sorted column are the same row at most `step` times, so that the next is another's partner
        ranked = some[np.argsort(two[some, column], kind="stable")]
        two[ranked, 1 - column] = np.roll(two[ranked, 1 - column], -step)
    return np.delete(two, drawn[:lost], axis=0)


def _places(ids: Ids | Int) -> dict[str, int]:
    return {name: row for row, name in enumerate(ids.astype(np.str_).tolist())}
