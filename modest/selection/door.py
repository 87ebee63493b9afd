"""What the door does for every strategy: limits for those that know none, the state of an earlier choice, the trace.

A strategy that knows limits is handed them. Another is asked for what is left of the budget; its answer is walked along
in order of importance; rows that are no longer open are closed, those bought count as taken, and it is asked again.
Where the strategy is greedy the walk ends at the first row that is not open, since what follows was chosen beside that
row: the answer is then that of a greedy which never saw closed rows. Where it is not, the walk passes over such rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from modest.selection.limits import Limits
from modest.types import Bool, Choice, Int

# budget, taken, closed -> a choice
Ask = Callable[[int, Bool, Bool], Choice]


def within(limits: Limits, count: int, taken: Bool, closed: Bool, ask: Ask, skip: bool) -> Choice:
    """At most ``count`` rows within the limits, from a strategy that knows none; ``skip`` unless it is greedy.

    ``taken`` and ``closed`` (n,) bool; the trace is that of the first asking, with the number of ``askings``.
    """
    parts: list[Choice] = []
    bought = np.empty(0, dtype=np.int64)
    state: Mapping[str, Any] = {}
    while len(bought) < count:
        shut = closed | ~limits.open(bought)
        covered = taken.copy()
        covered[bought] = True
        left = int((~shut & ~covered).sum())
        if not left:
            break
        choice = ask(min(count - len(bought), left), covered, shut)
        places = limits.walk(choice.rows, count - len(bought), bought, skip)
        parts.append(_some(choice, places))
        if not len(places):  # it answered with closed rows, and would again
            break
        bought = np.append(bought, choice.rows[places])
        # what a strategy remembers of an answer that was not bought as it stands is of another choice
        state = choice.state if len(parts) == 1 and len(places) == len(choice) else {}
    return _joined(parts, {**parts[0].trace, "askings": len(parts)}, state)


def earlier(method: str, increments: bool, since: Choice | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """State to hand to a strategy, from a choice or from its state; None when there is none.

    Raises
    ------
    TypeError
        If the strategy keeps no state, or it is neither a choice nor a mapping.
    ValueError
        If the choice is another strategy's.
    """
    if since is None:
        return None
    if not increments:
        raise TypeError(f"method {method!r} remembers nothing of an earlier choice; leave out since.")
    if isinstance(since, Choice):
        if since.method != method:
            raise ValueError(f"since is a choice by {since.method!r}; give one by {method!r}, or leave it out.")
        return since.state or None
    if not isinstance(since, Mapping):
        raise TypeError(f"since is {type(since).__name__}; give an earlier Choice of the same method, or its state.")
    return since or None


def told(limits: Limits, rows: Int, asked: int | None, free: Bool) -> dict[str, Any]:
    """What the trace says of limits: why the choice ended, what was spent, how much of the quotas was used."""
    trace: dict[str, Any] = {"ended": "budget"}
    if asked is None or len(rows) < asked:
        over = np.setdiff1d(np.flatnonzero(free), rows)
        left = Limits(limits.groups, limits.most).walk(over, 1, rows)
        trace["ended"] = "pool" if not len(over) else "total" if len(left) and limits.costs is not None else "quotas"
    if limits.costs is not None:
        trace |= {"spent": limits.spent(rows), "total": limits.total}
    if limits.groups is not None and limits.most is not None:
        used = np.bincount(limits.groups[rows], minlength=len(limits.most))
        named = [code for code in np.flatnonzero(used) if limits.most[code] < len(free)]
        trace["quotas"] = {limits.names[code]: [int(used[code]), int(limits.most[code])] for code in named}
    return trace


def _some(choice: Choice, places: Int) -> Choice:
    reasons = tuple(choice.reasons[place] for place in places) if choice.reasons else ()
    rows, scores, ids = choice.rows[places], choice.scores[places], choice.ids[places]
    return Choice(rows, scores, ids, choice.method, reasons, choice.trace)


def _joined(parts: list[Choice], trace: Mapping[str, Any], state: Mapping[str, Any]) -> Choice:
    rows, scores, ids = (np.concatenate([getattr(p, name) for p in parts]) for name in ("rows", "scores", "ids"))
    return Choice(rows, scores, ids, parts[0].method, sum((p.reasons for p in parts), ()), trace, state)
