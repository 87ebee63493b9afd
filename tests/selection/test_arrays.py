"""Arrays at the door: what is missing, what is not wanted, shapes, and that they are read and left alone."""

import numpy as np
import pytest

import modest
from modest import Views
from modest.neighbours import Rows
from modest.selection import METHODS
from modest.selection.arrays import class_numbers, distributions, feature_rows, residuals, score_rows

from . import warm
from .test_examination import choose

each = pytest.mark.parametrize("method", warm.WARM)


@each
def test_a_missing_array_is_named_with_where_it_comes_from(method, pool):
    needs = METHODS[method].needs
    given = warm.arrays(method, pool, warm.some_taken(pool))
    for name in needs:
        rest = {k: v for k, v in given.items() if k != name}
        with pytest.raises(ValueError, match=rf"method '{method}' needs {name}: hand over clf\.arrays\(views"):
            modest.select(pool, 3, method, **rest)


@pytest.mark.parametrize("method", METHODS)
def test_an_array_without_use_is_refused(method, pool):
    entry = METHODS[method]
    every = {"proba": 1, "features": 1, "coalition_proba": 1, "head": 1, "labels": 1}
    for name in set(every) - set(entry.needs) - set(entry.uses):
        with pytest.raises(TypeError, match=f"method '{method}' has no use for {name}"):
            choose(method, pool, **{name: every[name]})


@each
def test_arrays_are_left_alone_and_are_no_knobs(method, pool):
    taken = warm.some_taken(pool)
    given = warm.arrays(method, pool, taken)
    before = warm.arrays(method, pool, taken)
    choice = modest.select(pool, 5, method, taken=taken, **given)
    assert choice.trace["knobs"] == {}
    for name, array in before.items():
        if name == "features":
            for m in array:
                np.testing.assert_array_equal(given[name][m], array[m])
        elif name != "head":
            np.testing.assert_array_equal(given[name], array)


def frame(n=6, present=None):
    views = Views({"a": np.eye(n), "b": np.eye(n)}, present=present, ids=[f"i{n - k}" for k in range(n)])
    return views, Rows(views)


@pytest.mark.parametrize(
    ("proba", "told"),
    [(np.full((5, 2), 0.5), r"proba has shape \(5, 2\)"), (np.full((6, 1), 1.0), "C of at least 2"),
     (np.full(6, 0.5), "proba has shape"), (np.ones((6, 2), dtype=int), "type int64"),
     (np.array([[0.5, 0.5]] * 4 + [[0.5, 0.6]] * 2), "proba row 4 is no distribution, its sum is 1.1"),
     (np.array([[0.5, 0.5]] * 5 + [[1.5, -0.5]]), "proba row 5 is no distribution"),
     (np.array([[0.5, 0.5]] * 5 + [[np.nan, 0.5]]), "proba row 5 is no distribution")],
)  # fmt: skip
def test_probabilities(proba, told):
    with pytest.raises(ValueError, match=told):
        distributions(frame()[1], proba)


@pytest.mark.parametrize(
    ("features", "told"),
    [(np.eye(6), "features must be a mapping"), ({}, "features must be a mapping"),
     ({"a": np.eye(5)}, r"features\['a'\] has shape \(5, 5\)"), ({"a": np.ones(6)}, r"features\['a'\] has shape"),
     ({"a": np.full((6, 2), np.inf)}, r"features\['a'\] has NaN or infinity in present row 5 \(id i1\)"),
     ({"a": np.ones((6, 0))}, r"features\['a'\] has shape \(6, 0\)")],
)  # fmt: skip
def test_features(features, told):
    views, rows = frame()
    with pytest.raises(ValueError, match=told):
        feature_rows(rows, views, features)


@pytest.mark.parametrize(
    "labels", [np.zeros(5, dtype=int), np.zeros(6), np.array([0, 1, -2, 0, 0, 0]), np.array(list("abcdef"))]
)
def test_labels(labels):
    with pytest.raises(ValueError, match="labels has shape"):
        class_numbers(frame()[1], labels)


def test_features_of_an_absent_modality_are_never_read():
    present = np.ones((6, 2), dtype=bool)
    present[2, 0] = present[4, 1] = False
    views, rows = frame(present=present)
    values = {"a": np.arange(12.0).reshape(6, 2) + 1, "b": np.ones((6, 1))}
    values["a"][2] = 99.0
    values["b"][4] = np.nan
    values["a"][5] = np.nan  # there by its view, but the classifier could not read it
    read = feature_rows(rows, views, values).take(np.arange(6)).x.numpy()
    expected = np.hstack([values["a"], values["b"]])
    expected[2, :2] = expected[4, 2] = expected[5, :2] = 0.0
    np.testing.assert_array_equal(read, expected[::-1])  # ids fall as rows rise


def test_a_modality_the_views_do_not_have_counts_where_it_is_no_nan():
    views, rows = frame()
    read = feature_rows(rows, views, {"sound": np.array([[1.0], [2], [3], [4], [5], [6]])}).take(np.arange(6)).x
    assert read[:, 0].tolist() == [6, 5, 4, 3, 2, 1]


def test_residuals_and_scores_follow_the_ids(monkeypatch):
    monkeypatch.setattr("modest.selection.arrays._CHUNK", 4)
    _, rows = frame()
    p = np.random.default_rng(0).dirichlet(np.ones(3), size=6)
    p[3] = [0.4, 0.2, 0.4]
    explicit = p - np.eye(3)[p.argmax(axis=1)]
    import torch

    np.testing.assert_allclose(residuals(rows, p, torch.float64).numpy(), explicit[::-1], atol=1e-15)
    np.testing.assert_allclose(score_rows(rows, p, lambda block: block[:, 1]), p[::-1, 1], atol=1e-15)
    assert class_numbers(rows, np.array([0, 1, 2, -1, 4, 5])).tolist() == [5, 4, -1, 2, 1, 0]
