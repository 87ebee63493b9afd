"""``modest train``: a classifier from the labelled training rows of a pool."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli.models import hidden, model_folder
from modest.cli.output import JSON, SEED, finish, progress
from modest.cli.pairs import number, pairs

if TYPE_CHECKING:
    from modest.training import World

RECORDS, CHECKPOINT = "metrics.json", "run.safetensors"


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    method: str = typer.Option(None, help="mla when left out; `modest methods` lists them."),
    start: str = typer.Option(None, "--start", help="Start from these encoders: a model of `modest represent`."),
    image: str = typer.Option(None, "--image", help="Train this encoder: resnet18?width=0.25&size=64, or mlp."),
    text: str = typer.Option(None, "--text", help="bert?layers=2&hidden=128&heads=2, or mlp."),
    audio: str = typer.Option(None, "--audio", help="audio_resnet18?width=0.25, or mlp."),
    video: str = typer.Option(None, "--video", help="r2plus1d18?width=0.25&size=56&frames=3, or mlp."),
    view: list[str] = typer.Option([], "--view", help="NAME=ENCODER; mlp, or mlp?view=pixels, over a ready view."),
    column: list[str] = typer.Option([], "--from", help="MODALITY=COLUMN: read this raw column. Repeatable."),
    preset: str = typer.Option(None, "--preset", help="The papers': food101/supervised, mla/cremad ..."),
    epochs: int = typer.Option(None, help="Passes over the labelled rows; 40."),
    warmup: float = typer.Option(None, help="Epochs of them in which the rate rises; 0."),
    lr: float = typer.Option(None, help="Learning rate; 0.001."),
    rate: list[str] = typer.Option([], "--rate", help="MODALITY=RATE, or projectors=RATE. Repeatable."),
    batch_size: int = typer.Option(None, help="Rows per step; 32."),
    option: list[str] = typer.Option([], "--option", help="An option of the method, name=value. Repeatable."),
    fill: str = typer.Option("feature", help="What stands for an absent modality: feature (nothing), zero or mean."),
    modality_dropout: float = typer.Option(0.0, help="Share of present modalities dropped, anew each epoch."),
    mask: str = typer.Option(None, help="Hide modalities by this mask of `modest data mask`, or by this file."),
    name: str = typer.Option("", help="Folder under models/; the method when left out."),
    track_items: bool = typer.Option(False, "--track-items", help="Keep each item's confidence per epoch (report)."),
    device: str = typer.Option("", help="cpu or cuda; decided when left out."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Train a classifier on the labelled training rows of a pool; rows may lack modalities.

    Without encoders it stands on the pool's ready views. Encoders of raw media are trained from scratch; --start takes
    those of `modest represent` (semi-supervised). A killed run goes on after its last epoch, with --track-items anew.
    Labelled rows of split val choose the best epoch; without them 15 % are carved, or none below 20 rows a class.
    On several processes, each with its part of every batch: torchrun --nproc-per-node 2 -m modest.cli train ...

    Example: modest train demo-pool --method mla --name first
    """
    import modest
    from modest.data.files import read_json
    from modest.data.hidden import masked
    from modest.data.history import labelled
    from modest.encoders.spec import spec
    from modest.learning.presets import of_preset
    from modest.training import world
    from modest.training.checkpoints import write_atomically

    settings: dict[str, Any] = of_preset(preset) if preset else {}
    named = {"image": image, "text": text, "audio": audio, "video": video}
    asked = {m: told for m, told in named.items() if told} | pairs(view, "--view", "NAME=ENCODER")
    specs = {m: spec(told) for m, told in asked.items()}
    settings |= _encoders(pool, start, {m: told for m, (told, _) in specs.items()}, settings.get("encoders"), preset)
    settings |= {"views": {m: told for m, (_, told) in specs.items() if told} or None}
    settings |= {"columns": pairs(column, "--from", "MODALITY=COLUMN") or None}
    rates = {m: number("--rate", m, told) for m, told in pairs(rate, "--rate").items()}
    options = {key: _value(told) for key, told in pairs(option, "--option").items()}
    settings["rates"] = {**(settings.get("rates") or {}), **rates}
    settings["options"] = {**(settings.get("options") or {}), **options}
    numbers = {"method": method, "epochs": epochs, "warmup": warmup, "lr": lr, "batch_size": batch_size}
    settings |= {key: value for key, value in numbers.items() if value is not None}
    clf = modest.MultimodalClassifier(
        **settings, fill=fill, modality_dropout=modality_dropout, device=device or None, random_state=seed
    )
    name = name or clf.method
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"--name {name!r} must be a plain folder name; it is put under models/.")
    folder = Path(pool) / "models" / name
    if (folder / "config.json").is_file() and (kind := read_json(folder / "config.json").get("kind")) != "classifier":
        raise ValueError(f"{folder} holds a {kind}; give another --name.")
    here = world()
    table = masked(modest.open(pool), mask)
    clf = _trained(clf, table, folder, track_items, json, here)
    if not here.main:  # it has the same model
        return
    count, labels = labelled(table)
    metrics = {**_metrics(clf, seed), "labelled": count, "labels": labels, "start": start, **hidden(table)}
    write_atomically(folder / RECORDS, json_module.dumps(metrics, indent=1).encode())
    (folder / CHECKPOINT).unlink(missing_ok=True)
    then = f"modest report {pool} --cartography {name}" if track_items else f"modest evaluate {pool} --model {folder}"
    then += f" --mask {mask}" if mask and not track_items else ""
    finish({"model": str(folder), **metrics}, json, _told(clf, metrics, folder), then)


