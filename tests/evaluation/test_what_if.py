"""What-if: figures against slow loops and hand-worked tables, intervals that cover, and what is unknown."""

from itertools import combinations, permutations

import numpy as np
import pytest

from modest import Views
from modest.evaluation import Pattern, WhatIf, Worth, by_patterns, what_if

NAMES = ("a", "b", "c")


def world(n=300, m=3, missing=0.4, seed=0):
    """A model that knows the class from modality k with a rate of its own: (ask, present, y, right by subset)."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, m)) > missing
    present[np.arange(n), rng.integers(m, size=n)] = True
    y = rng.integers(3, size=n)
    codes = rng.random((n, 2**m))

    def ask(rows, shown):
        code = int(shown @ 2 ** np.arange(m))
        right = codes[rows, code] < 0.3 + 0.15 * shown.sum()
        said = np.where(right, y[rows], (y[rows] + 1) % 3)
        return np.eye(3)[said]

    def truth(rows, subset):
        return ask(rows, np.isin(np.arange(m), sorted(subset))).argmax(axis=1) == y[rows]

    return ask, present, y, truth


def mean(truth, y, shown, rows):
    rows = np.asarray(rows)
    if not shown:
        return float((y[rows] == np.bincount(y).argmax()).mean())
    return float(truth(rows, shown).mean())


def having(present, subset):
    return [i for i in range(len(present)) if all(present[i, k] for k in subset)]


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_every_figure_is_that_of_a_slow_loop(missing):
    ask, present, y, truth = world(missing=missing)
    found = by_patterns(ask, NAMES, present, y)
    subsets = [c for size in (1, 2, 3) for c in combinations(range(3), size)]
    assert [one.shown for one in found.patterns] == [tuple(NAMES[k] for k in s) for s in subsets]
    for one, s in zip(found.patterns, subsets):
        rows = having(present, s)
        own = [i for i in rows if present[i].sum() == len(s)]
        assert one.rows == len(rows)
        assert one.own_rows == len(own)
        assert one.accuracy == pytest.approx(mean(truth, y, s, rows))
        assert one.share == pytest.approx(len(own) / len(y))
        assert one.own == pytest.approx(mean(truth, y, s, own)) if own else np.isnan(one.own)
    for k, worth in enumerate(found.worth):
        drop = gain = 0.0
        for s in subsets:
            share = sum(set(np.flatnonzero(row)) == set(s) for row in present) / len(y)
            if k in s and len(s) > 1:
                rows, less = having(present, s), tuple(j for j in s if j != k)
                drop += share * (mean(truth, y, s, rows) - mean(truth, y, less, rows))
            if k not in s:
                rows, more = having(present, (*s, k)), tuple(sorted((*s, k)))
                gain += share * (mean(truth, y, more, rows) - mean(truth, y, s, rows))
        assert worth.drop.mean == pytest.approx(drop)
        assert worth.gain.mean == pytest.approx(gain)
        assert worth.unknown == 0.0


def test_the_worth_is_shapley_over_all_orders_and_shares_out_what_all_are_worth():
    ask, present, y, truth = world(missing=0.0)
    found, rows = by_patterns(ask, NAMES, present, y), range(len(y))
    for k, worth in enumerate(found.worth):
        added = [
            mean(truth, y, order[: order.index(k) + 1], rows) - mean(truth, y, order[: order.index(k)], rows)
            for order in permutations(range(3))
        ]
        assert worth.value.mean == pytest.approx(np.mean(added))
    whole = mean(truth, y, (0, 1, 2), rows) - mean(truth, y, (), rows)
    assert sum(worth.value.mean for worth in found.worth) == pytest.approx(whole)


def test_where_nothing_is_hidden_from_is_that_of_the_rows_as_they_are():
    ask, present, y, truth = world(missing=0.4)
    found = by_patterns(ask, NAMES, present, y)
    now = sum(one.share * one.own for one in found.patterns if one.own_rows)
    right = [truth(np.array([i]), np.flatnonzero(row))[0] for i, row in enumerate(present)]
    assert now == pytest.approx(np.mean(right))


def test_intervals_are_those_of_a_bootstrap_over_rows():
    ask, present, y, _ = world(n=400)
    found = by_patterns(ask, NAMES, present, y)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(300):
        rows = rng.integers(len(y), size=len(y))
        again = by_patterns(lambda at, shown, rows=rows: ask(rows[at], shown), NAMES, present[rows], y[rows],
                            mix=present)  # fmt: skip
        drawn.append([(w.drop.mean, w.gain.mean, w.value.mean) for w in again.worth])
    spread = np.std(drawn, axis=0)
    for w, deviation in zip(found.worth, spread):
        halves = [(d.high - d.low) / 2 for d in (w.drop, w.gain, w.value)]
        # the reference class of nothing shown is drawn anew in the bootstrap, so the last is only near
        assert halves == pytest.approx((1.96 * deviation).tolist(), rel=0.25)


def test_a_pattern_has_wilsons_interval():
    found = what_if(lambda v: np.tile([1.0, 0.0], (len(v), 1)), {"a": np.ones((10, 1)), "b": np.ones((10, 1))},
                    np.array([0] * 8 + [1] * 2))  # fmt: skip
    one = found.patterns[0]
    assert (one.accuracy, round(one.low, 4), round(one.high, 4)) == (0.8, 0.4902, 0.9433)  # Wilson (1927), 8 of 10
    sure = what_if(lambda v: np.tile([1.0, 0.0], (len(v), 1)), {"a": np.ones((10, 1))}, np.zeros(10, dtype=int))
    assert sure.patterns[0].high == pytest.approx(1.0)
    assert round(sure.patterns[0].low, 3) == 0.722


def test_groups_widen_the_interval_as_many_times_as_rows_are_repeated():
    ask, present, y, _ = world(n=200)
    def many(at, shown):
        return ask(at % 200, shown)
    tiled, labels = np.tile(present, (4, 1)), np.tile(y, 4)
    once = by_patterns(ask, NAMES, present, y)
    naive = by_patterns(many, NAMES, tiled, labels)
    told = by_patterns(many, NAMES, tiled, labels, groups=np.tile(np.arange(200), 4))
    for a, b, c in zip(once.worth, naive.worth, told.worth):
        assert c.gain.high - c.gain.low == pytest.approx(a.gain.high - a.gain.low)
        assert b.gain.high - b.gain.low == pytest.approx((a.gain.high - a.gain.low) / 2)
    for a, c in zip(once.patterns, told.patterns):
        assert (a.low, a.high) == pytest.approx((c.low, c.high))


def test_what_no_row_covers_is_unknown_and_said_to_be():
    present = np.array([[True, False]] * 6 + [[False, True]] * 4)
    found = by_patterns(lambda rows, shown: np.eye(2)[np.zeros(len(rows), dtype=int)], ("a", "b"), present, [0, 1] * 5)
    both = found.patterns[-1]
    assert both.shown == ("a", "b")
    assert both.rows == 0
    assert np.isnan([both.accuracy, both.low, both.high]).all()
    for worth, share in zip(found.worth, (0.4, 0.6)):
        assert worth.unknown == pytest.approx(share)
        assert np.isnan([worth.gain.mean, worth.value.mean]).all()
        assert worth.drop.mean == 0.0, "nothing else would be left, so nothing is said to be lost"
    assert found.sentences()[-1].startswith("Unknown")
    assert "a + b" in found.sentences()[-1]


def test_a_part_that_is_unknown_is_left_out_and_told():
    present = np.array([[True, True, False]] * 5 + [[True, False, False]] * 3 + [[False, False, True]] * 2)
    found = by_patterns(lambda r, s: np.eye(2)[np.zeros(len(r), dtype=int)], NAMES, present, [0] * 5 + [1] * 5)
    assert found.worth[1].unknown == pytest.approx(0.2), "rows of c alone would get b, and no row has both"
    assert found.worth[1].gain.mean == 0.0


def test_the_mix_may_be_that_of_other_rows():
    ask, present, y, truth = world(missing=0.0)
    mix = np.array([[True, False, False], [True, True, False]])
    found = by_patterns(ask, NAMES, present, y, mix=mix)
    rows = range(len(y))
    assert found.worth[1].gain.mean == pytest.approx(
        0.5 * (mean(truth, y, (0, 1), rows) - mean(truth, y, (0,), rows))
    )
    assert found.worth[1].drop.mean == pytest.approx(found.worth[1].gain.mean)
    assert {one.shown: one.share for one in found.patterns}["a", "b"] == 0.5


def test_many_modalities_are_looked_at_in_part():
    ask, present, y, _ = world(n=60, m=7, missing=0.2)
    found = by_patterns(ask, tuple("abcdefg"), present, y)
    sizes = [len(one.shown) for one in found.patterns]
    assert sizes.count(1) == 7
    assert sizes.count(7) == 1
    assert len(sizes) < 2**7
    assert sizes.count(6) == 7
    assert all(w.value is None and not np.isnan(w.gain.mean + w.drop.mean) for w in found.worth)


def test_views_are_hidden_by_presence_and_rows_of_nan_are_absent():
    a, b = np.ones((4, 2)), np.ones((4, 2))
    b[3] = np.nan
    views, shown = Views({"a": a, "b": b}, np.array([[1, 1], [1, 1], [0, 1], [1, 1]], dtype=bool)), []

    def predict(v):
        shown.append((v.ids.tolist(), v.present.tolist()))
        return np.eye(2)[np.zeros(len(v), dtype=int)]

    found = what_if(predict, views, ["x", "x", "y", "z"], classes=["x", "y"])
    assert isinstance(found, WhatIf)
    assert isinstance(found.patterns[0], Pattern)
    assert isinstance(found.worth[0], Worth)
    assert shown == [
        (["0", "1", "3"], [[True, False]] * 3), (["0", "1", "2"], [[False, True]] * 3), (["0", "1"], [[True, True]] * 2)
    ]  # fmt: skip
    assert found.accuracy("b", "a") == 1.0
    assert found.accuracy("a") == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="not looked at"):
        found.accuracy("c")


def test_sentences_name_what_to_drop_and_what_to_buy():
    rng = np.random.default_rng(0)
    y, present = rng.integers(2, size=400), rng.random((400, 2)) < 0.6
    present[~present.any(axis=1), 0] = True
    def ask(rows, shown):
        return np.eye(2)[y[rows] if shown[1] else np.zeros(len(rows), dtype=int)]
    drop, buy = by_patterns(ask, ("noise", "signal"), present, y).sentences()
    assert "noise, which costs 0.0 points" in drop
    assert "may cost nothing" in drop
    assert "lacks it: signal, which gains" in buy
    assert "not certain" not in buy
    whole = by_patterns(ask, ("noise", "signal"), np.ones((400, 2), dtype=bool), y).sentences()
    assert whole[1] == "Nothing can be bought: no row lacks a modality."


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"y": [0, 1]}, "y has shape"),
        ({"y": ["u", "v", "w"]}, "classes=clf.classes_"),
        ({"mix": np.ones((2, 3), dtype=bool)}, "mix is bool"),
        ({"mix": np.zeros((2, 2), dtype=bool)}, "a modality at least"),
        ({"groups": [1, 2]}, "groups has shape"),
        ({"level": 1.0}, "level=1.0"),
        ({"present": np.array([[True, True], [False, False], [True, True]])}, "row 1 has no modality"),
        ({"ask": lambda rows, shown: np.ones(len(rows))}, r"predict_proba gave \(3,\)"),
    ],
)
def test_bad_input_is_one_sentence(changed, said):
    given = {"ask": lambda rows, shown: np.eye(2)[[0] * len(rows)], "present": np.ones((3, 2), dtype=bool)}
    given |= {"y": [0, 1, 0], **changed}
    with pytest.raises(ValueError, match=said):
        by_patterns(given.pop("ask"), ("a", "b"), given.pop("present"), given.pop("y"), **given)
