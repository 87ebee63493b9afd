import re

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import t as student

from modest.evaluation import enough
from modest.evaluation.enough import DEGREES, DRIFT, EDGE, NOISE, POWER, REACH, SLOPE, SPREAD, STRETCH


def told(counts, values, to, level=0.9):
    """The same prediction by dense matrices: a, b, and z at ``to`` as one Gaussian."""
    table = np.atleast_2d(np.asarray(values, dtype=float))
    y, n = np.clip(table.mean(axis=0), EDGE, 1 - EDGE), np.asarray(counts, dtype=float)
    x, ahead = np.log2(n / n[-1]), np.log2(to / n[-1])
    noise = NOISE**2 * (y * (1 - y)) ** (2 * POWER - 2) / len(table)
    design = np.stack([np.ones_like(x), x], axis=1)
    inverse = np.diag(1 / (noise + DRIFT**2 * x**2))
    covariance = np.linalg.inv(design.T @ inverse @ design + np.diag([0, SPREAD**-2]))
    mean = covariance @ (design.T @ inverse @ logit(y) + np.array([0, SLOPE * SPREAD**-2]))
    at = np.array([1, ahead])
    z = at @ mean
    later = expit(z)
    sd = np.sqrt(
        at @ covariance @ at + (DRIFT * ahead) ** 2 + NOISE**2 * (later * (1 - later)) ** (2 * POWER - 2) / len(table)
    )
    ends = student.interval(level, DEGREES, z, STRETCH * sd)
    return [float(expit(one) - y[-1]) for one in (ends[0], z, ends[1])]


@pytest.mark.parametrize("points", [1, 2, 3, 7])
@pytest.mark.parametrize("seeds", [1, 4])
def test_the_prediction_is_that_of_dense_matrices(points, seeds):
    rng = np.random.default_rng(points)
    counts = np.cumsum(rng.integers(5, 60, size=points))
    values = rng.uniform(0.05, 0.95, size=(seeds, points))
    got = enough(counts, values, to=counts[-1] + 33, level=0.8)
    assert [got.low, got.gain, got.high] == pytest.approx(told(counts, values, counts[-1] + 33, 0.8), abs=1e-9)


def test_one_point_by_hand():
    # z = logit 0.5 = 0, one doubling adds the slope of other curves
    assert enough([40], [0.5]).gain == pytest.approx(1 / (1 + np.exp(-SLOPE)) - 0.5)


def test_what_is_bought_next_unless_it_is_said():
    assert enough([40], [0.5]).to == 80
    assert enough([40, 50, 70], [0.5, 0.5, 0.6]).to == 90
    assert enough([40, 50, 70], [0.5, 0.5, 0.6], to=71).to == 71


def test_the_unit_of_the_counts_does_not_matter():
    one, other = (enough(np.array([10, 25, 60]) * unit, [0.3, 0.5, 0.6]) for unit in (1, 7))
    assert (one.gain, one.low, one.high) == pytest.approx((other.gain, other.low, other.high))
    assert one.at * 7 == pytest.approx(other.at)


def test_enough_is_a_gain_below_the_threshold_and_then_it_is_at_the_last_count():
    for values in ([0.3, 0.5, 0.6], [0.6, 0.601, 0.602], [0.99, 0.992, 0.993], [0.8, 0.75, 0.7]):
        for threshold in (0.001, 0.01, 0.1):
            got = enough([100, 200, 300], values, threshold=threshold)
            assert got.enough == (got.gain < threshold)
            assert got.low < got.gain < got.high
            assert (got.at == 300) == got.enough
            assert (got.at_low or np.inf) <= (got.at_high or np.inf)


def test_a_steep_curve_goes_on_and_a_flat_one_stops():
    assert not enough([20, 40, 80], [0.3, 0.45, 0.6]).enough
    assert enough([100, 200, 300, 400, 500], [[0.9, 0.92, 0.92, 0.92, 0.92]] * 5).enough


def test_the_budget_of_enough_is_where_the_line_brings_less_for_as_many_items():
    got = enough([40], [0.5], to=60, threshold=0.02)

    def gain(n):
        return expit(SLOPE * np.log2((n + 20) / 40)) - expit(SLOPE * np.log2(n / 40))

    assert gain(got.at) < 0.02 < gain(got.at / 2 ** (1 / 15))
    assert got.at_low <= got.at <= got.at_high


def test_the_middle_of_the_lines_drawn_says_what_their_mean_says():
    counts = np.array([50.0, 100, 200, 400])
    got = enough(counts, expit(-1 + 0.34 * np.log2(counts / 50)), to=600, threshold=0.03, level=0.02)
    step = 2 ** (1 / 15)  # of the grid of budgets
    assert got.at / step <= got.at_low <= got.at_high <= got.at * step
    wide = enough(counts, expit(-1 + 0.34 * np.log2(counts / 50)), to=600, threshold=0.03, level=0.5)
    assert wide.at_low < got.at_low <= got.at_high < wide.at_high


