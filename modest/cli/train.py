"""``modest train``: a classifier from the labelled training rows of a pool."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Any

import typer

from modest.cli.output import JSON, SEED, finish, progress

RECORDS = "metrics.json"


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    method: str = typer.Option("mla", help="mla, concat or late."),
    epochs: int = typer.Option(40, help="Passes over the labelled rows."),
    lr: float = typer.Option(1e-3, help="Learning rate."),
    batch_size: int = typer.Option(32, help="Rows per step."),
    fill: str = typer.Option("feature", help="What stands for an absent modality: feature (nothing), zero or mean."),
    modality_dropout: float = typer.Option(0.0, help="Share of present modalities dropped in training."),
    name: str = typer.Option("", help="Folder under models/; the method when left out."),
    device: str = typer.Option("", help="cpu or cuda; decided when left out."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Train a classifier on the labelled training rows of a pool; rows may lack modalities.

    Labelled rows of split val choose the best epoch; without them 15 % are carved, or none below 20 rows a class.

    Example: modest train demo-pool --method mla --name first
    """
    import modest
    from modest.training.checkpoints import write_atomically

    name = name or method
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"--name {name!r} must be a plain folder name; it is put under models/.")
    opened = modest.open(pool)
    clf = modest.MultimodalClassifier(
        method=method,
        epochs=epochs,
        lr=lr,
        batch_size=batch_size,
        fill=fill,
        modality_dropout=modality_dropout,
        device=device or None,
        random_state=seed,
    )
    with progress("training", hidden=json) as report:
        clf.fit(opened, progress=report)
    folder = Path(pool) / "models" / name
    clf.save(folder)
    kept = next(record for record in reversed(clf.history_) if record.values["best"])
    metrics: dict[str, Any] = {
        "method": method,
        "seed": seed,
        "epochs": epochs,
        "kept_epoch": kept.epoch,
        "modalities": list(clf.names_),
        "classes": clf.classes_.tolist(),
        "losses": kept.values["losses"],
        "validation": kept.values.get("validation"),
    }
    write_atomically(folder / RECORDS, json_module.dumps(metrics, indent=1).encode())
    told = [f"trained {method} on {', '.join(clf.names_)}: {len(clf.classes_)} classes"]
    told.append(f"epoch {kept.epoch + 1} of {epochs} kept")
    if metrics["validation"]:
        told.append(f"validation accuracy {metrics['validation']['accuracy']:.3f}")
    told.append(f"written to {folder}")
    finish({"model": str(folder), **metrics}, json, told, f"modest evaluate {pool} --model {folder}")
