"""Rounds of a pool: each a numbered folder with the choice and what is known about it."""

from __future__ import annotations

import os
import shutil
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


def find_rounds(pool: Path) -> tuple[Round, ...]:
    """Rounds in the folder of a pool, by number."""
    folder = pool / "rounds"
    numbers = sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []
    return tuple(Round(n, folder / str(n), files.read_json(folder / str(n) / "manifest.json")) for n in numbers)


def add_round(pool: Path, choice: Choice, rows: str) -> int:
    """Write a choice as the next round (a whole folder at once) and return its number.

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
            manifest = {
                "kind": "round",
                "format": 1,
                "round": number,
                "method": choice.method,
                "items": len(choice),
                "rows": rows,
                "trace": dict(choice.trace),
            }
            files.write_json(temporary / "manifest.json", manifest)
            os.rename(temporary, folder / str(number))
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return number
