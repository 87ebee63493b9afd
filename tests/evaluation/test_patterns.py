"""What a model is worth per presence pattern, against slow loops and masks that are drawn."""

import itertools

import numpy as np
import pytest

from modest.data import missing_mask
from modest.evaluation import accuracy, calibration, weighted_f1
from modest.evaluation.patterns import (
    accuracy_at_rates,
    found_patterns,
    pattern_probability,
    pattern_scores,
    share_interval,
)

NAMES = ("image", "text", "audio")


def answers(n=400, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(classes), n)
    y = rng.integers(-1, classes, n)
    present = rng.random((n, 3)) < 0.5
    return y, proba, present


def test_patterns_are_found_and_counted_in_order():
    _, _, present = answers()
    patterns, rows = found_patterns(present)
    slow = {}
    for row in present.tolist():
        if any(row):
            slow[tuple(row)] = slow.get(tuple(row), 0) + 1
    assert dict(zip(map(tuple, patterns.tolist()), rows.tolist())) == slow
    assert [[name for name, there in zip(NAMES, one) if there] for one in patterns] == [
        ["image", "text", "audio"], ["image", "text"], ["image", "audio"], ["text", "audio"],
        ["image"], ["text"], ["audio"],
    ]  # fmt: skip
    assert found_patterns(np.zeros((3, 2), bool))[0].shape == (0, 2)
    with pytest.raises(ValueError, match="present has shape"):
        found_patterns([True, False])


def test_every_pattern_is_scored_on_its_rows_alone():
    y, proba, present = answers()
    found = pattern_scores(y, proba, present, NAMES)
    assert len(found) == 7
    for one in found:
        at = [i for i in range(len(y)) if {NAMES[m] for m in range(3) if present[i, m]} == set(one.names)]
        guess = proba[at].argmax(axis=1)
        assert one.rows == len(at)
        assert one.accuracy == accuracy(y[at], guess)
        assert one.weighted_f1 == weighted_f1(y[at], guess)
        assert one.calibration == calibration(proba[at], y[at])
        assert one.low < one.accuracy < one.high
    there = present.any(axis=1)
    whole = (proba[there].argmax(axis=1) == y[there]).mean()
    assert sum(one.rows * one.accuracy for one in found) / there.sum() == pytest.approx(whole)


def test_scores_as_words_and_numbers():
    y, proba, present = answers()
    one = pattern_scores(y, proba, present, NAMES)[0]
    meant = one.calibration
    assert one.plain() == {
        "names": ["image", "text", "audio"], "rows": one.rows, "accuracy": one.accuracy, "low": one.low,
        "high": one.high, "weighted_f1": one.weighted_f1, "ece": meant.error, "ece_by_chance": meant.chance,
        "nll": meant.nll, "brier": meant.brier,
    }  # fmt: skip


def test_shapes_that_do_not_fit_are_refused():
    y, proba, present = answers()
    for bad in ((y[1:], proba, present), (y, proba, present[:, :2]), (y, proba[:, 0], present)):
        with pytest.raises(ValueError, match="give"):
            pattern_scores(*bad, NAMES)


@pytest.mark.parametrize(("hits", "rows"), [(0, 7), (7, 7), (3, 10), (190, 200)])
def test_the_interval_ends_where_the_share_is_contradicted(hits, rows):
    low, high = share_interval(hits, rows)
    shares = np.linspace(0, 1, 200001)
    inside = shares[np.abs(hits / rows - shares) <= 1.959963984540054 * np.sqrt(shares * (1 - shares) / rows)]
    assert (low, high) == pytest.approx((inside.min(), inside.max()), abs=1e-5)


@pytest.mark.parametrize(("hits", "rows"), [(1, 0), (-1, 3), (4, 3), (0, 0)])
def test_what_is_no_share_has_no_interval(hits, rows):
    with pytest.raises(ValueError, match="no share"):
        share_interval(hits, rows)


@pytest.mark.real
@pytest.mark.parametrize("modalities", [2, 3, 4])
def test_probabilities_are_those_of_the_reference(shared, modalities):
    with np.load(shared / "reference" / "learning" / "masks.npz", allow_pickle=False) as archive:
        patterns, wanted = archive[f"v{modalities}_patterns"], archive[f"v{modalities}_pattern_probability"]
        for r, rate in enumerate(archive["rates"]):
            np.testing.assert_allclose(pattern_probability(patterns, float(rate)), wanted[r], atol=1e-10)


def test_accuracy_at_a_rate_is_the_mean_over_masks():
    rng = np.random.default_rng(0)
    patterns = np.array([one for one in itertools.product([False, True], repeat=3) if any(one)])
    right = rng.random((7, 60)) < np.linspace(0.2, 0.9, 7)[:, None]
    rates = [0.0, 0.3, 2 / 3]
    found = accuracy_at_rates(right, patterns, rates)
    place = {tuple(one): j for j, one in enumerate(patterns.tolist())}
    for rate, one in zip(rates, found):
        drawn = [
            np.mean([right[place[tuple(row)], i] for i, row in enumerate(missing_mask(60, 3, rate, seed).tolist())])
            for seed in range(400)
        ]
        assert one["rate"] == rate
        assert one["mean"] == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 20 + 1e-9)
        assert one["low"] <= one["mean"] <= one["high"]
    whole = right[place[True, True, True]].astype(float)
    half = 1.959963984540054 * whole.std(ddof=1) / np.sqrt(60)
    assert found[0]["low"] == pytest.approx(whole.mean() - half)
    assert found[0]["high"] == pytest.approx(min(1, whole.mean() + half))


def test_all_patterns_are_needed_and_rows():
    with pytest.raises(ValueError, match="2 patterns"):
        accuracy_at_rates(np.ones((2, 5)), [[1, 1], [1, 0]], [0.1])
    with pytest.raises(ValueError, match="3 patterns"):
        accuracy_at_rates(np.ones((2, 5)), [[1, 1], [1, 0], [0, 1]], [0.1])
    with pytest.raises(ValueError, match="1 rows"):
        accuracy_at_rates(np.ones((3, 1)), [[1, 1], [1, 0], [0, 1]], [0.1])
    with pytest.raises(ValueError, match="rate="):
        pattern_probability([[1, 1]], 1.5)
    with pytest.raises(ValueError, match="in each row"):
        pattern_probability([[0, 0]], 0.5)
