"""What a bench runs on: views with all their labels, divided once into training pool, validation and test rows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.pool import Pool
from modest.data.pool import open as open_pool
from modest.data.splits import carve, split_hash
from modest.types import Ids, Int, Views

_PROBED_ROWS = 256


@dataclass(frozen=True, eq=False)
class LabelledViews:
    """A test set in memory.

    ``views`` of n items; ``labels`` (n,) int or str, None = unknown; ``split`` (n,) of 'train', 'val', 'test', or None
    for all 'train'; ``groups`` (n,) optional names that no division may tear.
    """

    views: Views
    labels: Any
    split: Any = None
    groups: Any = None


@dataclass(frozen=True, eq=False)
class Ground:
    """A set made ready: ``views`` and ``labels`` of all items, and the rows of each part (labelled rows only).

    ``source``: the pool they are of, None for views in memory.

    ``pool`` are the training rows, from which a selection buys; ``test`` the rows that are scored; ``val`` is used by
    full-label runs only. ``about`` is what the result says about the set: sizes, classes, hashes.
    """

    name: str
    views: Views
    labels: NDArray[np.object_]
    groups: Ids | None
    pool: Int
    val: Int
    test: Int
    about: Mapping[str, Any]
    source: Pool | None = None

    @property
    def classes(self) -> int:
        """Classes among the training rows."""
        return len(set(self.labels[self.pool].tolist()))


def prepare(name: str, source: Path | Pool | LabelledViews, test_share: float = 0.2) -> Ground:
    """Open a set and divide it.

    Rows without a label are left out: a bench plays the annotator and must know the answer. A set without test rows
    has ``test_share`` of its training rows carved off, by class, whole groups together, with seed 0: the same rows for
    every cell, and hashed into the result.

    Raises
    ------
    ValueError
        If there are fewer than two classes or no training rows with a label.
    """
    pool_of: Pool | None = None
    if isinstance(source, LabelledViews):
        given = source
    else:
        pool_of = source if isinstance(source, Pool) else open_pool(source)
        given = _of_pool(pool_of)
    n = len(given.views)
    labels = np.array([*(None if v is None or v != v else str(v) for v in given.labels), None], dtype=object)[:-1]
    split = np.full(n, "train") if given.split is None else np.asarray(given.split).astype(np.str_)
    groups = None if given.groups is None else np.asarray(given.groups).astype(np.str_)
    for part, values in (("labels", labels), ("split", split), ("groups", groups)):
        if values is not None and values.shape != (n,):
            raise ValueError(f"{part} of {name!r} has shape {values.shape}; it needs one entry per item, {n}.")
    known = np.array([label is not None for label in labels], dtype=bool)
    pool, val, test = (np.flatnonzero(known & (split == part)) for part in ("train", "val", "test"))
    if len(set(labels[pool].tolist())) < 2:
        raise ValueError(f"{name!r} has fewer than two classes among its training rows; a bench needs known labels.")
    carved = len(test) == 0
    if carved:
        own = None if groups is None else groups[pool]
        out = carve(labels[pool], test_share, 0, own, given.views.ids[pool].tolist())
        pool, test = pool[~out], pool[out]
    about = {
        "items": n,
        "without_label": int((~known).sum()),
        "pool": len(pool),
        "val": len(val),
        "test": len(test),
        "test_carved": carved,
        "classes": sorted(set(labels[pool].tolist())),
        "modalities": {m: width for m, (_, width) in given.views.shape.items()},
        "split_hash": split_hash(given.views.ids, _parts(n, pool, val, test)),
        "content_hash": _content(given.views, labels),
    }
    return Ground(name, given.views, labels, groups, pool, val, test, about, pool_of)


def _of_pool(pool: Pool) -> LabelledViews:
    """Views, labels, split and (a column ``group``, if any) groups of a pool."""
    groups = pool.table["group"].to_numpy(dtype=object) if "group" in pool.table.columns else None
    return LabelledViews(pool.views(), pool.labels, pool.split, groups)


def _parts(n: int, pool: Int, val: Int, test: Int) -> Ids:
    """(n,) name of each row's part, '' for rows left out."""
    parts = np.full(n, "", dtype="U5")
    for name, rows in (("train", pool), ("val", val), ("test", test)):
        parts[rows] = name
    return parts


def _content(views: Views, labels: NDArray[np.object_]) -> str:
    """Sixteen hexadecimal digits of ids, labels, presence, shapes and up to 256 evenly spaced rows of each view."""
    digest = hashlib.blake2b(digest_size=8)
    digest.update(split_hash(views.ids, labels).encode())
    if views.present is not None:
        digest.update(np.packbits(views.present).tobytes())
    rows = np.unique(np.linspace(0, max(len(views) - 1, 0), min(len(views), _PROBED_ROWS)).astype(np.int64))
    for name, array in views.arrays.items():
        digest.update(f"{name}{tuple(array.shape)}".encode())
        digest.update(np.ascontiguousarray(np.asarray(array[rows], dtype=np.float32)).tobytes())
    return digest.hexdigest()
