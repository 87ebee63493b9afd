"""A small table of two modalities with known labels, for the tests of the bench."""

import numpy as np

from modest import Views
from modest.bench import LabelledViews


def table(n=120, classes=4, seed=0, absent=0.2):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    image = rng.normal(size=(classes, 6))[y] * 2 + rng.normal(size=(n, 6))
    audio = rng.normal(size=(classes, 5))[y] + rng.normal(size=(n, 5))
    present = np.ones((n, 2), dtype=bool)
    present[rng.random(n) < absent, 1] = False
    split = np.where(np.arange(n) % 5 == 4, "test", "train")
    return LabelledViews(Views({"image": image, "audio": audio}, present), np.array(list("abcdefgh"))[y], split)
