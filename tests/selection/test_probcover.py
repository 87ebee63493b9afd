"""ProbCover against the reference picks, its purity rule, and what follows full coverage."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows, closest_pair, kmeans, nearest_members, other_distance
from modest.neighbours.rows import squared_distances
from modest.selection.answer import cluster_sample
from modest.selection.probcover import pure_radius

from .conftest import clusters


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/probcover.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def distances(x):
    unit = x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True)
    return np.sqrt(np.maximum(0, 2 - 2 * unit @ unit.T))


@pytest.mark.parametrize("case", ["small", "large", "labelled", "block"])
def test_picks(ref, case):
    given = "small" if case == "labelled" else case
    x = ref["block_x"] if case == "block" else ref["x"]
    delta, budget, expected = float(ref[f"{given}_delta"]), int(ref[f"{given}_budget"]), ref[f"{case}_picks"]
    taken = np.isin(np.arange(len(x)), ref["labelled"]) if case == "labelled" else np.zeros(len(x), dtype=bool)
    choice = modest.select(x, budget, "probcover", taken=taken, delta=delta)
    np.testing.assert_array_equal(choice.rows[: len(expected)], expected)
    np.testing.assert_allclose(choice.scores[: len(expected)] * len(x), ref[f"{case}_gain"], atol=1e-9)
    assert choice.trace["after_full_coverage"] == budget - len(expected)
    assert choice.trace["delta"] == delta
    seen = np.append(expected, np.flatnonzero(taken))
    share = (distances(x)[seen] < delta).any(axis=0).mean()
    assert choice.trace["coverage"] == pytest.approx(share)
    if f"{case}_covered" in ref:
        np.testing.assert_array_equal((distances(x)[seen] < delta).any(axis=0), ref[f"{case}_covered"] > 0)


@pytest.mark.parametrize("case", ["small", "large"])
def test_every_row_has_its_ball(ref, case):
    rows, delta = Rows(Views({"x": ref["x"]})), float(ref[f"{case}_delta"])
    block = rows.take(np.arange(730))
    edges = int((squared_distances(block, block) < delta**2).sum())
    assert edges == ref[f"{case}_edges"] > ref[f"{case}_edges_official"]
    picks = modest.select(ref["x"], 40, "probcover", delta=delta).rows
    assert (picks != ref[f"{case}_picks_official"]).any()
    assert picks.max() >= 500  # the rows that get no ball in the released code
    assert ref[f"{case}_picks_official"].max() < 500
    assert len(set(ref["large_picks_official"].tolist())) < 40  # row 0 again and again
    np.testing.assert_array_equal(ref["block_picks"], ref["block_picks_official"])


def test_the_labelled_case_differs_from_the_released_code_too(ref):
    assert (ref["labelled_picks"] != ref["labelled_picks_official"]).any()


@pytest.mark.parametrize("missing", [False, True])
def test_it_is_herding_with_a_top_hat(pool, missing):
    mask = np.random.default_rng(0).random((120, 2)) < 0.7
    mask[~mask.any(axis=1), 0] = True
    views = Views(pool.arrays, mask if missing else None, pool.ids)
    taken = np.arange(120) % 13 == 0
    balls = modest.select(views, 15, "probcover", taken=taken, delta=0.6)
    herd = modest.select(views, 15, "maxherding", taken=taken, bandwidth=0.6, kernel="tophat")
    kept = 15 - balls.trace["after_full_coverage"]
    assert kept > 5
    np.testing.assert_array_equal(balls.rows[:kept], herd.rows[:kept])
    np.testing.assert_array_equal(balls.scores, herd.scores)


def test_after_full_coverage_herding_goes_on_from_what_was_taken(ref):
    delta = float(ref["large_delta"])
    choice = modest.select(ref["x"], 40, "probcover", delta=delta)
    taken = np.isin(np.arange(730), choice.rows[:17])
    rest = modest.select(ref["x"], 23, "maxherding", taken=taken, bandwidth=delta)
    np.testing.assert_array_equal(choice.rows[17:], rest.rows)
    assert len(set(choice.rows.tolist())) == 40
    assert (choice.scores[17:] == 0).all()
    assert (choice.scores[:17] > 0).all()
    assert choice.reasons[16].startswith("1 items")
    assert choice.reasons[17].startswith("all is covered")


def islands(sizes, d=7, spread=0.03):
    rng = np.random.default_rng(0)
    island = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(d)[island] + spread * rng.normal(size=(len(island), d)), island


def halving(d, label, purity):
    """The largest radius with that share of pure balls, found by halving [0, 2]."""
    low, high = 0.0, 2.0
    for _ in range(60):
        middle = (low + high) / 2
        ball = d < middle
        pure = [(label[ball[i]] == label[i]).all() for i in range(len(d))]
        low, high = (middle, high) if np.mean(pure) >= purity else (low, middle)
    return low


@pytest.mark.parametrize("purity", [0.3, 0.8, 0.95, 1.0])
def test_the_purity_rule_is_what_halving_finds(purity):
    x = clusters(90, 6, 4, k=5)
    rows = Rows(Views({"x": x}))
    centres = kmeans(rows, 5, cluster_sample(rows, 5, 3), seed=3)
    label = nearest_members(rows, centres, np.ones(90, dtype=bool))[1]
    expected = halving(distances(x), label, purity)
    found = pure_radius(rows, 3, purity, 5, 35_000)
    assert 0.001 < expected < 2
    assert expected - 0.001 - 1e-5 <= found <= expected + 1e-5
    choice = modest.select(x, 4, "probcover", seed=3, purity=purity, classes=5)
    assert choice.trace["delta"] == found == round(found, 3)
    np.testing.assert_array_equal(choice.rows, modest.select(x, 4, "probcover", delta=found).rows)


def test_the_radius_spans_an_island_and_stops_before_the_next():
    x, island = islands([20, 20, 20, 20, 20])
    choice = modest.select(x, 5, "probcover", classes=5, purity=1.0)
    assert sorted(island[choice.rows].tolist()) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(choice.scores, 0.2)
    apart = distances(x)[island[:, None] != island[None]].min()
    assert apart - 0.001 - 1e-5 <= choice.trace["delta"] <= apart + 1e-5
    wider = modest.select(x, 5, "probcover", classes=5)  # one ball in twenty may reach into the next island
    assert wider.trace["delta"] > apart
    by_default = modest.select(x, 5, "probcover")  # sqrt(100 / 2) = 7 pseudo-classes
    assert by_default.trace["delta"] == pure_radius(Rows(Views({"x": x})), 0, 0.95, 7, 35_000)
    assert by_default.trace["delta"] < apart


def test_one_cluster_alone_has_no_edge():
    choice = modest.select(np.ones((12, 3)), 5, "probcover")
    assert choice.trace["delta"] == 2.0
    assert choice.scores.tolist() == [1, 0, 0, 0, 0]


def test_distances_to_others_and_between_the_closest():
    x = clusters(400, 5, 9)
    rows, members, label = Rows(Views({"x": x}), memory="1MB"), np.arange(0, 400, 2), np.arange(200) % 3
    d = distances(x)[np.ix_(members, members)]
    others = np.where(label[:, None] == label, np.inf, d).min(axis=1)
    np.testing.assert_allclose(other_distance(rows, members, label), others, atol=1e-5)
    np.fill_diagonal(d, np.inf)
    assert closest_pair(rows, members) == pytest.approx(d.min(), abs=1e-6)
    bound = float(np.sort(d[d < np.inf])[4])
    assert closest_pair(rows, members, bound - 1e-6) == pytest.approx(bound, abs=1e-6)
    assert closest_pair(rows, members[:1]) == np.inf
    assert (other_distance(rows, members, np.zeros(200, dtype=np.int64)) == np.inf).all()


def test_samples_are_told(ref):
    choice = modest.select(ref["x"], 2, "probcover", delta=0.5, candidates=50, targets=60)
    assert (choice.trace["candidates"], choice.trace["targets"], choice.trace["sampled"]) == (50, 60, True)
    assert 0 < modest.select(ref["x"], 2, "probcover", targets=60).trace["delta"] < 2


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"delta": 0}, "delta=0 must be 'auto' or a radius"),
        ({"delta": "wide"}, "delta='wide'"),
        ({"delta": True}, "delta=True"),
        ({"delta": None}, "delta=None"),
        ({"delta": np.nan}, "delta=nan"),
        ({"purity": 0}, "purity=0 is no share"),
        ({"purity": 1.5}, "purity=1.5"),
        ({"classes": 1}, "classes=1 must lie between 2 and the number of rows, 30"),
        ({"classes": 31}, "classes=31"),
    ],
)
def test_bad_knobs(knobs, told):
    with pytest.raises(ValueError, match=told):
        modest.select(clusters(30, 4, 0), 3, "probcover", **knobs)
