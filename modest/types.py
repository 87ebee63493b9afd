"""The words of the house: small frozen containers that pass between rooms and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Bool = NDArray[np.bool_]
Int = NDArray[np.int64]
Float = NDArray[np.float64]
Ids = NDArray[np.str_]


class Views:
    """One array per modality over the same items; row i of every view is item i.

    Parameters
    ----------
    arrays : mapping name -> (n, d_m) array
        NumPy arrays, memory maps or torch tensors. They are kept as they are: nothing is copied or read here.
    present : (n, M) bool, optional
        True where the modality is there, columns in the order of ``arrays``. An all-NaN row of a view says the same
        as False; both together count as absent.
    ids : (n,) strings, optional
        Stable names of the items. Left out, they are zero-padded row numbers, so that the lowest id is the lowest row.

    Raises
    ------
    ValueError
        If there is no modality, a view is not two-dimensional, or lengths differ.

    Examples
    --------
    >>> views = Views({"image": np.eye(3), "text": np.ones((3, 2))})
    >>> len(views), views.names, views.shape
    (3, ('image', 'text'), {'image': (3, 3), 'text': (3, 2)})
    >>> views[[2, 0]].ids.tolist()
    ['2', '0']
    """

    def __init__(
        self, arrays: Mapping[str, Any], present: Bool | None = None, ids: Sequence[str] | Ids | None = None
    ) -> None:
        self.arrays: dict[str, Any] = dict(arrays)
        if not self.arrays:
            raise ValueError("views has no modality; give at least one array, e.g. Views({'image': X}).")
        for name, array in self.arrays.items():
            if len(array.shape) != 2:
                raise ValueError(
                    f"views[{name!r}] has shape {tuple(array.shape)}; reshape it to (items, features), two dimensions."
                )
        lengths = {name: int(array.shape[0]) for name, array in self.arrays.items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise ValueError(f"views differ in their number of rows ({told}); every view needs one row per item.")
        self._n = next(iter(lengths.values()))
        self.present: Bool | None = None if present is None else np.asarray(present, dtype=bool)
        if self.present is not None and self.present.shape != (self._n, len(self.arrays)):
            raise ValueError(
                f"present has shape {self.present.shape}; it must be (items, modalities): {(self._n, len(arrays))}."
            )
        self._ids: Ids | None = None if ids is None else np.asarray(ids, dtype=np.str_)
        if self._ids is not None and self._ids.shape != (self._n,):
            raise ValueError(f"ids has shape {self._ids.shape}; it must hold one id per item, {self._n} in all.")

    @property
    def names(self) -> tuple[str, ...]:
        """Modality names, in order."""
        return tuple(self.arrays)

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """(n, d_m) per modality."""
        return {name: (self._n, int(array.shape[1])) for name, array in self.arrays.items()}

    @property
    def default_ids(self) -> bool:
        """True when the ids are the zero-padded row numbers."""
        return self._ids is None

    @cached_property
    def ids(self) -> Ids:
        """(n,) strings, made on first use when none were given."""
        if self._ids is not None:
            return self._ids
        return np.char.zfill(np.arange(self._n).astype(np.str_), len(str(max(self._n - 1, 0))))

    def __len__(self) -> int:
        """Return the number of items."""
        return self._n

    def __getitem__(self, rows: Any) -> Views:
        """Views of some rows (int array, bool mask or slice), with their ids."""
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            rows = rows if rows.dtype == bool else rows.astype(np.int64)
        present = None if self.present is None else self.present[rows]
        return Views({name: array[rows] for name, array in self.arrays.items()}, present, self.ids[rows])

    def __repr__(self) -> str:
        """Names and shapes."""
        return f"Views({', '.join(f'{name} {shape}' for name, shape in self.shape.items())})"


@dataclass(frozen=True, eq=False)
class Choice:
    """The answer of a selection.

    ``rows`` (b,) int64, distinct rows of the table given, most important first; ``scores`` (b,) float64, meaning
    documented per method; ``ids`` (b,) strings; ``reasons`` one sentence per row; ``trace`` what happened (objective,
    coverage, collisions, seconds ...); ``method`` its name in ``modest.selection.METHODS``; ``state`` arrays, numbers
    and words, by name, that let a later choice on a grown pool cost only the new rows (empty for most methods).
    """

    rows: Int
    scores: Float
    ids: Ids
    method: str
    reasons: tuple[str, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of items chosen."""
        return len(self.rows)

    def to_frame(self, pool: Any = None) -> pd.DataFrame:
        """Table of id, order, score, reason, method, joined with the pool's columns when a pool is given."""
        import pandas as pd

        reasons = list(self.reasons) if self.reasons else [""] * len(self.rows)
        frame = pd.DataFrame(
            {
                "id": self.ids.astype(object),
                "order": np.arange(len(self.rows)),
                "score": self.scores,
                "reason": reasons,
                "method": self.method,
            }
        )
        return frame if pool is None else frame.merge(pool.table, on="id", how="left", validate="one_to_one")


@dataclass(frozen=True, eq=False)
class Query:
    """The answer of a pairing step: whom to ask about, in one direction.

    ``modality`` the side asked about, ``target`` the side that partners are sought on; ``rows`` (b,) int64 rows of the
    side asked, in the order to ask; ``ids`` (b,) their names; ``shortlists`` (b, k) int64 free rows of the target, best
    first, -1 where there are fewer; ``margins`` (b,) float64, best similarity less the second best, infinity where
    fewer than two are left, NaN where the sides have no common space; ``method`` its name in
    ``modest.pairing.METHODS``; ``trace`` what happened (radii, candidates, distance evaluations, seconds ...).
    """

    modality: str
    target: str
    rows: Int
    ids: Ids
    shortlists: Int
    margins: Float
    method: str
    trace: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of rows asked about."""
        return len(self.rows)


@dataclass(frozen=True)
class Answer:
    """What an oracle says of one row of a query.

    ``row`` of the side asked; ``matches`` rows of the target that belong to it; ``status`` "matched", "no_match" (there
    is no partner) or "skipped" (nobody knows; it may be asked again); ``cost`` what it took; ``annotator`` who said so.
    """

    row: int
    matches: tuple[int, ...] = ()
    status: str = "matched"
    cost: float = 1.0
    annotator: str = ""


@dataclass(frozen=True)
class Record:
    """One line of progress: ``stage`` (a name), ``epoch``, ``step``, ``values`` (numbers by name)."""

    stage: str
    epoch: int
    step: int
    values: Mapping[str, Any] = field(default_factory=dict)
