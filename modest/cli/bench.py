"""modest bench: methods x budgets x seeds on a pool whose labels are known, resumable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import typer

from modest.cli import output
from modest.cli.models import model_folder
from modest.cli.pairs import pairs

USUAL = "random,uncertainty,coreset,acquire,auto"
JOBS = typer.Option(os.cpu_count() or 1, "--jobs", show_default="cores", help="Processes; they change no result.")


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool; its labels must be known."),
    task: str = typer.Option("labels", help="labels: which items to label; pairing: which alignments to buy."),
    methods: str = typer.Option("", help="Ways to choose, by comma; left out, the usual ones of the task."),
    budgets: str = typer.Option("", help="Shares (0.05) or counts (200) by comma; of pairing one, per round."),
    seeds: int = typer.Option(5, help="Seeds 0, 1, ..; each redraws subsample, selection and learner."),
    learner: str = typer.Option(
        "", help="probe, mla, late, concat; mla@supervised, mla@semi_supervised (media). Of pairing: ridge, towers."
    ),
    encoder: list[str] = typer.Option([], "--encoder", help="MODALITY=ENCODER of @supervised. Repeatable."),
    rounds: bool = typer.Option(False, "--rounds", help="Each budget builds on the one before; warm methods may run."),
    first: str = typer.Option("random", "--first", help="First round of warm methods, unless named: maxherding+badge."),
    warm: str | None = typer.Option(None, "--warm", help="Classifier that warm methods ask: probe or concat."),
    start: str = typer.Option(None, "--start", help="Model of `modest represent` that @semi_supervised starts from."),
    missing: str = typer.Option("0", help="Shares of modality cells to take away, by comma."),
    subsample: float = typer.Option(0.8, help="Share of the training pool that a seed draws."),
    epochs: int | None = typer.Option(None, help="Epochs of recipes and towers, instead of their default."),
    turns: int = typer.Option(10, help="Of pairing: rounds in a pool."),
    setting: str = typer.Option("pool", help="Of pairing: pool, stream, or both by comma."),
    buffer: int = typer.Option(4096, help="Of pairing: hidden pairs in a buffer of a stream."),
    retrain: str = typer.Option("continue", help="Of pairing: continue or restart between rounds."),
    out: Path = typer.Option(Path("bench"), help="Folder of the results; run again to resume."),
    jobs: int = JOBS,
    json: bool = output.JSON,
) -> None:
    """Compare ways of choosing labels, or pairs: score against budget, with intervals over seeds.

    Every finished cell is on disk at once: stop it with Ctrl-C, or let it be killed, and the same command goes on.

    Example: modest bench pool/ --methods random,maxherding --budgets 0.01,0.05 --seeds 5 --out bench/
    Example: modest bench pool/ --rounds --methods maxherding,badge,maxherding+badge,uherding --out rounds/
    Example: modest bench pool/ --task pairing --methods random,acquire,coreset --budgets 0.05 --turns 10 --out pairs/
    """
    from modest import bench
    from modest.checks import known
    from modest.encoders.spec import spec

    if known(task, ("labels", "pairing"), "--task") == "pairing":
        several = {"methods": methods or USUAL, "learner": learner or "ridge", "setting": setting}
        numbers = {"seeds": seeds, "subsample": subsample, "rounds": turns, "buffer": buffer, "retrain": retrain}
        numbers |= {"budget": one_budget(budgets or "0.05"), "training": {} if epochs is None else {"epochs": epochs}}
        return show_pairing(pool, out, {name: _names(told) for name, told in several.items()} | numbers, jobs, json)
    if not rounds and (warm is not None or first != "random"):
        raise ValueError("--first and --warm belong to --rounds; add it, or leave them out.")
    if warm is not None:
        known(warm, ("probe", "concat"), "--warm")
    training: dict[str, Any] = {} if epochs is None else {"epochs": epochs}
    media = {m: spec(told)[0] for m, told in pairs(encoder, "--encoder", "MODALITY=ENCODER").items()}
    protocol = bench.Protocol(
        pool=pool,
        out=out,
        methods=_names(methods or "auto,random,kcenter,kmeans,activeft,mmcsal,maxherding"),
        budgets=tuple(_budget(part) for part in _names(budgets or "0.01,0.02,0.05,0.1")),
        seeds=seeds,
        subsample=subsample,
        learner=_names(learner or "probe"),
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


def show_pairing(pool: Path, out: Path, given: dict[str, Any], jobs: int, json: bool) -> None:
    """Run a pairing bench, write its plots, and tell its tables."""
    from modest.bench import pairing, text
    from modest.report.pairing_plot import write_plots

    protocol = pairing.PairProtocol(pool=pool, out=out, **given)
    follow("pairing bench", protocol, json, jobs, pairing.run)
    frame, order = pairing.results(out), list(protocol.methods)
    metric = "group" if "group" in frame.columns else "recall@1"
    plots = write_plots(out)
    payload = {"out": out, "chains": len(frame.groupby(list(pairing.POINT))), "plots": plots}
    payload |= {"summary": pairing.summarise(frame, metric).to_dict("records")}
    payload |= {"areas": pairing.areas(frame, metric).to_dict("records")}
    title = f"{metric} in %, mean [95 % interval over seeds], * best or tied with it; {protocol.retrain} between rounds"
    lines = [text(pairing.grid(frame, metric, order), f"{title}; columns: queries"), ""]
    lines += [text(pairing.verdict(frame, metric, order), "area under the curve against pairs; differences in points")]
    output.finish(payload, json, [*lines, f"results in {out / 'results.csv'}", *(f"plot in {path}" for path in plots)])


def follow(label: str, protocol: Any, quiet: bool, jobs: int, run: Any = None) -> None:
    """Run a bench to its end with a progress bar; the predicted time first. Ctrl-C ends the command with code 130."""
    from modest import bench

    try:
        with output.progress(label, hidden=quiet) as progress:
            for record in (run or bench.run)(protocol, progress, jobs):
                if record.stage == "plan":
                    cells, finished, seconds = (record.values[name] for name in ("cells", "finished", "seconds"))
                    left = f"the other {cells - finished} take about {seconds:.0f} s"
                    typer.echo(f"{label}: {cells} cells, {finished} finished; {left}.", err=True)
    except KeyboardInterrupt:
        typer.echo("Stopped; finished cells are kept. Run the same command again to go on.", err=True)
        raise typer.Exit(130) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def one_budget(text: str) -> int | float:
    """The budget of a round; ValueError for several."""
    if len(_names(text)) != 1:
        raise ValueError(f"--budgets {text!r} names several; of pairing it is one share or count, that of a round.")
    return _budget(text)


def _budget(text: str) -> int | float:
    return int(text) if text.isdigit() else _number(text, "budgets")


def _number(text: str, argument: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(
            f"{argument} holds {text!r}, which is no number; write shares such as 0.05, by comma."
        ) from None
