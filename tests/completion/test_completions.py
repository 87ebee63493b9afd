"""The examination that every completion of METHODS sits; each one's equations have a file of their own."""

import warnings

import numpy as np
import pytest
import torch

from modest import MultimodalClassifier, load
from modest.completion import METHODS
from modest.learning import METHODS as RECIPES
from modest.learning import Towers
from modest.training import Batch
from modest.types import Views

WIDTHS, WIDTH, CLASSES, N = (4, 3, 5), 6, 3, 14
NAMES = ("image", "text", "audio")
# settings of a short training, by method where the defaults need more rows or time
SHORT: dict[str, dict] = {}


def build(method, options=None, seed=3, widths=WIDTHS, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    towers = Towers.over(widths, WIDTH, generator, (), "feature", torch.float64)
    for m, d in enumerate(widths):
        towers.encoders[m].standardise(torch.full((d,), 0.3 * (m + 1)), torch.full((d,), 1.5))
    return METHODS[method].build(towers, NAMES[: len(widths)], classes, generator, options)


def batch(seed=0, absent=(), n=N):
    rng = np.random.default_rng(seed)
    present = rng.random((n, 3)) < 0.6
    present[~present.any(axis=1), 0] = True
    for m in absent:
        present[:, m] = False
        present[~present.any(axis=1), (m + 1) % 3] = True
    x = [np.where(present[:, m, None], rng.normal(size=(n, d)), 0.0) for m, d in enumerate(WIDTHS)]
    y = rng.integers(CLASSES, size=n)
    return Batch(tuple(map(torch.from_numpy, x)), torch.from_numpy(present), torch.from_numpy(y), rows=torch.arange(n))


def surveyed(recipe, one):
    if hasattr(recipe, "survey"):
        recipe.survey([one])
    return recipe


def table(n=60, seed=0, share=0.35):
    """Three views of one hidden class, some absent."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % CLASSES
    views = {m: rng.normal(size=(n, d)) + 1.5 * np.eye(CLASSES, d)[y] for m, d in zip(NAMES, WIDTHS)}
    present = rng.random((n, 3)) >= share
    present[~present.any(axis=1), rng.integers(3)] = True
    return Views(views, present, [f"item{k:03d}" for k in range(n)]), y


def trained(method, X, y, **more):
    settings = {"epochs": 3, "hidden": (), "width": WIDTH, **SHORT.get(method, {}), **more}
    return MultimodalClassifier(method=method, **settings).fit(X, y, validation=False)


def rubbish(X):
    """The same table, other values in absent cells."""
    arrays = {name: np.where(X.present[:, m, None], X.arrays[name], 1e3) for m, name in enumerate(X.names)}
    return Views(arrays, X.present, X.ids)


def test_no_name_is_taken_twice():
    assert not set(METHODS) & set(RECIPES)


@pytest.mark.parametrize("method", METHODS)
class TestEvery:
    def test_turns_and_logits_have_their_shapes(self, method):
        one = batch()
        recipe = surveyed(build(method), one)
        for task in recipe.stages():
            for group, loss in task.turns(one):
                assert group in task.modules()
                assert loss.shape == ()
                assert torch.isfinite(loss)
        said = recipe.logits(one)
        assert said.fused.shape == (N, CLASSES)
        assert said.modality.shape == (3, N, CLASSES)
        assert torch.isfinite(said.fused).all()
        np.testing.assert_allclose(said.weights.detach().sum(dim=1), 1.0)

    def test_what_stands_in_absent_cells_does_not_matter(self, method):
        X, y = table()
        plain, other = trained(method, X, y), trained(method, rubbish(X), y)
        np.testing.assert_array_equal(plain.predict_proba(X), other.predict_proba(rubbish(X)))

    def test_the_same_seed_gives_the_same_model_and_another_another(self, method):
        X, y = table()
        first, again, other = (trained(method, X, y, random_state=seed).predict_proba(X) for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0

    def test_it_learns(self, method):
        X, y = table(240)
        clf = MultimodalClassifier(method=method, epochs=25, lr=1e-2, hidden=(), width=WIDTH).fit(X, y)
        new, truth = table(300, seed=1)
        assert clf.score(new, truth) > 0.55

    def test_every_subset_is_answered_also_one_never_seen_in_training(self, method):
        X, y = table()
        present = X.present.copy()
        present[:, 1] &= ~present[:, 0]  # the first two are never there together
        present[~present.any(axis=1), 2] = True
        clf = trained(method, Views(dict(X.arrays), present, X.ids), y)
        for bits in range(1, 8):
            names = [name for m, name in enumerate(NAMES) if bits >> m & 1]
            found = clf.outputs({name: X.arrays[name] for name in names})
            assert np.isfinite(found.proba).all()
            np.testing.assert_allclose(found.proba.sum(axis=1), 1.0)
            np.testing.assert_array_equal(found.weights > 0, found.present | (method in ("zero", "mean")))

    def test_an_item_without_any_modality_is_refused_by_name(self, method):
        X, y = table()
        clf = trained(method, X, y)
        present = X.present.copy()
        present[7] = False
        with pytest.raises(ValueError, match="item007"):
            clf.predict_proba(Views(dict(X.arrays), present, X.ids))

    def test_a_row_is_answered_as_if_it_were_alone(self, method):
        X, y = table()
        clf, new = trained(method, X, y), table(40, seed=5)[0]
        whole, order = clf.predict_proba(new), np.random.default_rng(0).permutation(40)
        np.testing.assert_allclose(clf.predict_proba(new[order]), whole[order], atol=1e-5)
        changed = {name: array.copy() for name, array in new.arrays.items()}
        for array in changed.values():
            array[20:] *= -3.0
        np.testing.assert_allclose(clf.predict_proba(Views(changed, new.present, new.ids))[:20], whole[:20], atol=1e-5)
        np.testing.assert_array_equal(clf.predict_proba(new), whole)  # asking changes nothing

    def test_saved_and_read_it_says_the_same(self, method, tmp_path):
        X, y = table()
        clf = trained(method, X, y)
        clf.save(tmp_path / "model")
        np.testing.assert_array_equal(load(tmp_path / "model").predict_proba(X), clf.predict_proba(X))

    def test_a_run_taken_up_ends_in_the_same_model(self, method, tmp_path):
        X, y = table()
        settings = {"method": method, "epochs": 3, "hidden": (), "width": WIDTH, **SHORT.get(method, {})}
        whole = MultimodalClassifier(**settings).fit(X, y, validation=0.3)
        cut = iter(MultimodalClassifier(**settings).run(X, y, 0.3, checkpoint=tmp_path / "run.safetensors"))
        while "losses" not in next(cut).values:
            pass
        again = MultimodalClassifier(**settings).run(X, y, 0.3, checkpoint=tmp_path / "run.safetensors").result
        np.testing.assert_array_equal(again.predict_proba(X), whole.predict_proba(X))

    def test_two_modalities_or_five_are_as_good_as_three(self, method):
        rng = np.random.default_rng(0)
        y = np.arange(40) % 2
        for count in (2, 5):
            X = {f"m{k}": rng.normal(size=(40, 3 + k)) for k in range(count)}
            assert trained(method, X, y).predict_proba(X).shape == (40, 2)

    def test_unknown_options_are_refused(self, method):
        with pytest.raises(ValueError, match="options"):
            build(method, {"no_such_option": 1})

    def test_rows_without_a_class_or_a_modality_in_a_batch_do_no_harm(self, method):
        one = batch(absent=(1,))
        recipe = surveyed(build(method), one)
        for task in recipe.stages():
            for _, loss in task.turns(one):
                assert torch.isfinite(loss)


def test_filling_by_zero_and_mean_is_concat_with_that_fill():
    X, y = table()
    for fill in ("zero", "mean"):
        own = trained(fill, X, y).predict_proba(X)
        np.testing.assert_array_equal(own, trained("concat", X, y, fill=fill).predict_proba(X))
    with pytest.raises(ValueError, match="leave fill out"):
        trained("zero", X, y, fill="mean")


def test_dropout_that_drops_nothing_is_concat():
    X, y = table()
    np.testing.assert_array_equal(
        trained("dropout", X, y, options={"share": 0.0}).predict_proba(X), trained("concat", X, y).predict_proba(X)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.abs(
            trained("dropout", X, y).predict_proba(X) - trained("concat", X, y).predict_proba(X)
        ).max() > 1e-3
