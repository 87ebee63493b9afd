"""Which rows of a pool may be chosen next: those of a split that can be read, have no label and were not asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modest.checks import known
from modest.types import Bool, Int

if TYPE_CHECKING:
    from modest.data.pool import Pool


def candidates(pool: Pool, split: str | None = "train", ignore_labels: bool = False) -> tuple[Int, Bool, int]:
    """Rows of the pool to choose among.

    Parameters
    ----------
    split : the split they are of; None for all
    ignore_labels : treat every label as hidden, as a rehearsal on a labelled pool wants it

    Returns
    -------
    Rows (k,) that have a view of some modality; the mask (k,) of those already labelled or chosen; how many others
    are left out because nothing of them could be read.

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
    there = pool.present[rows].any(axis=1) if pool.names else np.ones(len(rows), dtype=bool)
    silent = int((~there & ~taken[rows]).sum())
    return rows[there].astype(np.int64), taken[rows[there]], silent
