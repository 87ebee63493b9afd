"""Farthest-first and nearest rows where a table is large: some rows alone, rows read again, copies."""

import numpy as np
import pytest
import torch

from modest import Views
from modest.neighbours import Rows, covered_distance, farthest_first, mean_distance, top_k


def test_rows_read_out_of_order_are_the_rows_asked_for():
    """Ends that look like a run of rows do not make one; the rows do not fit in memory and are read again."""
    x = np.random.default_rng(0).standard_normal((4_000, 100)).astype(np.float32)
    rows = Rows(Views({"x": x}), memory="1MB", unit=False, device="cpu")
    for at in ([3, 1, 5], [7, 7, 9], [2, 3, 4], [5]):
        np.testing.assert_array_equal(rows.take(np.array(at)).x.numpy(), x[at])


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
@pytest.mark.parametrize("covered", [[], [4, 900]])
def test_farthest_first_among_some_rows_is_that_of_their_table(memory, covered):
    x = np.random.default_rng(1).standard_normal((2_000, 60))
    among = np.flatnonzero(np.arange(2_000) % 3 > 0)
    rows, part = Rows(Views({"x": x}), memory=memory, device="cpu"), Rows(Views({"x": x[among]}), device="cpu")
    anchors = Rows(Views({"x": x[[4, 900]]}), device="cpu")
    first = None if covered else int(among[8])
    closest = covered_distance(part, anchors) if covered else None
    expected = farthest_first(part, 30, first=None if covered else 8, closest=closest)
    known = covered_distance(rows, np.array(covered, dtype=np.int64), among)
    found = farthest_first(rows, 30, among=among, first=first, closest=known)
    np.testing.assert_array_equal(found[0], among[expected[0]])
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-4)
    np.testing.assert_allclose(found[2], expected[2], atol=1e-5)


def test_farthest_first_stops_at_copies():
    x = np.repeat(np.eye(4), 3, axis=0)
    picks, distance, _ = farthest_first(Rows(Views({"x": x}), device="cpu"), 9, first=2, least=1e-6)
    assert picks.tolist() == [2, 3, 6, 9]
    assert distance[1:] == pytest.approx(2**0.5)
    picks, _, _ = farthest_first(Rows(Views({"x": x}), device="cpu"), 9, covered=np.array([0, 4, 8, 11]), least=1e-6)
    assert picks.tolist() == []


def test_top_k_leaves_rows_that_are_not_free_out_of_the_product():
    x = np.random.default_rng(2).standard_normal((3_000, 50))
    rows, free = Rows(Views({"x": x}), memory="1MB", device="cpu"), np.arange(3_000) % 700 > 650
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    value, at = top_k(rows, torch.as_tensor(u[:40]).float(), 5, torch.as_tensor(free))
    similarity = np.where(free, u[:40] @ u.T, -np.inf)
    np.testing.assert_array_equal(at.numpy(), np.argsort(-similarity, axis=1)[:, :5])
    np.testing.assert_allclose(value.numpy(), -np.sort(-similarity, axis=1)[:, :5], atol=1e-6)


@pytest.mark.parametrize("unit", [True, False])
def test_mean_distance(unit):
    x = np.random.default_rng(3).standard_normal((500, 7)) + 0.3
    e = x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x
    mean = e.mean(axis=0)
    mean = mean / np.linalg.norm(mean) if unit else mean
    found = mean_distance(Rows(Views({"x": x}), unit=unit, device="cpu"))
    np.testing.assert_allclose(found.numpy(), ((e - mean) ** 2).sum(axis=1), rtol=1e-5, atol=1e-6)


def test_top_k_lists_copies_by_the_lowest_row():
    rows = Rows(Views({"x": np.tile(np.eye(3), (40, 1))}), device="cpu")
    value, at = top_k(rows, torch.eye(3)[:1], 40)
    assert at[0].tolist() == list(range(0, 120, 3))
    assert value.tolist() == [[1.0] * 40]
