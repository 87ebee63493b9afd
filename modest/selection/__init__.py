"""Which items to label first. One file per strategy; ``METHODS`` lists them; :func:`select` is the one door."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from modest.checks import as_views, budget_items, known, taken_mask
from modest.selection import (
    activeft,
    alfamix,
    auto,
    badge,
    bmmal,
    entropy,
    explain,
    gcnal,
    kcenter,
    kmeans,
    margin,
    maxherding,
    mmcsal,
    probcover,
    random,
    typiclust,
    uherding,
)
from modest.selection.arrays import ARRAYS, handed, label_numbers
from modest.selection.buying import buy
from modest.selection.door import earlier, told, within
from modest.selection.limits import fitting, read_limits
from modest.selection.methods import METHODS, Method
from modest.types import Bool, Choice, Views

__all__ = [
    "METHODS",
    "Method",
    "activeft",
    "alfamix",
    "auto",
    "badge",
    "bmmal",
    "buy",
    "entropy",
    "explain",
    "gcnal",
    "kcenter",
    "kmeans",
    "margin",
    "maxherding",
    "mmcsal",
    "probcover",
    "random",
    "select",
    "typiclust",
    "uherding",
]


def select(
    views: Views | Mapping[str, Any] | Any,
    budget: int | float | None,
    method: str = "auto",
    seed: int = 0,
    taken: Any = None,
    *,
    closed: Any = None,
    groups: Any = None,
    quotas: Mapping[Any, int] | int | None = None,
    costs: Any = None,
    total: float | None = None,
    since: Choice | Mapping[str, Any] | None = None,
    memory: str | int = "2GB",
    device: str | None = None,
    proba: Any = None,
    features: Mapping[str, Any] | None = None,
    coalition_proba: Any = None,
    head: Callable[..., Any] | None = None,
    labels: Any = None,
    **knobs: Any,
) -> Choice:
    """Choose which items to label.

    Parameters
    ----------
    views : Views, mapping name -> (n, d_m) array, or one (n, d) array
        Each present row is divided by its norm, never standardised. All-NaN rows, or ``present=False``, are absent.
    budget : int or float
        Items, or a share in (0, 1] of the table, max(1, floor(share * n)). None, with costs: as many as they allow.
    method : str
        A name in ``METHODS``.
    seed : int
        Every draw is keyed by (seed, id), so that shuffling the table shuffles the answer.
    taken : (n,) bool, optional
        Rows that are labelled already: they count as covered and are never chosen.
    closed : (n,) bool, optional
        Rows that are never chosen either but, unlike taken ones, still belong to what the choice is to represent.
    groups, quotas : (n,) labels of any kind, and {label: most rows} or one number for every group; optional
        No more rows of a group than its quota; groups not named have none. Rows taken before do not count.
    costs, total : (n,) numbers above 0, and what may be spent; optional
        The costs of the rows chosen never exceed ``total``; fewer than ``budget`` may be all that fit.
    since : Choice or its ``state``, optional
        An earlier choice, for methods with ``increments``: only the rows new since then cost anything.
    memory : str or int
        Budget for arrays, such as ``"2GB"``.
    device : str, optional
        ``"cpu"`` or ``"cuda"``; CUDA if there by default.
    proba, features, coalition_proba, head, labels
        Warm arrays, of the rows of ``views``, for the methods that need them (``METHODS[method].needs``);
        :meth:`modest.MultimodalClassifier.arrays` makes them. See ``modest.selection.arrays``.
    **knobs
        Parameters of the method alone; see its function in ``METHODS``.

    Returns
    -------
    Choice with rows of the table given, most important first. ``trace`` adds method, budget, seed, knobs and seconds;
    with limits also ``ended`` (budget, quotas, total or pool), ``spent`` and ``quotas`` {group: [chosen, most]}.

    Raises
    ------
    ValueError
        Unknown method, a budget below 1 or above the free rows, NaN or infinity in a present row, a zero row, an item
        without any modality, duplicate ids, an array that the method needs and is missing or has another shape; an
        unknown group, quotas that do not reach the budget, a total that buys nothing.
    TypeError
        A knob the method does not know, an array it has no use for, ``since`` for a method without a state.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])
    >>> select({"image": points}, 2).rows.tolist()
    [1, 3]
    """
    table = as_views(views)
    entry = METHODS[known(method, METHODS, "method")]
    given = (proba, features, coalition_proba, head, labels)
    options = handed(method, entry.needs, entry.uses, dict(zip(ARRAYS, given)))
    state = earlier(method, entry.increments, since)
    options |= {} if state is None else {"since": state}
    covered, shut = taken_mask(taken, len(table)), taken_mask(closed, len(table), "closed")
    if labels is not None:
        covered = covered | (label_numbers(labels, len(table)) >= 0)
    free = ~(covered | shut)
    begin = time.perf_counter()

    def ask(count: int, taken: Bool, closed: Bool) -> Choice:
        given = {"taken": taken, "closed": closed, "seed": seed, "memory": memory, "device": device}
        try:
            return entry.function(table, count, **given, **options, **knobs)
        except TypeError as error:
            if "unexpected keyword argument" in str(error):
                raise TypeError(f"method {method!r} has no such knob: {str(error).split('argument ')[-1]}.") from error
            raise

    limits = read_limits(table, free, groups, quotas, costs, total)
    spending = limits is not None and limits.total is not None
    asked = None if budget is None and spending else budget_items(budget, len(table), int(free.sum()))
    limited: dict[str, Any] = {}
    if limits is None:
        choice = ask(int(asked or 0), covered, shut)
    else:
        count = fitting(limits, asked, free)
        if entry.limits:
            options["limits"] = limits
            choice = ask(count, covered, shut)
        else:
            choice = within(limits, count, covered, shut, ask, skip=not entry.greedy)
        limited = told(limits, choice.rows, asked, free)
    trace = {"method": method, "budget": asked, "seed": seed, "knobs": knobs, **choice.trace, **limited}
    return replace(choice, trace={**trace, "seconds": time.perf_counter() - begin})
