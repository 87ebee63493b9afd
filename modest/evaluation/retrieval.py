"""Recall at k: is any right partner of a query among its k most similar candidates?

    rank(q)  =  number of wrong candidates c with S[q, c] >= max over right partners p of S[q, p]
    R@k      =  share of queries with rank(q) < k

Hit or miss per query, as is usual on MS-COCO, where an image has five captions: any of them will do. A rank is counted,
never sorted, and a tie with a wrong candidate is lost, so that a constant similarity scores 0. Source: Karpathy and
Fei-Fei, CVPR 2015, for the measure. Cost n m d and a few passes over n m; :func:`retrieval` keeps one tile of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from modest.types import Bool, Float, Int

KS = (1, 5, 10)


def recall_at_k(similarity: Any, positives: Any, k: int = 1) -> float:
    """Share in [0, 1] of queries with a right partner among the k most similar candidates.

    Parameters
    ----------
    similarity : (q, c) numbers
    positives : (q, c) bool, or (p, 2) int pairs (query, candidate)
        Which candidates are right. A query without any is left out.
    k : int, at least 1

    Raises
    ------
    ValueError
        If shapes do not fit, a similarity is NaN, k is below 1, or no query has a right partner.

    Examples
    --------
    >>> recall_at_k([[0.9, 0.1, 0.5], [0.2, 0.3, 0.4]], [[0, 0], [1, 1]], k=1)
    0.5
    """
    s = np.asarray(similarity, dtype=np.float64)
    if s.ndim != 2 or not s.size:
        raise ValueError(f"similarity has shape {s.shape}; it must be (queries, candidates), at least one of each.")
    _counted([k])
    right = _flags(positives, s.shape)
    asked = right.any(axis=1)
    if not asked.any():
        raise ValueError("positives gives no query a right partner; name at least one.")
    _finite(s, "similarity")
    return float((_ranks(s[asked], right[asked]) < k).mean())


def retrieval(
    sides: Mapping[str, Any], pairs: Any, ks: Sequence[int] = KS, tile: int = 2048
) -> dict[tuple[str, str], dict[int, float]]:
    """R@k in both directions between two sides, with several right partners where the pairs say so.

    Parameters
    ----------
    sides : mapping of two names -> (n_m, d) array
        Similarity is the cosine; a zero row is refused.
    pairs : (p, 2) int
        Rows of the first and of the second side that belong together. Rows in no pair are candidates only.
    ks : the k of R@k
    tile : int
        Queries compared at once; memory is tile times the rows of the other side.

    Returns
    -------
    {(asked, target): {k: share in [0, 1]}} for both directions.

    Raises
    ------
    ValueError
        If there are not two sides of one width, a row is zero or not finite, or a pair names no row.

    Examples
    --------
    >>> scores = retrieval({"image": [[1.0, 0.0], [0.0, 1.0]], "text": [[0.9, 0.1], [0.2, 0.8]]}, [[0, 0], [1, 1]])
    >>> scores["image", "text"][1], scores["text", "image"][1]
    (1.0, 1.0)
    """
    _counted(ks)
    if len(sides) != 2:
        raise ValueError(f"sides has {len(sides)} entries; retrieval is between two.")
    (a, x), (b, y) = ((name, _unit(name, rows)) for name, rows in sides.items())
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"sides differ in width ({a} {x.shape[1]}, {b} {y.shape[1]}); embed both alike.")
    two = np.asarray(pairs)
    if two.ndim != 2 or two.shape[1] != 2 or not len(two) or two.dtype.kind not in "iu":
        raise ValueError(f"pairs is {two.dtype} of shape {two.shape}; give whole numbers (p, 2), at least one pair.")
    for column, (name, n) in enumerate(((a, len(x)), (b, len(y)))):
        if two[:, column].min() < 0 or two[:, column].max() >= n:
            raise ValueError(f"pairs names a row of {name} that it does not have; it has rows 0 to {n - 1}.")
    ways = {(a, b): _all_ranks(x, y, two, tile), (b, a): _all_ranks(y, x, two[:, ::-1], tile)}
    return {way: {k: float((ranks < k).mean()) for k in ks} for way, ranks in ways.items()}


def _all_ranks(x: Float, y: Float, pairs: Any, tile: int) -> Int:
    """Rank of the best right partner of every query that has one, tile by tile."""
    found = []
    queries = np.unique(pairs[:, 0])
    for begin in range(0, len(queries), tile):
        rows = queries[begin : begin + tile]
        own = pairs[np.isin(pairs[:, 0], rows)]
        right = np.zeros((len(rows), len(y)), dtype=bool)
        right[np.searchsorted(rows, own[:, 0]), own[:, 1]] = True
        found.append(_ranks(x[rows] @ y.T, right))
    return np.concatenate(found)


def _ranks(s: Float, right: Bool) -> Int:
    best = np.where(right, s, -np.inf).max(axis=1)
    return np.asarray(((s >= best[:, None]) & ~right).sum(axis=1), dtype=np.int64)


def _flags(positives: Any, shape: tuple[int, int]) -> Bool:
    """(q, c) bool of flags or of pairs."""
    given = np.asarray(positives)
    if given.dtype == bool and given.shape == shape:
        return given
    if given.ndim != 2 or given.shape[1] != 2 or given.dtype.kind not in "iu":
        raise ValueError(
            f"positives is {given.dtype} of shape {given.shape}; give bool {shape} or whole numbers (pairs, 2)."
        )
    if len(given) and ((given < 0).any() or (given >= np.array(shape)).any()):
        raise ValueError(f"positives names a pair outside the similarities, which are {shape[0]} by {shape[1]}.")
    flags = np.zeros(shape, dtype=bool)
    flags[given[:, 0], given[:, 1]] = True
    return flags


def _unit(name: str, rows: Any) -> Float:
    x = np.asarray(rows, dtype=np.float64)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"sides[{name!r}] has shape {x.shape}; it must be (rows, features), at least one of each.")
    _finite(x, f"sides[{name!r}]")
    norm = np.linalg.norm(x, axis=1, keepdims=True)
    if not norm.all():
        raise ValueError(f"sides[{name!r}] is all zeros in row {int(np.argmin(norm))}; it has no direction to compare.")
    return np.asarray(x / norm)


def _finite(x: Float, argument: str) -> None:
    if not np.isfinite(x).all():
        raise ValueError(f"{argument} holds NaN or infinity in row {int(np.argwhere(~np.isfinite(x))[0, 0])}.")


def _counted(ks: Sequence[int]) -> None:
    if not len(ks) or min(ks) < 1:
        raise ValueError(f"k is {list(ks)}; every k must be at least 1.")
