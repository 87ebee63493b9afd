"""modest evaluate: a trained model on a pool's test rows, per modality and fused, and whether a modality is lazy."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import typer

from modest.cli import balance, output
from modest.cli.models import hidden, model_folder
from modest.cli.patterns import patterns as by_pattern
from modest.cli.what_if import what_if as worth

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
    what_if: bool = typer.Option(False, "--what-if", help="Accuracy by presence pattern: what to drop, what to buy."),
    patterns: bool = typer.Option(False, "--patterns", help="By presence pattern and missing rate; what is imagined."),
    mask: str = typer.Option(None, help="Hide modalities by this mask of `modest data mask`, or by this file."),
    json: bool = output.JSON,
) -> None:
    """Score a model: accuracy, macro accuracy, weighted F1, calibration error, for all modalities and for each alone.

    A modality counts where it is present; "by chance" is the calibration error of a perfectly calibrated model of
    that confidence. The scores are also kept in the model's metrics.json, under evaluation and the split, and in the
    pool's history.jsonl with the number of labels; --gap and --patterns draw figures beside the former.

    Example: modest evaluate pool --model concat --laziness
    """
    import numpy as np

    from modest.classifier import load
    from modest.data import files
    from modest.data.hidden import masked
    from modest.data.history import add_line
    from modest.data.pool import open as open_pool

    if split not in ("train", "val", "test"):
        raise ValueError(f"split={split!r} is unknown; use train, val or test.")
    table = masked(open_pool(pool), mask)
    rows = np.flatnonzero((table.split == split) & np.array([label is not None for label in table.labels], dtype=bool))
    if not len(rows):
        raise ValueError(f"{pool} has no labelled rows of split {split!r}; choose another with --split.")
    folder = model_folder(pool, model)
    clf = load(folder)
    plain = {"split": split, **hidden(table), **_scored(clf, table, rows, fusion)}
    lines = [_row("all together", plain["fused"])]
    lines += [_row(f"all, by {name}", own) for name, own in plain.get("fusion", {}).items()]
    lines += [_row(name, own) for name, own in plain["modality"].items()]
    text = [output.table(f"{folder.name} on the {split} rows of {pool.name}, in %", ["modality", *COLUMNS], lines)]
    for wanted, look in ((laziness, balance.laziness), (gap, balance.gap), (what_if, worth), (patterns, by_pattern)):
        if wanted:
            found, told = look(clf, table, split, folder)
            plain |= found
            text += ["", *told]
    path = folder / "metrics.json"
    metrics = files.read_json(path) if path.is_file() else {}
    plain = output.numbers(plain)
    files.write_json(path, {**metrics, "evaluation": {**metrics.get("evaluation", {}), split: plain}})
    if "labelled" in metrics:
        add_line(pool, _line(folder, metrics, plain))
    output.finish(plain, json, text, f"modest report {pool}" + (f" --model {model}" if patterns else ""))


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
    for weights, there, own in zip(found.weights.T, found.present.T, plain["modality"].values()):
        own["weight"] = float(weights[there].mean()) if there.any() else float("nan")  # in the fusion, for the report
    if fusion:
        other = {name: fuse_proba(found.modality, name)[0] for name in fusion}
        plain["fusion"] = {name: told(scores(y, p, None, classes)["fused"], p, every) for name, p in other.items()}
    return plain


def _line(folder: Path, metrics: dict[str, Any], told: dict[str, Any]) -> dict[str, Any]:
    """What the pool's history keeps of an evaluation; ``labelled`` and ``labels`` are those of the training."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    mask = told.get("mask", {}).get("sha256")
    known = {key: metrics[key] for key in ("method", "labelled", "labels")}
    scores = {key: told["fused"][key] for key in ("rows", "accuracy", "macro_accuracy", "weighted_f1")}
    return {"time": now, "model": folder.name, **known, "split": told["split"], **scores, "mask": mask}


def _row(name: str, own: dict[str, Any]) -> list[str]:
    values = [own[metric] for metric in ("accuracy", "macro_accuracy", "weighted_f1", "ece", "ece_by_chance")]
    return [name, *("-" if value != value else f"{100 * value:.1f}" for value in values), str(own["rows"])]
