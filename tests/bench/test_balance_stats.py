"""What the pages of ``benchmarks.balance`` conclude, and what its cells train on, against slow loops and by hand."""

import numpy as np
import pytest

import modest
from benchmarks.balance_sets import COPIES, RIGHT, Ground, lesson, masked, noise, shortcut, slow
from benchmarks.balance_stats import by_seed, crossed, drawn, steady, tied, verdict
from modest.evaluation.curves import DRAWS, Difference


def given(n=200, groups=None):
    rng = np.random.default_rng(1)
    views = modest.Views({"a": rng.normal(size=(n, 3)), "b": rng.normal(size=(n, 2))})
    y = np.array(["x", "y", "z"])[rng.choice(3, size=n, p=[0.6, 0.35, 0.05])]
    train, test = np.arange(n // 2), np.arange(n // 2, n)
    return Ground(views, y, train, np.array([], dtype=int), test, groups)


def test_crossed_equals_a_loop_over_its_own_draws():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 11)) < 0.8, rng.random((3, 11)) < 0.5
    means = []
    for seeds, rows in zip(drawn(3, 0), drawn(11, 1)):
        which, where = np.repeat(np.arange(3), seeds), np.repeat(np.arange(11), rows)
        means.append(np.mean([float(a[s, i]) - float(b[s, i]) for s in which for i in where]))
    found = crossed(a, b)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))


def test_draws_have_the_size_of_what_they_resample():
    counts = drawn(7, 3)
    assert counts.shape == (DRAWS, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert abs(counts.mean() - 1.0) < 1e-12
    assert abs(counts.var() - (1 - 1 / 7)) < 0.03  # multinomial


def test_rows_count_only_where_they_are_resampled():
    """Seeds that agree on every row leave no interval over seeds, but one over rows: that of the rows' mean."""
    one = np.random.default_rng(0).random(400) < 0.3
    a, b = np.tile(one, (5, 1)), np.zeros((5, 400), dtype=bool)
    assert by_seed(a, b).low == pytest.approx(by_seed(a, b).high) == pytest.approx(one.mean())
    wide = crossed(a, b)
    expected = 1.96 * one.std() / 20
    assert wide.high - wide.low == pytest.approx(2 * expected, rel=0.1)


def test_verdicts():
    assert verdict(Difference(0.1, 0.01, 0.2, False)) == "above"
    assert verdict(Difference(-0.1, -0.2, -0.01, False)) == "below"
    assert verdict(Difference(0.0, -0.1, 0.1, True)) == verdict(Difference(0.1, 0.0, 0.2, False)) == "undecided"


def test_tied_takes_the_best_and_what_is_within_a_point_of_it():
    def right(*shares):
        return np.stack([np.arange(1000) < round(1000 * share) for share in shares])

    found = tied({"best": right(0.9, 0.91, 0.9), "near": right(0.91, 0.9, 0.89), "far": right(0.7, 0.7, 0.7)})
    assert found == {"best": True, "near": True, "far": False}
    # below by half a point with every seed alike: tied only where the rows vary too
    row = np.arange(200)
    pair = {"one": np.tile(row < 100, (4, 1)), "other": np.tile(row > 100, (4, 1))}
    assert tied(pair) == {"one": True, "other": False}
    assert tied(pair, rows=True) == {"one": True, "other": True}


def test_steady():
    assert steady([0.5, 0.8, 0.79], 0.4)
    assert steady([0.5, 0.8], None)
    assert not steady([0.5, 0.8, 0.77], 0.4)
    assert not steady([0.5, 0.8], 0.04)


def test_five_per_cent_are_drawn_by_class_anew_per_seed_and_have_no_validation():
    ground = given(2000)
    whole = {c: int((ground.y[ground.train] == c).sum()) for c in "xyz"}
    drawn_ids = []
    for seed in (0, 1):
        one = lesson(ground, "5", "all", seed)
        assert {c: int((one.y == c).sum()) for c in "xyz"} == {c: max(1, round(0.05 * k)) for c, k in whole.items()}
        assert one.validation is False
        assert set(one.X.ids) <= set(ground.views.ids[ground.train])
        drawn_ids.append(set(one.X.ids))
    assert drawn_ids[0] != drawn_ids[1]


def test_all_labels_validate_on_the_sets_rows_or_leave_it_to_the_classifier_by_group():
    groups = np.repeat(np.arange(20), 10)
    carved = lesson(given(200, groups), "full", "all", 0)
    assert carved.validation is None
    np.testing.assert_array_equal(carved.groups, groups[:100])
    ground = given(200, groups)
    own = Ground(ground.views, ground.y, np.arange(80), np.arange(80, 100), ground.test, groups)
    told = lesson(own, "full", "all", 0)
    assert told.groups is None
    np.testing.assert_array_equal(told.validation[0].ids, own.views.ids[80:100])
    np.testing.assert_array_equal(told.validation[1], own.y[80:100])
    assert len(told.y) == 80


def test_masks():
    ground = given()
    for rows, there in {"all": [1, 1], "only-a": [1, 0], "without-a": [0, 1]}.items():
        assert (masked(ground.views, rows, ground.train, 0).present == np.array(there, dtype=bool)).all()
    half = masked(ground.views, "half-b", ground.train, 0).present
    assert half[:, 0].all()
    assert half[ground.test].all()
    assert half[ground.train, 1].sum() == 50


def test_a_shortcut_is_right_in_nine_rows_of_ten_and_silent_at_test():
    ground = given(4000)
    tempted = shortcut(ground)
    assert lesson(tempted, "full", "all", 0).validation is False
    assert tempted.views.arrays["a"].shape == (4000, 3)
    told = tempted.views.arrays["b"][:, 2:].reshape(4000, COPIES, 3)
    assert (told == told[:, :1]).all()
    assert not told[ground.test].any()
    assert (told[ground.train, 0].sum(axis=1) == 1).all()
    right = np.array(["x", "y", "z"])[told[ground.train, 0].argmax(axis=1)] == ground.y[ground.train]
    assert abs(right.mean() - (RIGHT + (1 - RIGHT) / 3)) < 0.02


def test_noise_and_a_slow_encoder():
    ground = given()
    loud = noise(ground)
    assert loud.views.arrays["b"].shape == (200, 2 + 100)
    np.testing.assert_array_equal(loud.views.arrays["b"][:, :2], ground.views.arrays["b"].astype(np.float32))
    assert slow(ground).knobs == {"rates": {"a": 1e-4}}
