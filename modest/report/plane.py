"""A flat picture of a pool: the two principal directions of its views side by side."""

from __future__ import annotations

import numpy as np

from modest.bench.probe import Standard
from modest.types import Float, Views


def plane(views: Views) -> Float:
    """(n, 2) coordinates: features standardised per modality (absent = mean), each modality of equal weight, then PCA.

    The sign of a direction is fixed so that its largest loading is positive. Cost n d^2 with d the summed widths.
    """
    table, there = Standard.of(views).features(views)
    blocks = [
        x[:, : array.shape[1]] / np.sqrt(array.shape[1]) for x, array in zip(table.values(), views.arrays.values())
    ]
    x = np.hstack(blocks)
    x = x - x.mean(axis=0)
    _, directions = np.linalg.eigh(x.T @ x)
    two = directions[:, ::-1][:, :2]
    two = two * np.sign(two[np.abs(two).argmax(axis=0), np.arange(two.shape[1])])
    flat = x @ two
    return np.asarray(flat if flat.shape[1] == 2 else np.column_stack([flat, np.zeros(len(there))]))
