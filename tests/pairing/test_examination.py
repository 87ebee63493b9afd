"""The examination every way of choosing alignments sits: what all of them promise, one question at a time."""

import numpy as np
import pytest
import torch

from modest.pairing import METHODS, choose

ONE_SIDED = [name for name, method in METHODS.items() if not method.directions]
KNOBS = {"typiclust": {"small": 1}, "cluster_margin": {"size": 5}}

every = pytest.mark.parametrize("method", METHODS)


def clouds(seed=0, sizes=(30, 40), d=8):
    """Sides of a few clouds each, with ids out of order."""
    rng = np.random.default_rng(seed)
    names = ("image", "text", "audio")[: len(sizes)]
    centres = rng.standard_normal((5, d))
    sides = {
        name: centres[rng.integers(5, size=n)] + 0.5 * rng.standard_normal((n, d)) for name, n in zip(names, sizes)
    }
    ids = {name: [f"{name[0]}{k:04d}" for k in rng.permutation(n)] for name, n in zip(names, sizes)}
    return sides, ids


PAIRS = np.array([[0, 1], [2, 3], [17, 30]])


def ask(method, sides, pairs=PAIRS, budget=9, **arguments):
    return choose(sides, pairs, budget, method, **KNOBS.get(method, {}), **arguments)


def told(queries):
    """What was asked: direction and ids, in order."""
    return [(q.modality, q.target, q.ids.tolist()) for q in queries]


def same(a, b):
    assert told(a) == told(b)
    for one, other in zip(a, b):
        np.testing.assert_allclose(one.margins, other.margins, atol=1e-6)


@every
def test_inputs_stay_as_they_are(method):
    sides, ids = clouds()
    free = {"image": np.arange(30) % 5 > 0}
    before = {name: array.copy() for name, array in sides.items()}
    anchors = {"text": np.random.default_rng(1).standard_normal((4, 8))}
    held, mask, pairs = anchors["text"].copy(), free["image"].copy(), PAIRS.copy()
    ask(method, sides, pairs, ids=ids, free=free, anchors=anchors)
    for name, array in before.items():
        np.testing.assert_array_equal(sides[name], array)
    np.testing.assert_array_equal(anchors["text"], held)
    np.testing.assert_array_equal(free["image"], mask)
    np.testing.assert_array_equal(pairs, PAIRS)


@every
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["bare", "pairs"])
def test_the_same_seed_gives_the_same_answer(method, pairs):
    sides, ids = clouds()
    state = torch.get_rng_state()
    same(ask(method, sides, pairs, ids=ids, seed=3), ask(method, sides, pairs, ids=ids, seed=3))
    assert torch.equal(torch.get_rng_state(), state)


@every
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["bare", "pairs"])
def test_shuffling_a_side_shuffles_the_answer(method, pairs):
    sides, ids = clouds()
    free = np.arange(40) % 7 > 0
    first = ask(method, sides, pairs, ids=ids, free={"text": free})
    order = np.random.default_rng(5).permutation(40)
    back = np.argsort(order)
    moved = None if pairs is None else np.stack([pairs[:, 0], back[pairs[:, 1]]], axis=1)
    shuffled = {"image": sides["image"], "text": sides["text"][order]}
    names = {"image": ids["image"], "text": [ids["text"][k] for k in order]}
    second = ask(method, shuffled, moved, ids=names, free={"text": free[order]})
    same(first, second)
    for one, other in zip(first, second):
        expected = one.rows if one.modality == "image" else back[one.rows]
        np.testing.assert_array_equal(other.rows, expected)


@every
def test_default_ids_are_row_numbers(method):
    sides, _ = clouds()
    named = {name: [f"{k:02d}" for k in range(len(array))] for name, array in sides.items()}
    same(ask(method, sides), ask(method, sides, ids=named))


