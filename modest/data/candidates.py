"""Which rows of a pool may be chosen next: those of a split that have no label and were not asked for already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modest.checks import known
from modest.types import Bool, Int

if TYPE_CHECKING:
    from modest.data.pool import Pool


def candidates(pool: Pool, split: str | None = "train", ignore_labels: bool = False) -> tuple[Int, Bool]:
    """Rows (k,) of the pool in ``split`` (None: all) and the mask (k,) of those already labelled or chosen.

    ``ignore_labels`` treats every label as hidden, as a rehearsal on a labelled pool wants it.

    Raises
    ------
    ValueError
        If the split is unknown.
    """
    splits = pool.split
    if split is not None:
        known(split, sorted(set(splits.tolist())), "split")
    rows = np.flatnonzero(splits == split) if split is not None else np.arange(len(pool))
    taken = np.zeros(len(pool), dtype=bool)
    if not ignore_labels:
        taken |= np.array([label is not None for label in pool.labels], dtype=bool)
    for chosen in pool.rounds:
        taken |= np.isin(pool.ids, chosen.choice["id"].to_numpy(dtype=np.str_))
    return rows.astype(np.int64), taken[rows]