def test_the_interval_of_the_budget_is_that_of_lines_drawn_by_dense_matrices():
    counts, step, draws = np.array([50.0, 100, 200, 400]), 200, 20_000
    y = expit(-1 + 0.34 * np.log2(counts / 50))
    x, rng = np.log2(counts / 400), np.random.default_rng(5)
    precision = 1 / (NOISE**2 * (y * (1 - y)) ** (2 * POWER - 2) / 100 + DRIFT**2 * x**2)
    design = np.stack([np.ones(4), x], axis=1)
    covariance = np.linalg.inv((design.T * precision) @ design + np.diag([0, SPREAD**-2]))
    mean = covariance @ ((design.T * precision) @ logit(y) + np.array([0, SLOPE * SPREAD**-2]))
    heavy = STRETCH * np.sqrt(DEGREES / rng.chisquare(DEGREES, size=(draws, 1)))
    now, slope = (mean + heavy * rng.multivariate_normal([0, 0], covariance, size=draws)).T[..., None]
    slope = slope + DRIFT * heavy * rng.normal(size=(draws, 1))
    budgets = 400 * 2 ** np.linspace(0, 4, 65)
    z = [now + slope * np.log2(n / 400) for n in (budgets, budgets + step)]
    flat = expit(z[1]) - expit(z[0]) < 0.03
    first = np.where(flat.any(axis=1), budgets[flat.argmax(axis=1)], np.inf)
    for level in (0.1, 0.2, 0.3):
        got = enough(counts, np.tile(y, (100, 1)), to=600, threshold=0.03, level=level)
        expected = np.quantile(first, [(1 - level) / 2, (1 + level) / 2], method="nearest")
        assert np.abs(np.log2(np.array([got.at_low, got.at_high]) / expected)).max() <= 1.01 / 16  # a step of the grid


def test_a_higher_threshold_is_reached_earlier():
    budgets = [enough([50, 100], [0.3, 0.45], threshold=limit).at for limit in (0.008, 0.01, 0.02, 0.05)]
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[0] > budgets[-1]


def test_beyond_its_reach_nothing_is_said():
    got = enough([100, 200], [0.2, 0.3], to=100_000, threshold=1e-6)
    assert got.at is None
    assert got.at_high is None
    assert f"nowhere below {REACH * 200:,}" in got.why


def test_the_interval_narrows_with_seeds_and_widens_with_its_level():
    values = np.tile([0.4, 0.5, 0.55], (5, 1))
    widths = [
        (lambda got: got.high - got.low)(enough([50, 100, 200], values[:seeds], level=level))
        for seeds, level in ((5, 0.5), (5, 0.9), (1, 0.9), (1, 0.99))
    ]
    assert widths == sorted(widths)


def test_curves_drawn_from_the_equation_lie_inside_as_often_as_it_says_or_more():
    rng, counts, inside = np.random.default_rng(3), np.array([30, 60, 120, 240]), 0
    for _ in range(400):
        true = expit(rng.normal(0, 0.5) + rng.normal(SLOPE, SPREAD) * np.log2(counts / 30))
        seen = true + NOISE * (true * (1 - true)) ** POWER * rng.normal(size=4)
        got = enough(counts[:3], seen[:3], to=240)
        inside += got.low <= seen[3] - seen[2] <= got.high
    assert 0.9 <= inside / 400 <= 1


def test_the_same_seed_says_the_same_and_scores_at_the_edges_are_no_trouble():
    assert enough([10, 20], [0.4, 0.5], seed=3) == enough([10, 20], [0.4, 0.5], seed=3)
    for values in ([0.0, 0.0], [1.0, 1.0], [0.0, 1.0]):
        got = enough([10, 20], values)
        assert np.isfinite([got.gain, got.low, got.high]).all()


def test_why_tells_what_is_below_what_and_how_sure_that_is():
    flat = [[0.990, 0.991, 0.991]] * 20
    assert re.search(r"from 400 to 600 .* \(90%: .* less than the 1 asked for$", enough([100, 200, 400], flat).why)
    unsure = enough([100, 200, 400], [0.7, 0.71, 0.70], threshold=0.05)
    assert unsure.enough
    assert unsure.why.endswith("less than the 5 asked for, though that is not sure")
    assert "enough at about" in enough([20, 40], [0.5, 0.6]).why
    low = enough([29, 57, 105], [0.783, 0.85, 0.825], to=165)  # the last was unlucky, so the next will look better
    assert low.at < 165
    assert low.why.endswith("it says enough after that")


@pytest.mark.parametrize(
    ("counts", "values", "options", "message"),
    [
        ([], [], {}, "counts has shape"),
        ([1, 2], [0.5], {}, "counts has shape"),
        ([1, 2], np.zeros((0, 2)), {}, "counts has shape"),
        ([2, 1], [0.5, 0.5], {}, "ascending"),
        ([0, 1], [0.5, 0.5], {}, "positive"),
        ([1, np.nan], [0.5, 0.5], {}, "finite"),
        ([1, 2], [0.5, np.nan], {}, "without NaN"),
        ([1, 2], [50, 60], {}, "divide percentages by 100"),
        ([1, 2], [0.5, 0.6], {"to": 2}, "above the last count, 2"),
        ([1, 2], [0.5, 0.6], {"to": np.inf}, "above the last count"),
        ([1, 2], [0.5, 0.6], {"threshold": 0}, "threshold=0"),
        ([1, 2], [0.5, 0.6], {"level": 1.0}, "level=1.0"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(counts, values, options, message):
    with pytest.raises(ValueError, match=message):
        enough(counts, values, **options)
