"""k-means against the reference clustering, and its rules for taken rows and empty clusters."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows, kmeans, nearest_members


@pytest.fixture(scope="module")
def ref(shared):
    with np.load(shared / "reference/selection/kmeans.npz", allow_pickle=False) as z:
        return {name: z[name] for name in z.files}


def test_lloyd_from_given_rows(ref):
    rows = Rows(Views({"x": ref["x"]}), unit=False)
    centres = kmeans(rows, 20, np.arange(400), init=ref["init"], rounds=60)
    np.testing.assert_allclose(centres.x.numpy(), ref["centres"], atol=1e-5, rtol=0)
    np.testing.assert_allclose(centres.q[:, 0].numpy(), (ref["centres"] ** 2).sum(axis=1), atol=1e-5, rtol=0)
    members, label, distance = nearest_members(rows, centres, np.ones(400, dtype=bool))
    np.testing.assert_array_equal(label, ref["labels"])
    np.testing.assert_array_equal(members, ref["nearest_member"])
    assert float(distance.double().sum()) == pytest.approx(float(ref["inertia"]), rel=1e-5)


def test_every_cluster_is_served_unlike_the_released_baseline(ref):
    cluster, official = ref["bmmal_cluster_of_row"], ref["bmmal_picks_official"]
    assert len(np.unique(cluster[official])) == int(ref["bmmal_clusters_used"]) == 10
    choice = modest.select(ref["x"], 20, "kmeans", init=ref["init"], rounds=60)
    assert set(choice.rows.tolist()) != set(official.tolist())
    np.testing.assert_array_equal(np.sort(choice.rows), np.sort(ref["nearest_member"]))
    size = np.bincount(ref["labels"], minlength=20)
    np.testing.assert_allclose(choice.scores, np.sort(size)[::-1] / 400)
    np.testing.assert_allclose(size[ref["labels"][choice.rows]], choice.scores * 400)
    assert choice.trace["inertia"] == pytest.approx(float(ref["inertia"]), rel=1e-5)
    assert choice.trace["filled"] == 0


def islands(sizes, seed=0, d=6, spread=0.02):
    """Tight islands on orthogonal axes; returns rows and the island of each."""
    rng = np.random.default_rng(seed)
    island = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(d)[island] + spread * rng.normal(size=(len(island), d)), island


def test_one_row_of_every_island_the_most_central_first_from_the_largest():
    x, island = islands([9, 4, 7, 12])
    choice = modest.select(x, 4, "kmeans", seed=1)
    np.testing.assert_array_equal(island[choice.rows], [3, 0, 2, 1])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    for row in choice.rows:
        mine = np.flatnonzero(island == island[row])
        to_centre = np.linalg.norm(unit[mine] - unit[mine].mean(axis=0), axis=1)
        assert row == mine[to_centre.argmin()]


def test_islands_with_a_taken_row_are_passed_over():
    x, island = islands([9, 4, 7, 12])
    taken = np.zeros(32, dtype=bool)
    taken[[np.flatnonzero(island == 3)[0], np.flatnonzero(island == 0)[2]]] = True
    choice = modest.select(x, 2, "kmeans", taken=taken, seed=1)
    np.testing.assert_array_equal(island[choice.rows], [2, 1])


def test_copies_leave_clusters_empty_and_the_rest_is_filled():
    x = np.repeat(np.eye(3), 4, axis=0)
    choice = modest.select(x, 6, "kmeans")
    assert len(set(choice.rows.tolist())) == 6
    assert set((choice.rows // 4).tolist()) == {0, 1, 2}
    assert choice.trace["filled"] >= 3


def test_the_sample_is_capped_and_told():
    x, _ = islands([300, 300, 300])
    choice = modest.select(x, 3, "kmeans", rounds=5, restarts=2)
    assert choice.trace["sample"] == 768
    np.testing.assert_array_equal(np.sort(choice.rows // 300), [0, 1, 2])
