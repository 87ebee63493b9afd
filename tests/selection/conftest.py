"""Small pools that every strategy is shown."""

import numpy as np
import pytest
import torch

from modest import Views


@pytest.fixture(autouse=True)
def _one_thread_of_the_processor(monkeypatch):
    """The oracles are NumPy's, so all runs on the CPU; tiny products gain nothing from threads."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clusters(n, d, seed, k=8, spread=0.35):
    """(n, d) float32 around k random directions, not normalised."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, d))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    x = centres[rng.integers(k, size=n)] + spread * rng.normal(size=(n, d)) / np.sqrt(d) * 2
    return (x * rng.uniform(0.5, 2.0, size=(n, 1))).astype(np.float32)


@pytest.fixture(scope="session")
def pool():
    """120 items, two views of 8 and 6 dimensions, string ids in no order."""
    ids = np.array([f"item-{i:03d}" for i in np.random.default_rng(5).permutation(120)])
    return Views({"image": clusters(120, 8, 1), "text": clusters(120, 6, 2)}, ids=ids)
