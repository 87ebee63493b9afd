"""``modest data``: look at what is on disk before a pool is made of it, and hide modalities of a pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli import mask, output

if TYPE_CHECKING:
    from modest.data.layouts.examine import Examined

_MANY = 20  # classes that are shown by split

app = typer.Typer(
    help="""Look at a public data set on disk, or draw a mask of missing modalities for a pool.

    Example: modest data check ~/CREMA-D
    """,
    no_args_is_help=True,
)


@app.callback()
def group() -> None:
    """Look at a public data set on disk, or draw a mask of missing modalities for a pool."""


app.command("mask")(mask.command)


@app.command("check")
def check(
    folder: Path = typer.Argument(..., help="Folder of the data set."),
    layout: str = typer.Option(None, "--layout", help="NAME or NAME:option=value; left out: what it looks like."),
    json: bool = output.JSON,
) -> None:
    """Count what is there of a data set and what is missing; nothing is decoded, nothing is written.

    Example: modest data check ~/CREMA-D --layout crema_d:fold=2
    """
    from modest.data.layouts.examine import examine

    found = examine(folder, layout)
    chosen = ",".join(f"{name}={value}" for name, value in found.options.items())
    named = f"{found.layout}:{chosen}" if chosen else found.layout
    what = "is read as" if layout else "looks like"
    kind = "" if found.verified else " (declared by you, unverified)"
    text = [f"{folder} {what} {named}{kind}: {found.rows} items", *_tables(found), *_lines(found)]
    usable = found.rows > found.gone["count"]
    following = f"modest ingest {folder} --into pool --layout {named}" if usable else None
    output.finish({"folder": str(folder), **found.as_dict()}, json, text, following)


def _tables(found: Examined) -> list[str]:
    """Items by split, and by split and class (by class alone where there are many): how many have each modality."""
    columns = ["items", *(f"{name} {part}" for name in found.modalities for part in ("there", "missing"))]
    labels = dict.fromkeys(label for classes in found.counts.values() for label in classes)
    splits = [(split, list(classes.values())) for split, classes in found.counts.items()]
    if len(labels) <= _MANY:
        title = "split, class"
        parts = [
            (f"{split} {label or '?'}", [counts])
            for split, classes in found.counts.items()
            for label, counts in classes.items()
        ]
    else:
        title = "class (by split too: --json)"
        parts = [
            (label or "?", [classes[label] for classes in found.counts.values() if label in classes])
            for label in labels
        ]
    return [
        output.table("", ["split", *columns], [_row(*part, found) for part in splits]),
        output.table("", [title, *columns], [_row(*part, found) for part in parts]),
        "",
    ]


def _row(name: str, counts: list[dict[str, int]], found: Examined) -> list[Any]:
    rows = sum(count["rows"] for count in counts)
    there = [sum(count[modality] for count in counts) for modality in found.modalities]
    return [name, rows, *(cell for one in there for cell in (one, rows - one))]


def _lines(found: Examined) -> list[str]:
    """One line for everything that is not as it was published."""
    counts = [f"{name} {one['here']} of {one['published']}" for name, one in found.published.items()]
    told = [f"published counts: {', '.join(counts)}"] if counts else ["published counts: none are known"]
    told += [_several(f"missing {name}", one) for name, one in found.missing.items() if one["count"]]
    kinds = {
        "items with nothing left": found.gone,
        "Git LFS pointers (fetch them with: git lfs pull)": found.pointers,
        "empty files (copy them again)": found.empty,
        "media that no list names": found.unlisted,
    }
    told += [_several(name, one) for name, one in kinds.items() if one["count"]]
    told += [
        f"{name}: {one['groups']} groups, {one['in_two_splits'] or 'none'} of them in two splits"
        for name, one in found.groups.items()
    ]
    return [*told, *(f"note: {sentence}" for sentence in found.notes)]


def _several(what: str, one: dict[str, Any]) -> str:
    return f"{what}: {one['count']} ({', '.join(one['first'])}{', ...' if one['count'] > len(one['first']) else ''})"
