"""What fine-tuning is told: sides, each with rows of its own, and the pairs bought between them, all checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.checks import known
from modest.data.pool import Pool
from modest.data.presence import dense
from modest.encoders.table import Table, table
from modest.representation.embedding import Representation
from modest.training import Ready
from modest.types import Bool, Int, Views

__all__ = ["Bought", "read_pairs", "side_tables"]

Pair = tuple[int, int, int, int]  # side, row, side, row; sides ascending


@dataclass(frozen=True, eq=False)
class Bought:
    """k distinct pairs among M sides, sorted.

    ``index`` (k, M) rows of the sides, -1 for a side that has no part in the pair; ``ways`` the directions there are,
    as numbers of sides; ``keys`` (k, 2): pairs that have one in common must not stand in one batch.
    """

    index: Int
    ways: tuple[tuple[int, int], ...]
    keys: Int

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.index)

    @property
    def present(self) -> Bool:
        """(k, M): which sides a pair joins."""
        return self.index >= 0


def side_tables(start: Representation, sides: Any, seed: int, memory: str | int) -> dict[str, Table]:
    """One table per side, in the order of ``start``.

    Raises
    ------
    ValueError
        If a side is not there, or a view has another width than its tower.
    """
    found = {}
    for name in start.names:
        if not isinstance(sides, Pool) and (not isinstance(sides, Mapping) or name not in sides):
            raise ValueError(f"sides has no {name!r}; give a Pool, or a mapping with {', '.join(start.names)}.")
        reading = {name: start.backbones[name].reading}
        given = sides if isinstance(sides, Pool) else sides[name]
        data = given if isinstance(given, (Pool, Views)) else {name: given}
        views, columns = start.sources.get("encoders"), start.sources.get("columns")
        found[name] = table(data, reading, encoders=views, columns=columns, seed=seed, memory=memory)
        wanted, (column,) = start.backbones[name].config.get("inputs"), found[name].columns
        if wanted is not None and column.shape != (wanted,):
            raise ValueError(f"sides[{name!r}] has {column.shape[0]} features, its tower {wanted}; embed it alike.")
    return found


def read_pairs(names: tuple[str, ...], pairs: Any, sides: Mapping[str, Table], groups: Mapping[str, Any]) -> Bought:
    """Pairs as :func:`modest.representation.finetune` takes them.

    Raises
    ------
    ValueError
        For fewer than two, an unknown side, a row that is not there, absent or not finite, groups of another length.
    """
    given = pairs if isinstance(pairs, Mapping) else {names[:2]: pairs}
    found: set[Pair] = set()
    for way, two in given.items():
        if len(way) != 2 or way[0] == way[1] or not {*way} <= {*names}:
            raise ValueError(f"pairs has the key {way!r}; it must name two of the sides {', '.join(names)}.")
        found |= _read((str(way[0]), str(way[1])), two, names, sides)
    if len(found) < 2:
        raise ValueError(f"pairs holds {len(found) or 'no'} pair{'' if found else 's'}; a contrast needs at least two.")
    ordered = np.array(sorted(found), dtype=np.int64)
    index = np.full((len(ordered), len(names)), -1, dtype=np.int64)
    every = np.arange(len(ordered))
    index[every, ordered[:, 0]], index[every, ordered[:, 2]] = ordered[:, 1], ordered[:, 3]
    for m, name in enumerate(names):
        _refuse_rows(name, sides[name], np.unique(index[index[:, m] >= 0, m]))
    ways = sorted({(int(a), int(b)) for a, _, b, _ in ordered})
    return Bought(index, tuple(ways), _keys(names, ordered, ways, groups, sides))


def _read(way: tuple[str, str], given: Any, names: tuple[str, ...], sides: Mapping[str, Table]) -> set[Pair]:
    array = np.asarray(given)
    array = array.reshape(-1, 2) if not array.size else array
    if array.ndim != 2 or array.shape[1] != 2 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"pairs of {way[0]} and {way[1]} are {array.dtype} {array.shape}; give whole numbers (k, 2).")
    for column, name in zip(array.T, way):
        odd = column[(column < 0) | (column >= len(sides[name]))]
        if len(odd):
            raise ValueError(f"pairs holds row {odd[0]} of {name}, which has the rows 0 to {len(sides[name]) - 1}.")
    a, b = (names.index(name) for name in way)
    return {(a, i, b, j) if a < b else (b, j, a, i) for i, j in array.tolist()}


def _refuse_rows(name: str, side: Table, rows: Int) -> None:
    """Refuse paired rows that are absent or, of a ready view, hold NaN or inf."""
    absent = rows[~side.present[rows, 0]]
    if len(absent):
        raise ValueError(f"pairs holds row {absent[0]} of {name}, which is absent there; leave the pair out.")
    column = side.columns[0]
    if isinstance(column, Ready) and len(rows):
        odd = rows[~np.isfinite(dense(column.array[rows])).all(axis=1)]
        if len(odd):
            raise ValueError(f"sides[{name!r}] holds NaN or inf in row {odd[0]}; embed it again or leave the pair out.")


def _keys(
    names: tuple[str, ...],
    pairs: Int,
    ways: list[tuple[int, int]],
    groups: Mapping[str, Any],
    sides: Mapping[str, Table],
) -> Int:
    """(k, 2) numbers of row or group per direction and side: only pairs of one direction are each other's negatives."""
    label = {name: np.arange(len(side)) for name, side in sides.items()}
    for name, given in groups.items():
        known(name, names, "groups")
        label[name] = np.unique(np.asarray(given), return_inverse=True)[1]
        if label[name].shape != (len(sides[name]),):
            told = f"groups[{name!r}] has {label[name].size} labels for {len(sides[name])} rows"
            raise ValueError(f"{told}; give one for each.")
    number = {way: w for w, way in enumerate(ways)}
    keys = [
        ((number[a, b], a, label[names[a]][i]), (number[a, b], b, label[names[b]][j])) for a, i, b, j in pairs.tolist()
    ]
    flat = np.array(keys, dtype=np.int64).reshape(-1, 3)
    return np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1, 2)
