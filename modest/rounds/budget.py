"""One purse for labels and pairs: every round buys of the kind that lately gained most for its price. Ours.

    worth(kind) = mean over its last `window` rounds of (gain of a round) / (cost of that round)

Each kind is bought once before anything is compared, the cheapest first; then the one of the largest worth; and one
that was passed over for `patience` rounds is tried again, for a worth measured long ago says little: pairs are worth
more once there are labels to carry over, and less when every labelled row has its partner. Equal worths go to the
cheaper kind. What a gain is the caller measures, and should measure on what was bought: accuracy by cross-validation,
never on rows that were not paid for. A gain is noisy where few labels are bought, so that the first rounds are close to
taking turns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from modest.checks import known
from modest.types import Record

__all__ = ["Purchase", "mixed", "next_kind"]


@dataclass(frozen=True)
class Purchase:
    """One round's buying: its ``kind`` ("label", "pair", or whatever is sold), ``cost`` > 0, and measured ``gain``."""

    kind: str
    cost: float
    gain: float


def next_kind(
    history: Sequence[Purchase], prices: Mapping[str, float], window: int = 3, patience: int = 5
) -> tuple[str, str]:
    """What to buy next, and why in a sentence.

    Parameters
    ----------
    history : purchases so far, oldest first
    prices : price of one item of every kind that is still for sale
    window, patience : rounds, see above

    Raises
    ------
    ValueError
        If nothing is for sale, a price is not above 0, or ``window`` or ``patience`` is below 1.

    Examples
    --------
    >>> past = [Purchase("label", 10.0, 0.05), Purchase("pair", 5.0, 0.01)]
    >>> next_kind(past, {"label": 1.0, "pair": 0.5})
    ('label', 'label gained 0.005 for each unit spent, pair 0.002')
    """
    _check(prices, window, patience)
    ranked = sorted(prices, key=lambda kind: (prices[kind], kind))
    last = {kind: max((k for k, one in enumerate(history) if one.kind == kind), default=-1) for kind in ranked}
    for kind in ranked:
        if last[kind] < 0:
            return kind, f"{kind} was not bought yet"
    for kind in ranked:
        waited = len(history) - 1 - last[kind]
        if waited >= patience:
            return kind, f"{kind} was last bought {waited} rounds ago"
    worth = {}
    for kind in ranked:
        rates = [one.gain / one.cost for one in history if one.kind == kind][-window:]
        worth[kind] = sum(rates) / len(rates)
    best = max(ranked, key=lambda kind: worth[kind])  # the first, cheapest, among equals
    others = ", ".join(f"{kind} {worth[kind]:.3g}" for kind in ranked if kind != best)
    return best, f"{best} gained {worth[best]:.3g} for each unit spent" + (f", {others}" if others else "")


def mixed(
    buy: Mapping[str, Callable[[float], float]],
    measure: Callable[[], float],
    total: float,
    step: float,
    prices: Mapping[str, float],
    *,
    window: int = 3,
    patience: int = 5,
) -> Iterator[Record]:
    """Spend ``total`` round by round, each on the kind that :func:`next_kind` names.

    Parameters
    ----------
    buy : kind -> function of the amount it may spend; it buys, and returns what it spent, 0 where nothing is left
    measure : how good the classifier of all that is bought is, larger being better; called once before the first
        round and after every one
    total, step : what may be spent in all, and in a round, in the unit of ``prices``
    prices : price of one item of every kind in ``buy``; a kind too dear for what is left is no longer for sale
    window, patience : of :func:`next_kind`

    Yields
    ------
    Record("purchase", round, rounds so far, values): ``kind``, ``why``, ``cost``, ``spent`` in all, ``measured``,
    ``gain``. Ends when the purse is empty or nothing is left to buy.

    Raises
    ------
    ValueError
        If kinds and prices differ, ``total`` or ``step`` is not above 0, or a kind spends more than it may.
    """
    _check(prices, window, patience)
    for kind in buy:
        known(kind, prices, "buy: kind")
    for kind in prices:
        known(kind, buy, "prices: kind")
    if not (math.isfinite(total) and total > 0 and math.isfinite(step) and step > 0):
        raise ValueError(f"total={total} and step={step} must be numbers above 0.")

    def rounds() -> Iterator[Record]:
        history: list[Purchase] = []
        gone: set[str] = set()
        spent, before = 0.0, measure()
        while True:
            purse = min(step, total - spent)
            sold = {kind: price for kind, price in prices.items() if kind not in gone and price <= purse + 1e-9}
            if not sold:
                return
            kind, why = next_kind(history, sold, window, patience)
            cost = float(buy[kind](purse))
            if cost > purse + 1e-9 or cost < 0:
                raise ValueError(f"buy[{kind!r}] spent {cost} where it had {purse}; it must keep to the amount given.")
            if cost == 0:
                gone.add(kind)
                continue
            spent, after = spent + cost, measure()
            history.append(Purchase(kind, cost, after - before))
            told = {"kind": kind, "why": why, "cost": cost, "spent": spent, "measured": after, "gain": after - before}
            before = after
            yield Record("purchase", len(history), len(history), told)

    return rounds()


def _check(prices: Mapping[str, float], window: int, patience: int) -> None:
    if not prices:
        raise ValueError("prices is empty; name a price for at least one kind.")
    for kind, price in prices.items():
        if not (math.isfinite(price) and price > 0):
            raise ValueError(f"prices[{kind!r}] is {price}; a price must be above 0.")
    if window < 1 or patience < 1:
        raise ValueError(f"window={window} and patience={patience} must be at least 1.")
