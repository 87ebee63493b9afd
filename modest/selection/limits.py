"""What a choice may contain: at most so many rows of a group, and no more cost than there is money.

    symbol   variable   shape   meaning
    g_i      groups     (n,)    group of row i, numbered from 0
    q_g      most       (G,)    rows that may be chosen of a group
    c_i      costs      (n,)    what row i costs, above 0, in any unit
    T        total              what may be spent, in the same unit

    row i is open after buying S:   |{j in S: g_j = g_i}| < q_{g_i}   and   c_i <= T - sum_{j in S} c_j

Quotas and money are those of one choice: rows taken before count neither against a quota nor as spent. A billionth of
the total is forgiven, so that three rows of 0.1 fit into 0.3.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.types import Bool, Float, Int, Views

_FORGIVEN = 1e-9


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of some rows, in the frame they were built for; symbols as above, ``names`` those of the groups."""

    groups: Int | None = None
    most: Int | None = None
    costs: Float | None = None
    total: float | None = None
    names: tuple[str, ...] = ()

    def open(self, bought: Int) -> Bool:
        """(n,) bool: rows that may still be bought after the rows ``bought``.

        Examples
        --------
        >>> limits = Limits(costs=np.array([1.0, 2.0, 3.0]), total=3.0)
        >>> limits.open(np.array([0])).tolist()
        [False, True, False]
        """
        rows = np.asarray(bought, dtype=np.int64)
        still = np.ones(self._length(), dtype=bool)
        if self.groups is not None and self.most is not None:
            still &= (np.bincount(self.groups[rows], minlength=len(self.most)) < self.most)[self.groups]
        if self.costs is not None and self.total is not None:
            still &= self.costs <= self.total * (1.0 + _FORGIVEN) - self.spent(rows)
        still[rows] = False
        return still

    def walk(self, order: Int, count: int, bought: Int | None = None, skip: bool = True) -> Int:
        """Places in ``order`` (rows) of what is bought along it: each row that is open when its turn comes.

        At most ``count``, after the rows ``bought``; without ``skip`` the walk ends at the first row that is not open.

        Examples
        --------
        >>> Limits(costs=np.array([1.0, 2.0, 3.0]), total=4.0).walk(np.array([1, 2, 0]), 3).tolist()
        [0, 2]
        """
        before = np.empty(0, dtype=np.int64) if bought is None else bought
        group, left = np.zeros(len(order), dtype=np.int64), np.array([len(order)])
        if self.groups is not None and self.most is not None:
            group, left = self.groups[order], self.most - np.bincount(self.groups[before], minlength=len(self.most))
        cost, money = np.zeros(len(order)), 0.0
        if self.costs is not None and self.total is not None:
            cost, money = self.costs[order], self.total * (1.0 + _FORGIVEN) - self.spent(before)
        of_group: list[int] = left.tolist()
        kept: list[int] = []
        for place, (g, c) in enumerate(zip(group.tolist(), cost.tolist())):
            if len(kept) == count:
                break
            if of_group[g] > 0 and c <= money:
                kept.append(place)
                of_group[g] -= 1
                money -= c
            elif not skip:
                break
        return np.array(kept, dtype=np.int64)

    def take(self, rows: Int) -> Limits:
        """Limits of some rows, in the order given."""
        groups = None if self.groups is None else self.groups[rows]
        costs = None if self.costs is None else self.costs[rows]
        return Limits(groups, self.most, costs, self.total, self.names)

    def after(self, bought: Int) -> Limits:
        """What the limits leave once the rows ``bought`` are."""
        most, total = self.most, self.total
        if self.groups is not None and most is not None:
            most = most - np.bincount(self.groups[bought], minlength=len(most))
        if total is not None:
            total = total - self.spent(bought)
        return Limits(self.groups, most, self.costs, total, self.names)

    def spent(self, rows: Int) -> float:
        """Cost of some rows; 0 without costs."""
        return 0.0 if self.costs is None else float(self.costs[rows].sum())

    def reach(self, free: Bool) -> int:
        """Most of the ``free`` rows (n,) that fit at once: the cheapest of every group."""
        rows = np.flatnonzero(free)
        order = rows if self.costs is None else rows[np.argsort(self.costs[rows], kind="stable")]
        return len(self.walk(order, len(order)))

    def _length(self) -> int:
        column = self.costs if self.groups is None else self.groups
        return 0 if column is None else len(column)


