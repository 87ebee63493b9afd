"""Features on their way into a pool: arrays of any origin, read once from first row to last in blocks."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files
from modest.data.presence import dense

if TYPE_CHECKING:
    import pandas as pd

Blocks = Callable[[], Iterator[NDArray[Any]]]
BLOCK_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Feature:
    """The features of one modality: ``shape`` (n, d), ``dtype``, ``blocks()`` from the first row to the last.

    ``ids`` (n,) strings say which item a row belongs to; None = rows are those of the table. ``origin`` says where it
    is from, for error messages and the pool's record.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    blocks: Blocks
    origin: str
    ids: NDArray[np.str_] | None = None

    def joined_by(self, ids: NDArray[np.str_]) -> Feature:
        """Return the same feature with the ids of its rows."""
        return replace(self, ids=ids)


def numeric(dtype: np.dtype[Any], origin: str) -> np.dtype[Any]:
    """Check that a type can be a feature: booleans, integers and real floats can.

    Raises
    ------
    ValueError
        If not.
    """
    if dtype.kind not in "buif":
        raise ValueError(f"{origin} holds {dtype}, not real numbers; leave it out or turn it into numbers.")
    return dtype


def flat_shape(shape: Sequence[int], origin: str) -> tuple[int, int]:
    """(n, d) of an array of two dimensions or more, all but the first flattened.

    Raises
    ------
    ValueError
        If it has one dimension, or a width of zero.
    """
    if len(shape) < 2:
        raise ValueError(f"{origin} has shape {tuple(shape)}; a view needs (items, features), two dimensions or more.")
    width = int(np.prod(shape[1:]))
    if width == 0:
        raise ValueError(f"{origin} has shape {tuple(shape)}; a view needs at least one feature.")
    return int(shape[0]), width


def rows_per_block(width: int, itemsize: int) -> int:
    """Rows that make a block of about 32 MiB."""
    return max(1, BLOCK_BYTES // (width * max(itemsize, 4)))


def from_array(array: Any, origin: str) -> Feature:
    """Feature of a NumPy array, memory map or torch tensor of two dimensions or more."""
    first = dense(array[:1])
    n, width = flat_shape(tuple(array.shape), origin)
    step = rows_per_block(width, first.dtype.itemsize)

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, n, step):
            block = dense(array[start : start + step])
            yield block.reshape(len(block), width)

    return Feature((n, width), numeric(first.dtype, origin), blocks, origin)


def from_npz(path: Path, key: str) -> Feature:
    """Feature of one array in an ``.npz``, streamed from the archive; only one in Fortran order is read whole."""
    origin = f"{path.name}:{key}"
    with open_member(path, key) as member:
        shape, fortran, dtype = _header(member, origin)
    n, width = flat_shape(shape, origin)
    numeric(dtype, origin)
    step = rows_per_block(width, dtype.itemsize)

    def blocks() -> Iterator[NDArray[Any]]:
        with open_member(path, key) as member:
            _header(member, origin)
            for start in range(0, n, step):
                wanted = min(step, n - start) * width * dtype.itemsize
                try:
                    data = member.read(wanted)
                except (zipfile.BadZipFile, EOFError) as error:
                    raise ValueError(f"{path} is damaged at {key!r} ({error}); copy it again.") from None
                if len(data) != wanted:
                    raise ValueError(f"{path} is truncated at {key!r}; copy it again.")
                yield np.frombuffer(data, dtype=dtype).reshape(-1, width)

    if fortran:
        with np.load(path, allow_pickle=False) as archive:
            return from_array(np.ascontiguousarray(archive[key]), origin)
    return Feature((n, width), dtype, blocks, origin)


def _header(member: Any, origin: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type at the head of a ``.npy`` stream, which is left at its first number."""
    try:
        version = np.lib.format.read_magic(member)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if reader is None:
            raise ValueError(f"version {version} is not known")
        shape, fortran, dtype = reader(member)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{origin} is no plain NumPy array ({str(error).rstrip('.')}); save it again.") from None
    return shape, fortran, dtype


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip or npz, or say in one sentence that it is none."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the path of an existing file.")
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is truncated or no zip archive; copy it again.") from None


def open_member(path: Path, key: str) -> Any:
    """Open one array of an ``.npz`` as a stream of bytes."""
    archive = open_archive(path)
    if f"{key}.npy" not in archive.namelist():
        known = ", ".join(name.removesuffix(".npy") for name in archive.namelist())
        archive.close()
        raise ValueError(f"{path} has no array {key!r}; it has {known}.")
    return archive.open(f"{key}.npy")


def from_parquet(path: Path, column: str) -> Feature:
    """Feature of a Parquet column of lists, read in batches; a null list is an absent row."""
    import pyarrow.parquet as pq

    origin = f"{path.name}:{column}"
    handle = pq.ParquetFile(path)
    n = int(handle.metadata.num_rows)
    batches = handle.iter_batches(batch_size=256, columns=[column])
    width = next((len(cell) for batch in batches for cell in batch.column(0).to_pylist() if cell is not None), 0)
    flat_shape((n, width), origin)
    step = rows_per_block(width, 8)

    def blocks() -> Iterator[NDArray[Any]]:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=step, columns=[column]):
            yield stack(batch.column(0).to_pylist(), width, origin)

    return Feature((n, width), np.dtype(np.float32), blocks, origin)


def from_cells(cells: Sequence[Any], origin: str) -> Feature:
    """Feature of a column whose cells are vectors of one length; None is an absent row."""
    width = next((int(np.size(cell)) for cell in cells if cell is not None), 0)
    flat_shape((len(cells), width), origin)
    step = rows_per_block(width, 8)

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, len(cells), step):
            yield stack(cells[start : start + step], width, origin)

    return Feature((len(cells), width), np.dtype(np.float32), blocks, origin)


def stack(cells: Sequence[Any], width: int, origin: str) -> NDArray[np.float32]:
    """(k, width) float32 of vectors, NaN rows for None.

    Raises
    ------
    ValueError
        If a cell has another length or holds no numbers.
    """
    block = np.full((len(cells), width), np.nan, dtype=np.float32)
    for i, cell in enumerate(cells):
        if cell is None:
            continue
        try:
            vector = np.asarray(cell, dtype=np.float32).ravel()
        except (TypeError, ValueError):
            raise ValueError(f"{origin} holds a cell that is no vector of numbers; clean it or leave it out.") from None
        if len(vector) != width:
            raise ValueError(f"{origin} holds vectors of {width} and of {len(vector)} numbers; make them one length.")
        block[i] = vector
    return block


def from_columns(frame: pd.DataFrame, columns: Sequence[str], origin: str) -> Feature:
    """Feature made of numeric columns of a table side by side; empty cells are NaN."""
    try:
        return from_array(frame[list(columns)].to_numpy(dtype=np.float32), origin)
    except (TypeError, ValueError):
        raise ValueError(f"{origin} takes columns that hold text; name numeric columns only.") from None


def from_npy(path: Path) -> Feature:
    """Feature of a ``.npy`` file, memory-mapped."""
    return from_array(files.read_npy(path), path.name)


def shape_of(path: Path, key: str) -> tuple[int, ...]:
    """Shape of one array of an ``.npz``, from its header."""
    with open_member(path, key) as member:
        return _header(member, f"{path.name}:{key}")[0]


def read_member(path: Path, key: str) -> NDArray[Any]:
    """Read one array of an ``.npz`` whole."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[key])
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(f"{path} is damaged at {key!r} ({str(error).rstrip('.')}); save it again.") from None
