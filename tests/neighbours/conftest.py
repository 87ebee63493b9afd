"""Small tables with absent modalities, and the house's distance and similarity as slow loops."""

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


def table(n, dims, seed, missing=0.4):
    """Views with a presence mask that leaves every item something."""
    rng = np.random.default_rng(seed)
    arrays = {f"view{m}": rng.normal(size=(n, d)).astype(np.float32) for m, d in enumerate(dims)}
    present = rng.random((n, len(dims))) >= missing
    present[np.arange(n), rng.integers(len(dims), size=n)] = True
    return Views(arrays, present=present)


def unit_halves(views):
    """Unit rows per view, float64."""
    arrays = [np.asarray(a, dtype=np.float64) for a in views.arrays.values()]
    return [a / np.linalg.norm(a, axis=1, keepdims=True) for a in arrays]


def presence(views):
    return np.ones((len(views), len(views.names)), dtype=bool) if views.present is None else views.present


def slow_distance(parts, there, i, j):
    """Mean squared distance over the modalities both items have; 4 if there is none."""
    shared = [m for m in range(len(parts)) if there[i, m] and there[j, m]]
    if not shared:
        return 4.0
    return float(np.mean([((parts[m][i] - parts[m][j]) ** 2).sum() for m in shared]))


def slow_distances(views, unit=True):
    """(n, n) of them, one pair at a time."""
    parts = unit_halves(views) if unit else [np.asarray(a, dtype=np.float64) for a in views.arrays.values()]
    there, n = presence(views), len(views)
    return np.array([[slow_distance(parts, there, i, j) for j in range(n)] for i in range(n)])


def slow_similarity(views, u):
    """(n, B) mean cosine over the modalities each item has; u (B, D) with unit halves side by side."""
    parts, there = unit_halves(views), presence(views)
    ends = np.cumsum([part.shape[1] for part in parts])
    found = np.zeros((len(views), len(u)))
    for i in range(len(views)):
        for j in range(len(u)):
            halves = np.split(np.asarray(u[j], dtype=np.float64), ends[:-1])
            found[i, j] = np.mean([halves[m] @ parts[m][i] for m in range(len(parts)) if there[i, m]])
    return found
