"""The paired difference of two models over rows."""

import numpy as np
import pytest

from modest.evaluation import compare, compare_rows

A = np.array([True, True, True, False, True])
B = np.array([True, False, False, True, False])


def test_the_interval_is_that_of_all_resamples_written_out():
    exact = compare(A, B, level=0.8)  # five rows: 3125 resamples
    found = compare_rows(A, B, level=0.8, draws=200_000)
    assert found.mean == pytest.approx(exact.mean) == pytest.approx(0.4)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high))


def test_rows_are_resampled_together():
    rng = np.random.default_rng(0)
    a = rng.random(2000) < 0.5
    b = a.copy()
    b[:100] = ~b[:100]
    wins, losses = int((a & ~b).sum()), int((b & ~a).sum())
    found = compare_rows(a, b)
    mean = (wins - losses) / 2000
    spread = 1.96 * np.sqrt(((wins + losses) / 2000 - mean**2) / 2000)
    assert found.mean == pytest.approx(mean)
    assert (found.low, found.high) == pytest.approx((mean - spread, mean + spread), abs=5e-4)
    assert found.tied == (abs(mean) <= 0.01)


def test_the_same_model_ties_with_itself_and_sides_may_be_swapped():
    same = compare_rows(A, A)
    assert (same.mean, same.low, same.high, same.tied) == (0.0, 0.0, 0.0, True)
    rng = np.random.default_rng(2)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.6
    one, other = compare_rows(a, b), compare_rows(b, a)
    assert one.mean == -other.mean
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.01)
    assert one.low > 0
    assert not one.tied
    assert compare_rows(a, b) == one
    assert compare_rows(a, b, seed=1) != one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((A, B[:3]), "one bool per row"),
        ((A.astype(int), B), "one bool per row"),
        ((A[:0], B[:0]), "row at least"),
        ((A, B, 95), "level=95"),
        ((A, B, 0.95, 0), "draws=0"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        compare_rows(*arguments)
