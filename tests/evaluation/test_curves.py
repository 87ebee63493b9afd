import itertools

import numpy as np
import pytest

from modest import evaluation


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5])
def test_few_seeds_give_the_exact_bootstrap(seeds):
    values = np.random.default_rng(seeds).random(seeds)
    means = [np.mean(values[list(pick)]) for pick in itertools.product(range(seeds), repeat=seeds)]
    got = evaluation.curve(values)
    assert got.seeds == seeds
    assert got.mean == pytest.approx(values.mean())
    assert got.low == pytest.approx(np.quantile(means, 0.025))
    assert got.high == pytest.approx(np.quantile(means, 0.975))


def test_hand_case():
    # {0, 1} seen twice: means 0, 1/2, 1/2, 1, so the middle half of them is exactly {1/2}
    got = evaluation.curve([0.0, 1.0], level=0.25)
    assert (got.low, got.mean, got.high) == (0.5, 0.5, 0.5)


def test_exactly_the_stated_share_of_resampled_means_lies_inside():
    values = np.random.default_rng(0).normal(size=5)
    means = values[evaluation.resamples(5)].mean(axis=1)
    got = evaluation.curve(values, level=0.8)
    share = np.mean((means >= got.low) & (means <= got.high))
    assert share == pytest.approx(0.8, abs=120 / 3125)  # a mean of five seeds stands for up to 5! orders


def test_many_seeds_are_drawn_and_repeatable():
    values = np.random.default_rng(1).normal(size=(30, 3))
    first, again = evaluation.curve(values, seed=4), evaluation.curve(values, seed=4)
    np.testing.assert_array_equal(first.low, again.low)
    assert not np.array_equal(first.low, evaluation.curve(values, seed=5).low)
    spread = values.std(axis=0) / np.sqrt(30)  # the bootstrap of a mean is close to the normal interval
    np.testing.assert_allclose(first.high - first.low, 2 * 1.96 * spread, rtol=0.1)


def test_the_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(200):
        got = evaluation.curve(rng.normal(size=20), draws=400)
        inside += got.low <= 0 <= got.high
    assert 0.85 <= inside / 200 <= 0.99


def test_a_paired_difference_ignores_what_both_share():
    shared = np.array([0.1, 0.5, 0.9])
    gap = evaluation.compare(shared + 0.02, shared)
    assert (gap.mean, gap.low, gap.high) == pytest.approx((0.02, 0.02, 0.02))
    assert not gap.tied


@pytest.mark.parametrize(
    ("difference", "tied"),
    [
        ([0.0, 0.0, 0.0], True),
        ([0.01, -0.01, 0.005], True),  # contains 0, mean below a point
        ([0.09, -0.01, 0.02], False),  # contains 0, but the mean is 3.3 points
        ([0.004, 0.003, 0.005], False),  # below a point, but the interval leaves out 0
    ],
)
def test_tied_needs_both_conditions(difference, tied):
    b = np.array([0.5, 0.6, 0.7])
    assert evaluation.compare(b + difference, b).tied is tied


def test_tied_with_best_names_the_best_and_its_equals():
    values = {"a": [0.7, 0.8, 0.75], "b": [0.7, 0.79, 0.755], "c": [0.2, 0.3, 0.25]}
    assert evaluation.tied_with_best(values) == {"a": True, "b": True, "c": False}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: evaluation.curve([]), "no seed"),
        (lambda: evaluation.curve([0.1, float("nan")]), "seed 1"),
        (lambda: evaluation.curve([0.1], level=95), "level=95"),
        (lambda: evaluation.resamples(3, draws=0), "draws=0"),
        (lambda: evaluation.compare([0.1], [0.1, 0.2]), "same seeds"),
        (lambda: evaluation.tied_with_best({}), "empty"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
