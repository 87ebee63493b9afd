"""A mask as a thing to keep: saved with its ids, laid upon a table whatever its order, and named by a hash.

Two results under missing modalities can be compared where their masks have one SHA-256. A mask never brings anything
back: it hides cells of what a table has.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modest.data import files
from modest.data.pool import Pool
from modest.data.presence import achieved_rate, observed
from modest.types import Bool, Ids, Views

__all__ = ["Mask", "MaskedPool", "masked"]

FOLDER = "masks"


@dataclass(frozen=True, eq=False)
class Mask:
    """Which modalities of which items are to be seen.

    Parameters
    ----------
    ids : (n,) strings, each once
    names : M names of modalities
    present : (n, M) bool, True = seen
    about : how it was made, words and numbers; no part of the hash

    Raises
    ------
    ValueError
        If shapes do not fit, or an id or name comes twice.

    Examples
    --------
    >>> mask = Mask(["a", "b"], ["image", "text"], [[True, False], [True, True]])
    >>> mask.on(["b", "a"], ["text"]).tolist(), mask.rate
    ([[True], [False]], 0.25)
    """

    ids: Ids
    names: tuple[str, ...]
    present: Bool
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make arrays of what was given, and check it."""
        object.__setattr__(self, "ids", np.asarray(self.ids, dtype=np.str_))
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        object.__setattr__(self, "present", np.asarray(self.present, dtype=bool))
        if self.ids.ndim != 1 or self.present.shape != (len(self.ids), len(self.names)):
            told = f"present has shape {self.present.shape}; it must have a cell"
            raise ValueError(f"{told} for each of {self.ids.size} ids and {len(self.names)} names.")
        for what, given in (("ids", self.ids.tolist()), ("names", list(self.names))):
            if len(set(given)) < len(given):
                twice = next(one for one, times in Counter(given).items() if times > 1)
                raise ValueError(f"{what} holds {twice!r} twice; name each once.")

    @property
    def rate(self) -> float:
        """Share of cells that are missing."""
        return achieved_rate(self.present)

    @cached_property
    def sha256(self) -> str:
        """64 hexadecimal digits, equal for equal cells in whatever order of rows and modalities."""
        columns = np.argsort(self.names)
        rows = np.argsort(self.ids)
        told = json.dumps([[self.names[m] for m in columns], self.ids[rows].tolist()])
        cells = self.present[np.ix_(rows, columns)]
        return hashlib.sha256(told.encode() + np.packbits(cells).tobytes()).hexdigest()

    def on(self, ids: Any, names: Sequence[str]) -> Bool:
        """(k, L) bool, the mask of other rows and modalities, in their order; each must be known to it.

        Raises
        ------
        ValueError
            Naming the first id or modality of which it says nothing.
        """
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise ValueError(f"the mask says nothing of {unknown[0]!r} (it has {', '.join(self.names)}); draw it anew.")
        wanted, order = np.asarray(ids, dtype=np.str_), np.argsort(self.ids)
        at = np.searchsorted(self.ids, wanted, sorter=order)
        rows = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(0, dtype=np.int64)
        strange = np.flatnonzero(self.ids[rows] != wanted) if len(rows) == len(wanted) else np.arange(len(wanted))
        if len(strange):
            raise ValueError(f"the mask says nothing of item {str(wanted[strange[0]])!r}; draw it anew for this table.")
        columns = np.array([self.names.index(name) for name in names], dtype=np.int64)
        return np.asarray(self.present[np.ix_(rows, columns)])

    def under(self, views: Views) -> Views:
        """Views of which the mask hides cells; errors as :meth:`on`."""
        return Views(views.arrays, observed(views) & self.on(views.ids, views.names), views.ids)

    def save(self, path: str | Path) -> Path:
        """Write the mask as ``.npz``, whole or not at all; equal masks give equal bytes."""
        target = Path(path)
        with files.writing(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        names = np.array(self.names, dtype=np.str_)
        about = json.dumps(dict(self.about), sort_keys=True, default=files.plain)
        files.write_npz(target, {"ids": self.ids, "names": names, "present": self.present, "about": about})
        return target

    @classmethod
    def load(cls, path: str | Path) -> Mask:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError, ValueError
            If it is not there, damaged, or no mask.
        """
        found = files.read_npz(Path(path))
        if not {"ids", "names", "present", "about"} <= set(found):
            raise ValueError(f"{path} holds no mask; make one with: modest data mask")
        return cls(found["ids"], tuple(found["names"]), found["present"], json.loads(str(found["about"])))


class MaskedPool(Pool):
    """A pool of which a mask hides cells, for whoever reads it; nothing on disk changes.

    Items of the pool that lack modalities of their own may have nothing left; they are then as items whose files cannot
    be read. A mask drawn by ``modest data mask`` knows what each item has and leaves it one.

    Parameters
    ----------
    path : folder of the pool
    mask : Mask that knows every item and every modality that is read

    Raises
    ------
    ValueError
        If the mask says nothing of an item.
    """

    def __init__(self, path: str | Path, mask: Mask) -> None:
        super().__init__(path)
        self.mask = mask
        mask.on(self.ids, ())

    def hides(self, modality: str) -> Bool:
        """(n,) bool: items whose modality is hidden. ValueError if the mask does not know the modality."""
        return ~self.mask.on(self.ids, (modality,))[:, 0]

    def _presence(self, modality: str, encoder: str) -> Bool:
        return super()._presence(modality, encoder) & ~self.hides(modality)


def masked(pool: Pool, mask: str | Path | None) -> Pool:
    """Return the pool under the mask that is called so in its folder ``masks``, or lies in this file; None: the pool.

    Raises
    ------
    FileNotFoundError
        If there is neither, naming the masks there are.
    """
    if mask is None:
        return pool
    for path in (pool.path / FOLDER / f"{mask}.npz", Path(mask)):
        if path.is_file():
            return MaskedPool(pool.path, Mask.load(path))
    there = sorted(p.stem for p in (pool.path / FOLDER).glob("*.npz"))
    raise FileNotFoundError(
        f"mask {str(mask)!r} is neither a file nor a name under {pool.path / FOLDER}; "
        f"there {'are ' + ', '.join(there) if there else 'is none yet, run modest data mask'}."
    )
