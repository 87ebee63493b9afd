"""One cell of ``benchmarks.balance``: a recipe trained once, and everything its pages ask of it.

A cell is two files in FOLDER/cells: ``KEY.json`` with scores on the test rows (fused and per modality), accuracies of
linear probes on the features, the epoch chosen, validation accuracy and the recipe's notes by epoch, seconds, settings
and versions; ``KEY.npz`` with the predicted classes of every test row, ``fused`` (n,) and ``own`` (M, n), and the true
ones ``y`` (n,), all as places among the classes of the set.
"""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.balance_sets import Lesson, ground, lesson

PROBE_C = 0.1  # of the logistic regression on features, fixed for all


@dataclass(frozen=True)
class Job:
    """What to train: ``name`` is the row of the table, ``rows`` which modalities are there, ``knobs`` the classifier's
    arguments beside its defaults, ``probe`` whether its features are probed."""

    series: str
    set: str
    labels: str
    seed: int
    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: str = "all"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    probe: bool = False

    @property
    def key(self) -> str:
        """Stem of the cell's files."""
        return "~".join([self.series, self.set, self.labels, self.name, self.rows, str(self.seed)])


def run(job: Job, shared: str, into: str) -> dict[str, Any]:
    """Train, measure and write a cell; returns what its JSON says."""
    import torch

    from modest import MultimodalClassifier
    from modest.data.files import write_json, write_npz
    from modest.evaluation import scores

    torch.set_num_threads(1)
    given = ground(job.set, shared)
    taught, truth = lesson(given, job.labels, job.rows, job.seed), given.y[given.test]
    begin, used = time.perf_counter(), time.process_time()
    clf = MultimodalClassifier(
        method=job.method, options=dict(job.options) or None, random_state=job.seed, device="cpu",
        **{**given.knobs, **job.knobs},
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a head that stopped: its gain stands in the notes
        clf.fit(taught.X, taught.y, taught.validation, taught.groups)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - used
    said = clf.outputs(taught.test)
    found = scores(truth, said.proba, said.modality, clf.classes_, clf.names_)
    probed = probes(clf, taught, truth) if job.probe else {}
    told = {
        **asdict(job), "items": len(taught.y), "names": list(clf.names_), "classes": len(np.unique(given.y)),
        "fused": found["fused"], "modality": found["modality"], "probe": probed, **of_epochs(clf.history_),
        "seconds": seconds, "cpu": cpu, "cell_cpu": time.process_time() - used, "versions": versions(),
    }  # fmt: skip
    every = np.unique(given.y)
    where = np.searchsorted(every, clf.classes_)  # a budget may lack a class
    there = ~np.isnan(said.modality).any(axis=2)
    own = np.where(there, where[np.nan_to_num(said.modality).argmax(axis=2)], -1)
    rows = {"fused": where[said.proba.argmax(axis=1)], "own": own, "y": np.searchsorted(every, truth)}
    folder = Path(into) / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    write_npz(folder / f"{job.key}.npz", {name: array.astype(np.int16) for name, array in rows.items()})
    write_json(folder / f"{job.key}.json", told)
    return told


def probes(clf: Any, taught: Lesson, truth: np.ndarray) -> dict[str, float]:
    """Modality -> accuracy on the test rows of a logistic regression on the encoder's features of the training rows.

    Training rows are all that were handed over, those that the classifier carved for validation included.
    """
    features, unseen = (clf.arrays(views, ["features"])["features"] for views in (taught.X, taught.test))
    there = taught.X.present
    found = {}
    for m, name in enumerate(clf.names_):
        rows = np.ones(len(taught.y), dtype=bool) if there is None else there[:, m]
        if rows.any():
            model = make_pipeline(StandardScaler(), LogisticRegression(C=PROBE_C, max_iter=500))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # not converged to the last digit
                model.fit(features[name][rows], taught.y[rows])
            found[name] = float((model.predict(unseen[name]) == truth).mean())
    return found


def of_epochs(history: Any) -> dict[str, Any]:
    """``chosen`` (the epoch kept, from 1, of ``epochs`` in all stages) and ``curves``: validation accuracy and each
    note, by epoch; an epoch without is None."""
    chosen = max((k for k, record in enumerate(history, 1) if record.values.get("best")), default=len(history))
    notes = [record.values.get("notes", {}) for record in history]
    curves = {key: [note.get(key) for note in notes] for key in dict.fromkeys(k for note in notes for k in note)}
    measured = [record.values.get("validation", {}).get("accuracy") for record in history]
    loss = [sum(record.values["losses"].values()) for record in history]
    return {"chosen": chosen, "epochs": len(history), "curves": {"validation": measured, "loss": loss, **curves}}


def versions() -> dict[str, str]:
    """Of what decides the numbers."""
    import sklearn
    import torch

    import modest

    told = {"modest": modest.__version__, "torch": torch.__version__, "numpy": np.__version__}
    return {**told, "scikit-learn": sklearn.__version__, "python": platform.python_version()}
