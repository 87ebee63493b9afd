"""Pairs bought from a stream: one buffer at a time, each embedded afresh, in memory that does not grow with the stream.

Reference: Zhang and Zhu, "Towards Multimodal Active Learning" (arXiv 2510.03247). That there is a buffer, and that its
size is a parameter, is theirs; the rest is ours.

    for t = 0, 1, ...:  U = the next M items of every side, and what is carried
                        ask within U; what is in a pair or rejected counts as covered, from any buffer
                        those and what nobody could answer leave; of the rest at most `carry` per side stay

Symbols: M -> items per side of ``batches``; D_t -> the buffer with what is carried; S -> the reference, items in pairs
or rejected of which at most ``reference`` per side are remembered, chosen farthest-first. The caller trains between
rounds, and distances under an old model mean nothing: buffer and reference are embedded anew in every round. Cost per
round: that of the method on M + carry rows and ``reference`` anchors. Held at any time: one buffer and the next while
it is read, what is carried, the reference and the answers of one round.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from modest.checks import known
from modest.neighbours import Rows, farthest_first
from modest.pairing.buffer import Buffer, BufferQuery, carried
from modest.pairing.door import choose
from modest.pairing.ledger import Ledger
from modest.types import Answer, Views

Embed = Callable[[str, list[Any]], Any]
Steps = Generator[BufferQuery, "list[Answer]", "dict[str, Any]"]
SUMS = ("buffers", "passed", "seen", "asked", "pairs", "rejected", "cost")


@dataclass
class _State:
    """What outlives a buffer: per side, items that wait and items that are covered; and the sums of all so far."""

    reference: int | None
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    covered: dict[str, dict[str, Any]] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(SUMS, 0))
    flags: Counter[str] = field(default_factory=Counter)

    def add(self, **more: float) -> None:
        for name, value in more.items():
            self.sums[name] += value

    def told(self) -> dict[str, Any]:
        return {**self.sums, "flags": dict(self.flags)}

    def close(self, table: Buffer, ledger: Ledger | None, carry: int, mode: str, seed: int) -> None:
        """Keep of a buffer what is covered now and what is carried."""
        for side, items in table.items():
            covered, names, asked = self.covered.setdefault(side, {}), list(items), set[str]()
            if ledger is not None and side in ledger.sizes:
                covered |= {names[row]: items[names[row]] for row in np.flatnonzero(~ledger.free[side]).tolist()}
                asked = {names[row] for way, rows in ledger.asked.items() if way[0] == side for row in rows}
            left = {name: item for name, item in items.items() if name not in covered and name not in asked}
            self.waiting[side] = carried(left, carry, mode, seed, side)


def stream(
    batches: Iterable[Buffer],
    embed: Embed,
    budget: int | float,
    candidates: int | None = None,
    *,
    method: str = "acquire",
    carry: int = 0,
    carry_mode: str = "reservoir",
    reference: int | None = 4096,
    creates: bool = False,
    seed: int = 0,
    **knobs: Any,
) -> Steps:
    """Ask for partners along a stream; a generator that yields queries and takes their answers by ``send``.

    Parameters
    ----------
    batches : iterable of {side: {id: item}}
        The buffers, as :func:`modest.pairing.parted` (samples taken apart) or :func:`modest.pairing.gather` (a stream
        per side) make them. Sides may end at different times; a buffer that leaves fewer than two sides with items asks
        nothing.
    embed : function (side, items) -> (n, d)
        Called in every round for the items of the buffer and for the remembered ones, under the model of that time.
    budget : int or float
        Rows asked about per buffer, never more than are free; a share is of the free rows of the largest side.
    candidates : int, optional
        Knob of the methods that have it; a buffer with fewer rows is taken whole.
    method : a name in ``METHODS``
        ``acquire`` is the method whose buffers these are; ``auto`` measures what is left to learn on one buffer, as
        though that were all.
    carry : int
        Items per side that nobody was asked about and that stay for the next buffer, chosen by ``carry_mode``:
        "reservoir" (a uniform sample of all of them so far) or "oldest_first".
    reference : int or None
        Items in pairs or rejected that are remembered per side, so that they count as covered and are not asked about
        should they come again; None remembers all, and memory grows.
    creates : bool
        Whether the annotator may write a partner that is in no buffer ("matched" without matches).
    seed : int
    **knobs
        Of :func:`modest.pairing.choose` or of the method.

    Yields
    ------
    BufferQuery
        ``rows`` and ``shortlists`` count the items of the buffer, which ``names`` and ``items`` list. Where a method
        asks in several directions, its queries of one buffer come one after the other. ``trace["stream"]`` has the sums
        so far: buffers, passed (buffers that asked nothing), seen, asked, pairs, rejected, cost, flags by kind, and the
        items held.

    Returns
    -------
    The same sums at the end, as the value of StopIteration.

    Raises
    ------
    ValueError, TypeError
        As :class:`Ledger` says of answers and :func:`choose` of the rest; TypeError if no answers are sent.

    Examples
    --------
    >>> buffers = [{"image": {"a": [1.0, 0.0], "b": [0.0, 1.0]}, "text": {"c": [0.0, 2.0], "d": [2.0, 0.0]}}]
    >>> steps = stream(buffers, lambda side, items: np.array(items), 1, method="random")
    >>> query = next(steps)
    >>> query.modality, query.ids.tolist(), query.names[query.target].tolist()
    ('text', ['c'], ['a', 'b'])
    """
    known(carry_mode, ("reservoir", "oldest_first"), "carry_mode")
    for argument, value, least in (("carry", carry, 0), ("reference", reference, 1)):
        if value is not None and value < least:
            raise ValueError(f"{argument}={value} is below {least}; give {least} or more.")
    state = _State(reference)
    told = {"method": method, "seed": seed, **knobs, **({} if candidates is None else {"candidates": candidates})}
    for buffer in batches:
        state.add(seen=sum(map(len, buffer.values())))
        table = {side: {**state.waiting.get(side, {}), **buffer.get(side, {})} for side in {**buffer, **state.waiting}}
        ledger = yield from _round(table, embed, budget, state, creates, told)
        state.close(table, ledger, carry, carry_mode, seed)
        state.add(buffers=1, passed=ledger is None)
    return state.told()


def _round(
    table: Buffer, embed: Embed, budget: int | float, state: _State, creates: bool, told: Mapping[str, Any]
) -> Generator[BufferQuery, list[Answer], Ledger | None]:
    """Ask about one buffer; its ledger, or None where there was nothing to ask."""
    items = {side: list(some.values()) for side, some in table.items() if some}
    names: dict[str, Any] = {side: np.array(list(table[side]), dtype=np.str_) for side in items}
    free = {side: np.array([name not in state.covered.get(side, ()) for name in table[side]]) for side in items}
    ways = [way for way in told.get("directions") or permutations(items, 2) if set(way) <= set(items)]
    count = sum(int(free[side].sum()) for side in {asked for asked, _ in ways})
    if not count:
        return None
    sides = {side: _embedded(embed, side, some) for side, some in items.items()}
    anchors = {side: _remembered(embed, side, state) for side in items if state.covered.get(side)}
    budget = budget if isinstance(budget, float) else min(budget, count)
    told = {**told, "directions": ways, "round": int(state.sums["buffers"])}
    queries = choose(sides, None, budget, free=free, anchors=anchors, ids=names, **told)
    del sides, anchors  # the caller trains while this waits
    ledger = Ledger({side: len(some) for side, some in items.items()}, creates=creates)
    held = sum(map(len, items.values())) + sum(map(len, state.covered.values()))
    for query in queries:
        trace = {**query.trace, "stream": {**state.told(), "held": held}}
        answers = yield BufferQuery(**{**vars(query), "trace": trace}, names=names, items=items)
        if answers is None:
            raise TypeError("no answers were sent; go on with steps.send(oracle(query)) and not with next.")
        pairs, cost, gone = len(ledger), ledger.cost, _rejected(ledger)
        state.flags.update(flag.kind for flag in ledger.take(query, answers))
        state.add(asked=len(query), pairs=len(ledger) - pairs, cost=ledger.cost - cost)
        state.add(rejected=_rejected(ledger) - gone)
    return ledger


def _rejected(ledger: Ledger) -> int:
    return sum(int(mask.sum()) for mask in ledger.rejected.values())


def _embedded(embed: Embed, side: str, items: list[Any]) -> Any:
    """(n, d) of some items, as the caller embeds them."""
    found = embed(side, items)
    found = found if hasattr(found, "shape") else np.asarray(found)
    if len(found.shape) != 2 or len(found) != len(items):
        raise ValueError(
            f"embed gave an array of shape {tuple(found.shape)} for {len(items)} items of {side}; "
            "it must give one row per item."
        )
    return found


def _remembered(embed: Embed, side: str, state: _State) -> Any:
    """(k, d) of the items of a side that are covered; beyond the reference they are forgotten, the most alike first."""
    items = state.covered[side]
    x = _embedded(embed, side, list(items.values()))
    if state.reference is None or len(x) <= state.reference:
        return x
    rows = Rows(Views({side: x}), called="embed")
    picks, _, _ = farthest_first(rows, state.reference, np.ones(len(x), dtype=bool), first=0)
    kept = np.sort(picks)
    names = list(items)
    state.covered[side] = {names[row]: items[names[row]] for row in kept.tolist()}
    return x[kept]
