"""TypiClust against the reference picks, and its rules where the released code stops or miscounts."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows, most_typical, typicality

from .conftest import clusters


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/typiclust.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def labelled(ref):
    return np.isin(np.arange(420), ref["labelled"])


@pytest.mark.parametrize(("distance", "key"), [("squared", "_picks_squared"), ("plain", "_picks_plain_distance")])
def test_cold_picks(ref, distance, key):
    choice = modest.select(ref["x"], 30, "typiclust", clusters=ref["clusters"], distance=distance)
    np.testing.assert_array_equal(choice.rows, ref[f"cold{key}"])
    np.testing.assert_array_equal(ref["clusters"][choice.rows], ref["cold_cluster"])
    np.testing.assert_array_equal(ref["clusters"][choice.rows[:14]], ref["cluster_order"])
    expected = ref["cold_typicality_squared" if distance == "squared" else "cold_typicality_plain"]
    np.testing.assert_allclose(choice.scores[:14], expected[choice.rows[:14]], atol=1e-5)
    assert choice.trace["clusters"] == 16
    assert choice.trace["turns"] == 3


@pytest.mark.parametrize(("distance", "key"), [("squared", "warm_picks"), ("plain", "warm_picks_plain_distance")])
def test_labelled_rows_make_a_cluster_wait(ref, distance, key):
    choice = modest.select(
        ref["x"], 30, "typiclust", taken=labelled(ref), clusters=ref["clusters"], distance=distance
    )
    np.testing.assert_array_equal(choice.rows, ref[key])
    np.testing.assert_array_equal(ref["clusters"][choice.rows], ref["warm_cluster"])
    np.testing.assert_array_equal(ref["clusters"][choice.rows[:14]], ref["warm_cluster_order"])


def test_the_released_code_takes_squared_distances_and_so_do_we(ref):
    np.testing.assert_array_equal(ref["cold_picks_squared"], ref["cold_picks_official"])
    np.testing.assert_array_equal(ref["warm_picks"], ref["warm_picks_official"])
    assert (ref["cold_picks_squared"] != ref["cold_picks_plain_distance"]).any()


def test_unused_numbers_of_clusters_shift_nothing(ref):
    choice = modest.select(ref["x"], 30, "typiclust", taken=labelled(ref), clusters=ref["gap_ids"])
    np.testing.assert_array_equal(choice.rows, ref["gap_ids_picks"])
    assert (choice.rows != ref["gap_ids_picks_official"]).any()
    renamed = modest.select(ref["x"], 30, "typiclust", taken=labelled(ref), clusters=ref["gap_ids"] * 10**9 - 7)
    np.testing.assert_array_equal(renamed.rows, choice.rows)


def test_typicality_of_every_row(ref):
    rows = Rows(Views({"x": ref["x"]}))
    for name in ("squared", "plain"):
        found, told = np.full(420, np.nan), ref[f"cold_typicality_{name}"]
        for c in np.unique(ref["clusters"]):
            members = np.flatnonzero(ref["clusters"] == c)
            found[members] = typicality(rows, members, squared=name == "squared")
        there = np.isfinite(told)
        assert there.sum() > 400
        np.testing.assert_allclose(found[there], told[there], atol=1e-5, rtol=0)
    members = np.flatnonzero(ref["clusters"] == ref["official_typicality_cluster"])
    np.testing.assert_array_equal(members, ref["official_typicality_rows"])
    np.testing.assert_allclose(typicality(rows, members), ref["official_typicality"], atol=1e-5, rtol=0)


def loop(d2, members, count, neighbours, squared):
    """The plain rule: look at every free member again before every pick."""
    left, picks, scores = list(members), [], []
    for _ in range(count):
        k = min(neighbours, len(left) // 2)
        each = []
        for i in left:
            near = np.sort([d2[i, j] if squared else d2[i, j] ** 0.5 for j in left if j != i])[:k]
            each.append(1 / (near.mean() + 1e-5) if k else 0.0)
        at = int(np.argmax(np.round(each, 6)))
        scores.append(each[at])
        picks.append(left.pop(at))
    return picks, scores


@pytest.mark.parametrize("squared", [True, False])
@pytest.mark.parametrize("spare", [1, 3, 64])
def test_lists_are_made_anew_without_a_trace(squared, spare):
    x = clusters(40, 5, 3)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    d2 = np.square(unit[:, None] - unit[None]).sum(axis=2).astype(np.float64)
    members = np.arange(3, 40, 2)
    rows = Rows(Views({"x": x}), memory="1MB")
    picks, scores = most_typical(rows, members, 19, neighbours=6, squared=squared, spare=spare)
    expected = loop(d2, members, 19, 6, squared)
    np.testing.assert_array_equal(picks[:-3], expected[0][:-3])  # of three left, two tie
    np.testing.assert_allclose(scores, expected[1], rtol=1e-4)
    assert set(picks) == set(members)
    assert scores[-1] == 0.0


@pytest.mark.parametrize("spare", [2, 5, 64])
def test_fewer_neighbours_are_looked_at_as_members_go(spare):
    x = clusters(60, 5, 6)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    d2 = np.square(unit[:, None] - unit[None]).sum(axis=2).astype(np.float64)
    picks, scores = most_typical(Rows(Views({"x": x})), np.arange(60), 12, neighbours=40, spare=spare)
    expected = loop(d2, np.arange(60), 12, 40, True)
    np.testing.assert_array_equal(picks, expected[0])
    np.testing.assert_allclose(scores, expected[1], rtol=1e-5)


def islands(sizes, d=7, spread=0.05):
    rng = np.random.default_rng(0)
    island = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(d)[island] + spread * rng.normal(size=(len(island), d)), island


def test_used_up_clusters_are_passed_over_and_small_ones_come_last():
    x, island = islands([7, 3, 6, 4])
    choice = modest.select(x, 20, "typiclust", clusters=island)
    served = island[choice.rows].tolist()
    assert served == [0, 2] * 6 + [0] + [3, 1] * 3 + [3]
    assert choice.trace["from_small_clusters"] == 7
    taken = np.isin(np.arange(20), [0, 1, 10])  # two rows of island 0, one of island 2
    served = island[modest.select(x, 6, "typiclust", taken=taken, clusters=island).rows].tolist()
    assert served == [2, 0] * 3
    rest = modest.select(x, 17, "typiclust", taken=taken, clusters=island)
    assert sorted(rest.rows.tolist()) == np.flatnonzero(~taken).tolist()
    assert island[rest.rows].tolist() == [2, 0] * 5 + [3, 1] * 3 + [3]
    everything = modest.select(x, 3, "typiclust", clusters=island, min_size=50)
    assert island[everything.rows].tolist() == [0, 2, 3]


def test_a_clustering_follows_the_rows_it_was_given_for():
    x, island = islands([7, 3, 6, 4])
    ids = np.array([f"{i:02d}" for i in np.random.default_rng(1).permutation(20)])
    views = Views({"x": x}, ids=ids)
    order = np.random.default_rng(2).permutation(20)
    choice = modest.select(views, 9, "typiclust", clusters=island)
    assert island[choice.rows].tolist()[:2] == [0, 2]
    shuffled = modest.select(views[order], 9, "typiclust", clusters=island[order])
    np.testing.assert_array_equal(choice.ids, shuffled.ids)


def test_clusters_are_as_many_as_labels_and_budget_up_to_a_cap():
    x, island = islands([20, 20, 20, 20, 20])
    choice = modest.select(x, 5, "typiclust")
    assert sorted(island[choice.rows].tolist()) == [0, 1, 2, 3, 4]
    assert choice.trace["clusters"] == 5
    taken = np.isin(np.arange(100), [0, 20])
    rest = modest.select(x, 3, "typiclust", taken=taken)
    assert sorted(island[rest.rows].tolist()) == [2, 3, 4]
    assert rest.trace["clusters"] == 5
    capped = modest.select(x, 12, "typiclust", max_clusters=5)
    assert (capped.trace["clusters"], capped.trace["turns"]) == (5, 3)
    np.testing.assert_array_equal(np.sort(island[capped.rows[:10]]), np.repeat(np.arange(5), 2))
    longer = modest.select(x, 40, "typiclust", max_clusters=5)  # beyond the cap a longer answer begins with a shorter
    np.testing.assert_array_equal(longer.rows[:12], capped.rows)


def test_large_clusters_are_sampled_and_told():
    x, island = islands([60, 8])
    choice = modest.select(x, 2, "typiclust", clusters=island, members=30)
    assert choice.trace["sampled_clusters"] == 1
    assert modest.select(x, 4, "typiclust", clusters=island, members=30).trace["sampled_clusters"] == 1  # 20 x 2 rows
    assert modest.select(x, 2, "typiclust", clusters=island).trace["sampled_clusters"] == 0
    assert modest.select(x, 8, "typiclust", clusters=island, members=30).trace["sampled_clusters"] == 0  # 20 x 4
    seeds = {modest.select(x, 1, "typiclust", clusters=island, members=5, seed=s).rows[0] for s in range(5)}
    assert len(seeds) > 1


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"clusters": [0, 1]}, "clusters must hold one whole number per row"),
        ({"clusters": np.zeros(30)}, "type float64"),
        ({"distance": "cosine"}, "distance='cosine' is unknown; known: squared, plain"),
        ({"neighbours": 0}, "neighbours=0 must be at least 1"),
        ({"max_clusters": 0}, "max_clusters=0"),
        ({"members": -1}, "members=-1"),
    ],
)
def test_bad_knobs(knobs, told):
    with pytest.raises(ValueError, match=told):
        modest.select(clusters(30, 4, 0), 3, "typiclust", **knobs)
