"""How far annotators agree beyond chance, and what most of them say.

References: Cohen 1960 (kappa of two), Fleiss 1971 (kappa of many), Krippendorff 2004, chapter 11 (alpha, nominal).

    P_o       share of agreeing pairs of answers, averaged over items
    P_e       the same, had everybody drawn answers by chance

    kappa, alpha = (P_o - P_e) / (1 - P_e)              1 all agree, 0 as by chance, below 0 worse than that

    Cohen     P_e = sum_c p1(c) p2(c)                    p1, p2 the classes' shares in each annotator's answers
    Fleiss    P_e = sum_c p(c)^2                         p the classes' shares in all answers; k answers to every item
    alpha     P_o = sum_c o(c, c) / n                    o(c, d) = sum over items of pairs (c, d) / (answers - 1)
              P_e = sum_c n(c) (n(c) - 1) / (n (n - 1))  n(c) = sum_d o(c, d), n = sum_c n(c); items with one
                                                         answer hold no pair and are left out

Answers are any values that compare equal, None is a missing one. Where P_e is 1, all answers are one class: nothing can
be said about agreement beyond chance, and the measure is NaN.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

Answers = Sequence[Hashable]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Of items with two answers or more: ``items`` and ``pairs`` of answers to them; ``share`` of these pairs that
    agree; ``alpha`` of Krippendorff; ``by_class`` how often, when one annotator names a class, another one does, too.
    """

    items: int
    pairs: int
    share: float
    alpha: float
    by_class: dict[Hashable, float]


def cohen_kappa(first: Answers, second: Answers) -> float:
    """Kappa of two annotators over (n,) answers each; items that one of them has no answer to are left out.

    Raises
    ------
    ValueError
        If lengths differ, or no item has both answers.

    Examples
    --------
    >>> round(cohen_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"]), 3)
    0.5
    """
    if len(first) != len(second):
        raise ValueError(f"first has {len(first)} answers and second {len(second)}; give one of each per item.")
    both = [(a, b) for a, b in zip(first, second) if a is not None and b is not None]
    if not both:
        raise ValueError("first and second answered no item both; give answers of two annotators to the same items.")
    one, two = (Counter(pair[side] for pair in both) for side in (0, 1))
    chance = sum(count * two[name] for name, count in one.items()) / len(both) ** 2
    return _beyond(sum(a == b for a, b in both) / len(both), chance)


def fleiss_kappa(answers: Iterable[Answers]) -> float:
    """Kappa of (n items) of k answers each, by whomever.

    Raises
    ------
    ValueError
        If there is no item, or the items differ in their number of answers, or have fewer than two.

    Examples
    --------
    >>> round(fleiss_kappa([["a", "a", "a"], ["b", "b", "a"], ["b", "b", "b"]]), 3)
    0.55
    """
    tables = _tables(answers)
    each = sorted({table.total() for table in tables})
    if len(each) != 1 or each[0] < 2:
        told = " or ".join(map(str, each)) or "no"
        raise ValueError(f"answers has items of {told} answers; give all as many, 2 or more, or use alpha.")
    k, n = each[0], len(tables)
    agreeing = sum(_ordered(table) for table in tables) / (n * k * (k - 1))
    return _beyond(agreeing, sum((count / (n * k)) ** 2 for count in _sum(tables).values()))


def krippendorff_alpha(answers: Iterable[Answers]) -> float:
    """Alpha (nominal) of (n items) of answers each, any number of them, None for missing ones; NaN without a pair.

    Examples
    --------
    >>> round(krippendorff_alpha([["a", "a", None], ["b", "b", "b"], ["b", "a"], ["a"]]), 3)
    0.5
    """
    tables = [table for table in _tables(answers) if table.total() > 1]
    names = _sum(tables)
    n = names.total()
    if not n:
        return float("nan")
    agreeing = sum(_ordered(table) / (table.total() - 1) for table in tables) / n
    return _beyond(agreeing, sum(count * (count - 1) for count in names.values()) / (n * (n - 1)))


def agreement(answers: Iterable[Answers]) -> Agreement:
    """How far annotators agree on (n items) of answers each, any number of them, None for missing ones.

    Examples
    --------
    >>> found = agreement([["a", "a"], ["a", "b"], ["b"]])
    >>> found.items, found.pairs, found.share, round(found.alpha, 3), found.by_class["b"]
    (2, 2, 0.5, 0.0, 0.0)
    """
    kept = [[one for one in item if one is not None] for item in answers]
    kept = [item for item in kept if len(item) > 1]
    same: Counter[Hashable] = Counter()
    named: Counter[Hashable] = Counter()  # ordered pairs of answers to one item whose first one, or both, are the class
    for table in _tables(kept):
        for name, count in table.items():
            same[name] += count * (count - 1)
            named[name] += count * (table.total() - 1)
    pairs = named.total() // 2
    share = same.total() / named.total() if pairs else float("nan")
    by_class = {name: same[name] / named[name] for name in named}
    return Agreement(len(kept), pairs, share, krippendorff_alpha(kept), by_class)


def majority(answers: Answers) -> tuple[Hashable | None, float]:
    """(what most said, its share of the answers); None where it is a tie or nobody answered; None is no answer.

    Examples
    --------
    >>> majority(["a", "b", "a"]), majority(["a", "b"]), majority([])
    (('a', 0.6666666666666666), (None, 0.5), (None, 0.0))
    """
    counts = Counter(one for one in answers if one is not None).most_common(2)
    if not counts:
        return None, 0.0
    best, most = counts[0]
    share = most / sum(one is not None for one in answers)
    return (None if len(counts) > 1 and counts[1][1] == most else best), share


def _tables(answers: Iterable[Answers]) -> list[Counter[Hashable]]:
    """How often each item was given each class."""
    return [Counter(one for one in item if one is not None) for item in answers]


def _sum(tables: Sequence[Counter[Hashable]]) -> Counter[Hashable]:
    """How often each class was given."""
    found: Counter[Hashable] = Counter()
    for table in tables:
        found.update(table)
    return found


def _ordered(table: Counter[Hashable]) -> int:
    """Ordered pairs of answers to one item that agree."""
    return sum(count * (count - 1) for count in table.values())


def _beyond(agreeing: float, chance: float) -> float:
    """Agreement beyond chance, as a share of what chance leaves; NaN where it leaves nothing."""
    return (agreeing - chance) / (1 - chance) if chance < 1 else float("nan")
