"""What is told of one item: against distances and gains computed plainly."""

from dataclasses import replace

import numpy as np
import pytest

import modest
from modest.neighbours.rows import squared_distances
from modest.selection import select
from modest.selection.explain import explain
from modest.selection.space import look


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(80, 3))
    arrays = {m: cause @ rng.normal(size=(3, d)) + 0.5 * rng.normal(size=(80, d)) for m, d in (("a", 6), ("b", 8))}
    return modest.Views(arrays, ids=[f"item-{k:02d}" for k in range(80)])


@pytest.fixture(scope="module")
def d2(table):
    block = look(table, 0, device="cpu").rows.take(np.arange(80))
    return squared_distances(block, block).double().numpy()


def test_a_chosen_item_tells_its_reason_and_whom_it_covers(table, d2):
    choice = select(table, 6, "auto", device="cpu")
    told = explain(table, choice, choice.ids[2], device="cpu")
    assert told.order == 2
    assert told.reason == choice.reasons[2]
    mine = np.flatnonzero(d2[:, choice.rows].argmin(axis=1) == 2)
    near = [row for row in mine[np.argsort(d2[mine, choice.rows[2]], kind="stable")] if row != choice.rows[2]]
    assert told.covers == tuple(table.ids[near[:5]])
    assert told.covered == len(mine)
    others = np.delete(choice.rows, 2)
    assert told.nearest == table.ids[others[d2[choice.rows[2], others].argmin()]]
    assert told.sentences[0] == f"{choice.ids[2]} is number 3 of the choice: {choice.reasons[2]}."


def test_an_item_left_out_tells_what_covers_it_and_what_it_would_add(table, d2):
    choice = select(table, 6, "auto", device="cpu")
    left = int(np.setdiff1d(np.arange(80), choice.rows)[17])
    told = explain(table, choice, table.ids[left], device="cpu")
    near = d2[left, choice.rows]
    assert told.order is None
    assert not told.taken
    assert told.nearest == table.ids[choice.rows[near.argmin()]]
    assert told.distance == pytest.approx(near.min() ** 0.5, abs=1e-5)
    weight = look(table, 0, device="cpu").weights
    best = d2[:, choice.rows].min(axis=1)
    assert told.gain == pytest.approx((weight * np.maximum(best - d2[left], 0.0)).mean() / 4, rel=1e-4)
    assert told.last_gain == choice.scores[-1]
    assert "was not chosen" in told.sentences[0]
    assert "would add" in told.sentences[1]


def test_the_next_choice_gains_what_is_told_of_it(table):
    longer, shorter = select(table, 7, "auto", device="cpu"), select(table, 6, "auto", device="cpu")
    told = explain(table, shorter, longer.ids[6], device="cpu")
    assert told.gain == pytest.approx(longer.scores[6], rel=1e-4)


@pytest.mark.parametrize("knobs", [{"agree": False}, {"together": False}])
def test_what_is_told_is_of_the_knobs_of_the_choice(table, knobs):
    longer, shorter = (select(table, b, "auto", device="cpu", **knobs) for b in (7, 6))
    told = explain(table, replace(shorter, state={}), longer.ids[6], device="cpu")
    assert told.gain == pytest.approx(longer.scores[6], rel=1e-4)


def test_arrays_do_and_views_of_another_dimension_are_looked_at_anew(table):
    choice = select(table.arrays, 6, "auto", device="cpu")
    told = explain({"a": table.arrays["a"][:, :5], "b": table.arrays["b"]}, choice, choice.ids[1], device="cpu")
    assert told.order == 1


def test_a_taken_item_says_so(table):
    taken = np.zeros(80, bool)
    taken[5] = True
    choice = select(table, 6, "auto", taken=taken, device="cpu")
    told = explain(table, choice, "item-05", taken=taken, device="cpu")
    assert told.taken
    assert "counts as covered" in told.sentences[0]


def test_other_methods_are_explained_in_plain_distances(table):
    choice = select(table, 6, "kcenter", device="cpu")
    left = str(np.setdiff1d(table.ids, choice.ids)[0])
    told = explain(table, choice, left, device="cpu")
    assert told.agreement is None
    assert told.gain is None
    assert told.nearest in set(choice.ids)


def test_one_choice_alone_has_no_other(table):
    choice = select(table, 1, "auto", device="cpu")
    told = explain(table, choice, choice.ids[0], device="cpu")
    assert told.nearest is None
    assert told.covered == 80


def test_unknown_items_are_refused(table):
    choice = select(table, 6, "auto", device="cpu")
    with pytest.raises(ValueError, match="item 'nobody' is no id of the table; ids look like 'item-00'"):
        explain(table, choice, "nobody")
