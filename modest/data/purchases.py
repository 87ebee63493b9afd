"""A modality bought for items that lack it: the round that says which, and what came back put into the pool.

A round of kind ``buy`` has ``choice.parquet``, as any round, and ``buy.csv``: order, id, modality, score, reason, and
an empty column ``value`` for the path or text that is bought. What comes back is a raw value, which goes into the raw
column (then ``modest embed --fresh`` encodes it), or a row of features, which goes into the view that came with the
source. Labels, models and other rows stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files
from modest.data.layout import RESERVED
from modest.data.rounds import find_rounds, put_round
from modest.types import Bool, Choice

if TYPE_CHECKING:
    from modest.data.pool import Pool

__all__ = ["FILE", "KIND", "add_purchase", "fill_in", "ordered", "read_bought"]

KIND, FILE = "buy", "buy.csv"


def add_purchase(pool: Pool, choice: Choice, modality: str) -> int:
    """Write a choice of items to buy a modality for as the pool's next round; return its number."""

    def fill(folder: Path, number: int) -> dict[str, Any]:
        frame = choice.to_frame()
        files.write_table(folder / "choice.parquet", frame)
        frame = frame.assign(modality=modality, value="")
        listed = frame[["order", "id", "modality", "score", "reason", "value"]]
        files.write_text(folder / FILE, listed.to_csv(index=False))
        told = {"kind": KIND, "method": choice.method, "modality": modality, "items": len(choice)}
        return {**told, "trace": dict(choice.trace)}

    return put_round(pool.path, fill, str(pool.config["rows"]))


def ordered(pool: Pool, modality: str) -> Bool:
    """(n,) bool: items for which earlier rounds asked to buy a modality, whether it came or not."""
    asked = [one.choice["id"] for one in find_rounds(pool.path, KIND) if one.manifest["modality"] == modality]
    return np.asarray(np.isin(pool.ids, np.concatenate([np.empty(0, np.str_), *asked]).astype(np.str_)))


def fill_in(pool: Pool, modality: str, values: Any, ids: Sequence[str]) -> int:
    """Put a modality that was bought into a pool, for items that lacked it; on disk when this returns.

    Parameters
    ----------
    pool : Pool; open it again afterwards
    modality : name of a view that came with the source, for rows of features; else of a raw column
    values : (k, d) numbers, as the source had them: a standardised view standardises them the same way; or k texts or
        paths for the raw column
    ids : (k,) of the items

    Returns
    -------
    How many items were filled in.

    Raises
    ------
    ValueError
        For an unknown id, one twice, an item that has it already, another width, NaN, inf or zeros throughout, an empty
        value, or neither view nor column of the name; nothing is written then.
    """
    names = [str(name) for name in ids]
    row = {name: k for k, name in enumerate(pool.ids.tolist())}
    for k, name in enumerate(names):
        if name not in row:
            raise ValueError(f"id {name!r} is not in the pool {pool.path}; ids are those of pool.ids.")
        if name in names[:k]:
            raise ValueError(f"id {name!r} comes twice; give one value per item.")
    if len(values) != len(names):
        raise ValueError(f"values holds {len(values)} and ids {len(names)}; give one value per item.")
    rows = np.array([row[name] for name in names], dtype=np.int64)
    if np.asarray(values).dtype.kind in "buif":
        _features(pool, modality, np.asarray(values), rows)
    else:
        _raw(pool, modality, list(values), rows)
    return len(rows)


def _raw(pool: Pool, modality: str, values: list[Any], rows: NDArray[np.int64]) -> None:
    """Write raw values into the column, which must be empty there."""
    if modality not in pool.table.columns or modality in RESERVED:
        raise ValueError(f"{pool.path} has no raw column {modality!r} for texts or paths; give rows of features.")
    column = pool.table[modality].copy()
    for row, value in zip(rows, values):
        if not isinstance(value, str) or not value:
            raise ValueError(f"the value of item {str(pool.ids[row])!r} is empty; fill it in, or leave the item out.")
        if isinstance(column.iloc[row], str) and column.iloc[row]:
            raise ValueError(f"item {str(pool.ids[row])!r} has {modality} already; leave it out.")
    column.iloc[rows] = values
    pool.table[modality] = column
    pool.save()


def _features(pool: Pool, modality: str, values: NDArray[Any], rows: NDArray[np.int64]) -> None:
    """Write rows of features into the given view, first the array, then who is present, then how many are not."""
    if modality not in pool.names or "given" not in pool.encoders(modality):
        told = "raw column with values, and modest embed --fresh" if modality in pool.table.columns else "pool it has"
        raise ValueError(f"{modality!r} is no view that came with the source of {pool.path}; use the {told}.")
    path = pool.path / "views" / modality / "given.npy"
    views = pool.views({modality: "given"})
    array, there = views.arrays[modality], np.ones(len(pool), dtype=bool)
    there = there if views.present is None else views.present[:, 0].copy()
    if values.ndim != 2 or values.shape[1] != array.shape[1]:
        raise ValueError(f"values has shape {values.shape}; the view {modality} has {array.shape[1]} features a row.")
    scale = path.with_suffix(".standard.npy")
    block = values.astype(np.float64)
    if scale.is_file():
        mean, deviation = files.read_npy(scale)
        block = (block - mean) / deviation
    with np.errstate(over="ignore"):
        block = block.astype(array.dtype)
    for row, own in zip(rows, block):
        name = str(pool.ids[row])
        if there[row]:
            raise ValueError(f"item {name!r} has {modality} already; leave it out.")
        if not np.isfinite(own).all() or not own.any():
            raise ValueError(f"the value of item {name!r} holds NaN or inf, or is zero throughout; mend it.")
    with files.writing(pool.path):
        files.check_writable(path.parent)
        whole = np.array(array)
        whole[rows] = block
        there[rows] = True
        for place, content in ((path, whole), (path.with_suffix(".present.npy"), there)):
            with files.replacing(place) as temporary, temporary.open("wb") as handle:
                np.save(handle, content, allow_pickle=False)
        about = files.read_json(path.with_suffix(".json"))
        about |= {"absent": int((~there).sum()), "bought": int(about.get("bought", 0)) + len(rows)}
        files.write_json(path.with_suffix(".json"), about)


def read_bought(path: str | Path, modality: str) -> tuple[Any, list[str]]:
    """Values and ids of a file: ``buy.csv`` with ``value`` filled in, or an ``.npz`` of ``id`` and the modality.

    Raises
    ------
    ValueError, FileNotFoundError
        If it is not there, or lacks a column or array; rows of ``buy.csv`` without a value are passed over.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place} is not there; give the filled-in {FILE}, or an .npz of id and {modality}.")
    found: Any
    if place.suffix == ".npz":
        found, key = files.read_npz(place), modality
    else:
        import pandas as pd

        found, key = pd.read_csv(place, dtype=str, keep_default_na=False, encoding="utf-8-sig"), "value"
    lacking = [name for name in ("id", key) if name not in found]
    if lacking:
        raise ValueError(f"{place} has no {lacking[0]!r}; it needs id and {key}.")
    ids, values = [str(name) for name in found["id"]], np.asarray(found[key])
    if key == "value":
        kept = [k for k, value in enumerate(values) if value]
        return [str(values[k]) for k in kept], [ids[k] for k in kept]
    return values, ids
