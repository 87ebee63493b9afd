"""Temperatures, and the rows they are taken from: those that validate, or folds of the training rows."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from modest import MultimodalClassifier
from modest.learning import METHODS, Towers
from modest.learning.calibration import Calibrated, temperature
from modest.learning.course import FOLDS
from modest.learning.crossfit import crossfit, folds
from modest.learning.holdout import Labelled
from modest.learning.measure import forward
from modest.training import Batches, Plan, World
from modest.training.fit import fit


def nll(z, y, T):
    return -log_softmax(z / T, axis=1)[np.arange(len(y)), y].mean()


@pytest.mark.parametrize("seed", range(4))
def test_temperature_is_the_least_over_a_fine_grid(seed):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(80, 4)) * 3
    y = np.where(rng.random(80) < 0.5, z.argmax(axis=1), rng.integers(4, size=80))
    found = temperature(z, y)
    grid = np.exp(np.linspace(-3, 3, 2001))
    assert nll(z, y, found) <= min(nll(z, y, T) for T in grid) + 1e-7
    assert temperature(2 * z, y) == pytest.approx(2 * found, rel=1e-3)  # a scale of the logits is a temperature


def test_temperature_of_two_classes_in_closed_form():
    """With constant margin m and a share q of right answers, m / T = log(q / (1 - q))."""
    z, y = np.tile([2.0, 0.0], (20, 1)), np.array([0] * 15 + [1] * 5)
    assert temperature(z, y) == pytest.approx(2 / np.log(3), rel=1e-3)


def test_temperature_stays_in_bounds():
    z = np.eye(2)[[0, 1, 0]] * 3
    assert 1 / 20 <= temperature(z, np.array([0, 1, 0])) < 0.2  # all right: the surer the better
    assert 19 < temperature(z, np.array([1, 0, 1])) <= 20  # all wrong
    assert temperature(z[:0], np.zeros(0, dtype=int)) == 1


def test_folds_divide_the_rows_and_keep_groups_and_classes():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 20)
    parts = list(folds(y, 5, seed=1))
    assert sorted(np.concatenate(parts).tolist()) == list(range(60))
    assert all(np.bincount(y[part]).tolist() == [4, 4, 4] for part in parts)
    assert [p.tolist() for p in parts] == [p.tolist() for p in folds(y, 5, seed=1)]
    assert [p.tolist() for p in parts] != [p.tolist() for p in folds(y, 5, seed=2)]
    groups = rng.integers(9, size=60)
    torn = list(folds(y, 5, seed=1, groups=groups))
    assert sorted(np.concatenate(torn).tolist()) == list(range(60))
    assert all(not set(groups[part]) & set(np.delete(groups, part)) for part in torn)
    assert len(list(folds(np.array([0, 1, 2]), 5, seed=0))) == 3  # a row each; no class could be known
    assert not list(folds(np.array([0, 1]), 5, seed=0, groups=["a", "a"]))


def parts(n=40, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = {"a": rng.normal(size=(n, 4)) + y[:, None], "b": rng.normal(size=(n, 3))}
    present = rng.random((n, 2)) < 0.8
    present[~present.any(axis=1), 0] = True
    from modest.encoders.table import table
    from modest.types import Views

    found = table(Views(x, present), {"a": None, "b": None})
    generator = torch.Generator().manual_seed(0)
    recipe = METHODS["late"].build(Towers.over([4, 3], 5, generator), ["a", "b"], 3, generator)
    recipe.net.float()

    def batches(data, training):
        return Batches(found.columns, found.present, data.rows, data.y, 8, 0, shuffle=training, augment=False)

    return recipe, Labelled(found, y, np.arange(n)), batches


def test_crossfit_asks_each_row_of_a_model_that_did_not_see_it():
    """Against the same trainings by hand, one per fold."""
    recipe, data, batches = parts()
    before = copy.deepcopy(recipe.net.state_dict())
    plan = Plan(epochs=2, lr=0.05, seed=3)
    fused, own, present, y = crossfit(recipe, data, batches, plan, World(), 4)
    assert all(torch.equal(before[name], tensor) for name, tensor in recipe.net.state_dict().items())
    at = 0
    for out in folds(data.y, 4, 3):
        by_hand = copy.deepcopy(recipe)
        inside = Labelled(data.table, data.y, np.setdiff1d(data.rows, out))
        for _ in fit(by_hand.stages(), batches(inside, True), plan):
            pass
        expected = forward(by_hand, batches(Labelled(data.table, data.y, out), False))
        place = slice(at, at + len(out))
        np.testing.assert_array_equal(fused[place], expected[0])
        np.testing.assert_array_equal(own[:, place], expected[1])
        np.testing.assert_array_equal(present[place], data.table.present[out])
        np.testing.assert_array_equal(y[place], data.y[out])
        at += len(out)
    assert at == len(data.rows)


def test_crossfit_leaves_out_classes_the_other_folds_lack():
    recipe, data, batches = parts()
    lone = data.y.copy()
    lone[7] = 2
    lone[lone == 2] = 1
    lone[7] = 2  # the only row of its class
    told = crossfit(recipe, Labelled(data.table, lone, data.rows), batches, Plan(epochs=1), World(), 4)
    assert len(told[3]) == 39
    assert 2 not in told[3]
    rows = np.array([0, 1, 2])  # one row a class: nothing can be known
    assert crossfit(recipe, Labelled(data.table, data.y, rows), batches, Plan(epochs=1), World(), 4) is None


@pytest.mark.parametrize("validation", [None, False])
def test_a_recipe_is_calibrated_on_rows_that_did_not_train(validation, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = {"a": rng.normal(size=(90, 4)) + y[:, None], "b": rng.normal(size=(90, 3))}
    told = []

    def calibrate(self, fused, own, present, y):
        told.append((self, fused, y))

    from modest.learning.late import Late

    monkeypatch.setattr(Late, "calibrate", calibrate, raising=False)
    clf = MultimodalClassifier(method="late", epochs=3, hidden=(), width=4)
    clf.fit(X, y, validation=validation)
    ((recipe, fused, classes),) = told
    assert isinstance(recipe, Calibrated)
    assert recipe is clf.recipe_
    assert FOLDS == 5
    assert len(classes) == (90 if validation is False else 12)  # 15 % of each class of 30 rows, four
    if validation is None:
        assert {tuple(np.round(z, 5)) for z in fused} <= {tuple(np.round(z, 5)) for z in forward_all(clf, X)}


def forward_all(clf, X):
    found = clf.trained_.reader.read(X)
    return forward(clf.recipe_, Batches(found.columns, found.present, np.arange(len(found)), size=99, shuffle=False))[0]


def test_groups_of_another_length_are_named():
    X, y = {"a": np.eye(4).repeat(10, axis=0)}, np.arange(4).repeat(10)
    with pytest.raises(ValueError, match="one group per row"):
        MultimodalClassifier(method="late", epochs=1).fit(X, y, validation=False, groups=np.zeros(7))
