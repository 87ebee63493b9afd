"""Raw rows of a table in the frame of ascending ids, with the refusals that only a look at the numbers can make."""

from __future__ import annotations

import numpy as np
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
        consecutive = self.original is None and len(rows) and rows[-1] - rows[0] == len(rows) - 1
        where = slice(int(rows[0]), int(rows[-1]) + 1) if consecutive else at
        there = np.ones((len(rows), len(self.views.names)), dtype=bool)
        if self.views.present is not None:
            there &= self.views.present[where]
        blocks: list[NDArray[np.floating]] = []
        for m, array in enumerate(self.views.arrays.values()):
            taken: NDArray[np.floating] = dense(array[where]).astype(self.number)
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
