"""The same ids across tile sizes, numbers of threads and orders of the table, on a table of several tiles.

Identical for methods that choose at once or greedily; 95 % of the ids for iterated ones.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import coverage, farthest, gains
from modest.selection import METHODS

from . import warm
from .conftest import clusters

N, BUDGET = 700, 60
ITERATED = {"kmeans", "typiclust", "activeft", "mmcsal", "gcnal", "alfamix"}
KNOBS = {
    "activeft": {"steps": 15}, "mmcsal": {"steps": 15}, "kmeans": {"rounds": 10, "restarts": 1}, "gcnal": {"steps": 10}
}  # fmt: skip

every = pytest.mark.parametrize("method", METHODS)


def pool():
    """Rows around centres, a fifth of the second modality absent, ids in no order of the table."""
    rng = np.random.default_rng(0)
    present = np.stack([np.ones(N, dtype=bool), rng.random(N) > 0.2], axis=1)
    ids = np.array([f"item-{i:04d}" for i in rng.permutation(N)])
    return Views({"image": clusters(N, 96, 0, k=25), "text": clusters(N, 64, 1, k=25)}, present, ids)


def choose(method, views, **arguments):
    taken = np.char.endswith(views.ids, "7") if method in warm.LABELLED else np.char.endswith(views.ids, "07")
    given = warm.arrays(method, views, taken) if method in warm.WARM else {}
    return modest.select(views, BUDGET, method, taken=taken, **KNOBS.get(method, {}), **given, **arguments)


def alike(method, a, b):
    if method not in ITERATED:
        np.testing.assert_array_equal(a.ids, b.ids)
    assert len(set(a.ids) & set(b.ids)) >= 0.95 * BUDGET


@every
def test_tiles(method, monkeypatch):
    expected = choose(method, pool())
    for memory in ("1MB", "3MB"):
        alike(method, choose(method, pool(), memory=memory), expected)
    monkeypatch.setattr(gains, "EDGE", 37)
    monkeypatch.setattr(farthest, "EDGE", 41)
    alike(method, choose(method, pool()), expected)


@every
def test_order_of_the_table(method):
    expected = choose(method, pool())
    for seed in range(2):
        alike(method, choose(method, pool()[np.random.default_rng(seed).permutation(N)]), expected)


@every
def test_threads_within_a_process(method):
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(choose(method, pool()))
    finally:
        torch.set_num_threads(before)
    alike(method, found[1], found[0])
    alike(method, found[2], found[0])


PROGRAM = """
import sys
from tests.selection.test_determinism import choose, pool
for method in sys.argv[1:]:
    print(method, *choose(method, pool()).ids)
"""


def test_threads_of_a_process():
    """Also where the number of threads is set from outside, as OpenMP and BLAS see it."""
    methods = ["random", "kcenter", "maxherding", "probcover", "uherding", "entropy", "margin", "badge"]
    found = []
    for threads in ("1", "2"):
        environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *methods], capture_output=True, text=True, env={**_environ(), **environment}
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert [line.split()[0] for line in found[0].splitlines()] == methods
    assert all(len(line.split()) == BUDGET + 1 for line in found[0].splitlines())


def _environ():
    import os
    from pathlib import Path

    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root + os.pathsep + os.environ.get("PYTHONPATH", "")}


@pytest.mark.parametrize("method", ["auto", "maxherding", "probcover", "uherding"])
def test_how_gains_are_kept_changes_nothing(method, monkeypatch):
    """Never holding pairs, holding them at once, and looking at one or all candidates at a time."""
    if method not in METHODS:
        pytest.skip(f"there is no {method} here")
    expected = choose(method, pool())
    for pays in (lambda self: False, lambda self: self.pairs is None and self.picked > 0):
        monkeypatch.setattr(gains.Gains, "_pays", pays)
        np.testing.assert_array_equal(choose(method, pool()).ids, expected.ids)
    best = coverage._Field.best
    for batch in (1, N):
        monkeypatch.setattr(
            coverage._Field, "best", lambda self, open_rows, _, batch=batch: best(self, open_rows, batch)
        )
        np.testing.assert_array_equal(choose(method, pool()).ids, expected.ids)