def _trained(clf: Any, pool: Any, folder: Path, track_items: bool, quiet: bool, here: World) -> Any:
    """The classifier trained by all processes and saved by one, with what was noted of its items if asked for."""
    from modest.data.tracked import FILE, Tracked

    checkpoint = None if track_items else folder / CHECKPOINT
    with progress("training", hidden=quiet or not here.main) as report:
        clf = clf.run(pool, track_items=track_items, progress=report, checkpoint=checkpoint).result
    here.wait()  # until all have read the checkpoint, which is about to go
    if not here.main:
        return clf
    (folder / FILE).unlink(missing_ok=True)  # of an earlier model of this name
    clf.save(folder)
    if track_items:
        noted = clf.dynamics
        Tracked(pool.ids[noted.rows], pool.labels[noted.rows], noted.confidence, noted.correct).save(folder)
    return clf


def _told(clf: Any, metrics: dict[str, Any], folder: Path) -> list[str]:
    """What the screen says of a training."""
    told = [f"trained {clf.method} on {', '.join(clf.names_)}: {len(clf.classes_)} classes"]
    told.append(f"epoch {metrics['kept_epoch'] + 1} of {clf.epochs} kept")
    told += [f"{m}: {count} values could not be read and count as absent" for m, count in metrics["unreadable"].items()]
    if metrics["validation"]:
        told.append(f"validation accuracy {metrics['validation']['accuracy']:.3f}")
    return [*told, f"written to {folder}"]


def _metrics(clf: Any, seed: int) -> dict[str, Any]:
    """What is kept beside the model."""
    kept = next(record for record in reversed(clf.history_) if record.values["best"])
    return {
        "method": clf.method,
        "seed": seed,
        "epochs": clf.epochs,
        "kept_epoch": kept.epoch,
        "modalities": list(clf.names_),
        "classes": clf.classes_.tolist(),
        "losses": kept.values["losses"],
        "validation": kept.values.get("validation"),
        "unreadable": {name: len(found) for name, found in clf.unreadable_.items()},
    }


def _encoders(pool: Path, start: str | None, asked: dict[str, Any], given: Any, preset: str | None) -> dict[str, Any]:
    """Which encoders: those to start from, or those asked for in place of the preset's."""
    if start is not None and asked:
        raise ValueError("--start brings its own encoders; leave out --image, --text, --audio, --video and --view.")
    if start is not None:
        return {"encoders": model_folder(pool, start)}
    if preset and given is None:
        raise ValueError(f"--preset {preset} starts from a pretraining; name it with --start.")
    return {"encoders": {**(given or {}), **asked} or None}


def _value(text: str) -> Any:
    try:
        return json_module.loads(text)
    except json_module.JSONDecodeError:
        return text
