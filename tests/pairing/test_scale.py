"""What a large pool costs: evaluations that grow with it and nothing as large as rows x rows or rows x candidates."""

import tracemalloc

import numpy as np
import pytest

from modest.pairing import acquire
from tests.neighbours.test_memory import Largest

from .naive import diagonal, sides

N, CANDIDATES = 20_000, 400


def large(n=N, d=16):
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal((n, d), dtype=np.float32) for name in ("image", "text")}


GUARDED = {"outlier_guard": True, "partner_diversity": True}
KNOBS = [{}, GUARDED, {"distance": "raw"}, *({"uncertainty": name} for name in ("entropy", "bidirectional", "csls"))]


@pytest.mark.parametrize("knobs", KNOBS)
def test_nothing_is_as_large_as_rows_times_candidates(knobs):
    x = large()
    with Largest() as seen:
        query = acquire(x, diagonal(200), 100, CANDIDATES, memory="8MB", device="cpu", **knobs)
    assert len(query) == 100
    assert N <= seen.most < N * CANDIDATES / 4


def test_numpy_holds_no_more():
    x = large()
    acquire({name: a[:500] for name, a in x.items()}, diagonal(20), 10, device="cpu")  # imports are no part of it
    tracemalloc.start()
    try:
        acquire(x, diagonal(200), 100, CANDIDATES, memory="8MB", device="cpu")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < N * CANDIDATES * 4 / 2


@pytest.mark.parametrize("uncertainty", ["margin", "entropy"])
def test_twice_the_pool_is_twice_the_evaluations(uncertainty):
    def count(n):
        x = large(n + 30)
        return acquire(x, diagonal(30), 10, 40, uncertainty=uncertainty, device="cpu").trace["evaluations"]

    assert count(2_000) == 2 * count(1_000)


@pytest.mark.parametrize("knobs", KNOBS)
def test_tiles_do_not_change_the_answer(knobs, tmp_path):
    """Rows at hand, rows read again in small tiles, rows of a map, and some that are no longer free."""
    x, pairs = sides(1, n=3_000, m=2_000, d=64), diagonal(150)
    there = acquire(x, pairs, 20, device="cpu", **knobs)
    for name, a in x.items():
        np.save(tmp_path / f"{name}.npy", a)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in x}
    for given in (x, mapped):
        again = acquire(given, pairs, 20, memory="1MB", device="cpu", **knobs)
        assert (again.modality, again.rows.tolist()) == (there.modality, there.rows.tolist())
        np.testing.assert_allclose(again.margins, there.margins, atol=1e-6)
        assert again.shortlists.tolist() == there.shortlists.tolist()
        assert again.trace["evaluations"] == there.trace["evaluations"]
