r"""What each modality is worth: expected accuracy for every presence pattern, by hiding modalities that are there.

It helps to decide which sensor or annotation to drop, and which to buy. Nothing published is followed; the values of
Shapley (1953) are the usual ones.

    symbol     variable   shape   meaning
    P_i        present    (n, M)  modalities of row i
    r_i(S)     right[S]   (n,)    1 if the model is right about row i shown S only, S a non-empty subset of P_i
    C(T)       cover[T]   (n,)    rows that have all of T
    a(S | T)                      mean of r_i(S) over C(T), T a superset of S: accuracy of S on rows that have T
    w_S        share              share of pattern S in the table that matters, by default these rows

    pattern S   a(S | S)
    drop of m   sum over S with m, |S| > 1, of   w_S [a(S | S) - a(S - m | S)]        m goes wherever something is left
    gain of m   sum over S without m of          w_S [a(S + m | S + m) - a(S | S + m)]   m comes wherever it lacks
    worth of m  sum over S without m of  |S|! (M - |S| - 1)! / M!  [a(S + m | S + m) - a(S | S + m)]      (Shapley)

Differences are of the same rows, shown more and shown less. a(0 | T), shown nothing, is the share of the commonest
class of ``y`` in C(T). drop and gain are in accuracy of the whole table. A pattern that no row covers is unknown (NaN),
never guessed; drop and gain are then those of the rest, and ``unknown`` is the share of the table left out.

Every figure is a sum of a_k times means q_k over C_k, so its variance is that of the rows' influence,

    z_i = sum_k a_k [i in C_k] (r_ik - q_k) / |C_k|,     variance = sum over groups of (sum of z_i in the group)^2,

a row being its own group where no ``groups`` (speakers, videos) are told; a pattern's interval is Wilson's (1927) for
as many independent rows as have that variance. With fewer than some ten groups intervals are too narrow.

It takes rows that have S to stand for rows that have nothing else, as they do where absence says nothing of the item.
``own`` tells how rows that truly have only S fare. Rows that trained the model may not be used; rows that chose its
epoch make it look a little better than it is. Up to five modalities all patterns are looked at, beyond that those of
the table, singles, all, and all but one; the worth is unknown then. Cost: one prediction of the rows per pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np

from modest.checks import as_views
from modest.evaluation.curves import LEVEL, Difference
from modest.evaluation.subsets import MOST, Ask, Seen, Subset, counted, looked_at, right_rows
from modest.types import Bool, Int, Views

__all__ = ["Pattern", "WhatIf", "Worth", "by_patterns", "what_if"]


@dataclass(frozen=True)
class Pattern:
    """Modalities ``shown``; ``accuracy`` expected of such rows, ``low`` and ``high`` of it, NaN where no row tells;
    ``rows`` it was measured on; ``share`` of such rows in the table; ``own`` accuracy on the ``own_rows`` that have
    nothing else."""

    shown: tuple[str, ...]
    accuracy: float
    low: float
    high: float
    rows: int
    share: float
    own: float
    own_rows: int


@dataclass(frozen=True)
class Worth:
    """Of modality ``name``: accuracy lost if it goes (``drop``), won if it is bought for every row that lacks it
    (``gain``), a share ``lacking`` of the table, both without the share ``unknown``; its Shapley ``value``, None beyond
    five modalities."""

    name: str
    drop: Difference
    gain: Difference
    lacking: float
    unknown: float
    value: Difference | None


@dataclass(frozen=True)
class WhatIf:
    """``patterns`` from few to many modalities; ``worth`` by modality; ``rows`` that were asked about."""

    patterns: tuple[Pattern, ...]
    worth: tuple[Worth, ...]
    rows: int

    def accuracy(self, *shown: str) -> float:
        """Accuracy expected of rows with these modalities and no other; ValueError if that was not looked at."""
        for one in self.patterns:
            if set(one.shown) == set(shown):
                return one.accuracy
        raise ValueError(f"shown={shown} was not looked at; known: {[one.shown for one in self.patterns]}.")

    def sentences(self) -> tuple[str, ...]:
        """What to drop, what to buy, and what is not known."""
        cheapest = min(self.worth, key=lambda one: one.drop.mean)
        said = [f"If one has to go: {cheapest.name}, which costs {_told(cheapest.drop)}."]
        if cheapest.drop.low <= 0:
            said[0] += " It may cost nothing."
        wanted = [one for one in self.worth if one.gain.mean == one.gain.mean and one.lacking]
        if wanted:
            best = max(wanted, key=lambda one: one.gain.mean)
            said.append(f"If one is bought for every row that lacks it: {best.name}, which gains {_told(best.gain)}.")
            said[-1] += "" if best.gain.low > 0 else " That it gains anything is not certain."
        elif any(one.lacking for one in self.worth):
            said.append("What buying would gain is unknown: no row here shows it.")
        else:
            said.append("Nothing can be bought: no row lacks a modality.")
        lost = [" + ".join(one.shown) for one in self.patterns if one.accuracy != one.accuracy]
        if lost:
            said.append(f"Unknown, since no row here has all of them: {', '.join(lost)}.")
        return tuple(said)


def what_if(
    predict_proba: Callable[[Views], Any], views: Any, y: Any, *, classes: Any = None, mix: Any = None,
    groups: Any = None, level: float = LEVEL,
) -> WhatIf:  # fmt: skip
    """Expected accuracy for every presence pattern, and what each modality is worth.

    Parameters
    ----------
    predict_proba : function
        Views (k rows) -> (k, C) probabilities, as of a trained classifier; it is handed rows with modalities hidden.
    views : Views, mapping name -> (n, d_m) array, or one array
        Labelled rows that did not train the model. All-NaN rows, or ``present=False``, are absent.
    y : (n,) class numbers (columns of the probabilities, -1 for none of them), or with ``classes`` labels
    classes : (C,) labels in the order of the columns, optional
    mix : (k, M) bool, optional
        Presence of the rows that the model is for, columns as ``views.names``; these rows if left out.
    groups : (n,) labels, optional
        Rows of a group (a speaker, a video) are not independent; intervals then count groups.
    level : share of the intervals

    Raises
    ------
    ValueError
        For lengths that do not fit, a row without any modality, or probabilities of another shape.

    Examples
    --------
    >>> views = {"good": np.eye(2)[[0, 1, 0, 1]], "bad": np.ones((4, 2))}
    >>> told = what_if(lambda v: v.arrays["good"] * v.present[:, :1] + 0.1, views, [0, 1, 0, 1])
    >>> told.accuracy("good"), told.accuracy("bad"), told.worth[0].drop.mean, told.worth[1].drop.mean
    (1.0, 0.5, 0.5, 0.0)
    """
    table = as_views(views)
    present = _presence(table)

    def ask(rows: Int, shown: Bool) -> Any:
        some = table[rows]
        return predict_proba(Views(some.arrays, np.tile(shown, (len(rows), 1)), some.ids))

    return by_patterns(ask, table.names, present, y, classes=classes, mix=mix, groups=groups, level=level)


def by_patterns(
    ask: Ask, names: Sequence[str], present: Bool, y: Any, *, classes: Any = None, mix: Any = None, groups: Any = None,
    level: float = LEVEL,
) -> WhatIf:  # fmt: skip
    """The same for whatever can be asked by row: ``ask(rows (k,), shown (M,) bool)`` gives (k, C) probabilities.

    ``present`` (n, M) bool, columns as ``names``; the rest and the errors as in :func:`what_if`.
    """
    n, m = present.shape
    truth, table, code = _checked(present, y, classes, mix, groups, level)
    count = counted(table)
    asked = sorted(looked_at(m, {*counted(present), *count}), key=lambda s: (len(s), sorted(s)))
    cover: dict[Subset, Bool] = {s: np.asarray(present[:, sorted(s)].all(axis=1)) for s in asked}
    right = {s: right_rows(ask, np.flatnonzero(cover[s]), s, truth, m) for s in asked}
    right[frozenset()] = (truth == np.bincount(truth[truth >= 0], minlength=1).argmax()).astype(np.float64)
    seen = Seen(right, cover, code, level)
    share = {s: rows / len(table) for s, rows in count.items()}
    patterns = tuple(_pattern(seen, s, names, share.get(s, 0.0), present) for s in asked)
    return WhatIf(patterns, tuple(_worth(seen, k, names, share) for k in range(m)), n)


def _pattern(seen: Seen, s: Subset, names: Sequence[str], share: float, present: Bool) -> Pattern:
    mean, low, high = seen.share(s)
    alone = seen.cover[s] & (present.sum(axis=1) == len(s))
    own = float(seen.right[s][alone].mean()) if alone.any() else np.nan
    shown = tuple(names[k] for k in sorted(s))
    return Pattern(shown, mean, low, high, int(seen.cover[s].sum()), share, own, int(alone.sum()))


def _worth(seen: Seen, k: int, names: Sequence[str], share: Mapping[Subset, float]) -> Worth:
    m, one = len(names), frozenset({k})
    less = {s: w for s, w in share.items() if k in s and len(s) > 1}
    more = {s | one: w for s, w in share.items() if k not in s}
    unknown = sum(w for part in (less, more) for s, w in part.items() if not seen.cover[s].any())
    value = None
    if m <= MOST:
        rest = [frozenset(c) | one for size in range(m) for c in combinations(set(range(m)) - one, size)]
        value = seen.change({s: factorial(len(s) - 1) * factorial(m - len(s)) / factorial(m) for s in rest}, one, True)
    return Worth(names[k], seen.change(less, one), seen.change(more, one), sum(more.values()), unknown, value)


def _presence(table: Views) -> Bool:
    """(n, M) bool: ``present`` where told, and never a row that is NaN throughout."""
    there = np.stack([~np.isnan(np.asarray(array)).all(axis=1) for array in table.arrays.values()], axis=1)
    return there if table.present is None else there & table.present


def _checked(present: Bool, y: Any, classes: Any, mix: Any, groups: Any, level: float) -> tuple[Int, Bool, Int]:
    """Class numbers (n,), presence of the table that matters (k, M), and numbers of the groups (n,)."""
    n, m = present.shape
    labels = np.asarray(y)
    if labels.shape != (n,) or not n:
        raise ValueError(f"y has shape {labels.shape}; it must hold a class per row, ({n},), and one row at least.")
    if classes is not None:
        where = {label: number for number, label in enumerate(np.asarray(classes).tolist())}
        labels = np.array([where.get(label, -1) for label in labels.tolist()])
    if labels.dtype.kind not in "iu":
        raise ValueError(f"y holds {labels.dtype}; give class numbers, or the labels with classes=clf.classes_.")
    if not present.any(axis=1).all():
        raise ValueError(f"views row {int(present.any(axis=1).argmin())} has no modality at all; leave it out.")
    table = present if mix is None else np.asarray(mix)
    if table.dtype != bool or table.ndim != 2 or table.shape[1] != m or not table.any(axis=1).all() or not len(table):
        raise ValueError(f"mix is {table.dtype} {table.shape}; give (k, {m}) bool, a modality at least in every row.")
    code = np.arange(n) if groups is None else np.unique(np.asarray(groups).astype(np.str_), return_inverse=True)[1]
    if code.shape != (n,):
        raise ValueError(f"groups has shape {code.shape}; it must hold a group per row, ({n},).")
    if not 0 < level < 1:
        raise ValueError(f"level={level} is not inside (0, 1); 0.95 is usual.")
    return labels.astype(np.int64), table, code


def _told(what: Difference) -> str:
    """Points with their interval."""
    return f"{100 * what.mean:.1f} points [{100 * what.low:.1f}, {100 * what.high:.1f}]"
