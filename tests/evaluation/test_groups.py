"""Group scores against the reference vectors, loops over all pairings, and what ties and wrong shapes do."""

from itertools import permutations

import numpy as np
import pytest

from modest.evaluation import group_scores


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "selection" / "colorswap.npz") as file:
        return dict(file)


@pytest.mark.parametrize("case", ["random", "signal", "tied", "hand", "orders", "k4"])
def test_every_key_of_the_vectors(vectors, case):
    scores = group_scores(vectors[f"{case}_scores"])
    for name in ("text", "image", "group"):
        np.testing.assert_array_equal(scores.right[name], vectors[f"{case}_{name}"].astype(bool))
    if f"{case}_group_match" in vectors:
        np.testing.assert_array_equal(scores.right["match"], vectors[f"{case}_group_match"].astype(bool))
    if f"{case}_percent" in vectors:
        percent = 100 * np.array([scores.text, scores.image, scores.group])
        np.testing.assert_allclose(percent, vectors[f"{case}_percent"], atol=1e-9)
    if f"{case}_mean" in vectors:
        np.testing.assert_allclose([scores.text, scores.image, scores.group], vectors[f"{case}_mean"])


def test_ties_lose_unlike_in_the_reading_that_counts_them(vectors):
    scores = group_scores(vectors["tied_scores"])
    assert (scores.right["group"] != vectors["tied_group_if_ties_counted"].astype(bool)).any()


@pytest.mark.parametrize("k", [2, 3, 4])
def test_match_is_the_strict_best_of_all_pairings(k):
    rng = np.random.default_rng(k)
    s = rng.integers(0, 4, (200, k, k)).astype(float) + 1.0 * np.eye(k)
    want = []
    for one in s:
        sums = [sum(one[a, p[a]] for a in range(k)) for p in permutations(range(k))]
        want.append(all(sums[0] > other for other in sums[1:]))
    np.testing.assert_array_equal(group_scores(s).right["match"], want)
    assert 0 < np.mean(want) < 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((3, 2)), "S has shape"),
        (np.zeros((3, 2, 3)), "S has shape"),
        (np.zeros((3, 1, 1)), "S has shape"),
        (np.zeros((0, 2, 2)), "S has shape"),
        (np.full((3, 2, 2), np.nan), "S holds NaN in group 0"),
    ],
)
def test_refusals(given, said):
    with pytest.raises(ValueError, match=said):
        group_scores(given)
