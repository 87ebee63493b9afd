"""Raw media: which files are image, audio, video or text, where they lie (also in a zip), and their bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from modest.data.features import open_archive

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff"),
    "audio": (".wav", ".mp3", ".ogg", ".flac", ".m4a"),
    "video": (".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm"),
    "text": (".txt",),
}
_KIND = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}


def kind(name: str) -> str | None:
    """``image``, ``audio``, ``video`` or ``text`` by the ending of a file's name; None for anything else."""
    return _KIND.get(Path(name.replace("!", "/")).suffix.lower())


def read_bytes(value: str) -> bytes:
    """Bytes of a raw column's value: a path, or ``archive.zip!member``.

    Raises
    ------
    FileNotFoundError
        If the file, the archive or the member is not there.
    """
    archive, mark, member = value.partition("!")
    if not mark or not archive.lower().endswith(".zip"):
        if not Path(value).is_file():
            raise FileNotFoundError(f"{value} is not there; put it back or mark the modality absent.")
        return Path(value).read_bytes()
    with open_archive(Path(archive)) as handle:
        if member not in handle.namelist():
            raise FileNotFoundError(f"{archive} has no member {member!r}; put it back or mark the modality absent.")
        return handle.read(member)


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
    """Turn file names in a table's columns into values that :func:`read_bytes` can read, in place.

    A column takes part when its first value ends like a medium and is found in ``base``, in a folder of it called like
    the column, or in a zip in it. Files that are not there become null.

    Returns
    -------
    How many values of each such column had no file.
    """
    lost = {}
    for name in frame.columns:
        column = frame[name].dropna()
        first = column.iloc[0] if len(column) else None
        if not isinstance(first, str) or kind(first) is None:
            continue
        for place in _places(base, str(name)):
            known = _members(place)
            if _value(place, known, first) is not None:
                values = [_value(place, known, cell) if isinstance(cell, str) else None for cell in frame[name]]
                lost[str(name)] = sum(value is None for value in values) - int(frame[name].isna().sum())
                frame[name] = values
                break
    return lost


def _places(base: Path, column: str) -> list[Path]:
    """Where the files of a column may lie: beside the table, in sub-folders, in zips."""
    folders = [base, base / column, base / f"{column}s", base / "images"]
    return [*(p for p in folders if p.is_dir()), *sorted(base.glob("*.zip"))]


def _members(place: Path) -> frozenset[str]:
    """Members of a zip; nothing for a folder."""
    if place.is_dir() or not zipfile.is_zipfile(place):
        return frozenset()
    with open_archive(place) as handle:
        return frozenset(handle.namelist())


def _value(place: Path, members: frozenset[str], name: str) -> str | None:
    """Value of a raw column for one file name in one place, None when it is not there."""
    if place.is_dir():
        path = place / name.partition("!")[0]
        return str((place / name).resolve()) if path.is_file() else None
    return f"{place.resolve()}!{name}" if name in members else None
