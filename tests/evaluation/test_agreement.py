"""Agreement against published examples, scikit-learn, and sums over all pairs written out."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from modest.evaluation import agreement, cohen_kappa, fleiss_kappa, krippendorff_alpha, majority

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: 4 observers, 12 units, nominal 0.743
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
# Fleiss 1971 as it is usually retold: 10 items, 14 answers each, 5 classes, kappa 0.210
FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip

tables = st.lists(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=5), max_size=8)


def alpha_by_pairs(items):
    """1 - observed / expected disagreement, every pair of answers written out."""
    items = [[one for one in item if one is not None] for item in items]
    items = [item for item in items if len(item) > 1]
    values = [one for item in items for one in item]
    observed = sum((a != b) / (len(item) - 1) for item in items for a, b in permutations(item, 2))
    expected = sum(a != b for a, b in permutations(values, 2)) / (len(values) - 1) if len(values) > 1 else 0
    return 1 - observed / expected if expected else math.nan


class TestCohen:
    def test_is_scikit_learns(self):
        rng = np.random.default_rng(0)
        for classes in (2, 3, 7):
            a, b = rng.integers(0, classes, (2, 60))
            b = np.where(rng.random(60) < 0.5, a, b)
            assert cohen_kappa(a.tolist(), b.tolist()) == pytest.approx(cohen_kappa_score(a, b))

    def test_by_hand(self):
        # agree on 3 of 4; by chance 2/4 * 3/4 + 2/4 * 1/4 = 1/2
        assert cohen_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"]) == pytest.approx(0.5)
        assert cohen_kappa(["a", "b"], ["b", "a"]) == -1.0

    def test_items_that_one_has_not_answered_do_not_count(self):
        assert cohen_kappa(["a", "a", "b", "b", None, "a"], ["a", "a", "b", "a", "a", None]) == pytest.approx(0.5)

    def test_one_class_says_nothing(self):
        assert math.isnan(cohen_kappa(["a", "a"], ["a", "a"]))

    def test_errors(self):
        with pytest.raises(ValueError, match="first has 1 answers and second 2"):
            cohen_kappa(["a"], ["a", "b"])
        with pytest.raises(ValueError, match="no item both"):
            cohen_kappa(["a", None], [None, "a"])


class TestFleiss:
    def test_published(self):
        items = [[name for name, count in enumerate(row) for _ in range(count)] for row in FLEISS]
        assert fleiss_kappa(items) == pytest.approx(0.210, abs=5e-4)

    def test_by_hand(self):
        # P = (1 + 1/3 + 1) / 3 = 7/9, P_e = (4/9)^2 + (5/9)^2 = 41/81, kappa = (63 - 41) / (81 - 41)
        assert fleiss_kappa(["aaa", "bba", "bbb"]) == pytest.approx(22 / 40)

    @pytest.mark.parametrize("odd", [[], [["a"]], [["a", "b"], ["a"]], [["a", None], ["a", "b"]]])
    def test_needs_as_many_answers_everywhere(self, odd):
        with pytest.raises(ValueError, match="use alpha"):
            fleiss_kappa(odd)


class TestAlpha:
    def test_published(self):
        assert krippendorff_alpha(list(zip(*OBSERVERS))) == pytest.approx(0.743, abs=5e-4)

    @given(tables)
    def test_is_the_sum_over_all_pairs(self, items):
        assert krippendorff_alpha(items) == pytest.approx(alpha_by_pairs(items), nan_ok=True)

    def test_without_a_pair_nothing_can_be_said(self):
        assert math.isnan(krippendorff_alpha([["a"], [None, "b"], []]))
        assert math.isnan(krippendorff_alpha([["a", "a"], ["a", "a"]]))


class TestAgreement:
    @given(tables)
    def test_is_what_pairs_say(self, items):
        found = agreement(items)
        kept = [[one for one in item if one is not None] for item in items]
        pairs = [pair for item in kept for pair in permutations(item, 2)]
        assert found.items == sum(len(item) > 1 for item in kept)
        assert found.pairs * 2 == len(pairs)
        if not pairs:
            assert math.isnan(found.share)
            assert found.by_class == {}
            return
        assert found.share == pytest.approx(sum(a == b for a, b in pairs) / len(pairs))
        assert set(found.by_class) == {a for a, _ in pairs}
        for name, share in found.by_class.items():
            others = [b for a, b in pairs if a == name]
            assert share == pytest.approx(others.count(name) / len(others))
        assert found.alpha == pytest.approx(krippendorff_alpha(items), nan_ok=True)

    def test_takes_what_can_be_read_once(self):
        assert agreement(iter([["a", "a"], ["b", "a"]])).share == 0.5


class TestMajority:
    @pytest.mark.parametrize(
        ("answers", "winner", "share"),
        [
            (["a", "b", "a"], "a", 2 / 3),
            (["a", "b"], None, 1 / 2),
            (["a", "b", "a", "b", "c"], None, 2 / 5),
            (["a", None, None], "a", 1.0),
            ([("x", "y"), ("x", "y"), ("x",)], ("x", "y"), 2 / 3),
            ([None], None, 0.0),
            ([], None, 0.0),
        ],
    )
    def test_by_hand(self, answers, winner, share):
        assert majority(answers) == (winner, pytest.approx(share))

    @given(st.lists(st.sampled_from("abc"), min_size=1))
    def test_the_order_does_not_matter(self, answers):
        winner, share = majority(answers)
        assert majority(answers[::-1]) == (winner, share)
        assert share == max(Counter(answers).values()) / len(answers)
