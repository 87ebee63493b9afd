"""modest evaluate: a trained model on a pool's test rows, per modality and fused, and whether a modality is lazy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from modest.cli import balance, output
from modest.cli.models import model_folder

COLUMNS = ("accuracy", "macro accuracy", "weighted F1", "ece", "by chance", "rows")


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    model: str = typer.Option(..., help="Name under the pool's models/, or the folder of a model."),
    split: str = typer.Option("test", help="Rows to score: test, val or train."),
    fusion: list[str] = typer.Option([], "--fusion", help="Also fuse by this: entropy or mean. Repeatable."),
    laziness: bool = typer.Option(
        False, "--laziness", help="Train each modality alone, and say whether training together made one worse."
    ),
    gap: bool = typer.Option(False, "--gap", help="Modality gap of the features, before training and after."),
    json: bool = output.JSON,
) -> None:
    """Score a model: accuracy, macro accuracy, weighted F1, calibration error, for all modalities and for each alone.

    A modality counts where it is present; "by chance" is the calibration error of a perfectly calibrated model of
    that confidence. The scores are also kept in the model's metrics.json, under evaluation and the split; --gap draws
    the features beside it.

    Example: modest evaluate pool --model concat --laziness
    """
    import numpy as np

    from modest.classifier import load
    from modest.data import files
    from modest.data.pool import open as open_pool

    if split not in ("train", "val", "test"):
        raise ValueError(f"split={split!r} is unknown; use train, val or test.")
    table = open_pool(pool)
    rows = np.flatnonzero((table.split == split) & np.array([label is not None for label in table.labels], dtype=bool))
    if not len(rows):
        raise ValueError(f"{pool} has no labelled rows of split {split!r}; choose another with --split.")
    folder = model_folder(pool, model)
    clf = load(folder)
    plain = {"split": split, **_scored(clf, table, rows, fusion)}
    lines = [_row("all together", plain["fused"])]
    lines += [_row(f"all, by {name}", own) for name, own in plain.get("fusion", {}).items()]
    lines += [_row(name, own) for name, own in plain["modality"].items()]
    text = [output.table(f"{folder.name} on the {split} rows of {pool.name}, in %", ["modality", *COLUMNS], lines)]
    for wanted, look in ((laziness, balance.laziness), (gap, balance.gap)):
        if wanted:
            found, told = look(clf, table, split, folder)
            plain |= found
            text += ["", *told]
    path = folder / "metrics.json"
    metrics = files.read_json(path) if path.is_file() else {}
    plain = output.numbers(plain)
    files.write_json(path, {**metrics, "evaluation": {**metrics.get("evaluation", {}), split: plain}})
    output.finish(plain, json, text, f"modest report {pool}")


def _scored(clf: Any, table: Any, rows: Any, fusion: list[str]) -> dict[str, Any]:
    """Metrics and calibration, fused as the model does it, by other fusions, and of each modality where it is there."""
    import numpy as np

    from modest.evaluation import calibration, scores
    from modest.learning.analyses import fuse_proba
    from modest.learning.inputs import encode_labels

    found, y = clf.outputs(table, rows), table.labels[rows].astype(np.str_)
    classes = np.asarray(clf.classes_).astype(np.str_)
    numbers = encode_labels(y, len(rows), classes)[1]

    def told(own: dict[str, Any], proba: Any, at: Any) -> dict[str, Any]:
        meant = calibration(proba[at], numbers[at])
        return {**own, "ece": meant.error, "ece_by_chance": meant.chance, "nll": meant.nll, "brier": meant.brier}

    result, every = scores(y, found.proba, found.modality, classes, clf.names_), np.ones(len(rows), dtype=bool)
    each = enumerate(result["modality"].items())
    plain = {"fused": told(result["fused"], found.proba, every)}
    plain["modality"] = {name: told(own, found.modality[m], found.present[:, m]) for m, (name, own) in each}
    if fusion:
        other = {name: fuse_proba(found.modality, name)[0] for name in fusion}
        plain["fusion"] = {name: told(scores(y, p, None, classes)["fused"], p, every) for name, p in other.items()}
    return plain


def _row(name: str, own: dict[str, Any]) -> list[str]:
    values = [own[metric] for metric in ("accuracy", "macro_accuracy", "weighted_f1", "ece", "ece_by_chance")]
    return [name, *("-" if value != value else f"{100 * value:.1f}" for value in values), str(own["rows"])]
