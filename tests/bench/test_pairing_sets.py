"""Sets of the pairing bench: what a seed draws, what it hides, how it scores, and pools on disk."""

import numpy as np
import pandas as pd
import pytest

import modest
from modest.bench.pairing import PairedSides, prepare
from modest.evaluation import group_scores, retrieval
from tests.bench.pairs import paired


def rows_of(given, sides):
    """Original row of every row of a seed's sides."""
    return {
        name: np.array([int(np.flatnonzero((given.sides[name] == row).all(axis=1))[0]) for row in x])
        for name, x in sides.items()
    }


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_a_seed_keeps_whole_units_and_their_truth(share):
    given = paired()
    sides, truth = prepare("toy", given).pool(3, share)
    rows = rows_of(given, sides)
    assert (rows["image"][truth[:, 0]] == rows["text"][truth[:, 1]]).all()
    assert len(truth) == 60 * share
    _, counts = np.unique(rows["image"][truth[:, 0]] // 2, return_counts=True)
    assert (counts == 2).all()
    assert len(sides["image"]) == len(sides["text"]) == 60 * share
    assert not np.array_equal(rows["image"], rows["text"])
    assert not np.array_equal(rows["image"], np.sort(rows["image"]))


def test_seeds_differ_and_repeat():
    ground = prepare("toy", paired())
    first, again, other = (ground.pool(seed, 0.5)[0]["image"] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_missing_takes_one_half_of_some_pairs_and_alternates():
    given = paired()
    sides, truth = prepare("toy", given).pool(0, 1.0, missing=0.25)
    assert {name: len(x) for name, x in sides.items()} == {"image": 52, "text": 53}
    assert len(truth) == 45
    rows = rows_of(given, sides)
    alone = [np.setdiff1d(rows[name], rows[name][truth[:, k]]) for k, name in enumerate(sides)]
    assert len(alone[0]) == 7
    assert len(alone[1]) == 8
    assert not set(alone[0].tolist()) & set(alone[1].tolist())


def test_rows_without_partner_stay_and_one_row_may_have_several():
    x, y = np.random.default_rng(0).standard_normal((2, 12, 3))
    pairs = np.array([[0, 0], [0, 1], [1, 2], [2, 3], [3, 4]])
    given = PairedSides({"a": x, "b": y}, pairs, {"a": x[:2], "b": y[:2]}, np.array([[0, 0], [1, 1]]))
    sides, truth = prepare("toy", given).pool(0, 0.5)
    rows = rows_of(given, sides)
    kept = sorted(zip(rows["a"][truth[:, 0]].tolist(), rows["b"][truth[:, 1]].tolist()))
    assert set(kept) <= {tuple(pair) for pair in pairs.tolist()}
    assert len({a for a, _ in kept}) == 2
    assert ((0, 0) in kept) == ((0, 1) in kept)
    assert set(range(4, 12)) <= set(rows["a"].tolist())
    assert set(range(5, 12)) <= set(rows["b"].tolist())


def test_a_row_stays_with_the_pair_that_is_kept():
    x = np.random.default_rng(0).standard_normal((8, 3))
    pairs = np.array([[k, k // 4] for k in range(8)])
    ground = prepare("toy", PairedSides({"a": x, "b": x[:2]}, pairs, {"a": x, "b": x}, pairs))
    for seed in range(5):
        sides, truth = ground.pool(seed, 0.5)
        assert len(truth) == len(sides["a"]) == 4
        assert len(sides["b"]) == len(np.unique(truth[:, 1]))


def test_scores_are_those_of_the_functions():
    given = paired(common=True)
    scores = prepare("toy", given).score(given.test)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in given.test.values()]
    s = np.stack([unit[0][2 * g : 2 * g + 2] @ unit[1][2 * g : 2 * g + 2].T for g in range(10)])
    assert scores["group"] == group_scores(s).group
    assert scores["text"] == group_scores(s).text
    both = retrieval(given.test, given.test_pairs)
    assert scores["recall@5:text>image"] == both["text", "image"][5]
    assert scores["recall@1"] == (both["text", "image"][1] + both["image", "text"][1]) / 2


def test_a_pool_hides_its_known_pairs(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40, 4)).astype(np.float32)
    x[0], y[1:3] = np.nan, np.nan
    table = pd.DataFrame(
        {"id": [f"i{k:02}" for k in range(40)], "split": ["test" if k > 29 else "train" for k in range(40)]}
    )
    table.to_csv(tmp_path / "items.csv", index=False)
    np.savez(tmp_path / "views.npz", image=x, text=y)
    archive = tmp_path / "views.npz"
    views = {name: f"{archive}:{name}" for name in ("image", "text")}
    pool = modest.ingest(tmp_path / "items.csv", tmp_path / "pool", views=views)
    ground = prepare("pool", pool)
    assert len(ground.given.pairs) == 27
    assert {name: len(array) for name, array in ground.given.sides.items()} == {"image": 29, "text": 28}
    assert len(ground.given.test_pairs) == 10
    np.testing.assert_array_equal(ground.given.sides["image"][ground.given.pairs[:, 0]], x[3:30])
    np.testing.assert_array_equal(ground.given.sides["text"][ground.given.pairs[:, 1]], y[3:30])


def test_what_is_refused():
    given = paired()
    with pytest.raises(ValueError, match="two sides"):
        prepare("toy", PairedSides({"a": np.eye(3)}, given.pairs, {"a": np.eye(3)}, given.test_pairs))
    with pytest.raises(ValueError, match="3 pairs to buy"):
        prepare("toy", PairedSides(given.sides, given.pairs[:3], given.test, given.test_pairs))
    spoilt = {**given.sides, "text": np.full_like(given.sides["text"], np.nan)}
    with pytest.raises(ValueError, match="sides of toy"):
        prepare("toy", PairedSides(spoilt, given.pairs, given.test, given.test_pairs))


def test_groups_of_a_pool_are_scored_and_shared_pictures_are_one_row(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 40, 4)).astype(np.float32)
    table = {"id": [f"i{k:02}" for k in range(40)], "split": ["test" if k > 29 else "train" for k in range(40)]}
    swap = {**table, "group": [str(k // 2) for k in range(40)], "image": x, "text": y}
    ground = prepare("swap", modest.ingest(swap, tmp_path / "swap"))
    assert ground.metric == "group"
    assert ground.given.groups.shape == (5, 2, 2)
    assert np.array_equal(ground.given.groups.reshape(-1, 2), np.stack([np.arange(10)] * 2, axis=1))
    s = np.stack([x[k : k + 2] @ (y[k : k + 2] / np.linalg.norm(y[k : k + 2], axis=1, keepdims=True)).T
                  for k in range(30, 40, 2)])  # fmt: skip
    assert ground.score(ground.given.test)["text"] == group_scores(s).text
    assert (
        prepare("half", modest.ingest({**swap, "group": [str(k) for k in range(40)]}, tmp_path / "x")).given.groups
        is None
    )

    coco = {**table, "group": [str(k // 5) for k in range(40)], "image": x[np.arange(40) // 5], "text": y}
    given = prepare("coco", modest.ingest(coco, tmp_path / "coco")).given
    assert {name: len(array) for name, array in given.sides.items()} == {"image": 6, "text": 30}
    assert {name: len(array) for name, array in given.test.items()} == {"image": 2, "text": 10}
    assert given.groups is None
    assert given.pairs.tolist() == [[k // 5, k] for k in range(30)]
    assert given.test_pairs.tolist() == [[k // 5, k] for k in range(10)]
    assert given.units.tolist() == [str(k // 5) for k in range(30)]
    right = retrieval({"image": given.test["image"], "text": given.test["image"][np.arange(10) // 5]}, given.test_pairs)
    assert right["text", "image"][1] == 1.0  # copies of the picture would have been lost ties
