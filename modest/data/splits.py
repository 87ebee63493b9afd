"""Held-out rows and subsamples: stratified by class, whole groups together, keyed by id rather than by row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.keys import keys
from modest.types import Bool


def carve(
    y: Sequence[Any] | NDArray[Any],
    share: float,
    seed: int,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    ids: Sequence[str] | NDArray[np.str_] | None = None,
) -> Bool:
    """Rows to hold out: about ``share`` of every class, or whole groups when there are groups.

    Without groups each class gives max(1, round(share * its rows)) rows, but never all of them; a class of one row
    gives none. With groups, groups are taken in random order, each if it brings the held-out class counts closer to
    ``share`` of each class (sum of squared differences), so that no group is torn and classes stay balanced.

    Parameters
    ----------
    y : (n,) labels, int or str
    share : float
        In (0, 1).
    seed : int
        Draws are keyed by (seed, id), or (seed, group).
    groups : (n,) labels of groups (speakers, videos), optional
    ids : (n,) strings, optional
        Left out, row numbers stand for ids.

    Returns
    -------
    (n,) bool, True = held out. Both sides have at least one row.

    Raises
    ------
    ValueError
        If ``share`` is outside (0, 1), lengths differ, or there is nothing to divide (one row, one group, or only
        classes of a single row).

    Examples
    --------
    >>> held = carve(["a"] * 60 + ["b"] * 40, share=0.15, seed=0)
    >>> int(held[:60].sum()), int(held[60:].sum())
    (9, 6)
    """
    labels = np.asarray(y)
    n = len(labels)
    if not 0 < share < 1:
        raise ValueError(f"share={share} is not inside (0, 1); 0.15 holds out 15 % of the rows.")
    names = _names(ids, n)
    classes, code = np.unique(labels.astype(np.str_), return_inverse=True)
    if groups is not None:
        return _whole_groups(code, len(classes), share, seed, np.asarray(groups).astype(np.str_))
    drawn = keys(names, seed, "carve")
    held = np.zeros(n, dtype=bool)
    for c in range(len(classes)):
        rows = np.flatnonzero(code == c)
        size = min(max(1, round(share * len(rows))), len(rows) - 1)
        held[rows[np.lexsort((names[rows], drawn[rows]))[:size]]] = True
    if not held.any():
        raise ValueError("y has no class of two rows or more, so nothing can be held out; pass validation rows.")
    return held


def subsample(
    y: Sequence[Any] | NDArray[Any] | int, share: float, seed: int, ids: Sequence[str] | NDArray[np.str_] | None = None
) -> NDArray[np.int64]:
    """Ascending rows of a random subsample without replacement, keyed by (seed, id).

    Parameters
    ----------
    y : int or (n,) labels
        A number of rows draws plainly; labels draw max(1, round(share * rows)) of every class.
    share : float
        In (0, 1].
    seed : int
    ids : (n,) strings, optional

    Returns
    -------
    (k,) int64. ``k`` is max(1, floor(share * n)) when ``y`` is a number.

    Raises
    ------
    ValueError
        If ``share`` is outside (0, 1], there are no rows, or lengths differ.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share={share} is not in (0, 1]; 0.8 keeps 80 % of the rows.")
    if isinstance(y, (int, np.integer)):
        code = np.zeros(int(y), dtype=np.int64)
    else:
        code = np.unique(np.asarray(y).astype(np.str_), return_inverse=True)[1].astype(np.int64)
    plain, n = isinstance(y, (int, np.integer)), len(code)
    if n == 0:
        raise ValueError("y has no rows; there is nothing to draw a subsample from.")
    names = _names(ids, n)
    drawn = keys(names, seed, "subsample")
    kept = []
    for c in np.unique(code):
        rows = np.flatnonzero(code == c)
        size = max(1, int(np.floor(share * n + 1e-9))) if plain else max(1, round(share * len(rows)))
        kept.append(rows[np.lexsort((names[rows], drawn[rows]))[:size]])
    return np.sort(np.concatenate(kept)).astype(np.int64)


def split_hash(ids: Sequence[str] | NDArray[Any], split: Sequence[Any] | NDArray[Any]) -> str:
    """Sixteen hexadecimal digits that name a split or a mask: equal for the same assignment of ids in any row order.

    ``split`` is (n,) names or bools, or an (n, M) bool mask.
    """
    rows = sorted(zip(np.asarray(ids).astype(np.str_).tolist(), np.asarray(split).tolist()), key=lambda row: row[0])
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()


def _names(ids: Sequence[str] | NDArray[np.str_] | None, n: int) -> NDArray[np.str_]:
    """Ids, or row numbers in their place."""
    if n == 0:
        raise ValueError("y has no rows; there is nothing to divide.")
    names = np.arange(n).astype(np.str_) if ids is None else np.asarray(ids, dtype=np.str_)
    if names.shape != (n,):
        raise ValueError(f"ids has shape {names.shape} but y has {n} rows; give one id per row.")
    return names


def _whole_groups(
    code: NDArray[np.intp], classes: int, share: float, seed: int, groups: NDArray[np.str_]
) -> Bool:
    """Held-out rows made of whole groups whose class counts come close to ``share`` of each class."""
    if groups.shape != code.shape:
        raise ValueError(f"groups has shape {groups.shape} but y has {len(code)} rows; give one group per row.")
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError("groups holds a single group, so it cannot be divided; pass validation rows.")
    counts = np.zeros((len(names), classes))
    np.add.at(counts, (member, code), 1.0)
    wanted = share * counts.sum(axis=0)
    taken = np.zeros(len(names), dtype=bool)
    held = np.zeros(classes)
    sequence = np.lexsort((names, keys(names, seed, "carve")))
    for g in sequence:
        closer = ((held + counts[g] - wanted) ** 2).sum() < ((held - wanted) ** 2).sum()
        if closer and taken.sum() < len(names) - 1:
            taken[g] = True
            held = held + counts[g]
    if not taken.any():
        taken[sequence[np.argmin(counts[sequence].sum(axis=1), axis=0)]] = True
    return np.asarray(taken[member])
