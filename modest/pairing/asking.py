"""What methods that may ask in several directions share: the direction of a row, and picks sorted by direction.

A pick is (direction, row in the frame of ids of the side asked). A side that several targets are open to shares its
rows out among them by a number drawn by (seed, round, side, id), as Random does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modest.data.keys import uniform
from modest.pairing.sides import Asked, Direction, Setting
from modest.types import Int

Pick = tuple[Direction, int]


def towards(setting: Setting, name: str, rows: Int) -> list[Direction]:
    """Direction in which each of ``rows`` (k,) of the side ``name`` is asked."""
    ways = [way for way in setting.askable if way[0] == name]
    luck = uniform(setting.sides[name].rows.ids[rows], setting.seed, f"target/{setting.round}/{name}")
    return [ways[int(number * len(ways))] for number in luck]


def open_sides(setting: Setting) -> list[str]:
    """Sides that may be asked and have a free row, in the order of their directions."""
    return list(dict.fromkeys(way[0] for way in setting.askable))


def gathered(picks: Sequence[Pick], trace: Mapping[str, Any]) -> list[Asked]:
    """One Asked per direction, rows in the order of ``picks``; ``trace`` is of the whole answer and stands in each."""
    by: dict[Direction, list[int]] = {}
    for way, row in picks:
        by.setdefault(way, []).append(int(row))
    return [Asked(*way, np.array(rows, dtype=np.int64), dict(trace)) for way, rows in by.items()]
