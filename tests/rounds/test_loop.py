"""The loop of rounds: against one written out by hand, and what it keeps to whatever the method."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import modest
from modest import MultimodalClassifier, Views, select
from modest.rounds import loop
from modest.selection import METHODS

rng = np.random.default_rng(3)
N = 90
Y = np.array(["ant", "bee", "cat"])[rng.integers(3, size=N)]
NUMBER = np.unique(Y, return_inverse=True)[1]
X = {m: rng.normal(size=(3, d))[NUMBER] + 0.8 * rng.normal(size=(N, d)) for m, d in (("image", 5), ("text", 4))}
VIEWS = Views(X)
BUDGETS = (6, 12, 20)
QUICK = partial(MultimodalClassifier, method="concat", epochs=3, hidden=(), width=4)


def answer(rows):
    return Y[rows]


def run(method="maxherding", budgets=BUDGETS, **more):
    return list(loop(VIEWS, answer, budgets, method, classifier=more.pop("classifier", QUICK), **more))


def by_hand(method, first, budgets=BUDGETS, seed=0, knobs=None):
    """The rows of each round, by a plain loop."""
    bought, rounds = [], []
    for budget in budgets:
        taken = np.zeros(N, dtype=bool)
        taken[bought] = True
        own, arrays = (method if bought else first), {}
        wanted = METHODS[own].needs + METHODS[own].uses
        if bought and wanted:
            rows = sorted(bought)
            labels = [Y[row] if row in bought else None for row in range(N)]
            arrays = QUICK().fit(VIEWS[rows], Y[rows], validation=False).arrays(VIEWS, wanted, y=labels)
        given = (knobs or {}).get(own, {})
        rounds.append(select(VIEWS, budget - len(bought), own, seed, taken, **arrays, **given).rows.tolist())
        bought += rounds[-1]
    return rounds


@pytest.mark.parametrize("first", ["random", "maxherding"])
@pytest.mark.parametrize("method", ["badge", "bmmal", "alfamix", "entropy"])
def test_a_warm_method_after_a_cold_first_round(method, first):
    records = run(method, first=first)
    assert [r.values["rows"].tolist() for r in records] == by_hand(method, first)
    assert [r.values["method"] for r in records] == [first, method, method]
    joined = run(f"{first}+{method}")
    assert [r.values["rows"].tolist() for r in joined] == [r.values["rows"].tolist() for r in records]


@pytest.mark.parametrize("method", ["random", "maxherding", "kcenter", "uherding"])
def test_a_cold_method_chooses_in_every_round(method):
    records = run(method, seed=5)
    assert [r.values["rows"].tolist() for r in records] == by_hand(method, method, seed=5)
    assert {r.values["method"] for r in records} == {method}


def test_what_a_method_uses_is_handed_over_from_the_second_round_on():
    told = [r.values["trace"] for r in run("uherding")]
    assert ["temperature" in trace for trace in told] == [False, True, True]
    assert "no label" in run("uherding")[0].values["why"]
    assert "6 labels" in run("uherding")[1].values["why"]


def test_a_cold_method_with_uses_of_its_own_is_handed_them_and_taken_at_its_word(monkeypatch):
    """Generic: whatever names its uses in METHODS, not uherding alone."""
    seen = []

    def fake(views, budget, *, taken, proba=None, labels=None, **more):
        seen.append((int(taken.sum()), proba is not None, labels is not None))
        choice = METHODS["random"].function(views, budget, taken=taken, **more)
        trace = {**choice.trace, "why": f"{int(taken.sum())} are too few"} if proba is not None else choice.trace
        return replace(choice, trace=trace)

    monkeypatch.setitem(METHODS, "fake", replace(METHODS["uherding"], function=fake))
    records = run("fake")
    assert seen == [(0, False, False), (6, True, True), (12, True, True)]
    assert [r.values["why"] for r in records] == ["no label is known yet", "6 are too few", "12 are too few"]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_budgets_are_met_and_nothing_is_bought_twice(method):
    bought = []
    for record, budget in zip(run(method), BUDGETS):
        assert record.values["items"] == budget == len(bought) + len(record.values["rows"])
        assert not set(bought) & set(record.values["rows"].tolist())
        bought += record.values["rows"].tolist()
        np.testing.assert_array_equal(record.values["labels"], Y[record.values["rows"]])
        np.testing.assert_array_equal(record.values["ids"], VIEWS.ids[record.values["rows"]])
    assert len(set(bought)) == BUDGETS[-1]


def test_records_count_rounds():
    records = run()
    assert [(r.stage, r.epoch, r.step) for r in records] == [("round", 1, 3), ("round", 2, 3), ("round", 3, 3)]


@pytest.mark.parametrize("method", ["badge", "uherding", "maxherding+bmmal", "kmeans"])
@pytest.mark.parametrize("rounds", [1, 2])
def test_taking_up_from_labels_goes_on_as_before(method, rounds):
    whole = run(method)
    labels = np.full(N, None, dtype=object)
    for record in whole[:rounds]:
        labels[record.values["rows"]] = record.values["labels"]
    before = labels.copy()
    rest = run(method, labels=labels)
    assert [r.epoch for r in rest] == [r.epoch for r in whole[rounds:]]
    for one, two in zip(rest, whole[rounds:]):
        assert one.values["rows"].tolist() == two.values["rows"].tolist()
        assert one.values["why"] == two.values["why"]
    np.testing.assert_array_equal(labels, before)  # what is given is not written to


def test_a_budget_met_already_buys_nothing_and_a_half_met_one_the_rest():
    labels = np.where(np.arange(N) < 9, NUMBER, -1)
    records = list(loop(VIEWS, lambda rows: NUMBER[rows], BUDGETS, "kcenter", labels=labels))
    assert [(r.epoch, len(r.values["rows"])) for r in records] == [(2, 3), (3, 8)]
    assert min(records[0].values["rows"]) >= 9


def test_shares_are_of_the_table_and_never_below_one_per_class():
    assert [r.values["items"] for r in run(budgets=(0.01, 0.1))] == [1, 9]
    assert [r.values["items"] for r in run(budgets=(0.01, 0.02, 0.1), classes=3)] == [3, 9]
    assert [r.values["items"] for r in run("random", budgets=(0.5, 1.0))] == [45, 90]


@pytest.mark.parametrize(("method", "second"), [("badge", "kcenter"), ("uherding", "uherding")])
def test_one_class_has_no_classifier_to_ask(method, second):
    """All labels alike: a warm method leaves the round to the first one, one that can do without arrays does."""
    same = loop(VIEWS, lambda rows: np.array(["ant"] * len(rows)), BUDGETS, method, first="kcenter", classifier=QUICK)
    records = list(same)
    assert [r.values["method"] for r in records][1:] == [second] * 2
    assert "one class" in records[1].values["why"]
    plain = run("kcenter" if second == "kcenter" else "maxherding")
    assert [r.values["rows"].tolist() for r in records] == [r.values["rows"].tolist() for r in plain]


def test_scores_are_those_of_a_classifier_of_all_that_is_bought():
    test = Views({m: x[:30] for m, x in X.items()})
    records = run("badge", test=(test, Y[:30]))
    bought = []
    for record in records:
        bought = sorted([*bought, *record.values["rows"].tolist()])
        clf = QUICK().fit(VIEWS[bought], Y[bought], validation=False)
        assert record.values["accuracy"] == pytest.approx(clf.score(test, Y[:30]))
        assert 0 <= record.values["macro_accuracy"] <= 1
    alone = loop(VIEWS, lambda rows: np.array(["ant"] * len(rows)), (4,), test=(test, Y[:30]))
    assert next(alone).values["accuracy"] == pytest.approx(np.mean(Y[:30] == "ant"))


def test_one_training_serves_the_score_and_the_next_choice():
    made = []

    def counting():
        made.append(QUICK())
        return made[-1]

    run("badge", classifier=counting)
    assert len(made) == 2  # after rounds 1 and 2; nobody asks after the last
    made.clear()
    run("badge", classifier=counting, test=(VIEWS, Y))
    assert len(made) == 3
    made.clear()
    run("kcenter", classifier=counting)
    assert not made


def test_a_rule_names_the_method_of_each_round():
    seen = []

    def rule(number, labels):
        seen.append((number, sum(label is not None for label in labels)))
        labels[:] = "scribble"
        return ("maxherding", "badge", "margin")[number - 1]

    assert [r.values["method"] for r in run(rule)] == ["maxherding", "badge", "margin"]
    assert seen == [(1, 0), (2, 6), (3, 12)]


def test_knobs_go_to_the_method_that_chooses():
    knobs = {"badge": {"cover_taken": True}, "maxherding": {"bandwidth": 0.5}}
    given = [r.values["rows"].tolist() for r in run("maxherding+badge", knobs=knobs)]
    assert given == by_hand("badge", "maxherding", knobs=knobs)
    assert given != by_hand("badge", "maxherding")


def test_shuffling_the_table_shuffles_the_answer():
    order, small = rng.permutation(N), partial(QUICK, batch_size=2, lr=0.05)  # so that the order of training tells
    mixed = loop(VIEWS[order], lambda rows: Y[order][rows], BUDGETS, "maxherding+badge", classifier=small)
    for one, two in zip(run("maxherding+badge", classifier=small), mixed):
        assert one.values["ids"].tolist() == two.values["ids"].tolist()


def test_of_a_pool_the_training_rows_that_have_anything_are_for_sale(tmp_path, monkeypatch):
    split = np.where(np.arange(N) % 3 == 0, "test", "train")
    pool = modest.ingest({**X, "label": Y, "split": split}, tmp_path / "pool")
    there = np.ones((N, 2), dtype=bool)
    there[1] = False  # as after media that cannot be read
    monkeypatch.setattr(modest.Pool, "present", property(lambda self: there))
    given = {"budgets": (5, 9, 1.0), "method": "random+badge", "classifier": QUICK}
    records = list(loop(pool, lambda rows: pool.labels[rows], **given))
    rows = np.concatenate([r.values["rows"] for r in records])
    assert sorted(rows.tolist()) == [row for row in np.flatnonzero(split == "train").tolist() if row != 1]
    np.testing.assert_array_equal(np.concatenate([r.values["ids"] for r in records]), pool.ids[rows])
    labels = np.where(np.isin(np.arange(N), records[0].values["rows"]) | (split == "test"), pool.labels, None)
    rest = list(loop(pool, lambda rows: pool.labels[rows], **given, labels=labels))
    assert [r.values["rows"].tolist() for r in rest] == [r.values["rows"].tolist() for r in records[1:]]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"method": "magic"}, "method='magic' is unknown"),
        ({"method": "magic+badge"}, "first='magic' is unknown"),
        ({"method": "badge", "first": "margin"}, "begin with a cold method"),
        ({"method": "entropy+badge"}, "begin with a cold method"),
        ({"budgets": ()}, "at least one budget"),
        ({"budgets": (9, 4)}, "each above the one before"),
        ({"budgets": (100,)}, "only 90 rows"),
        ({"labels": [None] * 3}, "labels has shape"),
        ({"knobs": {"randon": {}}}, "knobs='randon' is unknown"),
        ({"budgets": 20}, "budgets is int; give a list"),
        ({"oracle": Y}, "oracle is ndarray; give a function"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_bought(more, told):
    with pytest.raises((ValueError, TypeError), match=told) as caught:
        loop(VIEWS, **{"oracle": answer, "budgets": BUDGETS, "method": "random", **more})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("oracle", "told"),
    [
        (lambda rows: Y[rows][1:], "one label per row"),
        (lambda rows: [None, *Y[rows][1:]], "no label"),
        (lambda rows: np.append(NUMBER[rows][:-1], -1), "no label"),
    ],
)
def test_an_oracle_answers_for_every_row(oracle, told):
    with pytest.raises(ValueError, match=told):
        next(loop(VIEWS, oracle, BUDGETS, "random"))
