"""Raw rows of a table in the frame of ascending ids, with the refusals that only a look at the numbers can make."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from modest.data.presence import dense
from modest.types import Bool, Ids, Int, Views


class Reader:
    """Reads blocks of ``views`` and names the row and the modality of whatever is wrong with them.

    ``original`` leads from the frame of ids to the table's rows, None where both are the same; ``called`` is what
    errors call the arrays.
    """

    def __init__(self, views: Views, number: type[np.floating], called: str) -> None:
        self.views, self.number, self.called = views, number, called
        self.original: Int | None = None if views.default_ids else _ascending(views.ids)
        self.ids: Ids = views.ids if self.original is None else views.ids[self.original]

    def block(self, rows: Int) -> tuple[list[NDArray[np.floating]], Bool]:
        """Rows of every view in the frame of ids, absent ones zeroed, and their presence (k, M)."""
        at = rows if self.original is None else self.original[rows]
        where = slice(int(rows[0]), int(rows[-1]) + 1) if self.original is None and in_a_row(rows) else at
        there = np.ones((len(rows), len(self.views.names)), dtype=bool)
        if self.views.present is not None:
            there &= self.views.present[where]
        blocks: list[NDArray[np.floating]] = []
        for m, array in enumerate(self.views.arrays.values()):
            taken = _converted(dense(array[where]), self.number)
            if self.views.present is None or bool(np.isnan(taken[:, :1]).any()):
                there[:, m] &= ~np.isnan(taken).all(axis=1)
            taken[~there[:, m]] = 0.0
            blocks.append(taken)
        return blocks, there

    def check(self, blocks: list[NDArray[np.floating]], there: Bool, rows: Int) -> None:
        """Refuse NaN and infinity in present rows.

        Raises
        ------
        ValueError
        """
        for m, name in enumerate(self.views.names):
            bad = ~np.isfinite(blocks[m]).all(axis=1) & there[:, m]
            if bad.any():
                row = self._table_row(int(rows[np.flatnonzero(bad)[0]]))
                raise ValueError(
                    f"{self.called}[{name!r}] has NaN or infinity in present {row}; mend the value, or make the "
                    "whole row NaN or present=False if the modality is absent."
                )

    def refuse_zero(self, zero: Bool, rows: Int) -> None:
        """Refuse present rows of norm zero; ``zero`` (k, M) marks them.

        Raises
        ------
        ValueError
        """
        if zero.any():
            k, m = np.argwhere(zero)[0]
            raise ValueError(
                f"{self.called}[{self.views.names[m]!r}] has norm zero in present {self._table_row(int(rows[k]))}; "
                "mark the modality absent there (present=False) or drop the item."
            )

    def refuse_empty(self, present: Bool) -> None:
        """Refuse items without any modality; ``present`` (n, M).

        Raises
        ------
        ValueError
        """
        empty = ~present.any(axis=1)
        if empty.any():
            row = self._table_row(int(np.flatnonzero(empty)[0]))
            raise ValueError(f"{row} has no modality at all in {self.called}; drop the item or give it at least one.")

    def _table_row(self, row: int) -> str:
        at = int(row if self.original is None else self.original[row])
        return f"row {at} (id {self.ids[row]})"


def in_a_row(rows: Int) -> bool:
    """Whether every row is the one after the row before it, so that a slice says the same."""
    return bool(len(rows)) and int(rows[-1]) - int(rows[0]) == len(rows) - 1 and bool((np.diff(rows) == 1).all())


def _converted(array: NDArray[Any], number: type[np.floating]) -> NDArray[np.floating]:
    """A copy as floats of that kind; halves are converted by torch, many times as fast as by NumPy."""
    if array.dtype == np.float16 and number is np.float32:
        return np.asarray(torch.from_numpy(np.array(array)).float().numpy())
    return np.asarray(array.astype(number))


def _ascending(ids: Ids) -> Int | None:
    """Order of ascending ids, None when they already ascend.

    Raises
    ------
    ValueError
        If an id stands twice.
    """
    order = np.argsort(ids, kind="stable")
    ordered = ids[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if len(twice):
        raise ValueError(f"ids holds {str(ordered[twice[0]])!r} twice; every item needs an id of its own.")
    return None if bool((np.diff(order) == 1).all()) else order.astype(np.int64)
