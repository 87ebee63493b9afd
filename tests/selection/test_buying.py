"""Buying a missing modality: scores against slow loops, whose values stand in, and what is refused."""

from math import exp, log

import numpy as np
import pytest

import modest
from modest import Views
from modest.selection.buying import SCORES, buy, plausible
from modest.selection.changes import CHANGES


def world(n=60, seed=0, lacking=0.4):
    """Two views that agree on a sign and one of noise; half of the items lack the second."""
    rng = np.random.default_rng(seed)
    sign = np.where(rng.random(n) < 0.5, 1.0, -1.0)
    arrays = {
        "image": np.stack([sign, np.ones(n)], axis=1) + 0.8 * rng.normal(size=(n, 2)),
        "sound": sign[:, None] + 0.5 * rng.normal(size=(n, 3)),
        "noise": rng.normal(size=(n, 2)),
    }
    present = rng.random((n, 3)) > lacking
    present[np.arange(n), rng.integers(3, size=n)] = True
    return Views(arrays, present, [f"item-{k:03d}" for k in rng.permutation(n)])


def predict(views):
    """Softmax of three classes, each of another mixture of what is there."""
    there = np.ones((len(views), 3), dtype=bool) if views.present is None else views.present
    sums = [np.where(there[:, m], np.nan_to_num(a).sum(axis=1), 0.0) for m, a in enumerate(views.arrays.values())]
    logits = np.stack([sums[0] + sums[1], -sums[1], 0.3 * sums[2] + 0.2], axis=1)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def one(views, k, donor=None, modality="sound"):
    """Prediction (C,) for item k alone, with the modality of a donor if one is named."""
    arrays = {name: np.array(array[[k]]) for name, array in views.arrays.items()}
    present = views.present[[k]].copy()
    if donor is not None:
        arrays[modality] = views.arrays[modality][[donor]]
        present[0, views.names.index(modality)] = True
    return predict(Views(arrays, present))[0]


def cosine(views, i, j, names):
    total = 0.0
    for name in names:
        a, b = views.arrays[name][i], views.arrays[name][j]
        total += a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return total / len(names)


def slow(views, k, score, fan, modality="sound"):
    """The score of one item, word by word of the equations, and its donors."""
    m = views.names.index(modality)
    names = [name for j, name in enumerate(views.names) if views.present[k, j]]
    places = [views.names.index(name) for name in names]
    able = [j for j in range(len(views)) if views.present[j, m] and all(views.present[j, p] for p in places)]
    ranked = sorted(((cosine(views, k, j, names), j) for j in able), key=lambda c: (-c[0], views.ids[c[1]]))[:fan]
    last = 1 - ranked[-1][0]
    weight = [exp(-(1 - c) / max(last, 1e-9)) for c, _ in ranked]
    p, value, mixed, rest = one(views, k), 0.0, np.zeros(3), 0.0
    answer = int(np.argmax(p))
    for w, (_, j) in zip(weight, ranked):
        q, w = one(views, k, j), w / sum(weight)
        mixed += w * q
        rest += w * -sum(x * log(x) for x in q)
        value += w * {
            "gain": max(q) - q[answer], "flip": float(np.argmax(q) != answer), "information": 0.0,
            "divergence": sum(x * log(x / y) for x, y in zip(q, p)), "variation": sum(abs(q - p)) / 2,
        }[score]  # fmt: skip
    if score == "information":
        value = -sum(x * log(x) for x in mixed) - rest
    return value, [j for _, j in ranked]


@pytest.mark.parametrize("score", CHANGES)
def test_scores_are_those_of_a_slow_loop(score):
    views = world()
    lacks = np.flatnonzero(~views.present[:, 1])
    choice = buy(views, 1.0, "sound", predict, score, neighbours=4)
    assert sorted(choice.rows) == lacks.tolist()
    for row, value in zip(choice.rows, choice.scores):
        assert value == pytest.approx(slow(views, row, score, 4)[0], abs=1e-5)
    assert (np.diff(choice.scores) <= 0).all()


