"""Rows centred, and modalities of different importance: against distances written out."""

import numpy as np
import pytest
import torch

import modest
from modest.neighbours import Rows
from modest.neighbours.rows import squared_distances


def views(present=None, n=900, seed=0):
    rng = np.random.default_rng(seed)
    return modest.Views({"a": rng.normal(1.0, 1.0, (n, 5)), "b": rng.normal(size=(n, 3))}, present)


def written_out(table, present, importance):
    """Weighted mean over shared modalities of squared distances of rows: unit, centred on present rows, unit."""
    n = len(table)
    total, weight = np.zeros((n, n)), np.zeros((n, n))
    for m, (name, x) in enumerate(table.arrays.items()):
        there = present[:, m]
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        moved = unit - unit[there].mean(axis=0)
        moved /= np.linalg.norm(moved, axis=1, keepdims=True)
        both = np.outer(there, there) * importance.get(name, 1.0)
        total += both * ((moved[:, None] - moved[None]) ** 2).sum(-1)
        weight += both
    return np.where(weight > 0, total / np.maximum(weight, 1e-300), 4.0)


def absent(n=900):
    present = np.ones((n, 2), dtype=bool)
    present[:7, 0], present[7:15, 1] = False, False
    return present


@pytest.mark.parametrize("present", [None, absent()], ids=["complete", "absent"])
@pytest.mark.parametrize("importance", [{}, {"b": 3.0}, {"a": 0.5, "b": 2.0}])
@pytest.mark.parametrize("memory", ["2GB", "1MB"])
def test_distances_are_those_written_out(present, importance, memory):
    table = views(present)
    rows = Rows(table, device="cpu", precision="float64", memory=memory, centre=True, importance=importance)
    block = rows.take(np.arange(len(rows)))
    got = squared_distances(block, block).numpy()
    want = written_out(table, np.ones((900, 2), dtype=bool) if present is None else present, importance)
    np.testing.assert_allclose(got, want, atol=1e-10)


def test_a_centre_that_was_given_is_kept():
    table = views()
    first = Rows(table, device="cpu", precision="float64", centre=True)
    again = Rows(table[np.arange(10)], device="cpu", precision="float64", centre=first.centre)
    torch.testing.assert_close(again.take(np.arange(10)).x, first.take(np.arange(10)).x)


def test_a_row_at_the_centre_stays_zero_instead_of_becoming_noise():
    table = modest.Views({"a": np.tile([0.1, 0.7, 0.3], (6, 1)) * np.arange(1, 7)[:, None], "b": np.eye(6)})
    block = Rows(table, device="cpu", centre=True).take(np.arange(6))
    assert float(block.x[:, :3].abs().max()) == 0.0
    d2 = squared_distances(block, block)
    np.testing.assert_allclose(d2[0, 1], (0.0 + 2.4) / 2, rtol=1e-5)  # unit rows of I, less 1/6: cosine -0.2


def test_order_of_the_table_changes_nothing():
    table, order = views(absent()), np.random.default_rng(1).permutation(900)
    ids = [f"i{k:03d}" for k in range(900)]
    named = modest.Views(table.arrays, table.present, ids)
    one = Rows(named, device="cpu", centre=True)
    other = Rows(named[order], device="cpu", centre=True)
    torch.testing.assert_close(one.take(np.arange(900)).x, other.take(np.arange(900)).x, rtol=0, atol=1e-6)
