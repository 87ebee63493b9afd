"""What a round chose: its first items with their reasons, where they lie, which classes they are of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modest.data.pool import Pool
from modest.data.rounds import Round
from modest.evaluation import class_balance
from modest.report import plots
from modest.report.html import Part
from modest.report.items import card
from modest.report.plane import plane
from modest.types import Int

_MOST_POINTS = 20_000  # dots on a map
FIRST = 12  # items shown


def choice_parts(
    pool: Pool, chosen: Any, method: str, told: str, encoders: Mapping[str, str] | None = None
) -> list[Part]:
    """Chosen rows (in the frame of the pool) on a map, and their classes beside the training pool's, if labelled.

    ``encoders`` (modality -> encoder) name the views drawn, as in ``pool.views``.
    """
    labels, train = pool.labels, pool.split == "train"
    rows = np.flatnonzero(train)
    if len(rows) > _MOST_POINTS:
        rows = np.union1d(rows[:: -(-len(rows) // _MOST_POINTS)], chosen)
    rows = np.union1d(rows, chosen)
    place = np.searchsorted(rows, chosen)
    figure = plots.choice_map(plane(pool.views(encoders, rows=rows)), place, labels[rows].tolist(), method)
    caption = "Each dot is an item, standardised views side by side, projected on their two principal directions."
    parts = [Part("What was chosen", told[:1].upper() + told[1:] + ".", figure, caption)]
    inside = chosen[train[chosen]]  # `--split all` may choose others, which the training pool's classes do not count
    if any(labels[row] is not None for row in inside):
        balance = class_balance(labels[train], np.searchsorted(np.flatnonzero(train), inside))
        missed = f"; {len(balance.missed)} without any chosen item" if balance.missed else "; every class has one"
        text = (
            f"{len(balance.classes)} classes{missed}. Distance between the two distributions: {balance.distance:.2f}."
        )
        parts.append(Part("Classes bought", text, plots.class_bars(balance)))
    return parts


def first_part(pool: Pool, one: Round, rows: Int) -> Part:
    """The first items of a round as people see them, with the reason each was chosen; the whole list for files."""
    table = one.choice.sort_values("order")
    cards = [
        card(pool, row, f"{k + 1}. {reason}" if reason else f"number {k + 1}")
        for k, (row, reason) in enumerate(zip(rows[:FIRST].tolist(), table["reason"].fillna("")))
    ]
    text = f"The first {len(cards)} of {len(rows):,} items in the order of the choice, and why each was chosen."
    known = pool.labels[rows]
    data = table[["order", "id", "score", "reason", "method"]].assign(label=known).reset_index(drop=True)
    return Part("First of the choice", text, cards={"": cards}, data=data)


def rows_of(pool: Pool, ids: Any) -> Int:
    """(b,) rows of the pool with these ids, in their order."""
    place = dict(zip(pool.ids.tolist(), range(len(pool))))
    return np.array([place[str(name)] for name in ids], dtype=np.int64)


def earlier_rows(pool: Pool, number: int) -> Int:
    """Rows that rounds before ``number`` chose, and labelled rows that no round chose."""
    chosen = {one.number: rows_of(pool, one.choice["id"]) for one in pool.rounds}
    every = np.concatenate([np.empty(0, dtype=np.int64), *chosen.values()])
    known = np.array([label is not None for label in pool.labels], dtype=bool)
    known[every] = False
    before = [rows for k, rows in chosen.items() if k < number]
    return np.unique(np.concatenate([np.flatnonzero(known), *before])).astype(np.int64)
