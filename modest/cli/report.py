"""modest report: a pool, a round, a model or a bench as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli import output
from modest.cli.models import model_folder

if TYPE_CHECKING:
    from modest.data.pool import Pool
    from modest.report import Note, Page


def command(
    source: Path = typer.Argument(..., help="Folder of a pool or of a bench."),
    round: int | None = typer.Option(None, "--round", help="For a pool: the page of this round."),
    model: str | None = typer.Option(None, help="For a pool: the page of this model, see modest evaluate."),
    out: Path | None = typer.Option(
        None, help="The HTML file; left out, report.html here, in the round's or in the model's folder."
    ),
    tables: Path | None = typer.Option(None, help="A folder: every table as Parquet, every figure as PNG and SVG."),
    pool: Path | None = typer.Option(None, help="For a bench: the pool it ran on, to draw what was chosen."),
    views: str | None = typer.Option(None, help="For a pool: views to look at, image=NAME,text=NAME."),
    before: str | None = typer.Option(None, help="For a pool: views to put beside them, image=NAME,text=NAME."),
    cartography: str = typer.Option(
        None, help="A model of `modest train --track-items`: which items it learned, and which of them choices prefer."
    ),
    seed: int = output.SEED,
    json: bool = output.JSON,
) -> None:
    """Write a report in words, plots and tables: one HTML file that needs nothing else.

    A pool's page tells where it stands; --round shows what a round chose and how it lies in the pool, --model how well
    a model does. A pool with two modalities of one width gets its modality gap drawn; --before shows how it was in
    other views. --cartography shows which items a model learned early, late or never, and which every choice took.

    Example: modest report pool/
    Example: modest report pool/ --round 2
    Example: modest report pool/ --model first --tables tables/
    Example: modest report pool/ --views image=new,text=new --before image=old,text=old
    """
    from modest import report

    told = {"--views": views, "--before": before, "--round": round, "--model": model}
    given = [name for name, value in told.items() if value is not None]
    if (source / "protocol.json").is_file():
        if given:
            raise ValueError(f"{source} is a bench; {given[0]} belongs to the report of a pool.")
        page, place, following = _bench(source, pool, cartography), Path("report.html"), None
    elif (source / "config.json").is_file():
        if pool is not None:
            raise ValueError(f"{source} is a pool; --pool belongs to the report of a bench.")
        page, place, following = _pool(source, told, cartography, seed)
    else:
        raise FileNotFoundError(f"{source} holds neither a pool nor a bench; give the folder of one of them.")
    path = report.write(page, out or place)
    written = [] if tables is None else report.write_tables(page, tables)
    text = [*(f"{note.head}: {note.text}" for note in page.notes), f"report in {path}"]
    text += [f"{len(written)} tables and figures in {tables}"] if tables is not None else []
    payload = {"report": path, "sections": [part.title for part in page.parts], "tables": [str(one) for one in written]}
    output.finish(payload, json, text, following)


def _bench(source: Path, pool: Path | None, cartography: str | None) -> Page:
    from modest import report
    from modest.data.pool import open as open_pool
    from modest.data.tracked import Tracked

    if cartography is not None and pool is None:
        raise ValueError("--cartography names a model of the pool the bench ran on; name that pool by --pool.")
    tracked = None if cartography is None or pool is None else Tracked.load(model_folder(pool, cartography))
    return report.bench_page(source, None if pool is None else open_pool(pool), tracked=tracked)


def _pool(source: Path, told: dict[str, Any], cartography: str | None, seed: int) -> tuple[Page, Path, str]:
    """A page of a pool, where it goes, and the command to run next."""
    from modest import report
    from modest.data.pool import open as open_pool
    from modest.data.tracked import Tracked

    views, before = (_encoders(told[name], name) for name in ("--views", "--before"))
    number, model = told["--round"], told["--model"]
    alone = {"--before": before, "--cartography": cartography, "--round": number}
    if number is not None and model is not None:
        raise ValueError("--round and --model are two pages; give one of them.")
    opened = open_pool(source)
    advice = _advice(opened)
    command = advice.command
    if model is not None:
        given = [name for name, value in {**alone, "--views": views}.items() if value is not None]
        if given:
            raise ValueError(f"{given[0]} belongs to the page of the pool; leave it out, or leave out --model.")
        folder = model_folder(source, model)
        return report.run_page(opened, folder, advice), folder / "report.html", command
    answers = _answers(source, number)
    if number is not None:
        given = [name for name in ("--before", "--cartography") if alone[name] is not None]
        if given:
            raise ValueError(f"{given[0]} belongs to the page of the pool; leave it out, or leave out --round.")
        page = report.round_page(opened, number, views, seed, answers, advice)
        return page, source / "rounds" / str(number) / "report.html", command
    tracked = None if cartography is None else Tracked.load(model_folder(source, cartography))
    page = report.pool_page(opened, views, before, seed, tracked, answers=answers, advice=advice)
    return page, Path("report.html"), command


def _advice(pool: Pool) -> Note:
    """What to do now, as `modest next` says it."""
    from modest.annotation.waiting import waiting
    from modest.report import Note
    from modest.rounds.next import advise

    told = advise(pool, *waiting(pool))
    return Note("What to do now", f"{told.action}: {told.why}.", told.command)


def _answers(pool: Path, number: int | None) -> Any:
    """What people said on the page, of all rounds or of one; None where the page was never used."""
    from modest.annotation.schema import FILE

    if not (pool / FILE).is_file():
        return None
    from modest.annotation.store import Store
    from modest.report.people import columns

    with Store(pool) as store:
        rows = [
            (task.number, task.kind, task.id, one.annotator, one.verdict, ",".join(one.value), one.at, one.seconds)
            for task, said in store.standing(None if number is None else [number])
            for one in said
        ]
    return columns(rows)


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
