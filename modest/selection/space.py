"""The space in which auto takes distances: the modalities, centred, beside what they share; fitted or kept from before.

    d2 = half the mean over shared modalities of |x_im - x_jm|^2, half |e_i - e_j|^2      as in ``auto.py``

What is kept of it, by name: ``centre:<modality>``, the maps of ``shared.py``, ``together`` and the number of
``items`` it was fitted on. Cost and memory those of ``shared.py`` and one table beside the views.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.neighbours import Rows
from modest.selection import shared
from modest.types import Float, Views

STRANGE = 0.25  # agreement below which the halves of an item are taken for strangers
LEAST = 0.05  # weight of an item that agrees with nothing, so that coverage reaches it in the end


@dataclass(frozen=True, eq=False)
class Space:
    """``rows`` in which distances are taken, ``agreement`` (n,) in the frame of ids or None, ``state`` to keep.

    ``weights`` (n,) is min(1, a / 0.25), never below 0.05, and 1 where there is no a.
    """

    rows: Rows
    agreement: Float | None
    state: Mapping[str, Any]

    @property
    def weights(self) -> Float | None:
        """What items are worth by their agreement, None where there is none."""
        return None if self.agreement is None else agreeing(self.agreement)


def look(
    views: Views,
    seed: int,
    *,
    memory: str | int = "2GB",
    device: str | None = None,
    together: bool = True,
    since: Mapping[str, Any] | None = None,
) -> Space:
    """The space in which auto takes distances, fitted on the pool or as an earlier choice's fitting state has it."""
    known = True if since is None else {name: since[f"centre:{name}"] for name in views.names}
    own = Rows(views, device=device, memory=memory, centre=known)
    state: dict[str, Any] = {f"centre:{name}": centre for name, centre in own.centre.items()}
    state |= {"together": together, "items": len(own) if since is None else since["items"]}
    maps = None
    if together:
        maps = shared.fit(own, seed) if since is None else shared.Shared.of_state(since)
    if maps is None:
        return Space(own, None, state)
    inner, agreement = shared.apply(own, maps)
    name = "shared"
    while name in views.names:
        name += "_"
    vectors, there = np.empty_like(inner), np.empty((len(own), len(views.names) + 1), dtype=bool)
    vectors[own.table_rows(np.arange(len(own)))] = inner
    there[own.table_rows(np.arange(len(own)))] = np.column_stack([own.present, np.abs(inner).max(axis=1) > 1e-12])
    table = Views({**views.arrays, name: vectors}, there, None if views.default_ids else views.ids)
    both = Rows(
        table, device=device, memory=memory, centre={**own.centre, name: np.zeros(vectors.shape[1])},
        importance={name: float(own.present.any(axis=0).sum())},
    )  # fmt: skip
    return Space(both, agreement, {**state, **maps.state()})


def misfit(views: Views, since: Mapping[str, Any], together: bool) -> str:
    """Why the space of a state is none for these views; empty where it is one."""
    kept = {name.removeprefix("centre:"): since[name].shape for name in since if name.startswith("centre:")}
    if not kept or "items" not in since:
        return "it is no state of auto"
    if kept != {name: (d,) for name, (_, d) in views.shape.items()}:
        return "the modalities were others"
    return "" if bool(since["together"]) == bool(together) else f"together was {bool(since['together'])}"


def agreeing(agreement: Float) -> Float:
    """(n,) weights of items by their agreement; see :class:`Space`."""
    return np.clip(np.where(np.isnan(agreement), 1.0, agreement) / STRANGE, LEAST, 1.0)
