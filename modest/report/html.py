"""One self-contained HTML page: words, plots as SVG, tables, pictures of items; nothing is loaded from anywhere."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from modest.data import files
from modest.report.plots import svg


@dataclass(frozen=True)
class Shown:
    """One modality of an item as people see it: ``name``, and a JPEG ``picture``, a ``drawing`` (SVG) or ``text``."""

    name: str
    text: str = ""
    picture: bytes = b""
    drawing: str = ""


@dataclass(frozen=True)
class Card:
    """An item, or a pair of two: its ``title`` (ids), what is ``shown`` of it, and a ``note`` below."""

    title: str
    shown: Sequence[Shown] = ()
    note: str = ""


@dataclass(frozen=True)
class Note:
    """One of the few things to know before all else: a ``head``, a sentence or two, a ``command`` to run."""

    head: str
    text: str
    command: str = ""


@dataclass(frozen=True, eq=False)
class Part:
    """One section of a page: ``title``, a sentence of ``text``, ``figure`` with ``caption``, ``cards``, ``table``.

    ``cards``: heading -> items shown below it. ``facts`` are (name, value) pairs, shown as a list. ``wide`` gives the
    part the page's whole width. ``data``: the plain numbers behind figure and table, for files (``export.py``); left
    out, the table is.
    """

    title: str
    text: str = ""
    figure: Figure | None = None
    caption: str = ""
    table: pd.DataFrame | None = None
    facts: Sequence[tuple[str, Any]] = ()
    wide: bool = True
    cards: Mapping[str, Sequence[Card]] = field(default_factory=dict)
    data: pd.DataFrame | None = None


@dataclass(frozen=True, eq=False)
class Page:
    """A report: ``title``, one ``lead`` sentence, ``notes`` in words, ``numbers`` as (value, what it is), its parts."""

    title: str
    lead: str
    parts: Sequence[Part]
    numbers: Sequence[tuple[str, str]] = ()
    notes: Sequence[Note] = ()


def html(page: Page) -> str:
    """Return the page as one HTML document. Equal pages give equal text."""
    room = Environment(loader=PackageLoader("modest.report", "."), autoescape=True, trim_blocks=True)
    room.filters["base64"] = lambda content: b64encode(content).decode()
    parts = [
        {
            "part": part,
            "slug": slug(part.title, k),
            "svg": None if part.figure is None else svg(part.figure, transparent=True),
            "head": [] if part.table is None else [str(column) for column in part.table.columns],
            "rows": []
            if part.table is None
            else [[_cell(v) for v in row] for row in part.table.itertuples(index=False)],
        }
        for k, part in enumerate(page.parts, start=1)
    ]
    return room.get_template("page.html").render(page=page, parts=parts)


def slug(title: str, number: int) -> str:
    """Name of a section in links and files: its number and its title in plain letters.

    Examples
    --------
    >>> slug("By presence pattern, test", 3)
    '03-by-presence-pattern-test'
    """
    return f"{number:02d}-{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')[:60]}".rstrip("-")


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
