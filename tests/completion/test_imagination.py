"""Errors of imagination against a slow loop, and methods whose imagination is known."""

import numpy as np
import pytest
import torch

from modest import MultimodalClassifier
from modest.completion import METHODS
from modest.completion.imagination import imagination, imagination_errors, relative_error
from modest.completion.methods import Imagining
from modest.training import Batch
from modest.types import Views
from tests.completion.test_completions import NAMES, batch, table, trained


class Sums:
    """Imagines each modality's two numbers as sums of what it sees, and notes what it was shown."""

    def __init__(self):
        self.shown = []

    def imagined(self, batch, m):
        self.shown.append((m, batch.present.clone(), [x.clone() for x in batch.x]))
        return torch.stack([sum(x.sum(dim=1) for x in batch.x), batch.present.sum(dim=1).double()], dim=1)

    def truth(self, batch, m):
        return batch.x[m][:, :2]


def test_errors_are_those_of_a_slow_loop():
    one, two, recipe = batch(0), batch(1, n=5), Sums()
    found = imagination_errors(recipe, [one, two], NAMES)
    assert isinstance(recipe, Imagining)
    assert [(f.modality, f.seen) for f in found[:3]] == [
        ("image", ("text",)), ("image", ("audio",)), ("image", ("text", "audio"))
    ]  # fmt: skip
    assert len(found) == 9
    x = [np.concatenate([one.x[m].numpy(), two.x[m].numpy()]) for m in range(3)]
    present = np.concatenate([one.present.numpy(), two.present.numpy()])
    for f in found:
        m, seen = NAMES.index(f.modality), [NAMES.index(name) for name in f.seen]
        rows = [i for i in range(len(present)) if present[i, m] and all(present[i, k] for k in seen)]
        truth = np.array([x[m][i, :2] for i in rows])
        guess = np.array([[sum(x[k][i].sum() for k in seen), len(seen)] for i in rows])
        assert f.rows == len(rows)
        wanted = ((guess - truth) ** 2).sum() / ((truth - truth.mean(axis=0)) ** 2).sum()
        assert f.error == pytest.approx(wanted)


def test_what_is_to_be_imagined_is_never_shown():
    recipe = Sums()
    imagination_errors(recipe, [batch()], NAMES)
    assert len(recipe.shown) == 9
    for m, present, x in recipe.shown:
        assert not present[:, m].any()
        assert not x[m].any()


@pytest.mark.parametrize("k", [0.0, 0.5, 1.0, 3.0])
def test_the_mean_is_one_the_truth_is_zero_and_between_it_is_quadratic(k):
    truth = torch.from_numpy(np.random.default_rng(0).normal(2.0, 3.0, (50, 4)))
    mean = truth.mean(dim=0).expand_as(truth)
    assert relative_error(truth + k * (mean - truth), truth) == pytest.approx(k**2)


def test_no_constant_is_better_than_one():
    truth = torch.from_numpy(np.random.default_rng(0).normal(2.0, 3.0, (50, 4)))
    for shift in np.random.default_rng(1).normal(size=(20, 4)):
        guess = truth.mean(dim=0) + torch.from_numpy(shift)
        assert relative_error(guess.expand_as(truth), truth) > 1


def test_too_few_rows_or_no_spread_say_nothing():
    assert np.isnan(relative_error(torch.zeros(1, 2), torch.ones(1, 2)))
    assert np.isnan(relative_error(torch.zeros(0, 2), torch.zeros(0, 2)))
    assert np.isnan(relative_error(torch.zeros(3, 2), torch.ones(3, 2)))
    apart = batch()
    lonely = Batch(apart.x, torch.eye(3, dtype=torch.bool)[torch.arange(len(apart)) % 3], rows=apart.rows)
    assert all(f.rows == 0 and np.isnan(f.error) for f in imagination_errors(Sums(), [lonely], NAMES))


def imagining():
    X, y = table()
    built = {name: trained(name, X, y, epochs=1) for name in METHODS}
    return {name: clf for name, clf in built.items() if isinstance(clf.recipe_, Imagining)}, X


def test_every_method_that_imagines_is_measured_on_rows_of_a_table():
    found, X = imagining()
    assert found
    for name, clf in found.items():
        errors = imagination(clf.trained_, X)
        assert len(errors) == 9, name
        for f in errors:
            at = X.present[:, [NAMES.index(n) for n in (f.modality, *f.seen)]].all(axis=1)
            assert f.rows == at.sum()
            assert np.isfinite(f.error), name
        rows = np.arange(0, 60, 2)
        for one, other in zip(imagination(clf.trained_, X, rows), imagination(clf.trained_, X[rows])):
            assert (one.modality, one.seen, one.rows) == (other.modality, other.seen, other.rows)
            assert one.error == pytest.approx(other.error)


def test_a_method_without_imagination_is_refused_by_name():
    X, y = table()
    with pytest.raises(ValueError, match="'zero' imagines nothing"):
        imagination(trained("zero", X, y, epochs=1).trained_, X)


def test_copies_are_imagined_better_than_strangers():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(400, 3))
    views = {"one": a, "copy": a @ rng.normal(size=(3, 4)), "stranger": rng.normal(size=(400, 2))}
    y = (a[:, 0] > 0).astype(int)
    settings = {"epochs": 60, "lr": 1e-2, "hidden": (), "width": 8}
    clf = MultimodalClassifier(method="ae", **settings).fit(Views(views), y, validation=False)
    errors = {(f.modality, f.seen): f.error for f in imagination(clf.trained_, Views(views))}
    assert errors["one", ("copy",)] < 0.4
    assert errors["one", ("stranger",)] > 0.9