def test_uncertainty_is_the_entropy_without_the_modality():
    views = world()
    choice = buy(views, 1.0, "sound", predict, "uncertainty")
    for row, value in zip(choice.rows, choice.scores):
        assert value == pytest.approx(-sum(x * log(x) for x in one(views, row)))


def test_donors_are_the_most_alike_that_have_all_the_item_has():
    views = world()
    rows = np.flatnonzero(~views.present[:, 1])
    at, weight = plausible(views, views.present, rows, 1, views.present[:, 1], 4)
    for row, found, share in zip(rows, at, weight):
        assert found[found >= 0].tolist() == slow(views, row, "gain", 4)[1]
        assert share.sum() == pytest.approx(1.0)
        assert (share[found < 0] == 0).all()
        assert (np.diff(share[found >= 0]) <= 1e-12).all()


def test_without_such_donors_those_that_share_something_stand_in_and_strangers_score_nothing():
    arrays = {"a": np.eye(2)[[0, 0, 1, 1, 0]] + 0.1, "b": np.ones((5, 1)), "m": np.arange(1.0, 6.0)[:, None]}
    present = np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 1]], dtype=bool)
    views = Views(arrays, present)
    at, weight = plausible(views, present, np.array([0, 3]), 2, present[:, 2] & (present.sum(1) > 1), 3)
    assert at.tolist() == [[1, 4, -1], [-1, -1, -1]]
    assert weight[0, :2].tolist() == [0.5, 0.5]
    choice = buy(views, 2, "m", lambda v: np.stack([v.present[:, 2] * 0.5 + 0.2, 0.8 - v.present[:, 2] * 0.5], 1))
    assert choice.rows.tolist() == [0, 3]
    assert choice.scores[0] > 0
    assert choice.scores[1] == 0
    assert choice.trace["strangers"] == 1
    assert choice.reasons[1] == "no item with m shares a modality with it"


@pytest.mark.parametrize("score", SCORES)
class TestEveryScore:
    def test_shuffling_the_table_shuffles_the_answer(self, score):
        views, order = world(), np.random.default_rng(1).permutation(60)
        a, b = (buy(v, 8, "sound", predict, score, seed=3) for v in (views, views[order]))
        assert a.ids.tolist() == b.ids.tolist()
        assert a.rows.tolist() == order[b.rows].tolist()

    def test_a_smaller_budget_is_the_beginning(self, score):
        views = world()
        more, fewer = (buy(views, budget, "sound", predict, score) for budget in (9, 4))
        assert more.ids[:4].tolist() == fewer.ids.tolist()

    def test_memory_does_not_change_the_answer_nor_is_anything_written_to(self, score):
        views = world(200)
        before = {name: array.copy() for name, array in views.arrays.items()}
        for array in views.arrays.values():
            array.setflags(write=False)
        whole, tiles = (buy(views, 12, "sound", predict, score, memory=memory) for memory in ("2GB", "1MB"))
        assert whole.ids.tolist() == tiles.ids.tolist()
        assert all((views.arrays[name] == array).all() for name, array in before.items())

    def test_what_is_absent_is_never_looked_at(self, score):
        views = world()
        holes = {name: np.where(views.present[:, [m]], a, np.nan) for m, (name, a) in enumerate(views.arrays.items())}
        junk = {name: np.where(views.present[:, [m]], a, 7e7) for m, (name, a) in enumerate(views.arrays.items())}
        tables = (Views(holes, None, views.ids), Views(junk, views.present, views.ids))
        a, b = (buy(table, 8, "sound", predict, score) for table in tables)
        assert a.ids.tolist() == b.ids.tolist()


def test_random_draws_by_seed_and_id_and_ties_go_to_the_lowest_id():
    views = world()
    a, b = (buy(views, 10, "sound", predict, "random", seed=seed).ids.tolist() for seed in (0, 1))
    assert a != b
    assert a == buy(views, 10, "sound", None, "random", seed=0).ids.tolist(), "it asks no model"
    same = buy(views, 5, "sound", lambda v: np.full((len(v), 2), 0.5)).ids.tolist()
    assert same == sorted(views.ids[~views.present[:, 1]])[:5]


