from collections import Counter

import numpy as np
import pytest

from modest import evaluation


def test_counts_match_a_counter_and_unknown_labels_are_left_out():
    rng = np.random.default_rng(0)
    labels = np.array([None if u < 0.2 else "abc"[int(u * 10) % 3] for u in rng.random(60)], dtype=object)
    rows = rng.choice(60, 15, replace=False)
    got = evaluation.class_balance(labels, rows)
    assert dict(zip(got.classes.tolist(), got.pool.tolist())) == Counter(x for x in labels if x is not None)
    bought = Counter(labels[r] for r in rows if labels[r] is not None)
    assert {c: n for c, n in zip(got.classes.tolist(), got.chosen.tolist()) if n} == bought
    assert got.pool.tolist() == sorted(got.pool.tolist(), reverse=True)
    assert got.distance == pytest.approx(0.5 * np.abs(got.pool_share - got.chosen_share).sum())


def test_the_whole_pool_is_at_distance_zero():
    got = evaluation.class_balance(["a", "b", "b"], [0, 1, 2])
    assert got.distance == 0
    assert got.missed == ()


@pytest.mark.parametrize(
    ("labels", "rows", "words"), [([None, None], [0], "all unknown"), (["a"], [1], "outside the pool")]
)
def test_bad_input_is_one_sentence(labels, rows, words):
    with pytest.raises(ValueError, match=words):
        evaluation.class_balance(labels, rows)
