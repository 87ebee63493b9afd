"""What every command shares on the screen: the closing lines, tables, and a progress bar with rate and time left."""

from __future__ import annotations

import json as json_module
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

Progress = Callable[[int, int], None]

JSON = typer.Option(False, "--json", help="Print one JSON object for machines instead of text.")
SEED = typer.Option(0, "--seed", help="Seed of every random draw.")


def finish(payload: dict[str, Any], json: bool, text: Sequence[str] = (), following: str | None = None) -> None:
    """End a command: the payload as JSON, or its text lines and the command to run next."""
    if json:
        sys.stdout.write(json_module.dumps(numbers({**payload, "next": following}), default=str) + "\n")
        return
    for line in text:
        sys.stdout.write(line + "\n")
    if following:
        sys.stdout.write(f"next: {following}\n")
    sys.stdout.flush()


def numbers(value: Any) -> Any:
    """The same with null for NaN and infinity, which JSON has no word for."""
    if isinstance(value, dict):
        return {name: numbers(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [numbers(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a plain table as text, first column left, others right aligned."""
    cells = [list(map(str, columns)), *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[j]) for row in cells) for j in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        return "  ".join(c.ljust(w) if j == 0 else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths)))

    return "\n".join([title, line(cells[0]), "  ".join("-" * w for w in widths), *map(line, cells[1:])])


@contextmanager
def progress(label: str, hidden: bool = False) -> Iterator[Progress | None]:
    """Give a callback ``(done, total)`` that draws a bar on stderr with rate and time left; None when hidden."""
    if hidden:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.1f}/s" if speed else "")

        yield report
