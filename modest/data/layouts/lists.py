"""List files of public data sets, read whatever ends their lines have, and the files beside them, by size."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modest.data import media

_POINTER = 1024  # bytes: pointers of Git LFS are shorter
_SPLITS = {"train": "train", "test": "test", "val": "val", "dev": "val"}


def content(path: Path) -> str:
    """Text of a list file without its byte order mark.

    Raises
    ------
    ValueError
        If it is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8; save it as such.") from None


def text(path: Path) -> str:
    """Text of a file that is UTF-8, with or without a byte order mark, else Latin-1."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return path.read_bytes().decode("latin-1")


def lines(path: Path) -> list[str]:
    """Lines of a text file that are not blank, whatever they end with."""
    return [line.strip() for line in content(path).splitlines() if line.strip()]


def table(path: Path) -> list[list[str]]:
    """Rows of a CSV file that are not blank; quotes are understood, cells have no blanks at their ends."""
    rows = csv.reader(io.StringIO(content(path), newline=""), skipinitialspace=True)
    try:
        return [cells for row in rows if any(cells := [cell.strip() for cell in row])]
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV ({error}); copy it again.") from None


def class_names(path: Path) -> list[str]:
    """Names of classes in their order: one a line (the first cell of it), or all on one line with commas between."""
    rows = table(path)
    cells = rows[0] if len(rows) == 1 else [row[0] for row in rows]
    return [cell.replace("_", " ") for cell in cells if cell]


def first_file(folder: Path, names: Sequence[str]) -> Path | None:
    """First file of one of the names in a folder, or in a folder of it."""
    for name in names:
        for path in (folder / name, *sorted(folder.glob(f"*/{name}"))):
            if path.is_file():
                return path
    return None


def locate(where: Sequence[Path], name: str) -> str | None:
    """Raw value of a file of this name in the first of some folders and archives that has it; None where none has."""
    return next((value for place in where if (value := media.value_in(place, name)) is not None), None)


def split_of(name: str) -> str | None:
    """``train``, ``val`` or ``test`` by a word in a file's or folder's name; None where there is none."""
    return next((split for word, split in _SPLITS.items() if word in name.lower()), None)


def walk(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(place, sorted names of its files) of a folder and all in it, each once, also where links lead in a circle."""
    seen: set[str] = set()
    for place, inside, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        inside[:] = [] if real in seen else sorted(inside)
        if real not in seen:
            seen.add(real)
            yield place, sorted(names)


@dataclass
class Media:
    """Which files are there and hold something: by their sizes, and the first bytes of small ones, never decoded."""

    pointers: dict[str, None] = field(default_factory=dict)
    empty: dict[str, None] = field(default_factory=dict)

    def usable(self, path: str | Path) -> bool:
        """Whether a file is there with content of its own; pointers of Git LFS and empty files are noted."""
        try:
            size = os.stat(path).st_size
            if size >= _POINTER:
                return os.path.isfile(path)
            if not os.path.isfile(path):
                return False
            with open(path, "rb") as handle:
                pointer = handle.read(len(media.LFS)) == media.LFS
        except OSError:
            return False
        found = self.empty if size == 0 else self.pointers if pointer else None
        if found is not None:
            found[str(path)] = None
        return found is None

    def first(self, places: Iterable[str | Path]) -> str | None:
        """The first of some places that has a usable file."""
        return next((str(place) for place in places if self.usable(place)), None)
