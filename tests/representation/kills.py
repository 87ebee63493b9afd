"""Run in a process of its own by test_stage: represent, killed at many steps; prints what try_all gives, as JSON."""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import modest
from modest.data import files
from modest.encoders.trainable import build
from modest.representation import Objective
from modest.representation.stage import represent
from modest.training import Plan
from tests.killing import in_fork, try_all

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


def views(path):
    """(modality, run) -> array of every view of stage 1 that a reader sees."""
    found = {}
    for about in path.glob("views/*/stage1.json"):
        told = files.read_json(about)
        found[told["modality"], told["revision"]] = array = np.load(about.with_suffix(".npy"))
        assert int(np.isnan(array[:, 0]).sum()) == told["absent"]
    modest.open(path).views()
    if (path / "models/stage1/config.json").is_file():
        modest.load(path / "models/stage1")
    return found


def main(folder, fresh):
    path = make(folder).path
    build(**IMAGE, generator=torch.Generator())  # what is imported late is imported here, once
    options, whole = {"objective": Objective(0), "fresh": True} if fresh else {}, {}
    if fresh:  # a model and views of other settings are there
        assert in_fork(path, lambda: train(path))[0] == 0
        whole |= views(path)

    def look():
        for key, array in views(path).items():
            assert np.array_equal(array, whole[key], equal_nan=True)

    return try_all(
        path, lambda: train(path, **options), EPOCHS, 5 if fresh else 3, lambda: whole.update(views(path)), look
    )


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2] == "fresh")))