def read_limits(table: Views, free: Bool, groups: Any, quotas: Any, costs: Any, total: Any) -> Limits | None:
    """Limits from the arguments of :func:`modest.select`; None when there are none.

    ``free`` (n,) bool marks the rows that may be chosen; others need no cost.

    Raises
    ------
    ValueError, TypeError
        If one of a pair is missing, or groups, quotas, costs or total are not what :func:`modest.select` says.
    """
    for one, other, told in ((groups, quotas, "groups and quotas"), (costs, total, "costs and total")):
        if (one is None) != (other is None):
            raise ValueError(f"{told} go together; give both, or neither.")
    if groups is None and costs is None:
        return None
    codes, most, names = (None, None, ()) if groups is None else _quotas(groups, quotas, len(table))
    prices, money = (None, None) if costs is None else _money(table, free, costs, total)
    return Limits(codes, most, prices, money, names)


def fitting(limits: Limits, asked: int | None, free: Bool) -> int:
    """Rows to ask a strategy for: ``asked``, None for as many as can be, and no more than fit at once.

    Raises
    ------
    ValueError
        If nothing can be bought, or the quotas alone do not reach what is asked.
    """
    by_quota, reach = Limits(limits.groups, limits.most).reach(free), limits.reach(free)
    if asked is not None and by_quota < asked:
        raise ValueError(
            f"quotas let at most {by_quota} free rows be chosen and budget asks for {asked}; "
            "raise a quota or lower the budget."
        )
    if not reach:
        told = "no free row has a group whose quota is above 0"
        if by_quota and limits.costs is not None:
            told = f"total={limits.total:g} is below the cheapest free row, which costs {limits.costs[free].min():g}"
        raise ValueError(f"nothing can be chosen: {told}; raise it.")
    return reach if asked is None else min(asked, reach)


def _quotas(groups: Any, quotas: Any, n: int) -> tuple[Int, Int, tuple[str, ...]]:
    """Codes (n,), quota per code (G,) and the names of the groups, for labels of any kind."""
    column = groups.tolist() if hasattr(groups, "tolist") else groups
    if isinstance(column, str) or not isinstance(column, Sequence):
        raise TypeError(f"groups is {type(groups).__name__}; give one label per row, {n} in all.")
    column = [None if isinstance(label, float) and label != label else label for label in column]
    if len(column) != n:
        raise ValueError(f"groups holds {len(column)} labels; it must hold one per row, {n}.")
    if not all(isinstance(label, Hashable) for label in column):
        raise TypeError("groups holds lists; give one label per row, such as a word or a number.")
    number: dict[Any, int] = {}
    codes = np.array([number.setdefault(label, len(number)) for label in column], dtype=np.int64)
    if isinstance(quotas, Mapping):
        unknown = [label for label in quotas if label not in number]
        if unknown:
            known = ", ".join(repr(label) for label in list(number)[:10])
            raise ValueError(f"quotas names the group {unknown[0]!r}, which no row is of; groups has {known}.")
        given = {number[label]: quota for label, quota in quotas.items()}
    else:
        given = dict.fromkeys(number.values(), quotas)
    for quota in given.values():
        if isinstance(quota, bool) or not isinstance(quota, (int, np.integer)):
            raise TypeError(f"quotas holds {quota!r}; give a whole number of rows for each group, or one for all.")
        if quota < 0:
            raise ValueError(f"quotas holds {quota}; a group can give 0 rows or more.")
    most = np.array([int(given.get(code, n)) for code in range(len(number))], dtype=np.int64)
    return codes, most, tuple(str(label) for label in number)


def _money(table: Views, free: Bool, costs: Any, total: Any) -> tuple[Float, float]:
    """Costs (n,) and what may be spent, checked."""
    prices = np.asarray(costs)
    if prices.shape != (len(table),) or prices.dtype.kind not in "iuf":
        raise ValueError(
            f"costs has shape {prices.shape} and type {prices.dtype}; it must hold one number per row, ({len(table)},)."
        )
    prices = prices.astype(np.float64)
    bad = np.flatnonzero(free & ~((prices > 0) & np.isfinite(prices)))
    if len(bad):
        row = int(bad[0])
        raise ValueError(f"costs is {prices[row]:g} at row {row} (id {table.ids[row]}); a cost must be above 0.")
    if isinstance(total, bool) or not isinstance(total, (int, float, np.integer, np.floating)):
        raise TypeError(f"total is {type(total).__name__}; give what may be spent, in the unit of costs.")
    if not 0 < total < np.inf:
        raise ValueError(f"total={total} must be above 0; it is what may be spent, in the unit of costs.")
    return prices, float(total)
