"""Held-out rows are stratified, whole groups stay together, and everything is tied to ids."""

import numpy as np
import pytest

from modest.data.splits import carve, split_hash, subsample


def test_carve_takes_its_share_of_every_class():
    y = np.repeat(["a", "b", "c"], [200, 40, 3])
    held = carve(y, 0.15, seed=0)
    assert [int(held[y == c].sum()) for c in "abc"] == [30, 6, 1]
    assert (held == carve(y, 0.15, seed=0)).all()
    assert (held != carve(y, 0.15, seed=1)).any()


def test_carve_follows_ids():
    y = np.random.default_rng(0).integers(0, 4, 200)
    ids = np.array([f"i{i}" for i in range(200)])
    shuffle = np.random.default_rng(1).permutation(200)
    assert (carve(y, 0.3, 3, ids=ids)[shuffle] == carve(y[shuffle], 0.3, 3, ids=ids[shuffle])).all()


@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_torn_and_classes_stay_near_their_share(seed):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 40, 1200)
    y = rng.integers(0, 3, 1200)
    held = carve(y, 0.2, seed, groups=groups)
    for g in range(40):
        assert len(set(held[groups == g])) == 1
    for c in range(3):
        assert abs(held[y == c].mean() - 0.2) < 0.08


def test_two_unequal_groups_leave_rows_on_both_sides():
    held = carve([0] * 10, 0.15, 0, groups=[0] * 9 + [1])
    assert held.sum() in (1, 9)


def test_carve_says_what_cannot_be_divided():
    with pytest.raises(ValueError, match="share"):
        carve([0, 0], 1.0, 0)
    with pytest.raises(ValueError, match="two rows"):
        carve([0, 1, 2], 0.5, 0)
    with pytest.raises(ValueError, match="single group"):
        carve([0, 0], 0.5, 0, groups=["g", "g"])
    with pytest.raises(ValueError, match="groups has shape"):
        carve([0, 0], 0.5, 0, groups=["g"])
    with pytest.raises(ValueError, match="no rows"):
        carve([], 0.5, 0)


def test_subsample_is_a_keyed_share():
    rows = subsample(101, 0.8, seed=0)
    assert len(rows) == 80
    assert (np.diff(rows) > 0).all()
    y = np.repeat([0, 1], [90, 10])
    assert np.bincount(y[subsample(y, 0.8, seed=0)]).tolist() == [72, 8]
    ids = np.array([f"i{i}" for i in range(100)])
    shuffle = np.random.default_rng(1).permutation(100)
    assert set(ids[subsample(100, 0.5, 2, ids)]) == set(ids[shuffle][subsample(100, 0.5, 2, ids[shuffle])])
    assert subsample(10, 1.0, 0).tolist() == list(range(10))
    with pytest.raises(ValueError, match="share"):
        subsample(10, 0, 0)


def test_split_hash_names_an_assignment_not_an_order():
    ids, split = np.array(["a", "b", "c"]), np.array(["train", "test", "train"])
    assert split_hash(ids, split) == split_hash(ids[::-1], split[::-1])
    assert split_hash(ids, split) != split_hash(ids, split[::-1][[1, 0, 2]])
    assert len(split_hash(ids, np.eye(3, dtype=bool))) == 16
