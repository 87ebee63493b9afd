"""Members of an uncompressed tar by name: the places of all are read once, any is then one seek away."""

from __future__ import annotations

import functools
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path


def is_tar(archive: str) -> bool:
    """Whether an archive is a tar by its ending."""
    return archive.lower().endswith(".tar")


def index(archive: str) -> Mapping[str, tuple[int, int]]:
    """Name of a member -> (first byte, bytes), in the order of the file; of the same name the last counts.

    Raises
    ------
    FileNotFoundError, ValueError
        If the tar is not there, cut off, compressed or none.
    """
    try:
        state = os.stat(archive)
    except OSError:
        raise FileNotFoundError(f"{archive} is not there; put it back or mark the modality absent.") from None
    return _indexed(archive, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _indexed(archive: str, changed: int, size: int) -> Mapping[str, tuple[int, int]]:
    try:
        with tarfile.open(archive, "r:") as handle:
            found = {one.name: (one.offset_data, one.size) for one in handle if one.isfile()}
            end = int(handle.offset)
    except tarfile.TarError as error:
        raise ValueError(f"{archive} is truncated or no plain tar ({error!s}); copy it again.") from None
    if end + tarfile.BLOCKSIZE > size:  # a whole tar ends in a block of zeros
        raise ValueError(f"{archive} is truncated; copy it again.")
    return found


def member(archive: str, name: str) -> tuple[int, int]:
    """(first byte, bytes) of one member.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is none of this name, or as :func:`index`.
    """
    found = index(archive).get(name)
    if found is None:
        raise FileNotFoundError(f"{archive} has no member {name!r}; put it back or mark the modality absent.")
    return found


def read(archive: str, start: int, size: int) -> bytes:
    """``size`` bytes of a tar from ``start`` on."""
    with Path(archive).open("rb") as handle:
        handle.seek(start)
        return handle.read(size)
