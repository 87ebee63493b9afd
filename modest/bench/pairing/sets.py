"""The data of a pairing bench: pools whose hidden truth is known to the bench alone, and what is scored.

A seed draws a share of the hidden pairs (whole groups together), may take one half of some of them away, and shuffles
the rows of every side on their own, so that neither the order nor a name tells which rows belong together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modest.data.keys import order, uniform
from modest.data.pool import Pool
from modest.data.pool import open as open_pool
from modest.data.splits import subsample
from modest.evaluation import group_scores, retrieval
from modest.neighbours import Rows
from modest.types import Ids, Int, Views

_LEAST = 4  # hidden pairs of a pool


@dataclass(frozen=True, eq=False)
class PairedSides:
    """Two sides with a truth that only the bench reads.

    ``sides`` name -> (n_m, d_m) pool rows; ``pairs`` (k, 2) rows of the first and second side that belong together, a
    row in several of them or in none; ``test`` name -> (t_m, d_m), ``test_pairs`` (p, 2) likewise; ``groups`` (g, c, 2)
    rows of ``test``, c pairs of a group that only right pairing tells apart, or None; ``units`` (k,) names of what a
    subsample keeps whole (by default the row of the first side); ``common``: the sides lie in one space already, that
    of a ready model.
    """

    sides: Mapping[str, Any]
    pairs: Int
    test: Mapping[str, Any]
    test_pairs: Int
    groups: Int | None = None
    units: Ids | None = None
    common: bool = False


@dataclass(frozen=True, eq=False)
class PairGround:
    """A set made ready: ``given``, and ``about``, what the result says of it: sizes, and a hash of its content."""

    name: str
    given: PairedSides
    about: Mapping[str, Any]

    @property
    def names(self) -> tuple[str, str]:
        """Names of the two sides."""
        first, second = self.given.sides
        return first, second

    @property
    def metric(self) -> str:
        """What curves show unless told otherwise: the group score, or recall at 1 over both directions."""
        return "recall@1" if self.given.groups is None else "group"

    def pool(self, seed: int, share: float = 1.0, missing: float = 0.0) -> tuple[dict[str, Any], Int]:
        """Sides as a seed sees them, and the truth in their frames.

        ``share`` of the units are kept, and of a ``missing`` share of the pairs that are left one half is taken away,
        of every second pair that of the first side. Rows that belong to no pair stay. All draws are keyed by names.
        """
        given, names = self.given, self.names
        units = np.char.add("", given.pairs[:, 0].astype(str)) if given.units is None else np.asarray(given.units)
        known = np.unique(units)
        kept = np.isin(units, known[subsample(len(known), share, seed, known.tolist())])
        gone = {name: np.zeros(len(given.sides[name]), dtype=bool) for name in names}
        for column, name in enumerate(names):
            gone[name][given.pairs[~kept, column]] = True
            gone[name][given.pairs[kept, column]] = False
        pairs = given.pairs[kept]
        told = [f"{a}/{b}" for a, b in pairs.tolist()]
        lost = order(told, seed, "missing")[: round(missing * len(pairs))]
        for column, name in enumerate(names):
            gone[name][pairs[lost[column::2], column]] = True
        sides, place = {}, {}
        for name in names:
            rows = np.flatnonzero(~gone[name])
            rows = rows[order(rows.astype(str), seed, f"shuffle/{name}")]
            place[name] = np.full(len(gone[name]), -1, dtype=np.int64)
            place[name][rows] = np.arange(len(rows))
            sides[name] = given.sides[name][rows]
        truth = np.stack([place[name][pairs[:, column]] for column, name in enumerate(names)], axis=1)
        return sides, truth[(truth >= 0).all(axis=1)]

    def score(self, embedded: Mapping[str, Any]) -> dict[str, float]:
        """Scores of embedded test rows, shares in [0, 1]: group scores if there are groups, and recall at 1, 5, 10."""
        given, (a, b) = self.given, self.names
        found: dict[str, float] = {}
        if given.groups is not None:
            unit = {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in embedded.items()}
            left, right = unit[a][given.groups[:, :, 0]], unit[b][given.groups[:, :, 1]]
            got = group_scores(np.einsum("gid,gjd->gij", left, right))
            found = {"text": got.text, "image": got.image, "group": got.group, "match": got.match}
        recalls = retrieval({a: embedded[a], b: embedded[b]}, given.test_pairs)
        for k in next(iter(recalls.values())):
            found |= {f"recall@{k}:{asked}>{target}": own[k] for (asked, target), own in recalls.items()}
            found[f"recall@{k}"] = float(np.mean([own[k] for own in recalls.values()]))
        return found


def prepare(name: str, source: Path | Pool | PairedSides, test_share: float = 0.2) -> PairGround:
    """Open a set. A pool's known pairs, its rows with both of its first two modalities, are the hidden truth.

    Pool rows of split "test" are scored; without any, ``test_share`` of the known pairs is held out, whole groups (a
    column ``group``) together, keyed by name. Rows with one modality stay in the pool: items without partner. Within a
    group a picture that several rows show is one row of its side, with several partners; where the test rows of most
    groups are as many and share nothing, as on ColorSwap, they get group scores.

    Raises
    ------
    ValueError
        If there are not two sides, or too few known pairs to buy or to score.
    """
    given = source if isinstance(source, PairedSides) else _of_pool(source, test_share)
    if len(given.sides) != 2 or set(given.test) != set(given.sides):
        raise ValueError(f"{name!r} needs two sides and the same two in test; it has {', '.join(given.sides)}.")
    if len(given.pairs) < _LEAST or not len(given.test_pairs):
        raise ValueError(
            f"{name!r} has {len(given.pairs)} pairs to buy and {len(given.test_pairs)} to score; a bench needs known "
            f"pairs, at least {_LEAST} and 1."
        )
    for part, arrays in (("sides", given.sides), ("test", given.test)):
        for side, array in arrays.items():
            Rows(Views({side: array}), called=f"{part} of {name}")
    about = {
        "sides": {side: list(array.shape) for side, array in given.sides.items()},
        "pairs": len(given.pairs),
        "test": {side: len(array) for side, array in given.test.items()},
        "groups": 0 if given.groups is None else len(given.groups),
        "common": given.common,
        "content_hash": _content(given),
    }
    return PairGround(name, given, about)


def _of_pool(source: Path | Pool, test_share: float) -> PairedSides:
    pool = source if isinstance(source, Pool) else open_pool(source)
    views = pool.views()
    if len(views.names) < 2:
        raise ValueError(f"the pool has the modality {', '.join(views.names)} alone; pairing needs two.")
    names = views.names[:2]
    there = np.ones((len(views), 2), dtype=bool) if views.present is None else views.present[:, :2]
    table = pool.table
    groups = table["group"].astype(str).to_numpy() if "group" in table.columns else views.ids
    test = (pool.split == "test") & there.all(axis=1)
    if not test.any():
        known = np.unique(groups[there.all(axis=1)].astype(str))
        out = known[uniform(known, 0, "pairing test") < test_share]
        test = np.isin(groups.astype(str), out) & there.all(axis=1)
    own = (pool.split == "train") & ~test
    sides: dict[str, Any] = {}
    shown: dict[str, Any] = {}
    place: list[Int] = []
    scored: list[Int] = []
    for column, name in enumerate(names):
        for mask, arrays, places in ((own & there[:, column], sides, place), (test, shown, scored)):
            rows = np.flatnonzero(mask)
            first, which = _merged(table, name, views.arrays[name][rows], groups[rows], rows)
            arrays[name] = _numbers(views.arrays[name][rows[first]])
            places.append(np.full(len(views), -1, dtype=np.int64))
            places[-1][rows] = which
    both = np.flatnonzero(own & there.all(axis=1))
    pairs, once = np.unique(np.stack([at[both] for at in place], axis=1), axis=0, return_index=True)
    told = np.stack([at[test] for at in scored], axis=1)
    units = groups[both].astype(str)[once]
    return PairedSides(sides, pairs, shown, np.unique(told, axis=0), _grouped(told, groups[test].astype(str)), units)


def _merged(table: Any, name: str, array: Any, groups: Any, rows: Int) -> tuple[Int, Int]:
    """First place of every distinct item of a side, and which item each of ``rows`` is.

    Within a group the same raw value, or where there is none the same vector, is one item: five captions, one picture.
    """
    raw = table[name].to_numpy()[rows] if name in table.columns else np.full(len(rows), None)
    seen: dict[tuple[str, Any], int] = {}
    told = [(str(g), cell if isinstance(cell, str) else x.tobytes()) for g, cell, x in zip(groups, raw, array)]
    which = np.array([seen.setdefault(key, len(seen)) for key in told], dtype=np.int64)
    return np.unique(which, return_index=True)[1].astype(np.int64), which


def _grouped(pairs: Int, groups: Any) -> Int | None:
    """(g, c, 2) pairs of the groups that pairing alone tells apart: c >= 2 pairs, c what most have, no row in two.

    None where these hold less than half of the pairs: the column then says something else, as with captions.
    """
    parts = [pairs[groups == name] for name in np.unique(groups)]
    whole = [part for part in parts if len(part) > 1 and all(len(np.unique(x)) == len(x) for x in part.T)]
    size = max((len(part) for part in whole), key=[len(part) for part in whole].count, default=0)
    found = [part for part in whole if len(part) == size]
    return np.stack(found) if 2 * size * len(found) >= len(pairs) and found else None


def _numbers(array: Any) -> Any:
    return np.asarray(array, dtype=np.float32)


def _content(given: PairedSides) -> str:
    """Sixteen hexadecimal digits of everything in a set."""
    digest = hashlib.blake2b(digest_size=8)
    parts = [*given.sides.values(), given.pairs, *given.test.values(), given.test_pairs]
    parts += [part for part in (given.groups, given.units) if part is not None]
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.shape}{array.dtype.kind}".encode())
        digest.update((array if array.dtype.kind != "U" else np.char.encode(array, "utf-8")).tobytes())
    return digest.hexdigest()
