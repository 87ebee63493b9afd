"""A greedy coverage remembered between tables: its standing with ids for rows, and whether it still holds.

It holds where kernel, bandwidth and modalities are the same, every row that was to be covered is still there, looks the
same and has the same weight, and everything that was covered or picked is covered now. Whether a row looks the same is
told by its mark, one number: its product with a fixed vector, where an absent modality counts as one more coordinate.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from modest.neighbours import Rows, Standing
from modest.types import Bool, Float, Ids, Int

SAME = 1e-4  # marks of unit rows differ by some units, rounding moves them by some 1e-6

_ROWS = ("candidates", "targets", "covered")
_VALUES = ("base", "level", "levels", "best", "pairs")


def remembered(rows: Rows, standing: Standing, told: Mapping[str, Any], weights: Float | None) -> dict[str, Any]:
    """State of a run: ``told`` (kernel and bandwidth), ids and marks, and the arrays of its standing."""
    state: dict[str, Any] = {**told, "modalities": look(rows)}
    for name in _ROWS:
        state[name] = rows.ids[getattr(standing, name)]
    for name in _VALUES:
        if getattr(standing, name) is not None:
            state[name] = getattr(standing, name)
    state["candidate_marks"], state["target_marks"] = marks(rows, standing.candidates), marks(rows, standing.targets)
    if weights is not None:
        state["weights"] = weights
    return state


def recalled(
    rows: Rows, state: Mapping[str, Any], told: Mapping[str, Any], covered: Bool, aims: Int, weights: Float | None
) -> tuple[Standing | None, str]:
    """Standing in the frame of ids of ``rows``, or None and why it does not hold.

    ``aims`` (t,) are the rows to be covered now, ``weights`` (t,) theirs, ``covered`` (n,) what counts as picked.
    """
    missing = [name for name in (*_ROWS, *_VALUES[:-1]) if name not in state]
    if missing:
        return None, f"it is no state of a coverage: {missing[0]} is missing"
    for name, value in told.items():
        if state[name] != value:
            return None, f"{name} was {state[name]}"
    if np.asarray(state["modalities"]).tolist() != look(rows).tolist():
        return None, "the modalities were others"
    at = {name: places(rows, state[name]) for name in _ROWS}
    if (at["targets"] < 0).any() or not np.isin(at["targets"], aims).all():
        return None, "rows that were to be covered no longer are"
    if (at["covered"] < 0).any() or not covered[at["covered"]].all():
        return None, "rows that counted as covered no longer do"
    there = at["candidates"] >= 0
    old = np.append(state["target_marks"], state["candidate_marks"][there])
    if (np.abs(marks(rows, np.append(at["targets"], at["candidates"][there])) - old) > SAME).any():
        return None, "rows with the same id look different"
    now = None if weights is None else weights[np.searchsorted(aims, at["targets"])]
    if not np.array_equal(np.empty(0) if now is None else now, state.get("weights", np.empty(0))):
        return None, "the weights of rows to be covered were others"
    return _standing(state, at, there), ""


def _standing(state: Mapping[str, Any], at: Mapping[str, Int], there: Bool) -> Standing:
    pairs = state.get("pairs")
    if pairs is not None:
        place = np.where(there, there.cumsum() - 1, -1)[pairs[0].astype(np.int64)]
        pairs = np.stack([place, pairs[1], pairs[2]])[:, place >= 0]
    base, level = (np.asarray(state[name])[there] for name in ("base", "level"))
    seen = np.sort(at["covered"])
    return Standing(at["candidates"][there], at["targets"], seen, base, level, state["levels"], state["best"], pairs)


def look(rows: Rows) -> Ids:
    """Names of the modalities, then their dimensions, as words."""
    return np.array([*rows.names, *map(str, rows.dims)])


def marks(rows: Rows, which: Int, tile: int = 8192) -> Float:
    """(k,) one number per row that changes when the row or what is present of it does."""
    d = rows.width + len(rows.names)
    towards = torch.cos(torch.arange(d, dtype=torch.float64, device=rows.device) ** 2).to(rows.dtype)
    found = [np.empty(0)]
    for start in range(0, len(which), tile):
        block = rows.take(which[start : start + tile])
        mark = block.x @ towards[: rows.width] + block.p @ towards[rows.width :]
        found.append(mark.double().cpu().numpy())
    return np.concatenate(found)


def places(rows: Rows, ids: Any) -> Int:
    """Rows (frame of ids) of some ids, -1 where there is none."""
    at = np.minimum(np.searchsorted(rows.ids, ids), len(rows) - 1)
    return np.where(rows.ids[at] == ids, at, -1)
