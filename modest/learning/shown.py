"""What a trained model says of rows of which only some modalities are shown, over ready views and raw media alike.

The table is read once; hiding a modality marks it absent, so nothing of it is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.learning.inputs import whole
from modest.learning.measure import forward, softmax
from modest.learning.trained import Trained, rows_at_once
from modest.neighbours.device import decide
from modest.training import Batches
from modest.types import Bool, Float, Int

__all__ = ["Shown"]


class Shown:
    """Some rows (k,) of X under a trained model: ``present`` (k, M) bool, and asking about them by subset.

    Parameters
    ----------
    trained : Trained
    X : as a classifier takes it
    rows : (k,) int; rows of which nothing can be read are left out, ``rows`` keeps the others
    device : as in :class:`modest.MultimodalClassifier`

    Raises
    ------
    ValueError
        For what predictions refuse, or if none of the rows has anything that can be read.
    """

    def __init__(self, trained: Trained, X: Any, rows: Int, device: str | None = None) -> None:
        self._trained, self._table, self._device = trained, trained.reader.read(X), decide(device)
        whole(self._table, rows, lone=True)
        self._table.look(rows)  # what cannot be read is absent from here on
        there = np.stack([self._readable(m, rows) for m in range(len(self._table.names))], axis=1)
        if not there.any():
            raise ValueError("none of the rows has a modality that can be read; look at their files.")
        self.rows, self.present = rows[there.any(axis=1)], there[there.any(axis=1)]

    def _readable(self, m: int, rows: Int) -> Bool:
        lost = list(self._table.unreadable.get(self._table.names[m], {}))
        return np.asarray(self._table.present[rows, m] & ~np.isin(rows, lost))

    def proba(self, at: Int, shown: Bool) -> Float:
        """(j, C) probabilities of ``self.rows[at]``; each must have one of the modalities ``shown`` (M,) bool."""
        present = np.zeros_like(self._table.present)
        present[self.rows[at]] = self.present[at] & shown
        size, given = rows_at_once(self._table), (self._table.columns, present, self.rows[at])
        batches = Batches(*given, size=size, shuffle=False, device=self._device, augment=False)
        return softmax(forward(self._trained.recipe, batches)[0])