def test_budgets_taken_and_among():
    views = world()
    lacks = np.flatnonzero(~views.present[:, 1])
    assert len(buy(views, 0.5, "sound", predict)) == len(lacks) // 2, "a share is of the items that lack it"
    assert len(buy(views, 1e-6, "sound", predict)) == 1
    taken = np.zeros(60, dtype=bool)
    taken[lacks[3:]] = True
    assert sorted(buy(views, 3, "sound", predict, taken=taken).rows) == lacks[:3].tolist()
    assert len(buy(views, 2 / len(lacks), "sound", predict, taken=taken)) == 2, "of all"
    assert sorted(buy(views, 2, "sound", predict, among=np.isin(np.arange(60), lacks[:2])).rows) == lacks[:2].tolist()
    with pytest.raises(ValueError, match="only 3 rows are free"):
        buy(views, 4, "sound", predict, taken=taken)


def test_donors_may_be_named_and_likeness_measured_elsewhere():
    views = world()
    donors = np.zeros(60, dtype=bool)
    donors[np.flatnonzero(views.present.all(axis=1))[:1]] = True
    told = buy(views, 3, "sound", predict, donors=donors).reasons
    assert all(f"1 items like it, the nearest {views.ids[donors][0]}" in reason for reason in told)
    near = Views({name: np.ones((60, 1)) for name in views.names}, None, views.ids)
    even = buy(views, 3, "sound", predict, near=near, neighbours=60).scores
    assert even != pytest.approx(buy(views, 3, "sound", predict, neighbours=60).scores), "there all weigh the same"
    rows = np.flatnonzero(~views.present[:, 1])
    at, weight = plausible(near, views.present, rows, 1, views.present[:, 1], 3)
    assert np.ptp(weight) == pytest.approx(0.0), "all are alike there"
    for row, found in zip(rows, at):  # which of equals is open, but they have what the item has, and the modality
        assert (views.present[found] | ~views.present[row]).all()
        assert views.present[found, 1].all()


def test_reasons_and_trace():
    choice = buy(world(), 2, "sound", predict, neighbours=5)
    assert choice.method == "buy/gain"
    assert choice.reasons[0].startswith(f"gain {choice.scores[0]:.3f} by sound of 5 items like it, the nearest item-")
    assert {"score": "gain", "modality": "sound", "budget": 2, "strangers": 0}.items() <= choice.trace.items()


def test_a_classifier_is_asked_by_its_predict_proba():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=80)
    arrays = {"a": y[:, None] + 2.0 * rng.normal(size=(80, 2)), "b": y[:, None] + 0.2 * rng.normal(size=(80, 2))}
    views = Views(arrays, np.stack([np.ones(80, dtype=bool), np.arange(80) < 50], axis=1))
    clf = modest.MultimodalClassifier(method="late", epochs=5, hidden=(), device="cpu").fit(views, y)
    choice = modest.selection.buy(views, 5, "b", clf.predict_proba)
    assert (choice.rows >= 50).all()
    assert len(set(choice.rows)) == 5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"modality": "smell"}, "modality='smell' is unknown; known: image, sound, noise"),
        ({"score": "luck"}, "score='luck' is unknown"),
        ({"budget": 0}, "budget=0"),
        ({"neighbours": 0}, "neighbours=0"),
        ({"predict": lambda v: np.ones(len(v))}, "predict gave shape"),
        ({"donors": np.zeros(60, dtype=bool)}, "use score='random'"),
        ({"among": np.ones(60, dtype=bool)}, "which has sound already; leave it out"),
    ],
)
def test_bad_input_is_one_sentence(changed, said):
    given = {"views": world(), "budget": 3, "modality": "sound", "predict": predict, **changed}
    with pytest.raises(ValueError, match=said):
        buy(**given)


def test_nothing_to_buy_and_items_of_nothing_are_told():
    views = world()
    with pytest.raises(ValueError, match="no item lacks sound"):
        buy(Views(views.arrays), 1, "sound", predict)
    present = views.present.copy()
    present[0] = False
    holes = Views(views.arrays, present, views.ids)
    assert 0 not in buy(holes, 1.0, "sound", predict).rows
    with pytest.raises(ValueError, match="no modality at all"):
        buy(holes, 1, "sound", predict, among=np.arange(60) == 0)
