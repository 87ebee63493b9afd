"""``modest represent``: train encoders on the pool itself, unlabelled, and write the views they give."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli import output
from modest.cli.pairs import number, pairs

if TYPE_CHECKING:
    from modest.data.pool import Pool
    from modest.representation import Representation


def command(
    pool: Path = typer.Argument(..., help="Pool folder, as made by `modest ingest`."),
    image: str = typer.Option(None, "--image", help="resnet18, resnet101, with knobs: resnet18?width=0.25&size=64."),
    text: str = typer.Option(None, "--text", help="bert, bert?layers=2&hidden=128&heads=2."),
    audio: str = typer.Option(None, "--audio", help="audio_resnet18?width=0.25, also of the sound of videos."),
    video: str = typer.Option(None, "--video", help="r2plus1d18?width=0.25&size=56&frames=3."),
    view: list[str] = typer.Option([], "--view", help="NAME=ENCODER; mlp, or mlp?view=pixels, over a ready view."),
    column: list[str] = typer.Option([], "--from", help="MODALITY=COLUMN: read this raw column. Repeatable."),
    preset: str = typer.Option(None, "--preset", help="The paper's: food101/pretraining, kinetics_sound/... ."),
    name: str = typer.Option("stage1", "--name", help="Of the model and of the views."),
    epochs: int = typer.Option(None, "--epochs", help="Passes over the training rows; 25."),
    warmup: float = typer.Option(None, "--warmup", help="Epochs of them in which the rate rises and no prototypes; 5."),
    lr: float = typer.Option(None, "--lr", help="Learning rate; 0.001."),
    rate: list[str] = typer.Option([], "--rate", help="MODALITY=RATE, or projectors=RATE. Repeatable."),
    batch_size: int = typer.Option(None, "--batch-size", help="Rows of a step over all processes; 256."),
    accumulate: int = typer.Option(1, "--accumulate", help="Batches to a step."),
    prototypes: int = typer.Option(None, "--prototypes", help="Clusters per modality; one per 45 rows; 0 for none."),
    cluster_on: str = typer.Option("eval", "--cluster-on", help="eval: by a pass each epoch; epoch: by the past one."),
    width: int = typer.Option(None, "--width", help="Features of the common space; 512."),
    autocast: bool = typer.Option(False, "--autocast", help="Multiply in bf16."),
    fresh: bool = typer.Option(False, "--fresh", help="Train again though there is a model of this name."),
    more: bool = typer.Option(False, "--extend", help="Train nothing; write the views of appended rows too."),
    memory: str = typer.Option("2GB", "--memory", help="Of decoded media kept between epochs."),
    device: str = typer.Option(None, "--device", help="cpu or cuda; decided by modest if left out."),
    seed: int = output.SEED,
    json: bool = output.JSON,
) -> None:
    """Train one encoder per modality so that the modalities of an item agree, by contrast and by prototypes.

    Without encoders, small networks over the pool's ready views are trained. A killed run goes on after its last epoch.
    On several processes: torchrun --nproc-per-node 4 -m modest.cli represent ...

    Example: modest represent pool --image "resnet18?width=0.25&size=64" --text "bert?layers=2&hidden=128&heads=2"
    """
    import modest
    from modest.representation.stage import extend, of_preset, represent
    from modest.training import world

    opened, here = modest.open(pool), world()
    if more:
        if not here.main:  # nothing is trained: one process encodes
            return
        with output.progress("encoding", hidden=json) as progress:
            made = extend(opened, name=name, progress=progress, device=device, memory=memory)
        return _finish(opened, made, name, json)
    settings: dict[str, Any] = of_preset(preset) if preset else {}
    named = {"image": image, "text": text, "audio": audio, "video": video}
    asked = {m: told for m, told in named.items() if told} | pairs(view, "--view", "NAME=ENCODER")
    encoders, views = _encoders(opened, asked, settings.pop("encoders", None))
    numbers = {"epochs": epochs, "warmup": warmup, "lr": lr, "accumulate": accumulate, "autocast": autocast}
    rates = {m: number("--rate", m, told) for m, told in pairs(rate, "--rate", "MODALITY=RATE").items()}
    settings |= _numbers(settings, numbers, rates, {"prototypes": prototypes, "cluster_on": cluster_on})
    settings |= {k: v for k, v in {"batch_size": batch_size, "width": width}.items() if v is not None}
    sources = {"encoders": views, "columns": pairs(column, "--from", "MODALITY=COLUMN")}
    with output.progress("training", hidden=json or not here.main) as progress:
        made = represent(
            opened, encoders, name=name, fresh=fresh, world=here, progress=progress, device=device, memory=memory,
            sources=sources, seed=seed, **settings,
        )  # fmt: skip
    if here.main:
        _finish(opened, made, name, json)


def _finish(pool: Pool, made: Representation, name: str, json: bool) -> None:
    """Say what was trained and what its space is like."""
    from modest.representation import modality_gap

    history = made.about["history"]
    gap = modality_gap(pool.views(dict.fromkeys(made.names, name)))
    payload = {"pool": str(pool.path), "name": name, "modalities": list(made.names), "history": history, "gap": gap.gap}
    first, last = history[0]["all"], history[-1]["all"]
    told = [
        f"{', '.join(made.names)} trained for {len(history)} epochs, loss {first:.3f} to {last:.3f}",
        *(_view(pool, modality, name) for modality in made.names),
        f"modality gap {gap.gap:.3f}, cosine of paired items {gap.paired:.3f}, of unpaired {gap.unpaired:.3f}",
        f"these views are the pool's default now; the model is {pool.path / 'models' / name}",
    ]
    output.finish(payload, json, told, f"modest select {pool.path} --budget 0.01 --method mmcsal")


def _encoders(pool: Pool, asked: dict[str, str], given: Any) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """Encoders by modality, those asked for in place of the preset's, and the ready views they name."""
    from modest.encoders.spec import spec

    found = {modality: spec(told) for modality, told in asked.items()}
    encoders = {**(given or {}), **{modality: told for modality, (told, _) in found.items()}}
    if not encoders and not pool.names:
        raise ValueError(
            f"{pool.path} has no ready views yet; name encoders of its raw media (--image resnet18 --text bert), or "
            f"make views with: {pool.embed_command()}"
        )
    return encoders or None, {modality: view for modality, (_, view) in found.items() if view is not None}


def _numbers(
    settings: dict[str, Any], numbers: dict[str, Any], rates: dict[str, float], goals: dict[str, Any]
) -> dict[str, Any]:
    """Plan and objective: the preset's or the usual ones, with what was asked for in their place."""
    from dataclasses import replace

    from modest.representation import Objective
    from modest.representation.pretrain import PLAN
    from modest.representation.stage import replanned

    plan, objective = settings.get("plan", PLAN), settings.get("objective", Objective())
    given = {name: value for name, value in numbers.items() if value is not None}
    plan = replanned(plan, **given, rates={**plan.rates, **rates})
    return {"plan": plan, "objective": replace(objective, **{k: v for k, v in goals.items() if v is not None})}


def _view(pool: Pool, modality: str, name: str) -> str:
    """One line on a view that was made."""
    import csv

    present = pool.views({modality: name}).present
    absent = 0 if present is None else int((~present).sum())
    line = f"{modality}: {len(pool) - absent:,} rows, {absent:,} absent"
    path = pool.path / "views" / modality / f"{name}.skipped.csv"
    if path.is_file():
        with path.open(newline="") as handle:
            line += f", {len(list(csv.DictReader(handle))):,} of them could not be read, listed in {path}"
    return line
