"""Recall at k against a sorting loop, with several right partners, ties, tiles, and what is refused."""

import numpy as np
import pytest

from modest.evaluation import recall_at_k, retrieval


def slow(similarity, positives, k):
    """Sort each query's candidates, wrong ones first among equals; hit if a right one is in the first k."""
    hits = []
    for row, right in zip(similarity, positives):
        if right.any():
            order = sorted(range(len(row)), key=lambda c: (-row[c], right[c]))
            hits.append(any(right[c] for c in order[:k]))
    return np.mean(hits)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("levels", [3, 1000])
def test_it_is_what_a_sorting_loop_says(k, levels):
    rng = np.random.default_rng(k)
    similarity = rng.integers(0, levels, (40, 12)).astype(float)
    positives = rng.random((40, 12)) < 0.15
    want = slow(similarity, positives, k)
    assert recall_at_k(similarity, positives, k) == pytest.approx(want)
    assert recall_at_k(similarity, np.argwhere(positives), k) == pytest.approx(want)


def test_five_captions_per_image_in_both_directions():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((30, 8))
    text = np.repeat(image, 5, axis=0) + 1.5 * rng.standard_normal((150, 8))
    pairs = np.stack([np.arange(150) // 5, np.arange(150)], axis=1)
    order = rng.permutation(150)
    scores = retrieval({"image": image, "text": text}, pairs[order], tile=7)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text)]
    similarity = unit[0] @ unit[1].T
    own = pairs[:, 0] == np.arange(30)[:, None]
    for k in (1, 5, 10):
        assert scores["image", "text"][k] == pytest.approx(slow(similarity, own, k))
        assert scores["text", "image"][k] == pytest.approx(slow(similarity.T, own.T, k))
    assert 0 < scores["image", "text"][1] < 1


def test_a_constant_similarity_finds_nothing():
    assert recall_at_k(np.ones((4, 4)), np.eye(4, dtype=bool), 3) == 0.0
    assert recall_at_k(np.ones((4, 4)), np.eye(4, dtype=bool), 4) == 1.0


def test_rows_in_no_pair_are_candidates_only():
    sides = {"a": np.eye(3), "b": np.eye(3)}
    assert retrieval(sides, [[0, 0]])["a", "b"][1] == 1.0
    sides["b"][0] = [0.6, 0.8, 0.0]
    sides["b"][1] = [1.0, 0.0, 0.0]
    assert retrieval(sides, [[0, 0]])["a", "b"] == {1: 0.0, 5: 1.0, 10: 1.0}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"similarity": [1.0]}, "similarity has shape"),
        ({"similarity": [[np.nan, 1.0]]}, "NaN or infinity in row 0"),
        ({"k": 0}, "at least 1"),
        ({"positives": [[0, 5]]}, "outside the similarities"),
        ({"positives": [[0.0, 0.5]]}, "whole numbers"),
        ({"positives": np.zeros((1, 2), bool)}, "no query"),
    ],
)
def test_what_recall_refuses(change, told):
    with pytest.raises(ValueError, match=told):
        recall_at_k(**{"similarity": [[1.0, 2.0]], "positives": [[0, 0]], "k": 1, **change})


@pytest.mark.parametrize(
    ("sides", "pairs", "told"),
    [
        ({"a": np.eye(2)}, [[0, 0]], "between two"),
        ({"a": np.eye(2), "b": np.eye(3)}, [[0, 0]], "differ in width"),
        ({"a": np.eye(2), "b": np.zeros((2, 2))}, [[0, 0]], "all zeros in row 0"),
        ({"a": np.eye(2), "b": np.full((2, 2), np.inf)}, [[0, 0]], "infinity"),
        ({"a": np.eye(2), "b": np.eye(2)}, [[0, 2]], "row of b"),
        ({"a": np.eye(2), "b": np.eye(2)}, [[-1, 0]], "row of a"),
        ({"a": np.eye(2), "b": np.eye(2)}, np.zeros((0, 2), int), "at least one pair"),
    ],
)
def test_what_retrieval_refuses(sides, pairs, told):
    with pytest.raises(ValueError, match=told):
        retrieval(sides, pairs)
