"""k-centre against the reference picks, a slow loop and the exact optimum of a tiny pool."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows, farthest_first


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/kcenter.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def engine(x, budget, first=None, covered=(), batch=32):
    """Farthest-first on the rows as they are."""
    rows = Rows(x if isinstance(x, Views) else Views({"x": x}), unit=False)
    covered = np.asarray(covered, dtype=np.int64)
    free = ~np.isin(np.arange(len(rows)), covered)
    return farthest_first(rows, budget, free, first=first, covered=covered, batch=batch)


@pytest.mark.parametrize("batch", [1, 3, 32, 350])
def test_from_one_row(ref, batch):
    first = int(ref["first"])
    picks, distance, closest = engine(ref["x"], 26, first=first, batch=batch)
    assert picks[0] == first
    assert distance[0] == np.inf
    np.testing.assert_array_equal(picks[1:], ref["picks_after_first"])
    np.testing.assert_allclose(distance[1:], ref["radius_before_pick"], atol=1e-5, rtol=0)
    # the root of a difference of squares near zero is as uncertain as the root of fp32 rounding
    np.testing.assert_allclose(closest.numpy(), ref["final_distance"] ** 2, atol=1e-5, rtol=0)


def test_from_labelled_rows(ref):
    picks, distance, _ = engine(ref["x"], 25, covered=ref["labelled"])
    np.testing.assert_array_equal(picks, ref["picks_after_labelled"])
    np.testing.assert_allclose(distance, ref["labelled_radius_before_pick"], atol=1e-5, rtol=0)


def test_two_views_are_the_joint_vector(ref):
    views = Views({"a": ref["view1"], "b": ref["view2"]})
    choice = modest.select(views, 26, "kcenter", first=int(ref["first"]))
    np.testing.assert_array_equal(choice.rows[1:], ref["two_view_picks_after_first"])
    # our distance is a mean over the two views, the stored one their sum
    np.testing.assert_allclose(choice.scores[1:] * 2**0.5, ref["two_view_radius"], atol=1e-5, rtol=0)


def one_at_a_time(unit, budget, chosen):
    """Farthest-first by the book, in float64: rows, the distance of each before it was taken, distances at the end."""
    to_chosen = np.array([min((np.linalg.norm(u - unit[c]) for c in chosen), default=np.inf) for u in unit])
    picks, distance = [], []
    for _ in range(budget):
        picks.append(int(to_chosen.argmax()))
        distance.append(to_chosen[picks[-1]])
        to_chosen = np.minimum(to_chosen, np.linalg.norm(unit - unit[picks[-1]], axis=1))
    return picks, distance, to_chosen


def test_the_strategy_divides_rows_by_their_norm(ref):
    x = ref["x"].astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    first = int(ref["first"])
    picks, distance, closest = one_at_a_time(unit, 24, [first])
    choice = modest.select(ref["x"], 25, "kcenter", first=first)
    np.testing.assert_array_equal(choice.rows, [first, *picks])
    assert choice.scores[0] == 2.0
    np.testing.assert_allclose(choice.scores[1:], distance, atol=1e-5, rtol=0)
    assert choice.trace["radius"] == pytest.approx(closest.max(), abs=1e-5)
    assert choice.trace["mean_distance"] == pytest.approx(closest.mean(), abs=1e-3)


def test_taken_rows_are_the_start(ref):
    x = ref["x"].astype(np.float64)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    taken = np.isin(np.arange(350), ref["labelled"])
    picks, distance, _ = one_at_a_time(unit, 25, ref["labelled"])
    choice = modest.select(ref["x"], 25, "kcenter", taken=taken)
    np.testing.assert_array_equal(choice.rows, picks)
    np.testing.assert_allclose(choice.scores, distance, atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="first"):
        modest.select(ref["x"], 2, "kcenter", taken=taken, first=0)
    with pytest.raises(ValueError, match="first"):
        modest.select(ref["x"], 2, "kcenter", first=350)


def test_starts_from_a_drawn_row_not_from_row_zero(ref):
    starts = {int(modest.select(ref["x"], 1, "kcenter", seed=seed).rows[0]) for seed in range(8)}
    assert len(starts) > 4
    official = ref["picks_from_nothing_official"]
    assert official[0] == 0
    np.testing.assert_array_equal(engine(ref["x"], 25, first=0)[0], official)


def test_lowest_of_the_copies(ref):
    x = ref["duplicates_x"]
    picks, distance, _ = engine(x.astype(np.float32), 6, first=0)
    np.testing.assert_array_equal(picks[1:], ref["duplicates_picks_after_row0"])
    np.testing.assert_allclose(distance[1:], ref["duplicates_radius"], atol=1e-5, rtol=0)
    beyond, _, _ = engine(x.astype(np.float32), 18, first=0)
    np.testing.assert_array_equal(np.sort(beyond), np.arange(18))


def test_within_twice_the_optimum(ref):
    x = ref["tiny_x"]
    picks, _, closest = engine(x, 4, first=0)
    np.testing.assert_array_equal(picks[1:], ref["tiny_greedy_picks_after_row0"])
    radius = float(closest.max()) ** 0.5
    assert radius == pytest.approx(float(ref["tiny_greedy_radius"]), abs=1e-5)
    optimum = np.linalg.norm(x[:, None] - x[ref["tiny_optimal_centres"]], axis=2).min(axis=1).max()
    assert optimum == pytest.approx(float(ref["tiny_optimal_radius"]), abs=1e-6)
    for first in range(18):
        assert float(engine(x, 4, first=first)[2].max()) ** 0.5 <= 2 * optimum + 1e-6
