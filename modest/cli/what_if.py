"""``modest evaluate --what-if``: expected accuracy by presence pattern, and what to drop or buy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.cli import output

if TYPE_CHECKING:
    from modest.evaluation import Difference


def what_if(clf: Any, table: Any, split: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Payload and lines on the labelled rows of ``split``.

    Raises
    ------
    ValueError
        For rows that trained the model, or a model of one modality.
    """
    import numpy as np

    from modest.evaluation import by_patterns
    from modest.learning.shown import Shown

    if split == "train":
        raise ValueError("--what-if needs rows that did not train the model; use --split val or --split test.")
    if len(clf.names_) < 2:
        raise ValueError(f"--what-if compares modalities, and {folder.name} has {clf.names_[0]} only.")
    rows = np.flatnonzero((table.split == split) & np.array([label is not None for label in table.labels], dtype=bool))
    shown = Shown(clf.trained_, table, rows, clf.device)
    labels, classes = table.labels[shown.rows].astype(np.str_), np.asarray(clf.classes_).astype(np.str_)
    found = by_patterns(shown.proba, clf.names_, shown.present, labels, classes=classes)
    lines = [
        [" + ".join(one.shown), _share(one.accuracy), f"{_share(one.low)} to {_share(one.high)}", one.rows,
         _share(one.share), _share(one.own), one.own_rows]
        for one in found.patterns
    ]  # fmt: skip
    head = ["modalities", "accuracy", "interval", "rows", "share", "own", "own rows"]
    text = [output.table(f"What if these were all there is, by hiding the others, in % ({split} rows)", head, lines)]
    worth = [[w.name, _points(w.drop), _points(w.gain), _share(w.unknown), _points(w.value)] for w in found.worth]
    head = ["modality", "lost if it goes", "won if bought", "unknown for", "worth"]
    text += ["", output.table("What a modality is worth, in points of accuracy of these rows", head, worth)]
    text += ["", *found.sentences(), _seen(split, found.rows)]
    return {"what_if": {**asdict(found), "split": split, "sentences": found.sentences()}}, text


def _seen(split: str, rows: int) -> str:
    """Which rows were used, and what that means."""
    told = f"Measured on the {rows} labelled {split} rows, which did not train the model"
    return f"{told}; they may have chosen its epoch, which flatters it a little." if split == "val" else f"{told}."


def _share(value: float) -> str:
    return "-" if value != value else f"{100 * value:.1f}"


def _points(told: Difference | None) -> str:
    if told is None or told.mean != told.mean:
        return "-"
    return f"{100 * told.mean:.1f} [{100 * told.low:.1f}, {100 * told.high:.1f}]"
