"""Rounds of a pool: each a numbered folder with the choice and what is known about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
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


def find_rounds(pool: Path) -> tuple[Round, ...]:
    """Rounds in the folder of a pool, by number."""
    folder = pool / "rounds"
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
    return tuple(Round(n, folder / str(n), files.read_json(folder / str(n) / "manifest.json")) for n in numbers)


def last_state(rounds: Sequence[Round], method: str) -> dict[str, Any]:
    """State of the newest round of a method that left one; empty when there is none."""
    kept = (one.state for one in reversed(rounds) if one.manifest.get("method") == method)
    return next((state for state in kept if state), {})


def add_round(pool: Path, choice: Choice, rows: str) -> int:
    """Write a choice, and its state if it has one, as the next round (a whole folder at once); return its number.

    ``rows`` is the pool's hash of the order of rows.
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
            files.write_table(temporary / "choice.parquet", choice.to_frame())
            kept = {}
            if choice.state:
                files.write_npz(temporary / "state.npz", choice.state)
                kept["state"] = files.file_hash(temporary / "state.npz")
            manifest = {
                "kind": "round",
                "format": 1,
                "round": number,
                "method": choice.method,
                "items": len(choice),
                "rows": rows,
                "trace": dict(choice.trace),
                **kept,
            }
            files.write_json(temporary / "manifest.json", manifest)
            os.rename(temporary, folder / str(number))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return number
