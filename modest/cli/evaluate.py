"""modest evaluate: a trained model on a pool's test rows, per modality and fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from modest.cli import output
from modest.cli.models import model_folder


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    model: str = typer.Option(..., help="Name under the pool's models/, or the folder of a model."),
    split: str = typer.Option("test", help="Rows to score: test, val or train."),
    json: bool = output.JSON,
) -> None:
    """Score a model: accuracy, macro accuracy and weighted F1, for all modalities together and for each alone.

    The scores are also kept in the model's metrics.json, under evaluation and the split.

    Example: modest evaluate pool --model mla
    """
    import numpy as np

    from modest.classifier import load
    from modest.data import files
    from modest.data.pool import open as open_pool
    from modest.evaluation import METRICS, scores

    if split not in ("train", "val", "test"):
        raise ValueError(f"split={split!r} is unknown; use train, val or test.")
    table = open_pool(pool)
    labels = table.labels
    known = np.array([label is not None for label in labels], dtype=bool)
    rows = np.flatnonzero((table.split == split) & known)
    if not len(rows):
        raise ValueError(f"{pool} has no labelled rows of split {split!r}; choose another with --split.")
    folder = model_folder(pool, model)
    clf = load(folder)
    found, y = clf.outputs(table, rows), labels[rows].astype(np.str_)
    classes = np.asarray(clf.classes_).astype(np.str_)
    result = scores(y, found.proba, found.modality, classes, clf.names_)
    plain = {"split": split, "fused": _plain(result["fused"])}
    plain["modality"] = {name: _plain(own) for name, own in result["modality"].items()}
    path = folder / "metrics.json"
    metrics = files.read_json(path) if path.is_file() else {}
    files.write_json(path, {**metrics, "evaluation": {**metrics.get("evaluation", {}), split: plain}})
    lines = [_row("all together", result["fused"]), *(_row(name, own) for name, own in result["modality"].items())]
    title = f"{folder.name} on the {split} rows of {pool.name}, in %; a modality counts where it is present"
    text = [output.table(title, ["modality", *(m.replace("_", " ") for m in METRICS), "rows"], lines)]
    output.finish(plain, json, text, f"modest report {pool}")


def _row(name: str, own: dict[str, float]) -> list[str]:
    values = [own[metric] for metric in ("accuracy", "macro_accuracy", "weighted_f1")]
    return [name, *("-" if value != value else f"{100 * value:.1f}" for value in values), str(own["rows"])]


def _plain(own: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value != value else value for name, value in own.items()}
