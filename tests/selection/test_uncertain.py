"""Entropy and margin against a slow loop, and their ties."""

import numpy as np
import pytest

import modest
from modest import Views


def slow(p, method):
    if method == "entropy":
        return [-sum(x * np.log(x) for x in row if x > 0) for row in p]
    return [1 - (sorted(row)[-1] - sorted(row)[-2]) for row in p]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", ["entropy", "margin"])
def test_the_least_sure_free_rows_in_order(method, dtype):
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(4, 0.4), size=50).astype(dtype)
    p[7] = [0, 1, 0, 0]
    taken = rng.random(50) < 0.3
    expected = np.array(slow(p.astype(np.float64), method))
    choice = modest.select({"x": rng.normal(size=(50, 3))}, 20, method, taken=taken, proba=p)
    free = np.flatnonzero(~taken)
    np.testing.assert_array_equal(choice.rows, free[np.argsort(-expected[free], kind="stable")][:20])
    np.testing.assert_allclose(choice.scores, expected[choice.rows], atol=1e-12)


@pytest.mark.parametrize("method", ["entropy", "margin"])
def test_ties_go_to_the_lowest_id(method):
    p = np.array([[0.5, 0.5], [0.3, 0.7], [0.7, 0.3], [0.3, 0.7], [1.0, 0.0]])
    views = Views({"x": np.eye(5)}, ids=["e", "d", "c", "b", "a"])
    assert modest.select(views, 5, method, proba=p).ids.tolist() == ["e", "b", "c", "d", "a"]


def test_they_differ_where_many_classes_share_the_doubt():
    p = np.array([[0.5, 0.5, 0.0, 0.0], [0.4, 0.2, 0.2, 0.2]])
    assert modest.select(np.eye(2), 1, "entropy", proba=p).rows[0] == 1
    assert modest.select(np.eye(2), 1, "margin", proba=p).rows[0] == 0


def test_the_trace_and_the_reasons():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    entropy = modest.select(np.eye(2), 1, "entropy", proba=p)
    assert entropy.trace["mean_entropy"] == pytest.approx(np.log(2) / 2)
    assert entropy.reasons == ("entropy 0.693 of at most 0.693 nats",)
    margin = modest.select(np.eye(2), 1, "margin", proba=p)
    assert margin.trace["mean_margin"] == pytest.approx(0.5)
    assert margin.reasons == ("its two likeliest classes are 0.000 apart",)
