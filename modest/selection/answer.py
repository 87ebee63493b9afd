"""The draws and the closing every strategy shares: keyed starts, and from inner rows to a Choice of table rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.checks import taken_mask
from modest.data.keys import keys
from modest.neighbours import Rows
from modest.selection.limits import Limits
from modest.types import Bool, Choice, Int


def keyed_order(rows: Rows, seed: int) -> Int:
    """All rows (frame of ids) in a random order that follows the ids, not the table: by the key of (seed, id)."""
    return np.argsort(keys(rows.ids, seed), kind="stable").astype(np.int64)


def keyed_rows(rows: Rows, seed: int, count: int, allowed: Bool) -> Int:
    """``count`` rows drawn at random from the allowed ones; shuffling the table draws the same ids."""
    order = keyed_order(rows, seed)
    return order[allowed[order]][:count]


def cluster_sample(rows: Rows, k: int, seed: int, per_cluster: int = 256) -> Int:
    """Rows drawn by (seed, id) to find k clusters on: at most 256 a cluster and half of ``memory``, at least k."""
    limit = max(k, min(k * per_cluster, rows.memory // 2 // (rows.width * 4)))
    return keyed_order(rows, seed)[:limit]


def inner_mask(rows: Rows, mask: Bool) -> Bool:
    """A mask of the table's rows in the frame of ids."""
    return mask if rows.original is None else mask[rows.original]


def free_rows(rows: Rows, covered: Bool, closed: Any) -> Bool:
    """(n,) bool in the frame of ids: neither ``covered`` (frame of ids) nor ``closed`` (frame of the table)."""
    return ~(covered | inner_mask(rows, taken_mask(closed, len(rows), "closed")))


def inner_limits(rows: Rows, limits: Limits) -> Limits:
    """Limits of the table's rows in the frame of ids."""
    return limits if rows.original is None else limits.take(rows.original)


def first_of(rows: Rows, order: Int, count: int, limits: Limits | None) -> Int:
    """The first ``count`` of some rows in order of importance, passing over what the limits do not let in."""
    return order[:count] if limits is None else order[limits.walk(rows.table_rows(order), count)]


def members_and_free(rows: Rows, seed: int, limit: int, members: Bool, free: Bool) -> Int:
    """Ascending: at most ``limit`` members drawn by (seed, id) and, where some are closed, as many free ones."""
    return np.union1d(keyed_rows(rows, seed, limit, members), keyed_rows(rows, seed, limit, free))


def highest(score: NDArray[np.floating], allowed: Bool) -> Int:
    """The allowed rows by score (n,), descending; the lowest row first on ties within rounding."""
    rows = np.flatnonzero(allowed)
    return rows[np.lexsort((rows, -np.round(score[rows], 9)))]


def given_rows(rows: Rows, given: Any, name: str, count: int, allowed: Bool) -> Int:
    """Check rows handed over by the user (frame of the table) and lead them to the frame of ids.

    Raises
    ------
    ValueError
        If they are not ``count`` distinct free rows of the table.
    """
    table = np.atleast_1d(np.asarray(given))
    if table.shape != (count,) or table.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold {count} row numbers; it has shape {table.shape} and type {table.dtype}.")
    if table.min() < 0 or table.max() >= len(rows) or len(np.unique(table)) != count:
        raise ValueError(f"{name} must hold distinct rows between 0 and {len(rows) - 1}.")
    inner = rows.inner_rows(table)
    if not allowed[inner].all():
        raise ValueError(f"{name} names a row that is already taken; start from free rows.")
    return inner


def answer(
    rows: Rows,
    picks: Int,
    scores: NDArray[np.floating],
    method: str,
    reasons: Sequence[str],
    trace: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
) -> Choice:
    """Choice of the table's rows for picks in the frame of ids."""
    return Choice(
        rows=rows.table_rows(picks),
        scores=np.asarray(scores, dtype=np.float64),
        ids=rows.ids[picks],
        method=method,
        reasons=tuple(reasons),
        trace=dict(trace),
        state=dict(state or {}),
    )