@every
@pytest.mark.parametrize("budget", [1, 2, 9, 22])
def test_distinct_free_rows_and_the_budget_exactly(method, budget):
    sides, ids = clouds(1)
    free = {"image": np.arange(30) % 4 > 0, "text": np.arange(40) % 3 > 0}
    queries = ask(method, sides, budget=budget, ids=ids, free=free)
    assert sum(map(len, queries)) == min(budget, 22)  # 22 of the images are free, 26 of the texts
    for query in queries:
        assert len(set(query.rows.tolist())) == len(query) > 0
        assert free[query.modality][query.rows].all()
        listed = query.shortlists[query.shortlists >= 0]
        assert free[query.target][listed].all()
        assert query.ids.tolist() == [ids[query.modality][k] for k in query.rows]
        assert query.method == method
        if method != "random":
            assert isinstance(query.trace["evaluations"], int)


@every
def test_rows_in_pairs_are_never_asked(method):
    sides, ids = clouds(2)
    pairs = np.stack([np.arange(25), np.arange(25) + 3], axis=1)
    queries = ask(method, sides, pairs, 5, ids=ids)
    assert sum(map(len, queries)) == 5
    for query in queries:
        column = 0 if query.modality == "image" else 1
        assert not set(query.rows.tolist()) & set(pairs[:, column].tolist())


@every
def test_all_free_rows_or_those_of_one_side(method):
    sides, ids = clouds(3)
    queries = ask(method, sides, budget=64, ids=ids)  # 27 images and 37 texts are free
    asked = {query.modality: sorted(query.rows.tolist()) for query in queries}
    every_row = {
        name: np.setdiff1d(np.arange(len(array)), PAIRS[:, k]).tolist() for k, (name, array) in enumerate(sides.items())
    }
    if method in ONE_SIDED:  # as documented: no more than its side has free
        assert len(queries) == 1
        assert asked == {queries[0].modality: every_row[queries[0].modality]}
    else:
        assert asked == every_row


@every
def test_a_budget_beyond_the_free_rows_is_refused(method):
    sides, ids = clouds()
    with pytest.raises(ValueError, match="only 64 rows are free"):
        ask(method, sides, budget=65, ids=ids)


@every
@pytest.mark.parametrize("pairs", [None, PAIRS], ids=["bare", "pairs"])
def test_memory_and_tiles_change_nothing(method, pairs):
    sides, ids = clouds(4, sizes=(300, 400), d=250)  # at 1 MB rows are read again and again
    same(ask(method, sides, pairs, ids=ids, memory="1MB"), ask(method, sides, pairs, ids=ids, memory="2GB"))


@every
def test_threads_and_storage_change_nothing(method, tmp_path):
    sides, ids = clouds(5)
    half = {name: array.astype(np.float16) for name, array in sides.items()}
    for name, array in half.items():
        np.save(tmp_path / f"{name}.npy", array)
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in half}
    expected = ask(method, {name: array.astype(np.float32) for name, array in half.items()}, ids=ids)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        same(ask(method, maps, ids=ids), expected)
    finally:
        torch.set_num_threads(threads)
    same(ask(method, {name: torch.as_tensor(array) for name, array in half.items()}, ids=ids), expected)


@every
def test_length_of_rows_does_not_matter(method):
    sides, ids = clouds(6)
    scaled = {"image": sides["image"] * 4.0, "text": sides["text"] * 0.125}
    same(ask(method, sides, ids=ids), ask(method, scaled, ids=ids))


@every
@pytest.mark.parametrize("pairs", [None, [[0, 0]]], ids=["bare", "pairs"])
def test_copies_get_distinct_rows(method, pairs):
    rng = np.random.default_rng(7)
    few = {name: np.repeat(rng.standard_normal((4, 6)), 5, axis=0) for name in ("image", "text")}
    for sides in (few, {"image": np.ones((20, 3)), "text": np.ones((20, 3))}):
        for budget in (3, 19):
            queries = ask(method, sides, pairs, budget)
            assert sum(map(len, queries)) == budget
            for query in queries:
                assert len(set(query.rows.tolist())) == len(query)


@every
@pytest.mark.parametrize("alone", ["image", "text"])
def test_a_side_with_one_free_row(method, alone):
    sides, ids = clouds(8)
    free = {alone: np.arange(len(sides[alone])) == 11}
    queries = ask(method, sides, budget=1, ids=ids, free=free)
    assert sum(map(len, queries)) == 1
    more = ask(method, sides, budget=6, ids=ids, free=free)
    assert sum(map(len, more)) == 6 or method in ONE_SIDED
    for query in (*queries, *more):
        if query.modality == alone:
            assert query.rows.tolist() == [11]
        else:
            assert np.isinf(query.margins).all()
            assert query.shortlists[:, 0].tolist() == [11] * len(query)


