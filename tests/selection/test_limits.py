"""Quotas and costs: the arithmetic of limits, the door's answer against a slow greedy, and bad ones refused."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.neighbours import Products, Rows
from modest.neighbours.plusplus import plus_plus
from modest.selection import METHODS
from modest.selection.door import within
from modest.selection.limits import Limits, read_limits
from modest.types import Choice

from . import warm
from .conftest import clusters
from .test_examination import choose, limited

COSTS = np.random.default_rng(3).uniform(0.5, 4.0, size=120).round(2)
GROUPS = np.array(["cat", "dog", "bird"])[np.random.default_rng(4).choice(3, size=120, p=[0.6, 0.3, 0.1])]


def fits(row, bought, quotas=None, total=None):
    """The two rules, said slowly."""
    of_group = sum(GROUPS[b] == GROUPS[row] for b in bought)
    enough = total is None or COSTS[row] <= total * (1 + 1e-9) - sum(COSTS[b] for b in bought)
    return enough and (quotas is None or of_group < quotas.get(GROUPS[row], 10**9))


def slow_walk(order, count, **limits):
    bought = []
    for row in order:
        if len(bought) < count and fits(row, bought, **limits):
            bought.append(row)
    return bought


def slow_kcenter(views, start, count, **limits):
    """Farthest-first over the rows that fit, one pick at a time, over a full matrix of distances."""
    parts = [
        a / np.linalg.norm(a, axis=1, keepdims=True) for a in (np.asarray(a, float) for a in views.arrays.values())
    ]
    d = np.mean([((x[:, None] - x[None]) ** 2).sum(axis=2) for x in parts], axis=0)
    rank = np.argsort(np.argsort(views.ids))
    bought = [start]
    while len(bought) < count:
        fit = [row for row in range(len(views)) if row not in bought and fits(row, bought, **limits)]
        if not fit:
            break
        far = {row: d[row, bought].min() for row in fit}
        top = max(far.values())
        bought.append(min((row for row in fit if far[row] >= top * (1 - 1e-5)), key=lambda row: rank[row]))
    return bought


LIMITS = [
    {"quotas": {"cat": 3, "dog": 2}},
    {"total": 11.0},
    {"quotas": {"cat": 4, "bird": 1}, "total": 14.0},
]


def arguments(limit):
    given = {"groups": GROUPS, "quotas": limit["quotas"]} if "quotas" in limit else {}
    return given | ({"costs": COSTS, "total": limit["total"]} if "total" in limit else {})


def warm_arrays(method, pool):
    return warm.arrays(method, pool) if method in warm.WARM else {}


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("method", ["random", "entropy", "margin"])
def test_rows_judged_one_by_one_are_bought_along_their_order(method, pool, limit):
    arrays = warm_arrays(method, pool)
    order = modest.select(pool, 120, method, **arrays).rows
    choice = modest.select(pool, 9, method, **arguments(limit), **arrays)
    assert choice.rows.tolist() == slow_walk(order, 9, **limit)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("method", ["random", "entropy"])
def test_asked_again_and_again_a_method_gives_what_it_gives_by_itself(method, pool, limit, monkeypatch):
    arrays, entry = warm_arrays(method, pool), METHODS[method]
    itself = modest.select(pool, 9, method, **arguments(limit), **arrays)
    monkeypatch.setattr(modest.selection, "METHODS", {method: replace(entry, limits=False)})
    asked = modest.select(pool, 9, method, **arguments(limit), **arrays)
    assert asked.trace["askings"] > 1
    np.testing.assert_array_equal(asked.rows, itself.rows)


@pytest.mark.parametrize("limit", LIMITS)
def test_farthest_first_among_the_rows_that_fit(pool, limit):
    choice = modest.select(pool, 9, "kcenter", **arguments(limit))
    drawn = modest.select(pool, 120, "random").rows  # the start is the first of these that fits
    start = next(row for row in drawn if fits(row, [], **limit))
    assert choice.rows.tolist() == slow_kcenter(pool, start, 9, **limit)


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("method", ["badge", "bmmal"])
def test_races_among_the_rows_that_fit(method, pool, limit):
    """Until a row does not fit, the draws are those of a choice without limits."""
    choice = modest.select(pool, 9, method, **arguments(limit), **warm_arrays(method, pool))
    free = modest.select(pool, 9, method, **warm_arrays(method, pool))
    assert choice.rows.tolist() != free.rows.tolist()
    assert all(fits(row, choice.rows[:k], **limit) for k, row in enumerate(choice.rows))
    differ = np.flatnonzero(free.rows[: len(choice)] != choice.rows)
    k = differ[0] if len(differ) else len(choice)
    assert not fits(free.rows[k], free.rows[:k], **limit), "only a row that does not fit is passed over"


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_races_stand_whatever_the_batch(batch):
    x = clusters(200, 6, 1)
    rows = Rows(Views({"x": x}), unit=False)
    q = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    limits = Limits(groups=np.arange(200) % 7, most=np.full(7, 3))
    products = Products(rows, torch.as_tensor(q))
    picks, distances, closest = plus_plus(products, 50, np.ones(200, bool), seed=2, still=limits.open, batch=batch)
    assert len(picks) == 21 == len(distances), "three of each of seven groups"
    assert np.bincount(picks % 7).tolist() == [3] * 7
    one = plus_plus(products, 50, np.ones(200, bool), seed=2, still=limits.open, batch=1)[0]
    np.testing.assert_array_equal(picks, one)
    assert (closest.numpy()[picks] == 0).all()


def test_open_walk_and_reach_agree():
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = 30
        limits = Limits(
            rng.integers(4, size=n), rng.integers(0, 5, size=4), rng.uniform(0.1, 2.0, n), rng.uniform(1, 9)
        )
        order = rng.permutation(n)
        bought = []
        for row in order:
            if limits.open(np.array(bought, dtype=np.int64))[row]:
                bought.append(row)
        assert order[limits.walk(order, n)].tolist() == bought
        assert limits.reach(np.ones(n, bool)) >= len(bought)
        half = np.array(bought[: len(bought) // 2], dtype=np.int64)
        rest = np.setdiff1d(order, half)
        left = limits.after(half).take(rest)
        np.testing.assert_array_equal(limits.open(half)[rest], left.open(np.empty(0, dtype=np.int64)))
        stop = limits.walk(order, n, skip=False)
        assert stop.tolist() == list(range(len(stop)))
        assert len(stop) == n or not limits.open(order[stop])[order[len(stop)]]


def test_reach_is_the_largest_number_that_fits():
    limits = Limits(np.array([0, 0, 0, 1]), np.array([2, 9]), np.array([1.0, 1.0, 1.0, 3.0]), 3.9)
    assert limits.reach(np.ones(4, bool)) == 2
    assert limits.reach(np.array([True, False, False, True])) == 1
    assert Limits(costs=np.full(3, 0.1), total=0.3).reach(np.ones(3, bool)) == 3, "rounding loses no row"


def test_a_prefix_ends_the_walk_of_a_greedy_and_a_hole_does_not_end_the_others():
    """Asked for 3 of 6 rows in descending order; row 5 and 4 share a group of which one may be chosen."""
    asked = []

    def ask(count, taken, closed):
        asked.append((count, np.flatnonzero(taken).tolist(), np.flatnonzero(closed & ~taken).tolist()))
        rows = np.flatnonzero(~(taken | closed))[::-1][:count]
        return Choice(
            rows, rows.astype(float), rows.astype(str), "m", tuple(map(str, rows)), {"first": len(asked)}, {"a": 1}
        )

    limits = Limits(np.array([0, 1, 2, 3, 4, 4]), np.array([9, 9, 9, 9, 1]))
    none = np.zeros(6, bool)
    greedy = within(limits, 3, none, none, ask, skip=False)
    assert greedy.rows.tolist() == [5, 3, 2]
    assert asked == [(3, [], []), (2, [5], [4])]
    assert greedy.trace == {"first": 1, "askings": 2}
    assert greedy.reasons == ("5", "3", "2")
    assert greedy.state == {}, "what was remembered is of another choice"
    asked.clear()
    assert within(limits, 3, none, none, ask, skip=True).rows.tolist() == [5, 3, 2]
    assert asked == [(3, [], []), (1, [3, 5], [4])]
    assert within(limits, 2, none, np.arange(6) > 3, ask, skip=False).state == {"a": 1}


def test_the_trace_says_what_was_spent_and_why_it_ended(pool):
    rich = modest.select(pool, 5, "random", costs=COSTS, total=1000)
    assert rich.trace["ended"] == "budget"
    assert rich.trace["spent"] == pytest.approx(COSTS[rich.rows].sum())
    poor = modest.select(pool, None, "random", costs=COSTS, total=10, groups=GROUPS, quotas={"dog": 1})
    assert poor.trace["ended"] == "total"
    assert poor.trace["budget"] is None
    assert poor.trace["spent"] <= 10 < poor.trace["spent"] + np.delete(COSTS, poor.rows).max()
    used = modest.select(pool, None, "random", costs=COSTS, total=1e6, groups=GROUPS, quotas=2)
    assert used.trace["ended"] == "quotas"
    assert used.trace["quotas"] == {"cat": [2, 2], "dog": [2, 2], "bird": [2, 2]}
    assert len(used) == 6
    assert "ended" not in modest.select(pool, 5, "random").trace
    everything = modest.select(pool, None, "random", costs=COSTS, total=1e6)
    assert (len(everything), everything.trace["ended"]) == (120, "pool")


def test_quotas_are_of_this_choice_not_of_the_history(pool):
    taken = GROUPS == "bird"
    taken[np.flatnonzero(taken)[0]] = False
    choice = modest.select(pool, 9, "kcenter", taken=taken, groups=GROUPS, quotas={"cat": 4, "dog": 4, "bird": 1})
    assert (GROUPS[choice.rows] == "bird").sum() == 1


def test_groups_of_any_kind(pool):
    number = np.where(GROUPS == "cat", np.nan, 1.5)
    choice = modest.select(pool, 10, "random", groups=number, quotas={1.5: 2})
    assert (number[choice.rows] == 1.5).sum() == 2
    assert modest.select(pool, 4, "random", groups=number, quotas=2).trace["quotas"] == {"1.5": [2, 2], "None": [2, 2]}
    mixed = [("a", 1) if k % 2 else None for k in range(120)]
    assert sum(r % 2 for r in modest.select(pool, 10, "random", groups=mixed, quotas={("a", 1): 3}).rows) == 3


@pytest.mark.parametrize(
    ("wrong", "kind", "told"),
    [
        ({"groups": GROUPS}, ValueError, "groups and quotas go together"),
        ({"quotas": 3}, ValueError, "groups and quotas go together"),
        ({"costs": COSTS}, ValueError, "costs and total go together"),
        ({"groups": GROUPS[1:], "quotas": 3}, ValueError, "groups holds 119 labels"),
        ({"groups": 3, "quotas": 3}, TypeError, "groups is int; give one label per row, 120"),
        ({"groups": "cat", "quotas": 3}, TypeError, "groups is str; give one label per row, 120"),
        ({"groups": GROUPS[:, None], "quotas": 3}, TypeError, "groups holds lists"),
        ({"groups": GROUPS, "quotas": {"cow": 3}}, ValueError, "quotas names the group 'cow', which no row is of"),
        ({"groups": GROUPS, "quotas": {"cat": -1}}, ValueError, "quotas holds -1"),
        ({"groups": GROUPS, "quotas": {"cat": 1.5}}, TypeError, "quotas holds 1.5"),
        ({"groups": GROUPS, "quotas": True}, TypeError, "quotas holds True"),
        ({"groups": GROUPS, "quotas": 2}, ValueError, "quotas let at most 6 free rows be chosen and budget asks for 9"),
        ({"costs": COSTS[1:], "total": 3}, ValueError, "costs has shape (119,)"),
        ({"costs": np.where(np.arange(120) == 7, np.nan, 1.0), "total": 3}, ValueError, "costs is nan at row 7 (id "),
        ({"costs": np.where(np.arange(120) == 7, 0.0, 1.0), "total": 3}, ValueError, "costs is 0 at row 7 (id "),
        ({"costs": COSTS, "total": 0}, ValueError, "total=0 must be above 0"),
        ({"costs": COSTS, "total": "3"}, TypeError, "total is str"),
        ({"costs": COSTS + 1, "total": 1}, ValueError, "total=1 is below the cheapest free row, which costs 1.5"),
        ({"costs": COSTS, "total": 9, "groups": GROUPS, "quotas": 0, "budget": None}, ValueError, "quota is above 0"),
        ({"budget": None}, TypeError, "budget is NoneType"),
        ({"budget": None, "groups": GROUPS, "quotas": 2}, TypeError, "budget is NoneType"),
        ({"since": {"a": 1}, "method": "random"}, TypeError, "'random' remembers nothing of an earlier choice"),
    ],
)  # fmt: skip
def test_bad_limits_are_one_sentence(pool, wrong, kind, told):
    with pytest.raises(kind, match=re.escape(told)) as error:
        modest.select(pool, **{"budget": 9, "method": "random", **wrong})
    assert str(error.value).endswith(".")


def test_a_row_that_cannot_be_chosen_needs_no_cost(pool):
    holes = np.where(np.arange(120) < 50, np.nan, COSTS)
    choice = modest.select(
        pool, None, "random", taken=np.arange(120) < 30, closed=np.arange(120) < 50, costs=holes, total=8
    )
    assert (choice.rows >= 50).all()
    assert np.isfinite(choice.trace["spent"])


def test_an_earlier_choice_must_be_of_the_method(pool, monkeypatch):
    entry = METHODS["random"]
    seen = []

    def remembering(views, budget, *, since=None, **options):
        seen.append(since)
        return modest.selection.random.random(views, budget, **options)

    monkeypatch.setattr(modest.selection, "METHODS", {"random": replace(entry, function=remembering, increments=True)})
    first = modest.select(pool, 3, "random")
    modest.select(pool, 3, "random", since=Choice(first.rows, first.scores, first.ids, "random", state={"a": 1}))
    modest.select(pool, 3, "random", since={"b": 2})
    modest.select(pool, 3, "random", since={})
    assert seen == [None, {"a": 1}, {"b": 2}, None]
    with pytest.raises(ValueError, match="since is a choice by 'kcenter'; give one by 'random'"):
        modest.select(pool, 3, "random", since=Choice(first.rows, first.scores, first.ids, "kcenter", state={"a": 1}))
    with pytest.raises(TypeError, match="since is list"):
        modest.select(pool, 3, "random", since=[1])


def test_limits_are_none_without_any(pool):
    assert read_limits(pool, np.ones(120, bool), None, None, None, None) is None
    assert limited(choose("random", pool)) == {}


def test_labelled_rows_are_not_for_sale(pool):
    """Rows with a label count as taken: they need no cost, and none is counted among what the money buys."""
    labels = np.where(np.arange(120) < 40, 1, -1)
    costs = np.where(labels >= 0, 0.0, 3.0)
    choice = modest.select(pool, None, "uherding", labels=labels, costs=costs, total=10)
    assert (len(choice), choice.trace["spent"], choice.trace["ended"]) == (3, 9.0, "total")
    assert (labels[choice.rows] < 0).all()
