"""Raw media: which files are image, audio, video or text, where they lie (also in a zip or tar), their cuts and bytes.

A raw value is a path, ``archive.zip!member`` or ``archive.tar!member``, each with a cut ``#t=start,end`` in seconds
after it, or none (W3C Media Fragments URI 1.0, temporal dimension). One that ends in ``/`` is a folder of frames, which
is a video.
"""

from __future__ import annotations

import functools
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data import tars
from modest.data.features import open_archive

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    "audio": (".wav", ".mp3", ".ogg", ".flac", ".m4a"),
    "video": (".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm", ".flv"),
    "text": (".txt",),
}
_KIND = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}
_SECONDS = re.compile(r"(?:npt:)?(\d+(?:\.\d*)?)?(?:,(\d+(?:\.\d*)?))?")
LFS = b"version https://git-lfs"


class Unreadable(ValueError):  # noqa: N818 - the name readers and callers use
    """A raw value that cannot be read: one sentence with the file and what is wrong with it."""


def kind(name: str) -> str | None:
    """``image``, ``audio``, ``video`` or ``text`` by the ending of a raw value, its cut left out; None for all else."""
    place = _uncut(name)
    if place.endswith("/"):
        return "video" if Path(place).is_absolute() or split_archive(place)[0] else None
    return _KIND.get(os.path.splitext(place.replace("!", "/"))[1].lower())


def split_cut(value: str) -> tuple[str, float, float | None]:
    """(value without its cut, start, end) in seconds; start is 0 and end None (to the end) where they are not given.

    Raises
    ------
    Unreadable
        If what follows ``#t=`` is no pair of seconds, or ends before it starts.

    Examples
    --------
    >>> split_cut("clips.zip!a.mp4#t=1.5,2"), split_cut("a.wav#t=,3"), split_cut("a.wav")
    (('clips.zip!a.mp4', 1.5, 2.0), ('a.wav', 0.0, 3.0), ('a.wav', 0.0, None))
    """
    place = _uncut(value)
    if place == value:
        return value, 0.0, None
    told = value[len(place) + 3 :]
    found = _SECONDS.fullmatch(told)
    if found is None or not (found[1] or found[2]):
        raise Unreadable(f"{value} has the cut {told!r}; write it as #t=start,end in seconds.")
    start, end = float(found[1] or 0), None if found[2] is None else float(found[2])
    if end is not None and end <= start:
        raise Unreadable(f"{value} has a cut that ends before it starts; write it as #t=start,end in seconds.")
    return place, start, end


def _uncut(value: str) -> str:
    """Value without its cut; ``#t=`` counts only behind the name of a medium or a folder."""
    place, mark, _ = value.rpartition("#t=")
    return place if mark and (place.endswith("/") or Path(place).suffix.lower() in _KIND) else value


def split_archive(value: str) -> tuple[str, str]:
    """(archive, member) of ``archive.zip!member`` (or ``.tar!``), (``""``, value) of a plain path."""
    found = re.search(r"\.(?:zip|tar)!", value, re.IGNORECASE)
    return (value[: found.end() - 1], value[found.end() :]) if found else ("", value)


def read_bytes(value: str, limit: int | None = None) -> bytes:
    """Bytes of the file or member that a raw value names; a cut is left out of account.

    Raises
    ------
    FileNotFoundError
        If the file, the archive or the member is not there.
    ValueError
        If the archive is damaged or locked, or there are more than ``limit`` bytes.
    """
    place = _uncut(value)
    archive, member = split_archive(place)
    if not archive:
        if not Path(place).is_file():
            raise FileNotFoundError(f"{place} is not there; put it back or mark the modality absent.")
        _bounded(place, Path(place).stat().st_size, limit)
        return Path(place).read_bytes()
    if tars.is_tar(archive):
        start, size = tars.member(archive, member)
        _bounded(place, size, limit)
        return tars.read(archive, start, size)
    handle = _archive(archive)
    if member not in handle.NameToInfo:
        raise FileNotFoundError(f"{archive} has no member {member!r}; put it back or mark the modality absent.")
    _bounded(place, handle.getinfo(member).file_size, limit)
    try:
        return handle.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{place} is damaged ({str(error).rstrip('.')}); copy the archive again.") from None
    except (RuntimeError, NotImplementedError) as error:
        raise ValueError(f"{place} cannot be unpacked ({str(error).rstrip('.')}); pack it again.") from None


