"""Run in a process of its own by test_stage: represent, killed by SIGKILL before its k-th step, for many k.

Steps are all that ``represent`` does to files of the pool (made for writing, renamed into place, removed) and every
block of a view that is written. Each run is a fork, so that a kill is real and start-up is paid once. Prints as JSON
[step, epochs begun before the kill, epochs trained by the run after it] per kill.
"""

import gc
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import modest
from modest.data import files
from modest.encoders.trainable import build
from modest.representation import Objective, embedding
from modest.representation.stage import represent
from modest.training import Plan, fit
from tests.encoders.test_embed import content

N = 12
IMAGE = {"name": "resnet18", "width": 0.1, "depth": (1, 1, 1, 1), "size": 8}
ENCODERS = {"image": IMAGE, "sensor": {"name": "mlp", "hidden": (8,), "width": 8}}
EPOCHS = 3


def make(folder):
    """A pool of raw images (one of them a text, one null) and a ready view."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(0)
    for k in range(N):
        Image.fromarray(draw.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(folder / f"{k:02d}.png")
    (folder / "03.png").write_text("no picture")
    columns = {
        "id": [f"item-{k:02d}" for k in range(N)],
        "image": [None if k == 5 else str(folder / f"{k:02d}.png") for k in range(N)],
    }
    view = draw.normal(size=(N, 5)).astype(np.float32)
    return modest.ingest(pd.DataFrame(columns), folder / "pool", views={"sensor": view})


def train(path, **options):
    """Stage 1 on the pool, with prototypes in its last two epochs."""
    plan = Plan(epochs=EPOCHS, lr=1e-3, warmup=1, schedule="cosine")
    objective = options.pop("objective", Objective(2))
    return represent(path, ENCODERS, objective=objective, plan=plan, batch_size=6, width=8, **options)


def in_fork(path, kill_at=None, **options):
    """Exit status of a forked run: 0, or 9 when it was killed; its steps and its epochs trained go through a pipe."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        steps, epochs = [], []

        def step(what):
            if len(steps) == kill_at:
                os.write(into, json.dumps([what, len(epochs)]).encode())
                os.kill(os.getpid(), signal.SIGKILL)
            steps.append(what)

        def hook(event, given):
            writes = event == "open" and str(given[1]).startswith("w")
            there = event == "os.rename" or (event in ("os.remove", "os.rmdir") and os.path.lexists(given[0]))
            if (writes or there) and str(path) in str(given[0]):
                step(f"{event} {Path(str(given[0])).relative_to(path)}")

        blocks, epoch = embedding.Representation._blocks, fit._epoch

        def stepped(self, whole, m, rows, device):
            for block in blocks(self, whole, m, rows, device):
                step(f"block of {self.names[m]}")
                yield block

        embedding.Representation._blocks = stepped
        fit._epoch = lambda *given: (epochs.append(1), epoch(*given))[1]
        sys.addaudithook(hook)
        try:
            train(path, **options)
            os.write(into, json.dumps([steps, len(epochs)]).encode())
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to hear of it
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
    os.close(into)
    told = b""
    while piece := os.read(out, 65536):
        told += piece
    os.close(out)
    status = os.waitpid(child, 0)[1]
    return (9 if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), json.loads(told or "[[], 0]")


def visible(path, whole):
    """Whoever opens the pool now sees no view of stage 1, or one that is whole."""
    for about in path.glob("views/*/stage1.json"):
        told = files.read_json(about)
        array = np.load(about.with_suffix(".npy"))
        assert np.array_equal(array, whole[f"{told['modality']} {told['revision']}"], equal_nan=True)
        assert int(np.isnan(array[:, 0]).sum()) == told["absent"]
    pool = modest.open(path)
    pool.views([m for m in pool.names if pool.encoders(m)])
    if (path / "models/stage1/config.json").is_file():
        modest.load(path / "models/stage1")


def arrays(path):
    return {
        f"{told['modality']} {told['revision']}": np.load(about.with_suffix(".npy"))
        for about in path.glob("views/*/stage1.json")
        for told in [files.read_json(about)]
    }


def main(folder, fresh):
    path = make(folder).path
    build(**IMAGE, generator=torch.Generator())  # what is imported late is imported here, once
    options = {"objective": Objective(0)} if fresh else {}
    whole = {}
    if fresh:  # a model and views of other settings are there
        assert in_fork(path)[0] == 0
        whole |= arrays(path)
        options["fresh"] = True
    before = folder / "before"
    shutil.copytree(path, before)
    gc.freeze()
    status, (steps, epochs) = in_fork(path, **options)
    assert (status, epochs) == (0, EPOCHS)
    whole |= arrays(path)
    expected, killed = content(path), []
    for k in range(len(steps) - 1, -1, -5 if fresh else -3):
        shutil.rmtree(path)
        shutil.copytree(before, path)
        status, (what, epochs) = in_fork(path, kill_at=k, **options)
        assert status == 9, k
        visible(path, whole)
        status, (_, more) = in_fork(path, **options)
        assert status == 0, what
        found = content(path)
        assert found.keys() == expected.keys(), (what, found.keys() ^ expected.keys())
        odd = [name for name in expected if found[name] != expected[name]]
        assert not odd, (what, odd)
        assert not list(path.rglob(".*")), what
        killed.append([what, epochs, more])
    return killed


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2] == "fresh")))
