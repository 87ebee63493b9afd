"""Which modality is there: masks drawn at a missing rate, and what a table of views says about itself."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.checks import as_views, memory_bytes
from modest.data.keys import uniform
from modest.types import Bool


def missing_mask(
    n: int, modalities: int, rate: float, seed: int, ids: Sequence[str] | NDArray[np.str_] | None = None
) -> Bool:
    """Presence mask in which a share ``rate`` of all cells is missing and every row keeps at least one modality.

    One modality, drawn uniformly, is kept for certain in each row; each of the others is kept with probability
    q = max(0, 1 - rate * M / (M - 1)), so that the expected share of missing cells is ``rate`` up to its largest
    possible value (M - 1) / M; above it every row has exactly one modality, and a UserWarning names both rates. With
    k of its modalities kept a pattern has the probability (k / M) q^(k - 1) (1 - q)^(M - k). This is the protocol of
    CPM-Nets and GCNet in closed form, without their integer percents and redrawing. Under one seed masks are nested:
    what is missing at a rate is missing at every higher one.

    Parameters
    ----------
    n : int
        Rows.
    modalities : int
        M >= 1.
    rate : float
        In [0, 1]. With one modality nothing can be missing. What a mask came to is :func:`achieved_rate`.
    seed : int
        Draws are keyed by (seed, id).
    ids : (n,) strings, optional
        Left out, row numbers stand for ids; the first rows of a longer mask are then the shorter mask.

    Returns
    -------
    (n, M) bool, True = present.

    Raises
    ------
    ValueError
        If a number is out of range or ``ids`` has another length.

    Examples
    --------
    >>> mask = missing_mask(1000, 3, rate=0.3, seed=0)
    >>> mask.shape, bool(mask.any(axis=1).all()), round(float(1 - mask.mean()), 1)
    ((1000, 3), True, 0.3)
    """
    if n < 0 or modalities < 1:
        raise ValueError(f"missing_mask needs n >= 0 and modalities >= 1; got n={n} and modalities={modalities}.")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate={rate} is not a share in [0, 1]; 0.3 means that 30 % of all cells are missing.")
    names = np.arange(n).astype(np.str_) if ids is None else np.asarray(ids, dtype=np.str_)
    if names.shape != (n,):
        raise ValueError(f"ids has shape {names.shape}; it must hold one id per row, ({n},).")
    most = (modalities - 1) / modalities
    if rate > most + 1e-9:
        told = f"rate={rate:g} cannot be had: one of {modalities} modalities stays in each row, so at most {most:.4g}"
        warnings.warn(f"{told} of the cells can be missing; the mask has the rate {most:.4g}.", stacklevel=2)
    q = 1.0 if modalities == 1 else max(0.0, 1.0 - rate * modalities / (modalities - 1))
    mask = np.stack([uniform(names, seed, f"mask/{m}") < q for m in range(modalities)], axis=1)
    kept = np.floor(uniform(names, seed, "mask/kept") * modalities).astype(np.int64)
    mask[np.arange(n), kept] = True
    return mask


def achieved_rate(present: Any) -> float:
    """Share of cells of a presence mask (n, M) that are missing, in [0, 1]; NaN of a mask without cells.

    Examples
    --------
    >>> achieved_rate([[True, False], [True, True]])
    0.25
    """
    mask = np.asarray(present, dtype=bool)
    return float(1.0 - mask.mean()) if mask.size else float("nan")


def observed(views: Any, memory: str | int = "2GB") -> Bool:
    """Presence as it counts: ``views.present`` where given, and never a row that is NaN throughout.

    Reads each view once in blocks of rows, so that memory-mapped views stay on disk.

    Parameters
    ----------
    views : Views, mapping name -> (n, d_m) array, or one array
    memory : str or int
        Upper bound of what is held at once.

    Returns
    -------
    (n, M) bool, columns in the order of ``views.names``.
    """
    table = as_views(views)
    n = len(table)
    mask = np.ones((n, len(table.names)), dtype=bool) if table.present is None else table.present.copy()
    for m, array in enumerate(table.arrays.values()):
        width = max(1, int(array.shape[1]))
        step = max(1, memory_bytes(memory) // (16 * width))
        for start in range(0, n, step):
            mask[start : start + step, m] &= ~nan_rows(dense(array[start : start + step]))
    return mask


def nan_rows(block: NDArray[Any]) -> Bool:
    """(k,) bool: rows of a (k, d) block that are NaN in every column; integers are never NaN."""
    if block.dtype.kind != "f" or block.shape[1] == 0:
        return np.full(len(block), block.shape[1] == 0)
    empty = np.isnan(block[:, 0])
    empty[empty] = np.isnan(block[empty]).all(axis=1)
    return np.asarray(empty)


def dense(block: Any) -> NDArray[Any]:
    """NumPy array of a block that may be a torch tensor on any device (bfloat16 becomes float32)."""
    if hasattr(block, "detach"):
        block = block.detach().cpu()
        block = block.float() if str(block.dtype) == "torch.bfloat16" else block
        return np.asarray(block.numpy())
    return np.asarray(block)
