"""Single files: written whole or not at all, equal bytes for equal content, one sentence on failure."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def writing(folder: str | Path) -> Iterator[None]:
    """Turn an operating-system error inside the block into one sentence about ``folder``."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.EACCES: "it may not be written to; change its rights or choose another folder",
            errno.EPERM: "it may not be written to; change its rights or choose another folder",
            errno.EROFS: "it is on a read-only disk; choose another folder",
            errno.ENOSPC: "the disk is full; free some space and run the same command again",
            errno.ENOTDIR: "a part of this path is a file; choose another folder",
            errno.EEXIST: "a file of this name is in the way; choose another folder",
        }
        if error.errno not in reasons:
            raise
        raise type(error)(f"cannot write {folder}: {reasons[error.errno]}.") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it takes its place at once, on failure it is removed."""
    temporary = path.with_name(f".{path.name}.partial")
    with writing(path.parent):
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON (NumPy numbers and arrays allowed) atomically."""
    write_text(path, json.dumps(content, indent=2, default=plain, ensure_ascii=False) + "\n")


def plain(value: Any) -> Any:
    """JSON form of what ``json`` does not know: arrays become lists, NumPy numbers numbers, all else text."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    return str(value)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, cut off or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there.") from None
    except ValueError as error:
        raise ValueError(f"{path} is no valid JSON ({error}); write it again.") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object; write it again.")
    return content


def write_table(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as Parquet, atomically, without times or versions of pandas inside: equal tables, equal bytes."""
    write_arrow(path, to_arrow(path, frame))


def to_arrow(path: Path, frame: pd.DataFrame) -> Any:
    """Arrow table of a DataFrame, as it is stored in ``path``.

    Raises
    ------
    ValueError
        If a column has no single type.
    """
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        told = str(error.args[0]).rstrip(".") if error.args else "unknown type"
        raise ValueError(f"{path.name} cannot hold this table ({told}); make each column of one type.") from None


def write_arrow(path: Path, table: Any) -> None:
    """Write an Arrow table as Parquet, atomically."""
    import pyarrow.parquet as pq

    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a Parquet table, or some of its columns. Errors as in :func:`read_arrow`."""
    frame: pd.DataFrame = read_arrow(path, columns).to_pandas()
    return frame


def read_arrow(path: Path, columns: list[str] | None = None) -> Any:
    """Read a Parquet table, or some of its columns, as an Arrow table.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, cut off, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the path of a Parquet file.")
    try:
        handle = pq.ParquetFile(path)
        lacking = [name for name in columns or [] if name not in handle.schema_arrow.names]
        if lacking:
            known = ", ".join(handle.schema_arrow.names)
            raise ValueError(f"{path} has no column {lacking[0]!r}; its columns are {known}.")
        return handle.read(columns=columns)
    except (pa.ArrowInvalid, pa.ArrowIOError) as error:
        raise ValueError(f"{path} is no whole Parquet file ({str(error).rstrip('.')}); write it again.") from None


def read_npy(path: Path) -> NDArray[Any]:
    """Open a ``.npy`` file as a read-only memory map; nothing but its header is read.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, truncated, or holds Python objects.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the path of a .npy file.")
    try:
        return np.asanyarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, SyntaxError) as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{path} is truncated or not a plain .npy file ({told}); write it again.") from None


def write_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays, numbers and words by name, atomically and without times inside: equal content, equal bytes.

    Raises
    ------
    ValueError
        If one is a Python object, which a file may not hold.
    """
    plain_arrays = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
    odd = [name for name, array in plain_arrays.items() if array.dtype.kind not in "biufcSU"]
    if odd:
        raise ValueError(f"{path.name} cannot hold {odd[0]!r}, a Python object; make it an array of numbers or words.")
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in plain_arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as handle:
                np.lib.format.write_array(handle, array, allow_pickle=False)


def read_npz(path: Path) -> dict[str, Any]:
    """Read what :func:`write_npz` wrote; an array without dimensions comes back as a number or a word.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, truncated, or holds Python objects.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there; give the path of an .npz file.") from None
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise ValueError(f"{path} is truncated or no plain .npz file ({told}); write it again.") from None
    return {name: array if array.ndim else array.item() for name, array in arrays.items()}


def rows_hash(ids: NDArray[Any]) -> str:
    """Sixteen hexadecimal digits of an order of ids: blake2b of their JSON list."""
    return hashlib.blake2b(json.dumps(ids.tolist()).encode(), digest_size=8).hexdigest()


def file_hash(path: Path) -> str:
    """Thirty-two hexadecimal digits of a file's bytes (blake2b), read in pieces."""
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as handle:
        while piece := handle.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def check_writable(folder: Path) -> None:
    """Raise PermissionError, in one sentence, when files may not be made in ``folder``."""
    if not os.access(folder, os.W_OK):
        raise PermissionError(errno.EACCES, f"{folder} may not be written to")
