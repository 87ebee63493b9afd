"""modest report: a pool or a bench as one HTML page."""

from __future__ import annotations

from pathlib import Path

import typer

from modest.cli import output


def command(
    source: Path = typer.Argument(..., help="Folder of a pool or of a bench."),
    out: Path = typer.Option(Path("report.html"), help="The HTML file to write."),
    pool: Path | None = typer.Option(None, help="For a bench: the pool it ran on, to draw what was chosen."),
    json: bool = output.JSON,
) -> None:
    """Write a report with plots and tables: one HTML file that needs nothing else.

    Example: modest report bench/ --pool pool/ --out report.html
    """
    from modest import report
    from modest.data.pool import open as open_pool

    if (source / "protocol.json").is_file():
        page = report.bench_page(source, None if pool is None else open_pool(pool))
    elif (source / "config.json").is_file():
        page = report.pool_page(open_pool(source))
    else:
        raise FileNotFoundError(f"{source} holds neither a pool nor a bench; give the folder of one of them.")
    path = report.write(page, out)
    output.finish({"report": path, "sections": [part.title for part in page.parts]}, json, [f"report in {path}"])
