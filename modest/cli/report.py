"""modest report: a pool or a bench as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from modest.cli import output
from modest.cli.models import model_folder


def command(
    source: Path = typer.Argument(..., help="Folder of a pool or of a bench."),
    out: Path = typer.Option(Path("report.html"), help="The HTML file to write."),
    pool: Path | None = typer.Option(None, help="For a bench: the pool it ran on, to draw what was chosen."),
    views: str | None = typer.Option(None, help="For a pool: views to look at, image=NAME,text=NAME."),
    before: str | None = typer.Option(None, help="For a pool: views to put beside them, image=NAME,text=NAME."),
    cartography: str | None = typer.Option(
        None, help="A model of `modest train --track-items`: which items it learned, and which of them choices prefer."
    ),
    model: str | None = typer.Option(
        None, help="A model looked at by `modest evaluate --patterns`: by presence pattern and missing rate."
    ),
    seed: int = output.SEED,
    json: bool = output.JSON,
) -> None:
    """Write a report with plots and tables: one HTML file that needs nothing else.

    A pool with two modalities of one width gets its modality gap drawn; --before shows how it was in other views.
    --cartography shows which items a model learned early, late or never, and which of them every choice took;
    --model what a model is worth where modalities are missing.

    Example: modest report pool/ --views image=new,text=new --before image=old,text=old
    """
    from modest import report
    from modest.data.pool import open as open_pool
    from modest.data.tracked import Tracked

    named = {"--views": _encoders(views, "--views"), "--before": _encoders(before, "--before")}
    if (source / "protocol.json").is_file():
        if any(given is not None for given in named.values()):
            raise ValueError(f"{source} is a bench; --views and --before belong to the report of a pool.")
        if model is not None:
            raise ValueError(f"{source} is a bench; --model belongs to the report of a pool.")
        if cartography is not None and pool is None:
            raise ValueError("--cartography names a model of the pool the bench ran on; name that pool by --pool.")
        tracked = None if cartography is None or pool is None else Tracked.load(model_folder(pool, cartography))
        page = report.bench_page(source, None if pool is None else open_pool(pool), tracked=tracked)
    elif (source / "config.json").is_file():
        tracked = None if cartography is None else Tracked.load(model_folder(source, cartography))
        looked = None if model is None else (model, _evaluation(model_folder(source, model)))
        page = report.pool_page(open_pool(source), named["--views"], named["--before"], seed, tracked, looked)
    else:
        raise FileNotFoundError(f"{source} holds neither a pool nor a bench; give the folder of one of them.")
    path = report.write(page, out)
    output.finish({"report": path, "sections": [part.title for part in page.parts]}, json, [f"report in {path}"])


def _evaluation(folder: Path) -> dict[str, Any]:
    """What ``modest evaluate`` kept of a model, by split."""
    from modest.data.files import read_json

    path = folder / "metrics.json"
    return dict(read_json(path).get("evaluation", {})) if path.is_file() else {}


def _encoders(text: str | None, option: str) -> dict[str, str] | None:
    """MODALITY=ENCODER,... as a mapping; None when it was not given."""
    if text is None:
        return None
    found: dict[str, str] = {}
    for told in text.split(","):
        name, _, encoder = (part.strip() for part in told.partition("="))
        if not name or not encoder:
            raise ValueError(f"{option} {text!r} cannot be read; write it as image=NAME,text=NAME.")
        if name in found:
            raise ValueError(f"{option} names {name!r} twice; name it once.")
        found[name] = encoder
    return found