def whole(value: str, limit: int | None = None) -> bytes:
    """Bytes as :func:`read_bytes` gives them, for a reader of media.

    Raises
    ------
    Unreadable
        If it is not there, may not be read, is damaged, has no bytes or more than ``limit``, or is a Git LFS pointer.
    """
    try:
        content = read_bytes(value, limit)
    except (OSError, ValueError) as error:
        told = str(error) if not isinstance(error, OSError) or error.errno is None else f"{value} may not be read."
        raise Unreadable(told) from None
    if not content:
        raise Unreadable(f"{value} is empty; copy it again.")
    if content.startswith(LFS):
        raise Unreadable(f"{value} is a pointer of Git LFS; fetch the file itself with: git lfs pull")
    return content


def members(value: str) -> list[str]:
    """Raw values of the files right inside a folder or ``archive.zip!folder/``, in no order worth relying on."""
    place = _uncut(value)
    archive, inside = split_archive(place)
    if not archive:
        return [str(path) for path in Path(place).iterdir() if path.is_file()] if Path(place).is_dir() else []
    inside = inside.rstrip("/") + "/"
    names = [name for name in _names(archive) if name.startswith(inside)]
    return [f"{archive}!{name}" for name in names if name != inside and "/" not in name[len(inside) :]]


def _bounded(place: str, size: int, limit: int | None) -> None:
    if limit is not None and size > limit:
        raise ValueError(f"{place} has {size:,} bytes and at most {limit:,} are read; shorten it or leave it out.")


def _archive(path: str) -> zipfile.ZipFile:
    """Open zip, kept open: reading thousands of members parses its directory once."""
    try:
        state = os.stat(path)
    except OSError:
        raise FileNotFoundError(f"{path} is not there; put it back or mark the modality absent.") from None
    return _opened(path, state.st_mtime_ns, state.st_size, os.getpid())


@functools.lru_cache(maxsize=8)
def _opened(path: str, changed: int, size: int, process: int) -> zipfile.ZipFile:
    """Cached archive; a file that was changed is opened anew, a forked process opens its own (they share offsets)."""
    return open_archive(Path(path))


def walk(place: Path) -> Iterator[tuple[str, str, str]]:
    """(relative name, kind, value for a raw column) of every medium in a folder or zip, sorted by name."""
    if place.is_dir():
        found = [(p.relative_to(place).as_posix(), str(p.resolve())) for p in place.rglob("*") if p.is_file()]
    else:
        with open_archive(place) as handle:
            found = [(name, f"{place.resolve()}!{name}") for name in handle.namelist()]
    for name, value in sorted(found):
        parts = name.lower().split("/")
        hidden = any(part.startswith((".", "__")) for part in parts) or parts[-1].startswith(("readme", "license"))
        what = kind(name)
        if what is not None and not hidden:
            yield name, what, value


def resolve(frame: pd.DataFrame, base: Path) -> dict[str, int]:
    """Turn file names in a table's columns into values that :func:`read_bytes` can read, in place; cuts are kept.

    A column takes part when its first value ends like a medium (or in ``/``, a folder of frames) and is found in
    ``base``, in a folder of it called like the column, or in a zip in it. Files that are not there become null.

    Returns
    -------
    How many values of each such column had no file.
    """
    lost = {}
    for name in frame.columns:
        column = frame[name].dropna()
        first = column.iloc[0] if len(column) else None
        if not isinstance(first, str) or (kind(first) is None and not first.endswith("/")):
            continue
        for place in places(base, str(name)):
            if value_in(place, first) is not None:
                values = [value_in(place, cell) if isinstance(cell, str) else None for cell in frame[name]]
                lost[str(name)] = sum(value is None for value in values) - int(frame[name].isna().sum())
                frame[name] = values
                break
    return lost


def places(base: Path, column: str) -> list[Path]:
    """Where the files of a column may lie: beside the table, in sub-folders, in zips."""
    folders = [base, base / column, base / f"{column}s", base / "images"]
    zips = [path for path in sorted(base.glob("*.zip")) if zipfile.is_zipfile(path)]
    return [*(path for path in folders if path.is_dir()), *zips]


def value_in(place: Path, name: str) -> str | None:
    """Value of a raw column for one file name in one folder or zip, None when it is not there."""
    plain = _uncut(name)
    cut = name[len(plain) :]
    if not place.is_dir():
        packed = f"{place.resolve()}!{plain}"
        return packed + cut if _there(packed) else None
    archive, member = split_archive(plain)
    path = str((place / (archive or member)).resolve()) + (f"!{member}" if archive else "/" * plain.endswith("/"))
    return path + cut if _there(path) else None


def _there(value: str) -> bool:
    """Whether a file, a member, or a folder with files is there."""
    archive, member = split_archive(value)
    if value.endswith("/"):
        return bool(members(value))
    return Path(value).is_file() if not archive else Path(archive).is_file() and member in _names(archive)


def _names(archive: str) -> Mapping[str, Any]:
    """Names of the members of a zip or tar."""
    return tars.index(archive) if tars.is_tar(archive) else _archive(archive).NameToInfo
