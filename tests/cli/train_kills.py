"""Run in a process of its own by test_train_raw: `modest train` on raw media, killed at many steps and run again.

Prints what try_all gives, as JSON.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import modest
from modest.cli import app
from modest.encoders.trainable import build
from modest.representation.stage import represent
from modest.training import Plan
from tests.killing import in_fork, try_all

N = 16
IMAGE = {"name": "resnet18", "width": 0.1, "depth": (1, 1, 1, 1), "size": 8}
TEXT = {"name": "bert", "layers": 1, "hidden": 8, "heads": 2, "vocab": 64, "positions": 8, "length": 6}


def make(folder):
    """A pool of pictures, two of them texts, and captions; the last four rows validate."""
    draw = np.random.default_rng(0)
    for k in range(N):
        Image.fromarray(draw.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(folder / f"{k:02d}.png")
    for k in (3, 13):
        (folder / f"{k:02d}.png").write_text("no picture")
    columns = {
        "image": [str(folder / f"{k:02d}.png") for k in range(N)],
        "text": [None if k == 5 else f"caption number {k % 4}" for k in range(N)],
        "label": [("dog", "cat")[k % 2] for k in range(N)],
        "split": ["train" if k < N - 4 else "val" for k in range(N)],
    }
    return modest.ingest(columns, folder / "pool").path


def main(folder, how):
    path = make(folder)
    for spec in (IMAGE, TEXT):  # what is imported late is imported here, once
        build(**spec, generator=torch.Generator())
    modest.MultimodalClassifier(method="late", epochs=1).fit({"x": np.eye(4)}, [0, 1, 0, 1])
    start = ["--start", "stage1", "--method", "late"]
    bert = "bert?layers=1&hidden=8&heads=2&vocab=64&positions=8&length=6"
    raw = ["--image", "resnet18?width=0.1&depth=[1,1,1,1]&size=8", "--text", bert, "--modality-dropout", "0.5"]
    if how == "start":
        plan = Plan(epochs=1, lr=1e-3)
        job = lambda: represent(path, {"image": IMAGE, "text": TEXT}, plan=plan, batch_size=6, width=8)  # noqa: E731
        assert in_fork(path, job)[0] == 0
    options = [*(start if how == "start" else raw), "--epochs", "3", "--batch-size", "6", "--name", "model", "--json"]

    def job():
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - until the fork ends
        app(["train", str(path), *options], standalone_mode=False)

    return try_all(path, job, 3, 3 if how == "start" else 2)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2])))
