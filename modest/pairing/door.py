"""The door of the room: every way to choose which alignments to buy is called here and answered in the rows given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import numpy as np

from modest.checks import budget_items, known
from modest.pairing.margin import apart, most_similar
from modest.pairing.methods import METHODS
from modest.pairing.sides import Asked, Direction, Setting, read_setting
from modest.types import Float, Int, Query


def choose(
    sides: Mapping[str, Any],
    pairs: Any = None,
    budget: int | float = 0.05,
    method: str = "auto",
    *,
    free: Mapping[str, Any] | None = None,
    anchors: Mapping[str, Any] | None = None,
    ids: Mapping[str, Sequence[str]] | None = None,
    directions: Sequence[Direction] | None = None,
    costs: Mapping[Direction, float] | None = None,
    shortlist: int = 10,
    seed: int = 0,
    round: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    **knobs: Any,
) -> tuple[Query, ...]:
    """Choose whom to ask for a partner.

    Parameters
    ----------
    sides : mapping name -> (n_m, d) array
        The modalities under the current model; row i of one has nothing to do with row i of another. Rows are divided
        by their norm.
    pairs : (k, 2) int rows of the first two sides, or {(side, side): (k, 2)}, optional
        Alignments bought so far.
    budget : int or float
        Rows to ask about; a share in (0, 1] is of the free rows of the largest side.
    method : a name in ``METHODS``
    free : {side: (n,) bool}, optional
        Rows that may be asked about or be partners; left out, rows in no pair. Others count as covered.
    anchors : {side: (k, d)}, optional
        Vectors acquired outside this table; they count as covered.
    ids : {side: (n,) strings}, optional
        Zero-padded row numbers by default. Draws are keyed by (seed, id).
    directions : (asked, target) pairs of side names that an oracle can answer; all by default
    costs : {(asked, target): cost of a query}, 1 by default
    shortlist : free rows of the target listed for each row asked about
    round : number of this round from 0, for methods that draw or alternate
    **knobs
        Of the method alone; see its function.

    Returns
    -------
    One Query per direction asked, never more than ``budget`` rows together.

    Raises
    ------
    ValueError
        Unknown method or side, a budget beyond the free rows, NaN or a row of norm zero, sides of different width for a
        method that compares them.
    TypeError
        A knob the method does not know.
    """
    begin = time.perf_counter()
    entry = METHODS[known(method, METHODS, "method")]
    if shortlist < 0:
        raise ValueError(f"shortlist={shortlist} is below 0; give how many likely partners to list.")
    setting = read_setting(sides, pairs, free, anchors, ids, directions, costs, seed, round, memory, device)
    if entry.space and not setting.common:
        told = ", ".join(f"{name} {side.rows.width}" for name, side in setting.sides.items())
        raise ValueError(
            f"method {method!r} compares the sides, which have no common space ({told} features); "
            "choose by auto, random, coreset or typiclust, or train towers on a few pairs first (modest pair train)."
        )
    count = budget_items(budget, *_free(setting))
    try:
        asked = entry.function(setting, count, **knobs)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            there = ", ".join(list(signature(entry.function).parameters)[2:]) or "none"
            told = f"method {method!r} has no such knob: {str(error).split('argument ')[-1]}"
            raise TypeError(f"{told}; its knobs: {there}.") from error
        raise
    seconds = time.perf_counter() - begin
    plain = {name: value for name, value in knobs.items() if name != "views"}  # rows are no setting
    trace = {"method": method, "budget": count, "seed": seed, "round": round, "knobs": plain, "seconds": seconds}
    return tuple(_query(setting, one, method, shortlist, trace) for one in asked)


def _free(setting: Setting) -> tuple[int, int]:
    """What a share is a share of, and how many rows can be asked about at all."""
    names = {way[0] for way in setting.askable}
    free = [int(setting.sides[name].free.sum()) for name in names]
    if not free:
        raise ValueError(
            "no row is free in any side that may be asked: all are bought, rejected or wait for an answer; "
            "add rows, or answers."
        )
    return max(free), sum(free)


def _query(setting: Setting, asked: Asked, method: str, shortlist: int, trace: Mapping[str, Any]) -> Query:
    """Lead an answer back to the rows given, with margins and shortlists."""
    side, target = setting.sides[asked.modality], setting.sides[asked.target]
    rows = side.rows.table_rows(asked.rows)
    lists, margins = shortlists(setting, asked, max(2, shortlist))
    there = lists >= 0
    lists[there] = target.rows.table_rows(lists[there])
    names, own = side.rows.ids[asked.rows], {**trace, **asked.trace}
    return Query(asked.modality, asked.target, rows, names, lists[:, :shortlist], margins, method, own)


def shortlists(setting: Setting, asked: Asked, k: int) -> tuple[Int, Float]:
    """(b, k) most similar free rows of the target (frame of ids, -1 where fewer), and margins (b,)."""
    if not setting.common:
        return np.full((len(asked.rows), k), -1, dtype=np.int64), np.full(len(asked.rows), np.nan)
    value, at = most_similar(setting.sides[asked.modality], setting.sides[asked.target], asked.rows, k)
    return at, apart(value)
