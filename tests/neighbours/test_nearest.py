"""Nearest, top-k and matching against slow loops, with and without bf16."""

import numpy as np
import pytest
import torch

from modest import Views
from modest.neighbours import Rows, match, nearest, top_k
from modest.selection.parametric import unit

from .conftest import slow_similarity, table

DIMS = (7, 5, 4)


def parameters(count, dims, seed, dtype=torch.float32):
    x = torch.as_tensor(np.random.default_rng(seed).normal(size=(count, sum(dims))), dtype=dtype)
    return unit(x, dims)


def greedy_match(similarity, free):
    """Every parameter in order takes its most similar row that is left, by the book."""
    left, picks = set(np.flatnonzero(free).tolist()), []
    for j in range(similarity.shape[1]):
        picks.append(min(left, key=lambda i: (-similarity[i, j], i)))
        left.remove(picks[-1])
    return picks


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_nearest_is_the_dense_argmax(precision, tolerance):
    views = table(90, DIMS, 0)
    rows = Rows(views, precision=precision)
    u = parameters(13, DIMS, 1, rows.dtype)
    dense = slow_similarity(views, u.numpy())
    index, value = nearest(rows, u)
    np.testing.assert_array_equal(index.numpy(), dense.argmax(axis=1))
    np.testing.assert_allclose(value.numpy(), dense.max(axis=1), atol=tolerance, rtol=0)


@pytest.mark.parametrize("fast", [True, False])
def test_lowest_parameter_on_ties(fast):
    """Axes, so that every product is exact and copies of a parameter tie to the last bit."""
    rows = Rows(table(30, (4,), 0, missing=0.0), precision="float32")
    rows.fast = fast
    index, _ = nearest(rows, torch.eye(4).repeat(3, 1))
    assert sorted(set(index.tolist())) == [0, 1, 2, 3]


def test_bf16_tiles_give_the_full_precision_answer():
    views = table(600, (48, 32), 2, missing=0.2)
    rows = Rows(views, precision="float32")
    u = parameters(40, (48, 32), 3)
    expected, value = nearest(rows, u)
    rows.fast = True
    index, similarity = nearest(rows, u)
    np.testing.assert_array_equal(index.numpy(), expected.numpy())
    np.testing.assert_allclose(similarity.numpy(), value.numpy(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kept", [True, False])
def test_near_ties_are_told_apart_in_full_precision(kept):
    """Twins a ten-thousandth apart: bf16 cannot see which is nearer, the answer must."""
    views = table(400, (40, 24), 4, missing=0.0)
    rows = Rows(views, precision="float32")
    first = parameters(8, (40, 24), 5)
    u = torch.cat([first, unit(first + 1e-4 * parameters(8, (40, 24), 6), (40, 24))])
    bf16 = (rows.take(np.arange(400)).x.bfloat16() @ u.bfloat16().T).argmax(dim=1)
    expected, value = nearest(rows, u)
    assert (bf16 != expected).sum() > 20  # else this test could not fail
    rows.fast = True
    if not kept:
        rows._kept = None
    index, similarity = nearest(rows, u)
    np.testing.assert_array_equal(index.numpy(), expected.numpy())
    np.testing.assert_allclose(similarity.numpy(), value.numpy(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.parametrize("tile", [7, 60])
def test_top_k_in_order(k, tile):
    views = table(60, DIMS, 7)
    rows = Rows(views, precision="float64")
    rows.tile = tile
    u = parameters(6, DIMS, 8, torch.float64)
    dense = slow_similarity(views, u.numpy())
    free = np.arange(60) % 4 != 1
    for mask in (None, free):
        values, at = top_k(rows, u, k, None if mask is None else torch.as_tensor(mask))
        usable = np.arange(60) if mask is None else np.flatnonzero(mask)
        for j in range(6):
            order = usable[np.lexsort((usable, -dense[usable, j]))][:k]
            count = len(order)
            np.testing.assert_array_equal(at[j, :count].numpy(), order)
            np.testing.assert_allclose(values[j, :count].numpy(), dense[order, j], atol=1e-12, rtol=0)
            assert torch.isneginf(values[j, count:]).all()


@pytest.mark.parametrize("shortlist", [1, 2, 16, 50])
def test_match_is_greedy_in_parameter_order(shortlist):
    views = table(50, DIMS, 9)
    rows = Rows(views, precision="float64")
    u = parameters(6, DIMS, 10, torch.float64).repeat(4, 1)  # every parameter four times: collisions for certain
    free = np.arange(50) % 3 != 0
    dense = slow_similarity(views, u.numpy())
    picks, before = match(rows, u, free, shortlist)
    np.testing.assert_array_equal(picks, greedy_match(dense, free))
    np.testing.assert_array_equal(before, np.where(free[:, None], dense, -np.inf).argmax(axis=0))


def test_match_gives_copies_in_row_order_and_uses_every_row():
    rows = Rows(Views({"x": np.repeat(np.eye(3), 4, axis=0)}))
    u = torch.eye(3).repeat(4, 1)
    picks, before = match(rows, u, np.ones(12, dtype=bool), shortlist=2)
    np.testing.assert_array_equal(picks, [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    np.testing.assert_array_equal(before, [0, 4, 8] * 4)
