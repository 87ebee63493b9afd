"""Calibration error, its chance level, likelihood and Brier score: by hand, by slow loops, by simulation."""

import math

import numpy as np
import pytest

from modest.evaluation import calibration


def drawn(seed=0, n=90, classes=4):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(classes), size=n)
    proba[::3] = proba[0]  # many rows of one confidence
    return proba, rng.integers(-1, classes, size=n)


def slow(proba, y, bins):
    """The equations, row by row."""
    rows = [(max(p), int(np.argmax(p) == label)) for p, label in zip(proba.tolist(), y.tolist())]
    parts = [[] for _ in range(bins)]
    for confidence, right in rows:
        below = sum(other < confidence for other, _ in rows)
        parts[below * bins // len(rows)].append((confidence, right))
    error = chance = 0.0
    for part in filter(None, parts):
        error += len(part) / len(rows) * abs(sum(r for _, r in part) / len(part) - sum(c for c, _ in part) / len(part))
        chance += math.sqrt(2 / math.pi * sum(c * (1 - c) for c, _ in part)) / len(rows)
    seen = [-math.log(p[label]) for p, label in zip(proba, y) if label >= 0]
    brier = [sum((p[c] - (c == label)) ** 2 for c in range(len(p))) + (label < 0) for p, label in zip(proba, y)]
    return error, chance, sum(seen) / len(seen), sum(brier) / len(brier)


def test_by_hand():
    proba = np.array([[0.6, 0.4], [0.3, 0.7], [0.8, 0.2], [0.0, 1.0]])
    found = calibration(proba, [1, 1, 0, 1], bins=2)
    # bin of 0.6 and 0.7: one of two right against 0.65; bin of 0.8 and 1.0: both right against 0.9
    assert found.error == pytest.approx(0.5 * 0.15 + 0.5 * 0.1)
    assert found.chance == pytest.approx((math.sqrt(2 / math.pi * 0.45) + math.sqrt(2 / math.pi * 0.16)) / 4)
    assert found.nll == pytest.approx(-(math.log(0.4) + math.log(0.7) + math.log(0.8)) / 4)
    assert found.brier == pytest.approx((0.72 + 0.18 + 0.08 + 0.0) / 4)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bins", [1, 7, 15, 90])
def test_a_slow_loop_says_the_same(seed, bins):
    proba, y = drawn(seed)
    found = calibration(proba, y, bins)
    assert (found.error, found.chance, found.nll, found.brier) == pytest.approx(slow(proba, y, bins), abs=1e-12)


def test_the_order_of_rows_does_not_matter():
    proba, y = drawn()
    mixed = np.random.default_rng(1).permutation(len(y))
    first, again = calibration(proba, y), calibration(proba[mixed], y[mixed])
    assert (first.error, first.chance, first.nll, first.brier) == pytest.approx(
        (again.error, again.chance, again.nll, again.brier), abs=1e-12
    )


def test_a_calibrated_model_errs_by_chance_on_average_and_an_overconfident_one_by_more():
    rng = np.random.default_rng(0)
    proba = rng.dirichlet(np.ones(3), size=600)
    errors, chances = [], []
    for _ in range(200):
        y = (rng.random((600, 1)) > proba.cumsum(axis=1)).sum(axis=1)
        found = calibration(proba, y)
        errors.append(found.error)
        chances.append(found.chance)
    assert np.mean(errors) == pytest.approx(np.mean(chances), rel=0.05)
    sharp = proba**4 / (proba**4).sum(axis=1, keepdims=True)
    assert calibration(sharp, y).error > 3 * calibration(sharp, y).chance


def test_a_class_the_model_does_not_know_is_wrong_and_has_no_likelihood():
    found = calibration([[1.0, 0.0], [0.5, 0.5]], [-1, 0], bins=1)
    assert found.error == pytest.approx(abs(0.5 - 0.75))
    assert found.nll == pytest.approx(math.log(2))
    assert found.brier == pytest.approx((2.0 + 0.5) / 2)
    assert np.isnan(calibration([[1.0, 0.0]], [-1]).nll)


def test_a_certain_mistake_is_a_large_number_not_infinity():
    found = calibration([[1.0, 0.0]], [1])
    assert 700 < found.nll < 710
    assert (found.error, found.chance, found.brier) == (1.0, 0.0, 2.0)


def test_no_rows_is_nan():
    found = calibration(np.zeros((0, 3)), np.zeros(0, dtype=int))
    assert np.isnan([found.error, found.chance, found.nll, found.brier]).all()


@pytest.mark.parametrize(
    ("proba", "y", "bins", "words"),
    [
        ([[0.5, 0.5]], [0, 1], 15, "a class per row"),
        ([0.5, 0.5], [0, 1], 15, "proba has shape"),
        ([[0.5, 0.5], [np.nan, np.nan]], [0, 1], 15, "proba row 1"),
        ([[2.0, -1.0]], [0], 15, "proba row 0"),
        ([[0.5, 0.5]], [2], 15, "class numbers from 0 to 1"),
        ([[0.5, 0.5]], [-2], 15, "class numbers"),
        ([[0.5, 0.5]], [0.0], 15, "class numbers"),
        ([[0.5, 0.5]], [0], 0, "bins=0"),
    ],
)
def test_bad_input_is_one_sentence(proba, y, bins, words):
    with pytest.raises(ValueError, match=words):
        calibration(proba, y, bins)
