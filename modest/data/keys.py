"""Random numbers tied to names: a stable 64-bit key per (seed, id), the same on every machine, in any order of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

UInt = NDArray[np.uint64]
Int = NDArray[np.int64]


def keys(ids: Sequence[Any] | NDArray[Any], seed: int, stream: str = "") -> UInt:
    """One uniform 64-bit number per id: SipHash-2-4 under a key made from the seed, then SplitMix64's finaliser.

    Parameters
    ----------
    ids : (n,) strings
        Stable names; anything else is turned into a string first.
    seed : int
        Any Python integer.
    stream : str
        Names one of several independent draws under the same seed, e.g. one per modality.

    Returns
    -------
    (n,) uint64. The number of an id depends on nothing but the id, the seed and the stream.

    Examples
    --------
    >>> a, b = keys(["cat", "dog"], seed=0), keys(["dog", "cat"], seed=0)
    >>> bool((a == b[::-1]).all()), bool((a == keys(["cat", "dog"], seed=1)).any())
    (True, False)
    """
    from pandas.util import hash_array

    told = f"{int(seed)}/{stream}" if stream else str(int(seed))
    secret = hashlib.blake2b(told.encode(), digest_size=8).hexdigest()
    names = np.asarray(ids)
    if names.dtype.kind not in "UO":
        names = names.astype(np.str_)
    elif names.dtype.kind == "O":
        names = np.asarray([str(name) for name in names.tolist()], dtype=object)
    return np.asarray(hash_array(names.astype(object), hash_key=secret, categorize=False), dtype=np.uint64)


def uniform(ids: Sequence[Any] | NDArray[Any], seed: int, stream: str = "") -> NDArray[np.float64]:
    """(n,) float64 in [0, 1): the top 53 bits of :func:`keys`."""
    return (keys(ids, seed, stream) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def order(ids: Sequence[Any] | NDArray[Any], seed: int, stream: str = "") -> Int:
    """(n,) int64 rows in a random order that follows the ids: shuffling the table shuffles the answer.

    Equal keys, which 64 bits make all but impossible, go to the lowest id.
    """
    names = np.asarray(ids).astype(np.str_)
    return np.lexsort((names, keys(names, seed, stream))).astype(np.int64)