@every
def test_a_side_without_any_free_row(method):
    sides, ids = clouds(9)
    queries = ask(method, sides, budget=4, ids=ids, free={"image": np.zeros(30, bool)})
    assert [query.modality for query in queries] == ["text"]
    assert len(queries[0]) == 4
    assert (queries[0].shortlists == -1).all()


@every
def test_three_modalities(method):
    sides, ids = clouds(10, sizes=(20, 30, 25))
    pairs = {("image", "text"): np.array([[0, 4], [3, 9]]), ("audio", "image"): np.array([[5, 7]])}
    queries = ask(method, sides, pairs, 18, ids=ids)
    assert sum(map(len, queries)) == 18
    bought = {"image": {0, 3, 7}, "text": {4, 9}, "audio": {5}}
    everything = ask(method, sides, pairs, 69, ids=ids)
    assert sum(map(len, everything)) == 69 or method in ONE_SIDED
    for answer in (queries, everything):
        asked = {name: [] for name in sides}
        for query in answer:
            assert query.target != query.modality
            asked[query.modality] += query.rows.tolist()
        for name, rows in asked.items():
            assert len(set(rows)) == len(rows), "asked once, in one direction"
            assert not set(rows) & bought[name]


@every
def test_only_directions_that_can_be_answered(method):
    sides, ids = clouds(11, sizes=(20, 30, 25))
    ways = [("text", "audio"), ("text", "image"), ("audio", "image")]
    pairs = {("image", "text"): np.array([[0, 4], [3, 9]])}
    queries = ask(method, sides, pairs, 12, ids=ids, directions=ways)
    assert sum(map(len, queries)) == 12
    assert {(query.modality, query.target) for query in queries} <= set(ways)


@every
def test_anchors_count_as_bought(method):
    sides, ids = clouds(12)
    anchors = {name: np.random.default_rng(2).standard_normal((6, 8)) for name in sides}
    queries = ask(method, sides, None, ids=ids, anchors=anchors)
    assert sum(map(len, queries)) == 9
    none = {name: np.empty((0, 8)) for name in sides}
    same(ask(method, sides, ids=ids, anchors=none), ask(method, sides, ids=ids))


@every
def test_without_a_common_space_only_those_that_need_none(method):
    sides, ids = clouds(13)
    sides["text"] = sides["text"][:, :5]
    if METHODS[method].space:
        with pytest.raises(ValueError, match="no common space"):
            ask(method, sides, ids=ids)
    else:
        queries = ask(method, sides, ids=ids)
        assert sum(map(len, queries)) == 9
        assert all(np.isnan(query.margins).all() for query in queries)


@every
def test_an_unknown_knob_is_named(method):
    sides, _ = clouds()
    with pytest.raises(TypeError, match=r"has no such knob.*magic"):
        choose(sides, PAIRS, 5, method, magic=1)


@every
def test_what_was_not_bought_cannot_matter(method):
    """Two oracles that agree on the rows of the first round alone: the second round asks the same."""
    sides, ids = clouds(14, sizes=(40, 40))
    truth = np.random.default_rng(0).permutation(40)  # text of every image
    first = ask(method, sides, None, 6, ids=ids)
    bought = [
        (row, truth[row]) if query.modality == "image" else (int(np.argsort(truth)[row]), row)
        for query in first
        for row in query.rows.tolist()
    ]
    pairs = np.unique(np.array(bought), axis=0)
    rest = np.setdiff1d(np.arange(40), pairs[:, 0])
    other = truth.copy()
    other[rest] = truth[np.roll(rest, 1)]
    assert (other != truth).sum() == len(rest)
    answers = []
    for hidden in (truth, other):
        bag = np.stack([pairs[:, 0], hidden[pairs[:, 0]]], axis=1)
        answers.append(ask(method, sides, bag, 6, ids=ids, round=1))
    same(*answers)


def test_every_method_tells_cost_and_paper():
    for method in METHODS.values():
        assert method.cost
        assert method.paper
        assert method.function.__doc__
