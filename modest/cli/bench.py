"""modest bench: methods x budgets x seeds on a pool whose labels are known, resumable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli import output
from modest.cli.models import model_folder
from modest.cli.pairs import pairs

if TYPE_CHECKING:
    from modest.bench import Protocol

JOBS = typer.Option(os.cpu_count() or 1, "--jobs", show_default="cores", help="Processes; they change no result.")


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool; its labels must be known."),
    methods: str = typer.Option("auto,random,kcenter,kmeans,activeft,mmcsal,maxherding", help="Selections, by comma."),
    budgets: str = typer.Option("0.01,0.02,0.05,0.1", help="Shares (0.05) or counts (200) of labels, by comma."),
    seeds: int = typer.Option(5, help="Seeds 0, 1, ..; each redraws subsample, selection and learner."),
    learner: str = typer.Option("probe", help="probe, mla, late, concat; mla@supervised, mla@semi_supervised (media)."),
    encoder: list[str] = typer.Option([], "--encoder", help="MODALITY=ENCODER of @supervised. Repeatable."),
    rounds: bool = typer.Option(False, "--rounds", help="Each budget builds on the one before; warm methods may run."),
    first: str = typer.Option("random", "--first", help="First round of warm methods, unless named: maxherding+badge."),
    warm: str | None = typer.Option(None, "--warm", help="Classifier that warm methods ask: probe or concat."),
    start: str = typer.Option(None, "--start", help="Model of `modest represent` that @semi_supervised starts from."),
    missing: str = typer.Option("0", help="Shares of modality cells to take away, by comma."),
    subsample: float = typer.Option(0.8, help="Share of the training pool that a seed draws."),
    epochs: int | None = typer.Option(None, help="Epochs of recipes, instead of their default."),
    out: Path = typer.Option(Path("bench"), help="Folder of the results; run again to resume."),
    jobs: int = JOBS,
    json: bool = output.JSON,
) -> None:
    """Compare ways of choosing labels: accuracy against budget, with intervals over seeds.

    Every finished cell is on disk at once: stop it with Ctrl-C, or let it be killed, and the same command goes on.

    Example: modest bench pool/ --methods random,maxherding --budgets 0.01,0.05 --seeds 5 --out bench/
    Example: modest bench pool/ --rounds --methods maxherding,badge,maxherding+badge,uherding --out rounds/
    """
    from modest import bench
    from modest.checks import known
    from modest.encoders.spec import spec

    if not rounds and (warm is not None or first != "random"):
        raise ValueError("--first and --warm belong to --rounds; add it, or leave them out.")
    if warm is not None:
        known(warm, ("probe", "concat"), "--warm")
    training: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    media = {m: spec(told)[0] for m, told in pairs(encoder, "--encoder", "MODALITY=ENCODER").items()}
    protocol = bench.Protocol(
        pool=pool,
        out=out,
        methods=_names(methods),
        budgets=tuple(_budget(part) for part in _names(budgets)),
        seeds=seeds,
        subsample=subsample,
        learner=_names(learner),
        missing=tuple(_number(part, "missing") for part in _names(missing)),
        rounds=rounds,
        first=first,
        warm=training if warm == "concat" else warm,
        classifier=training,
        encoders=media,
        start=None if start is None else model_folder(pool, start),
    )
    follow("bench", protocol, json, jobs)
    frame = bench.results(out)
    across = "learner" if len(protocol.methods) == 1 and len(protocol.learners) > 1 else "method"
    along = "missing" if frame["items"].nunique() == 1 and len(protocol.missing) > 1 else "items"
    wide = bench.grid(frame, across, along, order=protocol.methods if across == "method" else protocol.learners)
    title = "accuracy in %, mean [95 % interval over seeds], * best or tied with it"
    payload = {"out": out, "cells": len(frame), "summary": bench.summarise(frame).to_dict("records")}
    lines = [bench.text(wide, f"{title}; columns: {along}"), f"results in {out / 'results.csv'}"]
    output.finish(payload, json, lines, f"modest report {out} --pool {pool}")


def follow(label: str, protocol: Protocol, quiet: bool, jobs: int) -> None:
    """Run a bench to its end with a progress bar; the predicted time first. Ctrl-C ends the command with code 130."""
    from modest.bench import run

    try:
        with output.progress(label, hidden=quiet) as progress:
            for record in run(protocol, progress, jobs):
                if record.stage == "plan":
                    cells, finished, seconds = (record.values[name] for name in ("cells", "finished", "seconds"))
                    left = f"the other {cells - finished} take about {seconds:.0f} s"
                    typer.echo(f"{label}: {cells} cells, {finished} finished; {left}.", err=True)
    except KeyboardInterrupt:
        typer.echo("Stopped; finished cells are kept. Run the same command again to go on.", err=True)
        raise typer.Exit(130) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _budget(text: str) -> int | float:
    return int(text) if text.isdigit() else _number(text, "budgets")


def _number(text: str, argument: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{argument} holds {text!r}, which is no number; write shares such as 0.05, by comma."
        ) from None
