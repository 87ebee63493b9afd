"""Area, saving and AUROC against worked numbers and slow loops."""

import numpy as np
import pytest

from modest.evaluation import area, auroc, saving


def test_area_by_hand():
    assert area([10, 20, 40], [0.2, 0.4, 0.8]) == pytest.approx((10 * 0.3 + 20 * 0.6) / 30)
    assert area([5], [0.7]) == 0.7
    assert area([1, 2, 50], [0.3, 0.3, 0.3]) == pytest.approx(0.3)


def test_saving_by_hand():
    random = ([10, 20, 30], [0.1, 0.2, 0.4])
    assert saving([10, 20, 30], [0.2, 0.4, 0.5], *random) == pytest.approx(1 - 20 / 30)
    assert saving([10, 20, 30], [0.2, 0.3, 0.5], *random) == pytest.approx(1 - 25 / 30)
    assert saving([10, 20, 30], [0.5, 0.1, 0.1], *random) == pytest.approx(1 - 10 / 30)
    assert np.isnan(saving([10, 20, 30], [0.1, 0.2, 0.39], *random))
    assert saving(*random, *random) == 0.0
    assert saving([40], [0.4], *random) == pytest.approx(-1 / 3)


def test_random_first_reaches_its_last_score_earlier_when_it_falls_back():
    assert saving([10, 20], [0.0, 0.5], [10, 20, 30], [0.0, 0.6, 0.3]) == pytest.approx(1 - 16 / 15)


def test_auroc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    values, right = rng.integers(0, 6, 60).astype(float), rng.random(60) < 0.4
    values[:3] = np.inf
    pairs = [(a > b) + (a == b) / 2 for a in values[right] for b in values[~right]]
    assert auroc(values, right) == pytest.approx(np.mean(pairs))
    assert np.isnan(auroc([1.0, 2.0], np.array([True, True])))
    assert np.isnan(auroc([], np.zeros(0, bool)))


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: area([], []), "at least one"),
        (lambda: area([1, 2], [1.0]), "one score per count"),
        (lambda: area([1, 1], [1.0, 2.0]), "does not ascend"),
        (lambda: area([1, 2], [1.0, np.nan]), "NaN"),
        (lambda: auroc([1.0], [1]), "bool"),
        (lambda: auroc([np.nan], [True]), "NaN at 0"),
    ],
)
def test_what_is_refused(call, told):
    with pytest.raises(ValueError, match=told):
        call()
