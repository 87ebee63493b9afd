"""Joint coreset: farthest-first over all sides stacked, so that rows of one modality cover those of another.

Reference: ours, after Sener and Savarese, ICLR 2018; a baseline that asks what the choice of a side is worth.

    next = argmax over free rows i of all sides of min over covered rows j of all sides of |x_i - x_j|

As in ``coreset.py``, in the one space that the sides share; each pick is asked in its own side's direction, and a side
with several targets shares its picks out as Random does. Ties within rounding go to the side listed first, then to the
lowest id. Where the modalities lie in cones apart it is farthest-first in each of them, by turns.
Cost f (s + B) d over all sides together; memory all rows once where they fit in a quarter of ``memory``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modest.neighbours import Rows
from modest.pairing.asking import gathered, open_sides, towards
from modest.pairing.candidates import cover
from modest.pairing.coreset import farthest
from modest.pairing.sides import Asked, Setting, Side
from modest.types import Views


def joint_coreset(setting: Setting, budget: int) -> list[Asked]:
    """Ask about ``budget`` rows; ``trace`` has ``evaluations``, distances computed."""
    sides = [setting.sides[name] for name in open_sides(setting)]
    others = [side for side in setting.sides.values() if side not in sides and len(side.covered)]
    held = [side.anchors for side in setting.sides.values() if side.anchors is not None]
    held += [_rows(side.rows.views[side.rows.table_rows(side.covered)], side.rows) for side in others]
    rows = _rows(Views({"all": Stack([*(side.rows for side in sides), *held])}), sides[0].rows)
    ends = np.cumsum([0, *map(len, sides)])
    free = np.concatenate([side.free for side in sides] + [np.zeros(sum(map(len, held)), dtype=bool)])
    covered = np.concatenate([side.covered + start for side, start in zip(sides, ends)])
    start = cover(Side("all", rows, free, np.append(covered, np.arange(ends[-1], len(rows)))))
    picks, count = farthest(start, budget)
    number = np.searchsorted(ends, picks, side="right") - 1
    ways = {
        sides[k].name: iter(towards(setting, sides[k].name, picks[number == k] - ends[k])) for k in np.unique(number)
    }
    chosen = [(next(ways[sides[k].name]), int(row - ends[k])) for k, row in zip(number, picks)]
    return gathered(chosen, {"evaluations": start.evaluations + count})


def _rows(views: Views, like: Rows) -> Rows:
    return Rows(views, device=str(like.device), memory=like.memory, called="sides")


class Stack:
    """Several tables one under the other, read where they are: ``shape`` and rows by slice or number."""

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts, self.ends = parts, np.cumsum([0, *map(len, parts)])
        self.shape = (int(self.ends[-1]), parts[0].width)

    def __getitem__(self, at: Any) -> Any:
        """(k, d) float32 unit rows."""
        rows = np.arange(*at.indices(self.shape[0])) if isinstance(at, slice) else np.asarray(at)
        number = np.searchsorted(self.ends, rows, side="right") - 1
        found = np.empty((len(rows), self.shape[1]), dtype=np.float32)
        for k in np.unique(number):
            found[number == k] = self.parts[k].take(rows[number == k] - self.ends[k]).x.cpu().numpy()
        return found
