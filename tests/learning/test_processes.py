"""Classifiers on two processes: every recipe and completion is what one process trains with the same batches.

The batches hold absent modalities, processes with no row of a modality, and at the end of an epoch one with no row.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import modest
from modest.classifier import METHODS
from modest.encoders.towers import Tower
from modest.types import Views

ROOT = Path(modest.__file__).parent.parent
N = 27  # 21 train, in batches of 4
MORE = {
    "mla-ema": {"mean": "ema"},
    "mla-dataset": {"mean": "dataset"},
    "mla-step": {"project_step": "step"},
    "mla-momentum": {"momentum": "modality"},
    "mla-sum": {"alternate": False},
    "late-shared": {"head": "shared"},
    "concat-own": {"unimodal_heads": True},
    "auto-folds": {},  # nothing validates, so folds are trained for its temperatures
}
CASES = {**{name: {} for name in METHODS}, **MORE}
STILL = ("cca", "cpm")  # they train no encoder
# losses that some weights do not move (a bias under a correlation, say): their gradient is rounding, and AdamW steps on
FLAT = ("dcca", "dccae", "tate")


def table():
    """Three views of which many rows lack some, labels, and the rows that validate."""
    rng = np.random.default_rng(0)
    y = np.arange(N) % 3
    present = rng.random((N, 3)) < 0.5
    present[~present.any(axis=1), 0] = True
    arrays = {m: (rng.standard_normal((N, 4)) + y[:, None]).astype(np.float32) for m in ("a", "b", "c")}
    return Views(arrays, present), y, np.arange(N) >= 21


def classifier(case):
    method = case.split("-")[0]
    return modest.MultimodalClassifier(
        method=method, options=CASES[case], epochs=3, batch_size=4, hidden=(5,), width=6, lr=1e-3
    )


def trained(case, checkpoint=None, cut=None):
    """Weights, probabilities and losses of one training, and how many rows its encoders were given for it."""
    given = []
    plain = Tower.forward

    def forward(self, x):
        if self.training:
            given.append(len(x))
        return plain(self, x)

    views, y, held = table()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tower, "forward", forward)
        validation = False if case == "auto-folds" else held
        run = classifier(case).run(views, y, validation, checkpoint=checkpoint)
        for record in run:
            if "losses" in record.values and record.epoch == cut:
                return {}
        clf = run.result
    told = {f"net/{name}": tensor.numpy() for name, tensor in clf.recipe_.net.state_dict().items()}
    told |= {"proba": clf.predict_proba(views), "weights": clf.fusion_weights(views), "rows": np.array(sum(given))}
    for k, record in enumerate(clf.history_):
        told |= {f"loss/{k}/{turn}": np.array(loss) for turn, loss in record.values["losses"].items()}
    return told


WORKER = """
import sys, torch
import numpy as np
from modest.training import world
from tests.learning import test_processes as told
torch.set_num_threads(1)
here, place = world(), sys.argv[1]
for case in told.CASES:
    np.savez(f"{place}/{case}.{here.rank}.npz", **told.trained(case))
told.trained("mla", f"{place}/run", cut=1)
here.wait()
np.savez(f"{place}/again.{here.rank}.npz", **told.trained("mla", f"{place}/run"))
here.wait()
"""


def torchrun(*what):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    about = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}", *what]
    done = subprocess.run(
        [str(part) for part in command], env=os.environ | about, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What both processes found, by case."""
    place = tmp_path_factory.mktemp("two")
    (place / "worker.py").write_text(WORKER)
    torchrun(place / "worker.py", place)

    def found(case):
        return [dict(np.load(place / f"{case}.{rank}.npz")) for rank in (0, 1)]

    return found


@pytest.mark.parametrize("case", CASES)
def test_two_processes_are_one_with_the_same_batches(two, case):
    first, second = two(case)
    one = trained(case)
    assert first.keys() == second.keys() == one.keys()
    rows = [int(told.pop("rows")) for told in (first, second, one)]
    assert rows[0] + rows[1] == rows[2]  # they shared the work
    assert (min(rows) > 0) == (case not in STILL)
    for name, expected in one.items():
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], expected, atol=1e-2 if case in FLAT else 1e-4, err_msg=name)


def test_two_processes_go_on_where_they_were_cut(two):
    whole, again = two("mla"), two("again")
    for a, b in zip(whole, again):
        rows = int(a.pop("rows")), int(b.pop("rows"))
        assert rows[1] < rows[0]
        assert all(np.array_equal(a[name], b[name]) for name in a)


def test_the_command_writes_and_tells_once(tmp_path):
    views, y, held = table()
    labels, split = np.array(["x", "y", "z"])[y], np.where(held, "val", "train")
    arrays = {m: np.where(views.present[:, k, None], x, np.nan) for k, (m, x) in enumerate(views.arrays.items())}
    np.savez(tmp_path / "source.npz", **arrays, id=np.arange(N).astype(str), label=labels, split=split)
    pool = modest.ingest(tmp_path / "source.npz", tmp_path / "pool")
    about = ("--epochs", 2, "--batch-size", 4, "--track-items", "--json")
    said = torchrun("-m", "modest.cli", "train", pool.path, *about)
    (line,) = said.splitlines()
    folder = pool.path / "models" / "mla"
    assert json.loads(line)["model"] == str(folder)
    files = ["config.json", "dynamics.npz", "metrics.json", "model.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == files
    clf = modest.MultimodalClassifier(method="mla", epochs=2, batch_size=4).fit(pool)
    np.testing.assert_allclose(modest.load(folder).predict_proba(pool), clf.predict_proba(pool), atol=1e-4)
