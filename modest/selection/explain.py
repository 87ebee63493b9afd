"""Why an item was chosen, or was not: whom it covers, what covers it, and what it would have added.

    gain(c) = mean_i w_i max(0, 1 - d2(c, i) / 4 - best_i)

w_i as in ``auto.py``, best_i what all chosen and taken cover i by; the factor f_c and costs, by which candidates are
compared as well, are left out.
Distances are those the method took: ``auto`` has its own space, others the mean over shared modalities of unit rows.
Gains are told of cold choices by ``auto`` alone; with labels they hang on a classifier that is not at hand here.
Cost n b d for a choice of b; memory one tile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.checks import as_views, taken_mask
from modest.neighbours import Rows, closest
from modest.neighbours.rows import squared_distances
from modest.selection.answer import inner_mask
from modest.selection.space import Space, look, misfit
from modest.types import Choice, Float, Int, Views

SAMPLE = 35_000
LISTED = 5


@dataclass(frozen=True)
class Explanation:
    """What is known of one item; fields that do not apply are None or empty.

    ``id``; ``order`` its place in the choice, from 0; ``reason`` as the choice tells it; ``agreement`` of its
    modalities; ``nearest`` the closest other item that was chosen or taken, ``distance`` to it; ``covers`` ids of up to
    five items nearest to it that it covers, ``covered`` how many it covers; ``gain`` what it would add now, and
    ``last_gain`` what the last choice added.
    """

    id: str
    order: int | None
    taken: bool
    reason: str
    agreement: float | None
    nearest: str | None
    distance: float | None
    covers: tuple[str, ...] = ()
    covered: int = 0
    gain: float | None = None
    last_gain: float | None = None

    @property
    def sentences(self) -> list[str]:
        """The same in plain words."""
        near = "" if self.nearest is None else f"{self.nearest} at distance {self.distance:.2f}"
        agreeing = []
        if self.agreement is not None:
            agreeing = [f"Its modalities agree better than {self.agreement:.0%} of random pairings."]
        if self.order is not None:
            told = [
                f"{self.id} is number {self.order + 1} of the choice: {self.reason or 'the method gives no reason'}."
            ]
            if self.covers:
                told.append(f"Nearest of the {self.covered:,} items it covers: {', '.join(self.covers)}.")
            return told + agreeing + ([f"The closest other choice is {near}."] if near else [])
        if self.taken:
            return [f"{self.id} was labelled or chosen before; it counts as covered.", *agreeing]
        told = [f"{self.id} was not chosen: what was chosen or taken covers it with {near}."]
        if self.gain is not None and self.last_gain is not None:
            told.append(
                f"It would add {self.gain:.6f} to the coverage, where the last choice added {self.last_gain:.6f}."
            )
        return told + agreeing


def explain(
    views: Views | Mapping[str, Any] | Any,
    choice: Choice,
    item: str,
    *,
    taken: Any = None,
    memory: str | int = "2GB",
    device: str | None = None,
) -> Explanation:
    """Explain one item of the table that a choice was made from.

    Parameters
    ----------
    views : Views, mapping name -> (n, d_m) array, or one (n, d) array
        Those of the choice.
    choice : Choice
        Rows in the frame of ``views``; with the ``state`` of an auto choice its space is taken from there.
    item : str
        An id.
    taken : (n,) bool, optional
        What was taken before the choice.
    memory, device
        As in :func:`modest.select`.

    Raises
    ------
    ValueError
        If no row has that id, or the choice is empty.
    """
    table = as_views(views)
    known = np.flatnonzero(table.ids == item)
    if not len(known):
        raise ValueError(f"item {item!r} is no id of the table; ids look like {str(table.ids[0])!r}.")
    if not len(choice):
        raise ValueError("choice holds no rows, so there is nothing to explain; choose at least one item.")
    space = _space(table, choice, memory, device)
    rows = space.rows
    row, picks = int(rows.inner_rows(known)[0]), rows.inner_rows(choice.rows)
    before = np.flatnonzero(inner_mask(rows, taken_mask(taken, len(rows))))
    place = np.flatnonzero(picks == row)
    there = np.append(picks, before)
    rest = there[there != row]
    near, distance = closest(rows, np.array([row]), rest) if len(rest) else (np.array([0]), np.array([np.nan]))
    agreement = None if space.agreement is None else float(space.agreement[row])
    found: dict[str, Any] = {
        "agreement": None if agreement is None or np.isnan(agreement) else agreement,
        "nearest": str(rows.ids[rest[near[0]]]) if len(rest) else None,
        "distance": float(distance[0]) if len(rest) else None,
    }
    if len(place):
        order = int(place[0])
        reason = choice.reasons[order] if choice.reasons else ""
        ids, count = _covered_by(rows, row, order, there)
        return Explanation(item, order, False, reason, **found, covers=ids, covered=count)
    gained: dict[str, Any] = {}
    if choice.method == "auto" and choice.trace.get("mode", "cold") == "cold":
        gained = {"gain": _gain(space, row, there, bool(_knob(choice, "agree"))), "last_gain": float(choice.scores[-1])}
    return Explanation(item, None, row in before, "", **found, **gained)


def _space(views: Views, choice: Choice, memory: str | int, device: str | None) -> Space:
    if choice.method != "auto":
        return Space(Rows(views, memory=memory, device=device), None, {})
    state: Mapping[str, Any] | None = choice.state or None
    seed, together = int(choice.trace.get("seed", 0)), bool(_knob(choice, "together"))
    state = None if state is None or misfit(views, state, together) else state
    return look(views, seed, memory=memory, device=device, together=together, since=state)


def _knob(choice: Choice, name: str) -> Any:
    """A knob of auto that is on unless the choice was made without it."""
    return choice.trace.get("knobs", {}).get(name, True)


def _sample(rows: Rows) -> Int:
    return np.arange(0, len(rows), max(1, len(rows) // SAMPLE))


def _covered_by(rows: Rows, row: int, place: int, there: Int) -> tuple[tuple[str, ...], int]:
    """Ids of the nearest items that have the pick at ``place`` as their nearest, and how many there are."""
    sample = _sample(rows)
    owner, distance = closest(rows, sample, there)
    mine = (owner == place) & (sample != row)
    nearest = sample[mine][np.argsort(distance[mine], kind="stable")][:LISTED]
    return tuple(str(i) for i in rows.ids[nearest]), int((mine.sum() + 1) * max(1, len(rows) // SAMPLE))


def _gain(space: Space, row: int, there: Int, agree: bool) -> float:
    """Mean gain in weighted similarity if ``row`` were chosen too, over a sample of the pool."""
    rows, sample = space.rows, _sample(space.rows)
    best: Float = 1.0 - closest(rows, sample, there)[1] ** 2 / 4.0
    d2 = squared_distances(rows.take(np.array([row])), rows.take(sample))[0].double().cpu().numpy()
    weight = space.weights[sample] if agree and space.weights is not None else np.ones(len(sample))
    return float((weight * np.maximum(1.0 - d2 / 4.0 - best, 0.0)).mean())
