"""Rounds of a pool: each a numbered folder with the choice, or the queries, and what is known about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.data import files
from modest.types import Choice

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Round:
    """One turn of choose and annotate: its ``number``, its folder ``path`` and its ``manifest``."""

    number: int
    path: Path
    manifest: dict[str, Any]

    @property
    def choice(self) -> pd.DataFrame:
        """Table of id, order, score, reason, method."""
        return files.read_table(self.path / "choice.parquet")

    @property
    def state(self) -> dict[str, Any]:
        """What the method remembers for a later choice; empty when it remembers nothing or the file was deleted.

        Raises
        ------
        ValueError
            If the file is another one than was written.
        """
        place = self.path / "state.npz"
        if "state" not in self.manifest or not place.is_file():
            return {}
        if files.file_hash(place) != self.manifest["state"]:
            raise ValueError(f"{place} is not what was written; delete it, the next choice then computes all anew.")
        return files.read_npz(place)


def find_rounds(pool: Path, kind: str = "round") -> tuple[Round, ...]:
    """Rounds of a pool by number, of one kind: "round" chose items to label, "query" asked for partners."""
    folder = pool / "rounds"
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
    found = (Round(n, folder / str(n), files.read_json(folder / str(n) / "manifest.json")) for n in numbers)
    return tuple(one for one in found if one.manifest.get("kind", "round") == kind)


def last_state(rounds: Sequence[Round], method: str) -> dict[str, Any]:
    """State of the newest round of a method that left one; empty when there is none."""
    kept = (one.state for one in reversed(rounds) if one.manifest.get("method") == method)
    return next((state for state in kept if state), {})


def add_round(pool: Path, choice: Choice, rows: str) -> int:
    """Write a choice, and its state if it has one, as the next round; return its number.

    ``rows`` is the pool's hash of the order of rows.
    """

    def fill(folder: Path, number: int) -> dict[str, Any]:
        files.write_table(folder / "choice.parquet", choice.to_frame())
        kept = {}
        if choice.state:
            files.write_npz(folder / "state.npz", choice.state)
            kept["state"] = files.file_hash(folder / "state.npz")
        told = {"kind": "round", "method": choice.method, "items": len(choice)}
        return {**told, "trace": dict(choice.trace), **kept}

    return put_round(pool, fill, rows)


def put_round(pool: Path, fill: Callable[[Path, int], dict[str, Any]], rows: str) -> int:
    """Make the folder of the next round at once and return its number.

    ``fill(folder, number)`` writes its files and gives its manifest, with ``kind``.
    """
    folder = pool / "rounds"
    with files.writing(folder):
        folder.mkdir(exist_ok=True)
        number = max((int(p.name) for p in folder.iterdir() if p.name.isdigit()), default=0) + 1
        temporary = folder / f".{number}.partial"
        if temporary.exists():
            shutil.rmtree(temporary)
        temporary.mkdir()
        try:
            told = fill(temporary, number)
            kind = told.pop("kind")
            files.write_json(
                temporary / "manifest.json", {"kind": kind, "format": 1, "round": number, "rows": rows, **told}
            )
            os.rename(temporary, folder / str(number))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return number
