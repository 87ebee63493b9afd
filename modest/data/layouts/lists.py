"""List files of public data sets: read whatever ends their lines have, and turned into the table of a layout."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data import media

if TYPE_CHECKING:
    import pandas as pd

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


def finished(
    rows: Sequence[Mapping[str, Any]],
    raw: Sequence[str],
    classes: Sequence[str],
    folder: Path,
    hint: str,
    more: Sequence[str] = (),
) -> pd.DataFrame:
    """Table of a layout from its rows (id, raw columns or None, label, split, and columns of ``more``).

    Rows with none of their media are left out and named in ``attrs["missing"]``; ``attrs["lost"]`` counts per column
    the rows without it. Classes without an item go; those that ``classes`` lacks are sorted behind; where labels are
    numbers there are no names.

    Raises
    ------
    ValueError
        If no item is left; ``hint`` says what the layout looks for.
    """
    import pandas as pd

    kept = [row for row in rows if any(row[name] is not None for name in raw)]
    if not kept:
        told = f"its lists name {len(rows)} items and none has its files there" if rows else "it has no list or clip"
        raise ValueError(f"{folder} cannot be read: {told}; {hint}")
    frame = pd.DataFrame(kept, columns=["id", *raw, *more, "label", "split"], dtype=object)
    found = {str(label) for label in frame["label"].dropna()}
    named = not all(label.isdigit() for label in found)
    known = [name for name in dict.fromkeys(classes) if name in found]
    frame.attrs["classes"] = [*known, *sorted(found - set(known))] if named else []
    frame.attrs["lost"] = {name: sum(row[name] is None for row in rows) for name in raw}
    frame.attrs["missing"] = [row["id"] for row in rows if all(row[name] is None for name in raw)]
    return frame
