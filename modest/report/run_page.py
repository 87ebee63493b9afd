"""The page of a run: how well a model does, on each modality and all together, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from modest.data import files
from modest.data.history import read_history
from modest.data.pool import Pool
from modest.data.tracked import FILE, Tracked
from modest.report import plots
from modest.report.cartography import cartography_parts, pool_choices
from modest.report.growth import history_parts
from modest.report.html import Note, Page, Part
from modest.report.patterns import model_parts
from modest.report.provenance import provenance_part


def run_page(pool: Pool, folder: str | Path, advice: Note | None = None) -> Page:
    """Page of a trained classifier in ``folder``, from what training and ``modest evaluate`` kept in its metrics.json.

    Parameters
    ----------
    pool : Pool it was trained on
    folder : of the model
    advice : what to do now

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no metrics.json, or it cannot be read.
    """
    folder = Path(folder)
    if not (folder / "metrics.json").is_file():
        command = f"modest evaluate {pool.path} --model {folder.name}"
        raise FileNotFoundError(f"{folder} has no metrics.json, so nothing is known of this model yet; run: {command}")
    metrics = files.read_json(folder / "metrics.json")
    evaluation: Mapping[str, Any] = metrics.get("evaluation", {})
    parts: list[Part] = []
    for split, found in evaluation.items():
        parts.append(_modalities(folder.name, split, found))
        parts += _laziness(split, found) + _worth(split, found)
    if any(found.get("patterns") for found in evaluation.values()):
        parts += model_parts(evaluation, folder.name)
    own = [line for line in read_history(pool.path) if line.get("method") == metrics.get("method")]
    parts += [part for part, _ in history_parts(own)]
    if (folder / FILE).is_file():
        tracked = Tracked.load(folder)
        parts += cartography_parts(tracked, pool_choices(pool, tracked), "By number and method of the round. ")
    parts.append(provenance_part(pool, model=folder))
    notes = [_done(metrics), _brought(evaluation), *([] if advice is None else [advice])]
    lead = f"{metrics.get('method', 'a model')} on {', '.join(metrics.get('modalities', []))} of {pool.path.name}."
    return Page(f"Model {folder.name}", lead, parts, _numbers(metrics, evaluation), notes)


def accuracy_figure(found: Mapping[str, Any]) -> Figure:
    """Accuracy of all modalities together and of each alone, and its weight in the fusion, if that was kept.

    ``found``: the evaluation of one split, with ``fused`` and ``modality``.
    """
    rows = {"all together": found["fused"], **found["modality"]}
    rows = {name: own for name, own in rows.items() if own.get("accuracy") is not None}
    weights = {name: own.get("weight") for name, own in rows.items()}
    heard = any(weight is not None for weight in weights.values())
    where = np.arange(len(rows))[::-1]
    figure, grid = plots.panels(8.0, 1.0 + 0.46 * len(rows), 1, 2 if heard else 1)
    left = grid[0, 0]
    for y, (name, own) in zip(where, rows.items()):
        left.barh(y, own["accuracy"], height=0.6, color="#2563eb" if name == "all together" else "#93c5fd")
        words: Any = {"textcoords": "offset points", "va": "center"}
        left.annotate(f"{100 * own['accuracy']:.1f} %", (own["accuracy"], y), (6, 0), **words)
        if heard and weights[name] is not None:
            grid[0, 1].barh(y, weights[name], height=0.6, color=plots.colour(name))
            grid[0, 1].annotate(f"{100 * weights[name]:.0f} %", (weights[name], y), (6, 0), **words)
    left.set_xlabel("accuracy, each where it is present")
    for k, axes in enumerate(grid[0]):
        axes.set_yticks(where, list(rows) if k == 0 else [""] * len(rows))
        axes.tick_params(axis="y", length=0, labelcolor=plots.INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(0, 1.15)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        axes.grid(axis="y", visible=False)
    if heard:
        grid[0, 1].set_xlabel("mean weight in the fusion")
    return figure


def _modalities(name: str, split: str, found: Mapping[str, Any]) -> Part:
    fused, each = found["fused"], found["modality"]
    alone = {m: own["accuracy"] for m, own in each.items() if own.get("accuracy") is not None}
    text = f"{name} on {fused['rows']:,} {split} rows"
    if len(alone) > 1:
        best = max(alone, key=lambda m: alone[m])
        text += f": all modalities together are {100 * (fused['accuracy'] - alone[best]):+.1f} points from {best} alone"
    over = fused["ece"] - fused["ece_by_chance"] if fused.get("ece") is not None else None
    if over is not None:
        text += (
            f"; its confidence is off by {100 * fused['ece']:.1f} points, {100 * fused['ece_by_chance']:.1f} by chance"
        )
    lines = []
    for what, own in {
        "all together": fused,
        **{f"by {k}": v for k, v in found.get("fusion", {}).items()},
        **each,
    }.items():
        told = {"modality": what, **{head: _percent(own.get(key)) for head, key in _HEADS.items()}}
        lines.append({**told, "rows": f"{own['rows']:,}"})
    data = pd.DataFrame([{"modality": what, **own} for what, own in {"fused": fused, **each}.items()])
    title = f"Each modality and all together, {split}"
    return Part(title, text + ".", accuracy_figure(found), table=pd.DataFrame(lines), data=data)


_HEADS = {
    "accuracy": "accuracy", "macro accuracy": "macro_accuracy", "weighted F1": "weighted_f1",
    "calibration error": "ece", "by chance": "ece_by_chance", "weight": "weight",
}  # fmt: skip


def _laziness(split: str, found: Mapping[str, Any]) -> list[Part]:
    """Whether training together made a modality worse, if that was looked at."""
    if not found.get("laziness"):
        return []
    lines = [
        {
            "modality": name,
            "probe, trained alone": _percent(one["alone_probe"]),
            "trained together": _percent(one["joint_probe"]),
            "itself, alone": _percent(one["alone"]),
            "itself, together": _percent(one["joint"]),
            "lazy": "yes" if one.get("lazy") else "no",
        }
        for name, one in found["laziness"].items()
    ]
    return [Part(f"Is a modality lazy? {split}", str(found.get("verdict", "")), table=pd.DataFrame(lines))]


def _worth(split: str, found: Mapping[str, Any]) -> list[Part]:
    """What each modality is worth, if that was looked at."""
    told = found.get("what_if")
    return [Part(f"What a modality is worth, {split}", " ".join(told["sentences"]))] if told else []


def _percent(value: Any) -> str:
    return "-" if value is None or value != value else f"{100 * value:.1f}"


def _done(metrics: Mapping[str, Any]) -> Note:
    text = f"{metrics.get('method')} was trained on {', '.join(metrics.get('modalities', []))}"
    text += f" with {metrics['labelled']:,} labels" if metrics.get("labelled") else ""
    text += (
        f" over {metrics['epochs']} epochs, of which number {metrics['kept_epoch'] + 1} was kept"
        if "epochs" in metrics
        else ""
    )
    return Note("What was done", text + ".")


def _brought(evaluation: Mapping[str, Any]) -> Note:
    if not evaluation:
        return Note("What it brought", "It has not been evaluated yet.")
    told = []
    for split, found in evaluation.items():
        alone = [own["accuracy"] for own in found["modality"].values() if own.get("accuracy") is not None]
        more = f", the best modality alone on {100 * max(alone):.1f} %" if len(alone) > 1 else ""
        told.append(f"It is right on {100 * found['fused']['accuracy']:.1f} % of the {split} rows{more}.")
    return Note("What it brought", " ".join(told))


def _numbers(metrics: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    numbers = [
        (f"{100 * own['fused']['accuracy']:.1f} %", f"of {split} rows right") for split, own in evaluation.items()
    ]
    numbers += [(f"{metrics['labelled']:,}", "labels")] if metrics.get("labelled") else []
    numbers += [
        (str(len(metrics.get("classes", []))), "classes"),
        (str(len(metrics.get("modalities", []))), "modalities"),
    ]
    return numbers
