"""The curves saved under docs/results, one form for all: score over items bought, seed by seed.

A curve is one set, learner, method and condition of one study; budgets ascend, higher is better. Ablations of pairing
are all on fashion. Studies of stage 1 end in the score with all labels, a leap; so do those of balanced learning, which
have 5 % and all. ``2026-11-22-missing.csv`` holds no curve (all items each time).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from modest.types import Float

LABELS = (["set", "missing", "learner", "method", "condition"], "items", "accuracy")
PAIRS = (["set", "setting", "learner", "method", "retrain"], "asked", "recall@1")
STAGE = (["set", "variant", "method"], "items", "accuracy")
# study -> (file, what tells curves apart, items bought, score)
STUDIES: dict[str, tuple[str, list[str], str, str]] = {
    "cold": ("2026-11-21-quality-cold.csv", *LABELS),
    "stress": ("2026-11-21-quality-stress.csv", *LABELS),
    "mla": ("2026-11-21-quality-mla.csv", *LABELS),
    "handover": ("2026-11-21-handover.csv", LABELS[0][:4], *LABELS[1:]),
    "paper": ("2026-11-21-paper.csv", ["set", "setting", "learner", "method"], "items", "accuracy"),
    "pairing": ("2026-11-21-pairing.csv", *PAIRS),
    "pairing studies": ("2026-11-21-pairing-studies.csv", ["series", "condition", "setting", "method"], *PAIRS[1:]),
    "stage 1": ("2026-11-21-represent-labels.csv", *STAGE),
    "stage 1, strong": ("2026-11-21-represent-strong-labels.csv", *STAGE),
    "balance": ("2026-11-22-balance.csv", ["set", "name"], "items", "accuracy"),
}
NAMES = {"grid": "grid_letter", "grid_frozen": "grid_letter", "emoji_frozen": "emoji", "fashion_frozen": "fashion"}


@dataclass(frozen=True, eq=False)
class Curve:
    """``study``, ``set`` and ``name`` of a curve; ``counts`` (T,) and ``values`` (S, T), one row per seed."""

    study: str
    set: str
    name: str
    counts: Float
    values: Float


def curves(folder: Path) -> list[Curve]:
    """All curves of two points and more with the seeds that have every point."""
    return [one for study in STUDIES for one in _study(study, folder) if one.values.size and len(one.counts) > 1]


def single(one: Curve) -> list[Curve]:
    """The same, a curve per seed, as a user has it."""
    return [Curve(one.study, one.set, f"{one.name}, {s}", one.counts, row[None]) for s, row in enumerate(one.values)]


def _study(study: str, folder: Path) -> Iterator[Curve]:
    file, keys, count, score = STUDIES[study]
    frame = pd.read_csv(folder / file, low_memory=False)
    if study == "pairing studies":
        frame["set"] = "fashion"
    if study == "balance":
        frame = frame[(frame["series"] == "table") & (frame["part"] == "fused")]
    if study.startswith("stage 1"):  # all labels, whatever the method
        every, frame = frame[frame["method"] == "all"], frame[frame["method"] != "all"]
        frame = pd.concat([frame, *(every.assign(method=name) for name in frame["method"].unique())])
    frame = frame[(frame[count] > 0) & frame[score].notna()]
    for name, own in frame.groupby(keys, dropna=False):
        table = own.pivot_table(index="seed", columns=count, values=score)
        table = table.dropna(axis=1, thresh=max(1, len(table) // 2)).dropna()
        where = str(own["set"].iloc[0])
        told = ", ".join(str(part) for part in np.atleast_1d(np.array(name, dtype=object)))
        counts = table.columns.to_numpy(dtype=float)
        yield Curve(study, NAMES.get(where, where), told, counts, table.to_numpy(dtype=float))
