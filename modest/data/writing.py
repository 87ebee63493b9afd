"""Writing one view into a pool, block by block: checks of content, rows put in the pool's order, standardising."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files
from modest.data.features import Feature, rows_per_block
from modest.data.presence import nan_rows
from modest.types import Bool

Progress = Callable[[int, int], None]


def write_view(
    folder: Path,
    modality: str,
    encoder: str,
    feature: Feature,
    ids: NDArray[np.str_],
    present: Bool | None = None,
    train: Bool | None = None,
    revision: str = "",
    progress: Progress | None = None,
) -> Bool:
    """Write ``views/<modality>/<encoder>.npy`` with its ``.json``, in blocks, so that memory stays bounded.

    Parameters
    ----------
    folder : folder of the pool
    feature : Feature
        Its rows are the pool's, or are matched by id when it has ids; items without a row are absent.
    ids : (n,) strings of the pool
    present : (n,) bool, optional
        False marks a row absent whatever it holds.
    train : (n,) bool, optional
        Given, columns are standardised by the mean and standard deviation of these rows; both are stored beside the
        view as ``<encoder>.standard.npy`` (2, d), and constant columns are only centred.
    revision : str
        What made the features, for the record.
    progress : callable, optional
        Called with (rows done, rows).

    Returns
    -------
    (n,) bool, True = present. An all-NaN row is absent.

    Raises
    ------
    ValueError
        Naming the modality and the row: NaN or inf in a present row, zero norm, wrong number of rows, unknown ids.
    """
    place = folder / "views" / modality
    place.mkdir(parents=True, exist_ok=True)
    target = _target(feature, ids, modality)
    here = np.ones(len(ids), dtype=bool) if present is None else np.asarray(present, dtype=bool)
    scale = None if train is None else _standard(feature, target, here & train, modality)
    half = feature.dtype == np.float16 and scale is None
    path = place / f"{encoder}.npy"
    out = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.float16 if half else np.float32, shape=(len(ids), feature.shape[1])
    )
    seen = _fill(out, feature, target, here, scale, ids, modality, progress)
    out.flush()
    del out
    _describe(place, modality, encoder, feature, ids, seen, scale, revision)
    return seen


def extend_view(
    place: Path,
    modality: str,
    encoder: str,
    old: tuple[NDArray[Any], Bool, NDArray[Any] | None],
    feature: Feature,
    ids: NDArray[np.str_],
    present: Bool | None = None,
    progress: Progress | None = None,
) -> Bool:
    """Write the array of a view and its presence anew into ``place``, with rows for more items at its end.

    ``old`` is the array (n, d), its presence (n,) and the stored mean and deviation (2, d) or None; new rows get the
    same scale and dtype. The rest is as in :func:`write_view`; ``ids`` (k,) are the new ones.

    Returns
    -------
    (k,) bool, True = present, of the new rows.
    """
    array, before, scale = old
    n = len(before)
    place.mkdir(parents=True, exist_ok=True)
    here = np.ones(len(ids), dtype=bool) if present is None else np.asarray(present, dtype=bool)
    out = np.lib.format.open_memmap(
        place / f"{encoder}.npy", mode="w+", dtype=array.dtype, shape=(n + len(ids), array.shape[1])
    )
    step = rows_per_block(array.shape[1], array.dtype.itemsize)
    for start in range(0, n, step):
        out[start : min(n, start + step)] = array[start : start + step]
    moments = None if scale is None else (scale[0], scale[1])
    seen = _fill(out[n:], feature, _target(feature, ids, modality), here, moments, ids, modality, progress)
    out.flush()
    del out
    whole = np.concatenate([before, seen])
    if not whole.all():
        np.save(place / f"{encoder}.present.npy", whole, allow_pickle=False)
    return seen


def _fill(
    out: NDArray[Any],
    feature: Feature,
    target: NDArray[np.int64],
    here: Bool,
    scale: tuple[NDArray[Any], NDArray[Any]] | None,
    ids: NDArray[np.str_],
    modality: str,
    progress: Progress | None,
) -> Bool:
    """Write the rows of a feature into ``out`` (k, d), NaN where an item has none, and return which are present."""
    seen = np.zeros(len(ids), dtype=bool)
    for rows, block in _rows(feature, target):
        there = here[rows] & ~nan_rows(block)
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes inf, which the check refuses
            values = _scaled(block, scale).astype(out.dtype)
        values[~there] = np.nan
        _check(values, there, ids[rows], modality)
        out[rows] = values
        seen[rows] = there
        if progress is not None:
            progress(int(rows[-1]) + 1 if feature.ids is None else int(seen.sum()), len(ids))
    without = np.setdiff1d(np.arange(len(ids)), target)
    out[without] = np.nan
    return seen


def _describe(
    place: Path,
    modality: str,
    encoder: str,
    feature: Feature,
    ids: NDArray[np.str_],
    seen: Bool,
    scale: tuple[NDArray[Any], NDArray[Any]] | None,
    revision: str,
) -> None:
    """Write what belongs beside the array: presence, scale and the description."""
    if not seen.all():
        np.save(place / f"{encoder}.present.npy", seen, allow_pickle=False)
    if scale is not None:
        np.save(place / f"{encoder}.standard.npy", np.stack(scale), allow_pickle=False)
    about = {
        "modality": modality,
        "encoder": encoder,
        "revision": revision,
        "rows": files.rows_hash(ids),
        "shape": [len(ids), feature.shape[1]],
        "absent": int((~seen).sum()),
        "standardised": scale is not None,
        "origin": feature.origin,
    }
    files.write_json(place / f"{encoder}.json", about)


def _target(feature: Feature, ids: NDArray[np.str_], modality: str) -> NDArray[np.int64]:
    """(k,) row of the pool for each row of the feature, -1 for rows that are no item."""
    if feature.ids is None:
        if feature.shape[0] != len(ids):
            raise ValueError(
                f"{modality} has {feature.shape[0]} rows ({feature.origin}) and the table has {len(ids)}; "
                "give one row per item, or an id array beside the features to join by."
            )
        return np.arange(len(ids))
    names, counts = np.unique(feature.ids, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"{feature.origin} has id {str(names[counts > 1][0])!r} twice; ids must be distinct.")
    row = dict(zip(ids.tolist(), range(len(ids))))
    target = np.array([row.get(name, -1) for name in feature.ids.tolist()], dtype=np.int64)
    if (target < 0).all():
        raise ValueError(
            f"{feature.origin} shares no id with the table ({str(feature.ids[0])!r} there, {str(ids[0])!r} here); "
            "name the right id column."
        )
    return target


def _rows(feature: Feature, target: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """(rows of the pool, block) pairs, without rows that are no item."""
    start = 0
    for block in feature.blocks():
        rows = target[start : start + len(block)]
        start += len(block)
        kept = rows >= 0
        if kept.all():
            yield rows, block
        elif kept.any():
            yield rows[kept], block[kept]


def _standard(
    feature: Feature, target: NDArray[np.int64], train: Bool, modality: str
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Mean and standard deviation (d,) float64 of the present training rows, merged over blocks (Chan et al. 1983)."""
    count, mean, spread = 0, np.zeros(feature.shape[1]), np.zeros(feature.shape[1])
    for rows, block in _rows(feature, target):
        values = block[train[rows] & ~nan_rows(block)].astype(np.float64)
        if len(values) == 0:
            continue
        _finite(values, rows[train[rows] & ~nan_rows(block)].astype(np.str_), modality)
        delta = values.mean(axis=0) - mean
        total = count + len(values)
        spread += values.var(axis=0) * len(values) + delta**2 * (count * len(values) / total)
        mean += delta * (len(values) / total)
        count = total
    if count == 0:
        raise ValueError(f"{modality} has no present training row, so there is nothing to standardise by.")
    deviation = np.sqrt(spread / count)
    tiny = deviation <= 1e-12 * np.maximum(1.0, np.abs(mean))
    return mean, np.where(tiny, 1.0, deviation)


def _scaled(block: NDArray[Any], scale: tuple[NDArray[Any], NDArray[Any]] | None) -> NDArray[Any]:
    if scale is None:
        return block
    return np.asarray((block.astype(np.float64) - scale[0]) / scale[1])


def _finite(values: NDArray[Any], names: NDArray[np.str_], modality: str) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        what = "NaN" if np.isnan(values[bad[0]]).any() else "inf"
        raise ValueError(
            f"{modality} has {what} in row {str(names[bad[0]])!r}; mend it, or make the whole row NaN if it is absent."
        )


def _check(values: NDArray[Any], there: Bool, names: NDArray[np.str_], modality: str) -> None:
    """Refuse present rows that are not finite or have no direction."""
    _finite(values[there], names[there], modality)
    zero = np.flatnonzero(there & ~values.any(axis=1))
    if len(zero):
        raise ValueError(
            f"{modality} is zero throughout in row {str(names[zero[0]])!r}; make the row NaN if it is absent."
        )
