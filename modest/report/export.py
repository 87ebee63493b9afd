"""A page as files: every table as Parquet, every figure as PNG and SVG, named like the sections they stand in."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from modest.data import files
from modest.report.html import Page, Part, slug
from modest.report.plots import svg

DPI = 160


def write_tables(page: Page, folder: str | Path) -> list[Path]:
    """Write what a page shows into a folder and return the files, each written whole or not at all.

    ``<number>-<section>.parquet`` holds the plain numbers behind a section (its table where there are none),
    ``-facts`` its facts; ``.png`` and ``.svg`` are its figure on white ground. ``00-summary.parquet`` is what stands
    above the sections.

    Raises
    ------
    OSError
        If the folder cannot be written, in one sentence.
    """
    place = Path(folder)
    with files.writing(place):
        place.mkdir(parents=True, exist_ok=True)
    words = [("title", page.title), ("lead", page.lead), *((note.head, note.text) for note in page.notes)]
    words += [(what, value) for value, what in page.numbers]
    written = [_table(place / "00-summary.parquet", pd.DataFrame(words, columns=["name", "value"]))]
    for number, part in enumerate(page.parts, start=1):
        written += _section(part, place, slug(part.title, number))
    return written


def _section(part: Part, place: Path, name: str) -> list[Path]:
    written = []
    table = part.table if part.data is None else part.data
    if table is not None:
        written.append(_table(place / f"{name}.parquet", table))
    if part.facts:
        facts = pd.DataFrame([(key, str(value)) for key, value in part.facts], columns=["name", "value"])
        written.append(_table(place / f"{name}-facts.parquet", facts))
    if part.figure is not None:
        path = place / f"{name}.png"
        with files.replacing(path) as temporary:
            part.figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight")
        files.write_text(path.with_suffix(".svg"), svg(part.figure))
        written += [path, path.with_suffix(".svg")]
    return written


def _table(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table whose columns may be called by numbers."""
    files.write_table(path, frame.rename(columns=str))
    return path
