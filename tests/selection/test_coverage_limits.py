"""Greedy coverage within limits, with factors, closed rows and growing samples, against the plain greedy; prefixes."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows
from modest.selection import herding
from modest.selection.limits import Limits

from .conftest import clusters

GREEDY = ["random", "kcenter", "maxherding", "probcover", "uherding"]


def similarities(x, h=1.0):
    unit = x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True)
    return np.exp((2 * unit @ unit.T - 2) / h**2)


def plain(k, count, free, covered=(), factor=None, limits=None, opened=None):
    """One pick after the other, every gain anew; ``opened`` (step) -> rows of the sample by then."""
    n, rows = len(k), np.arange(len(k))
    covered = list(covered)
    best = k[covered].max(axis=0) if covered else np.zeros(n)
    factor = np.ones(n) if factor is None else factor
    picks = []
    while len(picks) < count:
        still = free & ~np.isin(rows, picks)
        if limits is not None:
            still &= limits.open(np.array(picks, dtype=np.int64))
        if opened is not None and (still & opened(len(picks))).any():
            still &= opened(len(picks))
        if not still.any():
            break
        value = np.where(still, np.maximum(0, k - best).mean(axis=1) * factor, -np.inf)
        picks.append(int(value.argmax()))
        best = np.maximum(best, k[picks[-1]])
    return picks


@pytest.fixture(scope="module")
def x():
    return clusters(150, 8, 5)


@pytest.fixture(params=["lazy", "held"])
def way(request, monkeypatch):
    """With products all along, and with the pairs held from the second pick on."""
    from modest.neighbours.gains import Gains

    early = request.param == "held"
    monkeypatch.setattr(Gains, "_pays", lambda self: early and self.pairs is None and self.picked > 1)


def herd(x, count, covered=(), memory="2GB", **options):
    rows = Rows(Views({"x": x}), memory=memory)
    given = {"kernel": "rbf", "bandwidth": 1.0, "seed": 0, "candidates": 35_000, "targets": 35_000, **options}
    return herding.herd(rows, count, np.isin(np.arange(len(x)), covered), **given)


def test_quotas(x, way):
    rng = np.random.default_rng(0)
    limits = Limits(groups=rng.integers(0, 4, 150), most=np.array([3, 0, 7, 2]))
    expected = plain(similarities(x), 30, np.ones(150, dtype=bool), [4, 9], limits=limits)
    found = herd(x, 30, [4, 9], limits=limits)
    assert len(expected) == 12  # ends when no row is open
    np.testing.assert_array_equal(found.picks, expected)
    assert len(found.gains) == 12


def test_gain_per_cost_within_a_total(x, way):
    costs = np.random.default_rng(1).uniform(0.2, 3.0, 150)
    limits = Limits(costs=costs, total=8.0)
    expected = plain(similarities(x), 40, np.ones(150, dtype=bool), factor=1 / costs, limits=limits)
    found = herd(x, 40, limits=limits)
    np.testing.assert_array_equal(found.picks, expected)
    assert 1 < len(found.picks) < 40
    assert costs[found.picks].sum() <= 8.0
    assert costs.min() > 8.0 - costs[found.picks].sum() or len(found.picks) == 40
    k, gained = similarities(x), []  # the gains told are not divided by the cost
    for t in range(len(expected)):
        gained.append(k[expected[: t + 1]].max(axis=0).mean() - sum(gained))
    np.testing.assert_allclose(found.gains, gained, atol=1e-6)


@pytest.mark.parametrize("memory", ["1MB", "2GB"])
def test_factor_and_closed(x, way, memory):
    rng = np.random.default_rng(2)
    factor, closed = rng.uniform(0.1, 1.0, 150), rng.random(150) < 0.4
    wide = np.hstack([x, np.zeros((150, 900))])  # at 1 MB the rows are read again whenever they are asked for
    found = herd(wide, 35, [3, 70], memory, factor=factor, closed=closed)
    free = ~closed & ~np.isin(np.arange(150), [3, 70])
    np.testing.assert_array_equal(found.picks, plain(similarities(x), 35, free, [3, 70], factor))
    assert found.trace["targets"] == 150  # closed rows are covered all the same


@pytest.mark.parametrize("method", ["kcenter", "maxherding", "probcover", "uherding"])
def test_closed_rows_are_never_chosen_but_count(method, x):
    closed = np.arange(150) < 60
    knobs = {"first": 80} if method == "kcenter" else {}
    choice = modest.select(x, 20, method, closed=closed, **knobs)
    assert not closed[choice.rows].any()
    without = modest.select(x[60:], 20, method, **({"first": 20} if knobs else {}))
    if method == "kcenter":
        np.testing.assert_array_equal(choice.rows, without.rows + 60)
    else:
        assert (choice.rows != without.rows + 60).any()


def sampled(x, seed, start, step):
    """Rows of the sample at every pick: ``start`` of them, or ``step`` for each pick made so far if that is more."""
    from modest.selection.answer import keyed_order

    rank = np.argsort(keyed_order(Rows(Views({"x": x})), seed))
    return lambda t: rank < max(start, step * (t + 1))


def test_the_sample_grows_with_the_picks(x, way, monkeypatch):
    monkeypatch.setattr(herding, "PER_PICK", 4)
    monkeypatch.setattr("modest.neighbours.coverage.AHEAD", 3)
    opened = sampled(x, 0, 30, 4)
    found = herd(x, 25, candidates=30)
    np.testing.assert_array_equal(found.picks, plain(similarities(x), 25, np.ones(150, dtype=bool), opened=opened))
    assert found.trace["candidates"] == 100
    shut = Limits(groups=(~opened(10)).astype(np.int64), most=np.array([3, 50]))  # nearly all of the sample is shut
    expected = plain(similarities(x), 25, opened(24), limits=shut, opened=opened)
    assert len(expected) == 25
    np.testing.assert_array_equal(herd(x, 25, candidates=30, limits=shut).picks, expected)


def test_pairs_that_no_longer_fit_as_the_sample_grows_are_let_go(x, monkeypatch):
    from modest.neighbours import gains

    let_go, plain_release = [], gains.Gains.release

    def released(self):
        let_go.append(int(self.level.max()))
        plain_release(self)

    monkeypatch.setattr(gains.Gains, "release", released)
    monkeypatch.setattr(gains.Gains, "_pays", lambda self: self.pairs is None and self.picked > 4)
    monkeypatch.setattr(herding, "PER_PICK", 8)
    monkeypatch.setattr("modest.neighbours.coverage.AHEAD", 3)
    expected = plain(similarities(x), 18, np.ones(150, dtype=bool), opened=sampled(x, 0, 30, 8))
    for room in (500, 700, 900, 1200):
        monkeypatch.setattr(gains, "BYTES", 500_000 // room)
        np.testing.assert_array_equal(herd(x, 18, memory="1MB", candidates=30).picks, expected)
    assert max(let_go) > 0


@pytest.mark.parametrize("method", GREEDY)
@pytest.mark.parametrize("case", ["plain", "taken", "closed", "both"])
def test_a_longer_answer_begins_with_a_shorter(method, case, x):
    rng, masks = np.random.default_rng(3), {}
    if case in ("taken", "both"):
        masks["taken"] = rng.random(150) < 0.1
    if case in ("closed", "both"):
        masks["closed"] = rng.random(150) < 0.3
    longest = modest.select(x, 60, method, **masks)
    for budget in (1, 2, 17, 59):
        np.testing.assert_array_equal(modest.select(x, budget, method, **masks).rows, longest.rows[:budget])


@pytest.mark.parametrize("method", ["maxherding", "uherding", "probcover"])
def test_also_where_candidates_and_targets_are_samples(method, x, monkeypatch):
    monkeypatch.setattr(herding, "PER_PICK", 3)
    longest = modest.select(x, 40, method, candidates=20, targets=50)
    assert longest.trace["candidates"] > 20
    for budget in (3, 11, 28):
        shorter = modest.select(x, budget, method, candidates=20, targets=50)
        np.testing.assert_array_equal(shorter.rows, longest.rows[:budget])


@pytest.mark.parametrize("method", ["maxherding", "uherding", "probcover"])
def test_limits_through_the_door(method, x):
    groups = np.arange(150) % 3
    choice = modest.select(x, 12, method, groups=groups, quotas={0: 2, 1: 4})
    assert np.bincount(groups[choice.rows], minlength=3).tolist()[:2] <= [2, 4]
    assert len(choice) == len(choice.scores) == len(choice.reasons) == 12
    costs = np.random.default_rng(4).uniform(1.0, 2.0, 150)
    bought = modest.select(x, None, method, costs=costs, total=30.0)
    assert 30.0 - costs.min() < costs[bought.rows].sum() <= 30.0
    assert len(bought) == len(bought.scores) == len(bought.reasons)
