"""How two modalities lie in one space, as a picture needs it: some cosines, and a plane through both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from modest.data.keys import order
from modest.data.presence import dense
from modest.representation.gap import Gap, modality_gap
from modest.types import Bool, Float, Int, Views

MOST_COSINES = 4_000  # items whose cosines are drawn
MOST_POINTS = 1_000  # items on the plane


@dataclass(frozen=True, eq=False)
class Space:
    """Two modalities in one space.

    ``name`` says which space (``before``, ``after``, or nothing where there is one only); ``gap`` counts every item.
    ``paired`` and ``unpaired`` (m,) cosines of a sample; ``points`` {modality: (k, 2)}, row i of both the same item.
    """

    name: str
    gap: Gap
    paired: Float
    unpaired: Float
    points: Mapping[str, Float]


def sample(ids: Any, both: Bool, seed: int = 0) -> Int:
    """(m,) rows with both modalities in a random order keyed by (seed, id); at most ``MOST_COSINES``."""
    rows = np.flatnonzero(both)
    drawn: Int = rows[order(np.asarray(ids)[rows], seed, "report/gap")[:MOST_COSINES]]
    return drawn


def space(views: Views, both: Bool, rows: Int, name: str = "") -> Space:
    """Space of the two modalities of ``views``: figures over the items of ``both`` (n,), pictures of ``rows`` (m,).

    An unpaired cosine is that of row i of one modality with row i + 1 of the other in the order of ``rows``, the
    last with the first, so that with two rows or more nobody meets himself and everybody is met once.
    """
    pair = Views(views.arrays, np.stack([both, both], axis=1))
    first, second = (_unit(array, rows) for array in views.arrays.values())
    return Space(
        name,
        modality_gap(pair),
        np.einsum("nd,nd->n", first, second),
        np.einsum("nd,nd->n", first, np.roll(second, -1, axis=0)),
        dict(zip(views.names, joint_plane(first[:MOST_POINTS], second[:MOST_POINTS]))),
    )


def joint_plane(first: Float, second: Float) -> tuple[Float, Float]:
    """(k, 2) and (k, 2): rows of both sides on the two principal directions of all rows together.

    The mean of all lies at zero; the first direction points from the first side's mean to the second's.
    """
    stacked = np.concatenate([first, second])
    kept = min(2, *stacked.shape)
    points = np.asarray(PCA(kept, random_state=0).fit_transform(stacked), dtype=np.float64)
    points = np.pad(points, ((0, 0), (0, 2 - kept)))
    if points[: len(first), 0].mean() > points[len(first) :, 0].mean():
        points[:, 0] *= -1.0
    return points[: len(first)], points[len(first) :]


def _unit(array: Any, rows: Int) -> Float:
    """Some rows divided by their norm; what they hold was checked where the gap was counted."""
    taken: NDArray[np.float64] = dense(array[rows]).astype(np.float64)
    return np.asarray(taken / np.linalg.norm(taken, axis=1, keepdims=True))
