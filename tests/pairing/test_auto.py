"""Auto against the dense design it stands for, and what it looks at."""

import numpy as np
import pytest

from modest.pairing import choose


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def centred(x):
    x = unit(x)
    return unit(x - x.mean(0))


def dense(x, covered, free, budget, noise=0.3):
    """The greedy design with the whole covariance of predictions, one row learned after the other."""
    k = x @ x.T

    def learn(i):
        return k - np.outer(k[:, i], k[i]) / (k[i, i] + noise)

    for i in covered:
        k = learn(i)
    left, picks, free = k.trace() / len(x), [], set(free)
    for _ in range(budget):
        worth = {i: (k[i] ** 2).sum() / (k[i, i] + noise) for i in sorted(free)}
        picks.append(max(worth, key=lambda i: (round(worth[i], 9), -i)))
        free.remove(picks[-1])
        k = learn(picks[-1])
    return picks, left, k.trace() / len(x)


def directions(x):
    return 1.0 / ((x.T @ x / len(x)) ** 2).sum()


def sides(seed=0, n=60, m=50):
    rng = np.random.default_rng(seed)
    narrow = rng.standard_normal((m, 9)) * np.r_[3.0, 3.0, np.full(7, 0.3)]
    return {"image": rng.standard_normal((n, 6)), "text": narrow + 1.0}


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("bought", [0, 7])
def test_picks_and_side_are_those_of_the_dense_design(noise, bought):
    for seed in range(3):
        x, rng = sides(seed), np.random.default_rng(seed)
        pairs = np.stack([rng.permutation(50)[:bought], rng.permutation(50)[:bought]], axis=1)
        (query,) = choose(x, pairs, 12, "auto", noise=noise)
        expected = {}
        for column, name in enumerate(x):
            inner = centred(x[name])
            free = np.setdiff1d(np.arange(len(inner)), pairs[:, column])
            picks, left, after = dense(inner, pairs[:, column], free, 12, noise)
            expected[name] = (left * directions(inner), picks, after)
            assert query.trace["left"][name] == pytest.approx(expected[name][0], rel=1e-5)
        assert query.modality == max(expected, key=lambda name: expected[name][0])
        assert query.rows.tolist() == expected[query.modality][1]
        assert query.trace["unlearned"] == pytest.approx(expected[query.modality][2], rel=1e-5)


def test_shuffling_a_side_shuffles_the_answer():
    x = sides(1)
    ids = {name: [f"{name}{i:03}" for i in range(len(a))] for name, a in x.items()}
    (query,) = choose(x, [[3, 4]], 10, "auto", ids=ids)
    order = {name: np.random.default_rng(5).permutation(len(a)) for name, a in x.items()}
    pair = [[int(np.flatnonzero(order["image"] == 3)[0]), int(np.flatnonzero(order["text"] == 4)[0])]]
    (again,) = choose(
        {name: a[order[name]] for name, a in x.items()}, pair, 10, "auto",
        ids={name: [ids[name][i] for i in order[name]] for name in x},
    )  # fmt: skip
    assert again.ids.tolist() == query.ids.tolist()


def test_views_are_looked_at_instead_of_sides_in_the_same_order():
    x, other = sides(2), sides(3)
    ids = {name: np.char.zfill(np.random.default_rng(0).permutation(len(a)).astype(str), 3) for name, a in x.items()}
    (seen,) = choose(x, None, 8, "auto", ids=ids, views=other)
    (plain,) = choose(other, None, 8, "auto", ids=ids)
    assert seen.rows.tolist() == plain.rows.tolist()
    assert seen.modality == plain.modality


def test_costs_decide_the_side():
    x = {"image": sides()["image"], "text": sides(4)["image"]}
    (query,) = choose(x, None, 5, "auto", views=x)
    dear = (query.modality, query.target)
    (other,) = choose(x, None, 5, "auto", costs={dear: 10.0}, views=x)
    assert other.modality == query.target


def test_anchors_count_as_learned():
    x = sides(6)
    anchors = {"image": x["image"][:20]}
    (query,) = choose(x, None, 4, "auto", anchors=anchors)
    (without,) = choose(x, None, 4, "auto")
    assert query.trace["left"]["image"] < without.trace["left"]["image"]
    assert query.trace["left"]["text"] == without.trace["left"]["text"]


def test_a_ready_space_is_asked_by_its_doubts():
    x = {"image": sides()["image"], "text": sides(4)["image"]}
    told, plain = choose(x, [[1, 2]], 9, "auto", seed=3), choose(x, [[1, 2]], 9, "badge", seed=3)
    assert [query.rows.tolist() for query in told] == [query.rows.tolist() for query in plain]
    assert {query.trace["rule"] for query in told} == {"badge"}
    (query,) = choose(x, [[1, 2]], 9, "auto", views=x)
    assert query.trace["rule"] == "design"


def test_a_sample_holds_free_rows_and_is_stated():
    x = sides(7, n=400)
    free = {"image": np.arange(400) % 150 == 0}
    (query,) = choose(x, None, 3, "auto", free=free, sample=40, directions=[("image", "text")])
    assert query.trace["sample"] == 60  # 20 for each
    assert sorted(query.rows.tolist()) == [0, 150, 300]


def test_the_fuller_side_is_asked_until_it_is_known():
    rng = np.random.default_rng(0)
    x = {"image": rng.standard_normal((80, 20)), "text": np.c_[rng.standard_normal((80, 2)), np.zeros((80, 18))]}
    (query,) = choose(x, None, 5, "auto", views=x)
    assert query.modality == "image"
    pairs = np.stack([np.arange(79), np.arange(79)], axis=1)
    (query,) = choose(x, pairs, 1, "auto", views=x, free={"image": np.arange(80) == 79, "text": np.arange(80) == 79})
    assert len(query) == 1


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"noise": 0.0}, "noise=0.0"),
        ({"sample": 0}, "sample=0"),
        ({"views": {"sound": np.eye(3)}}, "views names 'sound'"),
        ({"views": {"image": np.eye(3)}}, "a row for each of the side's 60"),
    ],
)
def test_what_is_refused(knobs, told):
    with pytest.raises(ValueError, match=told):
        choose(sides(), None, 3, "auto", **knobs)
