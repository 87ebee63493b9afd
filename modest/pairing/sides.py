"""What a pairing step looks at: unit rows of every side, who is free, who is covered, which directions may be asked.

Everything inside the room works in the frame of ascending ids of each side (``Rows``), so that ties go to the lowest id
and the order of a table cannot change an answer; :mod:`modest.pairing` leads answers back to the rows given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np

from modest.checks import taken_mask
from modest.neighbours import Rows
from modest.types import Bool, Int, Views

Direction = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Side:
    """One modality: ``rows`` unit rows; ``free`` (n,) bool, may be asked or be a partner; ``covered`` rows that are in
    a pair or were rejected, in the frame of ids; ``anchors`` vectors acquired outside this table, covered too.
    """

    name: str
    rows: Rows
    free: Bool
    covered: Int
    anchors: Rows | None = None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def open(self) -> Int:
        """Free rows, ascending."""
        return np.flatnonzero(self.free)


@dataclass(frozen=True, eq=False)
class Setting:
    """All that a method is told. It never sees which rows belong together beyond the ``pairs`` that were bought.

    ``sides`` by name; ``pairs`` {(side, side): (k, 2) rows in the frames of ids}; ``directions`` (asked, target) that
    an oracle can answer; ``costs`` of a query per direction; ``seed``; ``round`` counted from 0.
    """

    sides: Mapping[str, Side]
    pairs: Mapping[Direction, Int]
    directions: tuple[Direction, ...]
    costs: Mapping[Direction, float]
    seed: int = 0
    round: int = 0

    @property
    def common(self) -> bool:
        """Whether all sides have as many features, as they must in one space."""
        return len({side.rows.width for side in self.sides.values()}) == 1

    @property
    def askable(self) -> tuple[Direction, ...]:
        """Directions whose asked side has a free row."""
        return tuple(way for way in self.directions if self.sides[way[0]].free.any())


@dataclass(frozen=True, eq=False)
class Asked:
    """What a method answers: one direction, ``rows`` of the asked side in the frame of ids, in the order to ask."""

    modality: str
    target: str
    rows: Int
    trace: Mapping[str, Any] = field(default_factory=dict)


def read_setting(
    sides: Mapping[str, Any],
    pairs: Any = None,
    free: Mapping[str, Any] | None = None,
    anchors: Mapping[str, Any] | None = None,
    ids: Mapping[str, Sequence[str]] | None = None,
    directions: Sequence[Direction] | None = None,
    costs: Mapping[Direction, float] | None = None,
    seed: int = 0,
    round: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
) -> Setting:
    """Check and read the arguments of :func:`modest.pairing.choose`, where they are described.

    Raises
    ------
    ValueError
        One sentence that names the argument, and the side or row.
    """
    if not isinstance(sides, Mapping) or len(sides) < 2:
        raise ValueError("sides must map at least two modalities to arrays, e.g. {'image': X1, 'text': X2}.")
    names = tuple(sides)
    for argument, given in (("free", free), ("anchors", anchors), ("ids", ids)):
        _known_sides(argument, given or {}, names)
    views = {name: Views({name: _array(name, sides[name])}, None, (ids or {}).get(name)) for name in names}
    bought = read_pairs(pairs, {name: len(view) for name, view in views.items()})
    read = {}
    for name, view in views.items():
        rows = Rows(view, memory=memory, device=device, called="sides")
        paired = np.unique(np.concatenate([_column(name, way, two) for way, two in bought.items()] or [_NONE]))
        mask = np.ones(len(view), dtype=bool)
        if free is not None and name in free:
            mask = taken_mask(free[name], len(view), f"free[{name!r}]").copy()
        else:
            mask[paired] = False
        inner = np.empty(len(view), dtype=bool)
        inner[rows.inner_rows(np.arange(len(view)))] = mask
        covered = np.union1d(np.flatnonzero(~inner), rows.inner_rows(paired))
        held = None
        if anchors is not None and name in anchors and len(anchors[name]):
            held = Rows(Views({name: _array(name, anchors[name])}), memory=memory, device=device, called="anchors")
            if held.width != rows.width:
                raise ValueError(
                    f"anchors[{name!r}] has {held.width} features and sides[{name!r}] {rows.width}; embed both alike."
                )
        read[name] = Side(name, rows, inner, covered.astype(np.int64), held)
    inside = {
        (a, b): np.stack([read[a].rows.inner_rows(two[:, 0]), read[b].rows.inner_rows(two[:, 1])], axis=1)
        for (a, b), two in bought.items()
    }
    ways = tuple(permutations(names, 2)) if directions is None else tuple((str(a), str(b)) for a, b in directions)
    _known_sides("directions", {name: 0 for way in ways for name in way}, names)
    return Setting(read, inside, ways, _costs(costs, ways), int(seed), int(round))


_NONE: Int = np.empty(0, dtype=np.int64)


def _array(name: str, given: Any) -> Any:
    array = given if hasattr(given, "shape") else np.asarray(given)
    if len(array.shape) != 2 or not array.shape[1]:
        raise ValueError(f"sides[{name!r}] has shape {tuple(array.shape)}; it must be (rows, features).")
    return array


def _known_sides(argument: str, given: Mapping[str, Any], names: Sequence[str]) -> None:
    odd = [name for name in given if name not in names]
    if odd:
        raise ValueError(f"{argument} names {odd[0]!r}, which is no side; sides has {', '.join(names)}.")


def _column(name: str, way: Direction, two: Int) -> Int:
    return two[:, way.index(name)] if name in way else _NONE


def read_pairs(pairs: Any, sizes: Mapping[str, int]) -> dict[Direction, Int]:
    """{(side, side): (k, 2) int64} of an array for the first two sides, a mapping, or None."""
    names = tuple(sizes)
    if pairs is None:
        return {}
    if not isinstance(pairs, Mapping):
        if len(names) > 2 and len(pairs):
            raise ValueError(f"pairs must be {{(side, side): (k, 2)}} for the {len(names)} sides {', '.join(names)}.")
        pairs = {names[:2]: pairs}
    read: dict[Direction, Int] = {}
    for way, given in pairs.items():
        if len(way) != 2 or way[0] == way[1] or way[0] not in sizes or way[1] not in sizes:
            raise ValueError(f"pairs has the key {way!r}; it must name two of the sides {', '.join(names)}.")
        two = np.asarray(given)
        two = two.reshape(-1, 2) if not two.size else two
        if two.ndim != 2 or two.shape[1] != 2 or (two.size and two.dtype.kind not in "iu"):
            raise ValueError(f"pairs[{way!r}] is {two.dtype} of shape {two.shape}; give whole numbers (k, 2).")
        for column, name in enumerate(way):
            odd = two[(two[:, column] < 0) | (two[:, column] >= sizes[name]), column]
            if len(odd):
                raise ValueError(f"pairs[{way!r}] holds row {odd[0]} of {name}, which has rows 0 to {sizes[name] - 1}.")
        read[(str(way[0]), str(way[1]))] = two.astype(np.int64)
    return read


def _costs(costs: Mapping[Direction, float] | None, ways: Sequence[Direction]) -> dict[Direction, float]:
    read = dict.fromkeys(ways, 1.0)
    for way, cost in (costs or {}).items():
        if tuple(way) not in read:
            raise ValueError(f"costs names {way!r}, which is no direction; it may name {', '.join(map(str, ways))}.")
        if not (np.isfinite(cost) and cost > 0):
            raise ValueError(f"costs[{way!r}] is {cost}; a query's cost must be above 0.")
        read[(str(way[0]), str(way[1]))] = float(cost)
    return read


__all__ = ["Asked", "Direction", "Setting", "Side", "read_pairs", "read_setting"]
