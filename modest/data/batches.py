"""Mini-batches as row numbers: which rows meet in which step, keyed by (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from modest.types import Bool


def batches(
    rows: int | NDArray[np.int64] | Bool,
    size: int,
    seed: int,
    epoch: int,
    shuffle: bool = True,
    drop_last: bool = False,
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of one epoch in batches; the same (seed, epoch) gives the same batches on every machine.

    Parameters
    ----------
    rows : int, (k,) row numbers or (n,) bool mask
        A number stands for all rows 0 .. rows - 1.
    size : int
        Rows of a batch, at least 1; the last batch may be smaller.
    seed, epoch : int
        Key of the order; epochs differ, restarts do not.
    shuffle : bool
        False keeps the order given (for prediction).
    drop_last : bool
        Leave out a last batch that is not full, unless it is the only one.

    Raises
    ------
    ValueError
        If ``size`` is below 1 or there are no rows.

    Examples
    --------
    >>> [len(batch) for batch in batches(10, size=4, seed=0, epoch=0)]
    [4, 4, 2]
    """
    if size < 1:
        raise ValueError(f"size={size} is no batch size; give at least 1.")
    given = np.arange(rows) if isinstance(rows, (int, np.integer)) else np.asarray(rows)
    pool = np.asarray(np.flatnonzero(given) if given.dtype == bool else given, dtype=np.int64)
    if len(pool) == 0:
        raise ValueError("rows is empty; there is nothing to make batches of.")
    return _cut(pool, size, seed, epoch, shuffle, drop_last)


def _cut(
    pool: NDArray[np.int64], size: int, seed: int, epoch: int, shuffle: bool, drop_last: bool
) -> Iterator[NDArray[np.int64]]:
    """Shuffle and cut; apart from :func:`batches` so that its checks are made at the call."""
    if shuffle:
        pool = np.random.Generator(np.random.PCG64([abs(int(seed)), int(seed < 0), int(epoch)])).permutation(pool)
    for start in range(0, len(pool), size):
        batch = pool[start : start + size]
        if drop_last and start > 0 and len(batch) < size:
            return
        yield batch
