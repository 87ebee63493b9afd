"""MaxHerding and its weighted form against the reference picks, gains and coverage."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows, greedy_coverage
from modest.selection.herding import KERNELS

CASES = {
    "rbf1": ("rbf", "rbf1_bandwidth"),
    "rbf05": ("rbf", "rbf05_bandwidth"),
    "laplace": ("laplace", "laplace_bandwidth"),
    "student": ("student", "student_bandwidth"),
    "tophat": ("tophat", "tophat_delta"),
}


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/herding.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


@pytest.mark.parametrize("case", CASES)
def test_kernels(ref, case):
    kernel, bandwidth = CASES[case]
    choice = modest.select(ref["x"], 18, "maxherding", kernel=kernel, bandwidth=float(ref[bandwidth]))
    np.testing.assert_array_equal(choice.rows, ref[f"{case}_picks"])
    if case == "tophat":
        np.testing.assert_allclose(choice.scores * 200, np.round(choice.scores * 200), atol=1e-9)
        assert choice.scores.sum() == pytest.approx(choice.trace["coverage"], abs=1e-6)
    else:
        np.testing.assert_allclose(choice.scores, ref[f"{case}_gain"], atol=1e-5, rtol=0)
        assert choice.trace["coverage"] == pytest.approx(float(ref[f"{case}_coverage"]), abs=1e-5)
    assert choice.trace["sampled"] is False


def test_labelled_rows_count_as_cover(ref):
    taken = np.isin(np.arange(200), ref["labelled"])
    choice = modest.select(ref["x"], 18, "maxherding", taken=taken)
    assert choice.method == "maxherding"
    np.testing.assert_array_equal(choice.rows, ref["labelled_picks"])
    np.testing.assert_allclose(choice.scores, ref["labelled_gain"], atol=1e-5, rtol=0)
    assert choice.trace["coverage"] == pytest.approx(float(ref["labelled_coverage"]), abs=1e-5)


@pytest.mark.parametrize("measure", ["margin", "margin_t2", "entropy", "conf"])
def test_weighted_by_uncertainty(ref, measure):
    rows, h = Rows(Views({"x": ref["x"]})), float(ref["uherding_bandwidth"])
    unlabelled = np.setdiff1d(np.arange(200), ref["labelled"])
    weight = ref[f"uherding_{measure}_weight"]
    picks, gains, _, _ = greedy_coverage(
        rows, 18, unlabelled, np.arange(200), lambda d2: KERNELS["rbf"](d2, h), covered=ref["labelled"], weights=weight
    )
    np.testing.assert_array_equal(picks, ref[f"uherding_{measure}_picks"])
    np.testing.assert_allclose(gains * weight.sum() / 200, ref[f"uherding_{measure}_gain"], atol=1e-5, rtol=0)


def test_samples_of_a_large_pool_are_told(ref):
    choice = modest.select(ref["x"], 2, "maxherding", candidates=50, targets=60)
    assert (choice.trace["candidates"], choice.trace["targets"], choice.trace["sampled"]) == (50, 60, True)
    wide = modest.select(ref["x"], 5, "maxherding", candidates=50)
    assert wide.trace["candidates"] == 100  # never fewer than 20 times the budget
    with pytest.raises(ValueError, match="bandwidth=0"):
        modest.select(ref["x"], 2, "maxherding", bandwidth=0)
    with pytest.raises(ValueError, match="kernel='cosine' is unknown; known: rbf"):
        modest.select(ref["x"], 2, "maxherding", kernel="cosine")


def test_no_worse_than_the_guarantee():
    from itertools import combinations

    x = np.random.default_rng(4).normal(size=(14, 3))
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = np.exp(2 * unit @ unit.T - 2)
    best = max(similarity[list(some)].max(axis=0).mean() for some in combinations(range(14), 3))
    choice = modest.select(x, 3, "maxherding")
    assert choice.trace["coverage"] == pytest.approx(similarity[choice.rows].max(axis=0).mean(), abs=1e-6)
    assert (1 - np.exp(-1)) * best <= choice.trace["coverage"] <= best + 1e-6
