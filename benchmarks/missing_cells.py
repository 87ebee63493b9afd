"""One cell of ``benchmarks.missing``: one method trained on one set at one missing rate, and what it says of test rows.

A cell is two files in FOLDER/cells: ``KEY.json`` with scores, the epoch kept, seconds and settings, and ``KEY.npz``
with ``proba`` (n, C) float16 of every test row, the true classes ``y`` (n,) and ``present`` (n, M).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import modest
from benchmarks import sets
from benchmarks.balance_cells import of_epochs, versions
from modest.data.presence import missing_mask

ENCODERS: Mapping[str, Any] = {"hidden": (128, 128), "width": 128}  # three layers of 128, as in the paper


@dataclass(frozen=True)
class Job:
    """What to train: ``name`` is the row of the table; ``rate`` of missing cells in train, validation and test rows.

    ``only``: modalities that the model gets, in complete training rows, for the ceiling; test rows are complete then.
    ``test_rate``: of the test rows, where it is not ``rate``; ``absent``: modalities that no test row has.
    """

    series: str
    set: str
    rate: float
    seed: int
    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    knobs: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    test_rate: float | None = None
    absent: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Stem of the cell's files."""
        how = "+".join(self.only) if self.only else f"{self.rate:.3f}"
        test = "" if self.test_rate is None else f"-{self.test_rate:.3f}"
        return "~".join([self.series, self.set, how + test + "".join(f"-no-{m}" for m in self.absent), self.name,
                         str(self.seed)])  # fmt: skip


@lru_cache(maxsize=3)
def given(name: str, shared: str) -> sets.Set:
    """A set of ``benchmarks.sets``, read once per process."""
    return sets.load(name, shared)


def masked(found: sets.Set, job: Job) -> modest.Views:
    """The set's views with cells missing as the job says, drawn by (seed, id)."""
    views, n = found.views, len(found.y)
    if job.only:
        return modest.Views({m: views.arrays[m] for m in job.only}, None, views.ids)
    test = found.split == "test"
    present = missing_mask(n, len(views.names), job.rate, job.seed, views.ids)
    if job.test_rate is not None:
        present[test] = missing_mask(n, len(views.names), job.test_rate, job.seed, views.ids)[test]
    for m in job.absent:
        present[test, views.names.index(m)] = False
    if not present.any(axis=1).all():
        raise ValueError("absent leaves a test row with nothing; take a lower rate.")
    return modest.Views(views.arrays, present, views.ids)


def run(job: Job, shared: str, into: str) -> dict[str, Any]:
    """Train, look at the test rows once, and write a cell; returns what its JSON says."""
    import torch

    from modest.data.files import write_json, write_npz
    from modest.evaluation import summary

    torch.set_num_threads(1)
    found = given(job.set, shared)
    views, split = masked(found, job), found.split
    train, val, test = (np.flatnonzero(split == part) for part in ("train", "val", "test"))
    held = (views[val], found.y[val]) if len(val) else None  # else 15 % of train, whole groups
    groups = None if found.groups is None or held else found.groups[train]
    begin, used = time.perf_counter(), time.process_time()
    clf = modest.MultimodalClassifier(
        method=job.method, options=dict(job.options) or None, random_state=job.seed, device="cpu",
        **{**ENCODERS, "batch_size": 64, **job.knobs},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of mla's head; its gain is no matter here
        clf.fit(views[train], found.y[train], held, groups)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    proba = np.zeros((len(test), len(found.classes)))
    proba[:, clf.classes_] = clf.predict_proba(views[test])
    told = {
        **asdict(job), "items": len(train), "names": list(views.names), "classes": len(found.classes),
        "fused": summary(found.y[test], proba.argmax(axis=1)), **of_epochs(clf.history_),
        "seconds": seconds, "cpu": cpu, "cell_cpu": time.process_time() - used, "versions": versions(),
    }  # fmt: skip
    told["validated"] = max((v for v in told["curves"]["validation"] if v is not None), default=None)
    there = np.ones((len(test), len(views.names)), bool) if views.present is None else views.present[test]
    folder = Path(into) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    rows = {"proba": proba.astype(np.float16), "y": found.y[test].astype(np.int16), "present": there}
    write_npz(folder / f"{job.key}.npz", rows)
    write_json(folder / f"{job.key}.json", told)
    return told
