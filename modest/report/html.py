"""One self-contained HTML page: plots as SVG, tables, protocol and hashes; nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from modest.data import files
from modest.report.plots import svg


@dataclass(frozen=True, eq=False)
class Part:
    """One section of a page: ``title``, a sentence of ``text``, ``figure`` with ``caption``, ``table``, ``facts``.

    ``facts`` are (name, value) pairs, shown as a list. ``wide`` gives the part the page's whole width.
    """

    title: str
    text: str = ""
    figure: Figure | None = None
    caption: str = ""
    table: pd.DataFrame | None = None
    facts: Sequence[tuple[str, Any]] = ()
    wide: bool = True


@dataclass(frozen=True, eq=False)
class Page:
    """A report: ``title``, one ``lead`` sentence, ``figures`` for the eye as (value, what it is), and its parts."""

    title: str
    lead: str
    parts: Sequence[Part]
    numbers: Sequence[tuple[str, str]] = ()


def html(page: Page) -> str:
    """Return the page as one HTML document. Equal pages give equal text."""
    template = Environment(loader=PackageLoader("modest.report", "."), autoescape=True, trim_blocks=True).get_template(
        "page.html"
    )
    parts = [
        {
            "part": part,
            "svg": None if part.figure is None else svg(part.figure),
            "head": [] if part.table is None else [str(column) for column in part.table.columns],
            "rows": []
            if part.table is None
            else [[_cell(v) for v in row] for row in part.table.itertuples(index=False)],
        }
        for part in page.parts
    ]
    return template.render(page=page, parts=parts)


def write(page: Page, path: str | Path) -> Path:
    """Write the page, whole or not at all, and return where; OSError in one sentence if that is impossible."""
    target = Path(path)
    with files.writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(target) as temporary:
        temporary.write_text(html(page), encoding="utf-8")
    return target


def _cell(value: Any) -> dict[str, Any]:
    """Text of a table's cell; a trailing * (best or tied) becomes emphasis."""
    text = str(value).rstrip()
    return {"text": text.removesuffix("*"), "best": text.endswith("*")}
