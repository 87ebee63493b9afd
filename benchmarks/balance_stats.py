"""What the pages of ``benchmarks.balance`` conclude from cells: pure functions on arrays.

Two intervals stand side by side. Over *seeds*: that of ``modest.evaluation``, as on every page of results; the test
rows are the same for all seeds, so it says what another training would give on these very rows. Over *seeds and rows*:
seeds and test rows are resampled independently of each other, so it also says what other rows of the same kind would
give (rows are taken as independent of each other, also where they share a speaker or a video).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from modest.evaluation import compare
from modest.evaluation.curves import DRAWS, LEVEL, POINT, Difference


def crossed(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Difference:
    """Mean of a - b, both (S, n) bool or numbers of the same seeds and rows, resampled over both; ``tied`` as in
    ``modest.evaluation.compare``."""
    apart = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    S, n = apart.shape
    means = ((drawn(S, seed) @ apart) * drawn(n, seed + 1)).sum(axis=1) / (S * n)
    tail = (1 - LEVEL) / 2
    mean, low, high = float(apart.mean()), *map(float, np.quantile(means, [tail, 1 - tail]))
    return Difference(mean, low, high, low <= 0 <= high and abs(mean) <= POINT + 1e-12)


@lru_cache(maxsize=16)
def drawn(n: int, seed: int) -> np.ndarray:
    """(DRAWS, n) how often each of n is in a resample of size n."""
    which = np.random.default_rng(seed).integers(n, size=(DRAWS, n)) + n * np.arange(DRAWS)[:, None]
    return np.bincount(which.ravel(), minlength=DRAWS * n).reshape(DRAWS, n)


def by_seed(a: np.ndarray, b: np.ndarray) -> Difference:
    """The same over seeds alone."""
    return compare(np.asarray(a, dtype=np.float64).mean(axis=1), np.asarray(b, dtype=np.float64).mean(axis=1))


def verdict(apart: Difference) -> str:
    """ "above", "below", or "undecided" where the interval holds 0."""
    return "above" if apart.low > 0 else "below" if apart.high < 0 else "undecided"


def tied(right: Mapping[str, np.ndarray], rows: bool = False) -> dict[str, bool]:
    """Name -> whether it has the best mean or is tied with it; ``right`` maps names to (S, n) of the same seeds."""
    best = max(right, key=lambda name: float(np.mean(right[name])))
    how = crossed if rows else by_seed
    return {name: name == best or how(own, right[best]).tied for name, own in right.items()}


def steady(validation: Sequence[float], gain: float | None) -> bool:
    """Whether a training of mla was stable: its last validation accuracy is at most two points below its best and the
    head's gain, where it is told, ended at 0.05 or more."""
    return max(validation) - validation[-1] <= 0.02 + 1e-12 and (gain is None or gain >= 0.05)
