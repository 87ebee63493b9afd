"""Canonical correlations against the vectors, scikit-learn and a generalised eigenproblem; the recipe over them."""

from itertools import combinations

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn import cross_decomposition

from modest import MultimodalClassifier
from modest.completion import cca
from modest.completion.correlation import canonical, inverse_root, scatter, shared
from modest.encoders.towers import Tower
from modest.learning import Towers
from modest.training import Batch
from modest.types import Views

PAIRS = list(combinations(range(3), 2))
CLOSE = {"atol": 1e-7, "rtol": 1e-7}


@pytest.fixture(scope="module")
def vectors(shared):
    with np.load(shared / "reference" / "learning" / "cca.npz", allow_pickle=False) as found:
        return dict(found)


def both(first, second):
    return scatter(torch.from_numpy(first), torch.from_numpy(second)) / (len(first) - 1)


def correlations(first, second):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(first.T, second.T)])


def two_views(n=80, seed=0):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, 2))
    return np.c_[common, rng.normal(size=(n, 3))] @ rng.normal(size=(5, 5)), np.c_[
        common + 0.5 * rng.normal(size=(n, 2)), rng.normal(size=(n, 2))
    ] @ rng.normal(size=(4, 4))


class TestVectors:
    @pytest.mark.parametrize("pair", PAIRS)
    def test_a_pair(self, vectors, pair):
        name = "pair{}{}_".format(*pair)
        train, test = ([vectors[f"x{m}_{part}"] for m in pair] for part in ("train", "test"))
        found = canonical(both(*train), train[0].shape[1], float(vectors["ridge"]), int(vectors["n_components"]))
        maps = [found.first.numpy(), found.second.numpy()]
        np.testing.assert_allclose(found.values, vectors[name + "singular_values"], **CLOSE)
        for W, x, new, side in zip(maps, train, test, ("first", "second")):
            np.testing.assert_allclose(W, vectors[f"{name}w_{side}"], **CLOSE)
            np.testing.assert_allclose((x - x.mean(axis=0)) @ W, vectors[f"{name}train_{side}"], **CLOSE)
            np.testing.assert_allclose((new - x.mean(axis=0)) @ W, vectors[f"{name}test_{side}"], **CLOSE)
        empirical = correlations(train[0] @ maps[0], train[1] @ maps[1])
        np.testing.assert_allclose(empirical, vectors[name + "empirical_correlation"], **CLOSE)

    @pytest.mark.parametrize("pair", PAIRS)
    def test_without_a_ridge_and_with_a_large_one(self, vectors, pair):
        name, train = "pair{}{}_".format(*pair), [vectors[f"x{m}_train"] for m in pair]
        plain = canonical(both(*train), train[0].shape[1], 0.0, 4)
        np.testing.assert_allclose(plain.values, vectors[name + "correlation_no_ridge"], **CLOSE)
        large = canonical(both(*train), train[0].shape[1], 0.25, 4)
        np.testing.assert_allclose(large.values, vectors[name + "singular_values_ridge_0.25"], **CLOSE)
        empirical = correlations(train[0] @ large.first.numpy(), train[1] @ large.second.numpy())
        np.testing.assert_allclose(empirical, vectors[name + "empirical_correlation_ridge_0.25"], **CLOSE)

    def test_filling_and_the_six_projections(self, vectors):
        n, test = int(vectors["n_train"]), slice(-int(vectors["n_test"]), None)
        present = vectors["present"].astype(bool)
        x = [np.r_[vectors[f"x{m}_train"], vectors[f"x{m}_test"]] for m in range(3)]
        seen = [torch.from_numpy(np.where(present[:n, m, None], x[m][:n], 0.0)) for m in range(3)]
        widths = [view.shape[1] for view in seen]
        mean, covariance = cca.filled_covariance(cca.gram(seen, torch.from_numpy(present[:n])), widths, n)
        means = np.split(mean.numpy(), np.cumsum(widths)[:-1])
        filled = [np.where(present[:, m, None], x[m], means[m]) for m in range(3)]
        for m in range(3):
            np.testing.assert_allclose(filled[m][:n], vectors[f"filled_train_mean_x{m}_train"], **CLOSE)
            np.testing.assert_allclose(filled[m][test], vectors[f"filled_train_mean_x{m}_test"], **CLOSE)
            if not present[test, m].all():
                assert np.abs(filled[m][test] - vectors[f"filled_wrong_leaky_mean_x{m}_test"]).max() > 1e-3
        np.testing.assert_allclose(covariance, np.cov(np.hstack(filled)[:n].T), atol=1e-12)
        P = cca.projections(covariance, widths, float(vectors["ridge"]), int(vectors["n_components"]))
        six = (np.hstack(filled)[test] - mean.numpy()) @ P.numpy()
        np.testing.assert_allclose(six, vectors["six_projections_test"], **CLOSE)
        assert np.abs(six - vectors["six_projections_test_wrong_leaky"]).max() > 1e-2


class TestOracles:
    def test_scikit_learn_finds_the_same_correlations(self):
        x, y = two_views()
        theirs = cross_decomposition.CCA(n_components=4, scale=False, max_iter=5000, tol=1e-14).fit(x, y)
        expected = correlations(*theirs.transform(x, y))
        np.testing.assert_allclose(canonical(both(x, y), 5, 0.0).values, expected, atol=1e-5)

    @pytest.mark.parametrize("ridge", [0.0, 0.3])
    def test_the_generalised_eigenproblem_has_the_same_values(self, ridge):
        S = both(*two_views()).numpy()
        across = S.copy()
        across[:5, :5] = across[5:, 5:] = 0.0
        own = S - across + ridge * np.eye(9)
        values, _ = scipy.linalg.eigh(across, own)
        found = canonical(torch.from_numpy(S), 5, ridge)
        np.testing.assert_allclose(found.values, values[::-1][:4], atol=1e-10)
        stacked = np.r_[found.first.numpy(), found.second.numpy()]  # eigenvectors, but for length
        np.testing.assert_allclose(across @ stacked, own @ stacked * values[::-1][:4], atol=1e-9)
        np.testing.assert_allclose(found.first.numpy().T @ own[:5, :5] @ found.first.numpy(), np.eye(4), atol=1e-9)

    def test_repeated_and_constant_columns_change_nothing(self):
        x, y = two_views()
        more = np.c_[x, np.full(len(x), 7.0), x[:, :2]]
        plain, found = (canonical(both(view, y), view.shape[1], 0.0) for view in (x, more))
        np.testing.assert_allclose(found.values, plain.values, atol=1e-9)
        np.testing.assert_allclose(found.first[5], 0.0, atol=1e-9)
        np.testing.assert_allclose(more @ found.first.numpy(), x @ plain.first.numpy(), atol=1e-7)
        ridged = canonical(both(more, y), 8, 1e-4)
        assert abs(ridged.first[5]).max() < 1e-12  # nothing seen there, nothing said there: also with a ridge

    def test_a_view_that_never_varies_is_zero(self):
        found = canonical(both(np.ones((9, 3)), two_views(9)[1]), 3, 0.0)
        assert bool((found.first == 0).all())
        assert bool((found.values == 0).all())
        assert bool((inverse_root(torch.zeros(2, 2, dtype=torch.float64), 0.1) == 0).all())


class TestGradient:
    @pytest.mark.parametrize(("top", "squared"), [(None, False), (2, False), (None, True), (3, True)])
    def test_finite_differences(self, top, squared):
        x, y = (torch.from_numpy(view) for view in two_views(30))

        def value(first):
            return shared(scatter(first, y) / 29, 5, 0.05, top, squared)

        x.requires_grad_()
        value(x).backward()
        for place in ((0, 0), (7, 3), (29, 4)):
            step = torch.zeros_like(x)
            step[place] = 1e-6
            with torch.no_grad():
                slope = (value(x + step) - value(x - step)) / 2e-6
            assert float(x.grad[place]) == pytest.approx(float(slope), abs=1e-8)

    def test_it_is_that_of_the_decomposition_where_that_has_one(self):
        S = both(*two_views()).requires_grad_()
        ridged = S + 0.1 * torch.eye(9, dtype=torch.float64)
        own, other = (torch.linalg.eigh(part) for part in (ridged[:5, :5], ridged[5:, 5:]))
        roots = [vectors @ torch.diag(values**-0.5) @ vectors.T for values, vectors in (own, other)]
        expected = torch.linalg.svdvals(roots[0] @ S[:5, 5:] @ roots[1])[:3].sum()
        (wanted,) = torch.autograd.grad(expected, S)
        total = shared(S, 5, 0.1, 3)
        assert float(total.detach()) == pytest.approx(float(expected.detach()), abs=1e-12)
        (found,) = torch.autograd.grad(total, S)
        symmetric = [g.numpy()[:5, :5] + g.numpy()[:5, :5].T for g in (found, wanted)]
        np.testing.assert_allclose(*symmetric, atol=1e-10)
        np.testing.assert_allclose(found[:5, 5:] + found[5:, :5].T, wanted[:5, 5:] + wanted[5:, :5].T, atol=1e-10)

    def test_equal_singular_values_have_a_finite_one(self):
        rows = torch.from_numpy(np.linalg.qr(np.random.default_rng(0).normal(size=(12, 4)))[0]).requires_grad_()
        shared(scatter(rows, rows) / 11, 4, 1e-3).backward()  # a view and itself: all are equal
        assert bool(rows.grad.isfinite().all())


def classifier(**more):
    return MultimodalClassifier(method="cca", epochs=2, hidden=(), width=4, **more)


def table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    views = {"a": rng.normal(size=(n, 4)) + y[:, None], "b": 5 + rng.normal(size=(n, 3)) * (1 + y[:, None])}
    present = rng.random((n, 2)) < 0.7
    present[~present.any(axis=1), 0] = True
    return Views(views, present), y


class TestRecipe:
    @pytest.mark.parametrize("standardise", [True, False])
    def test_what_the_survey_finds_is_the_closed_form_on_filled_rows(self, standardise):
        X, y = table()
        clf = classifier(standardise=standardise, options={"components": 2, "ridge": 0.01}, batch_size=7)
        recipe = clf.fit(X, y, validation=False).recipe_
        filled = []
        for m, name in enumerate(X.names):
            x, there = X.arrays[name], X.present[:, m]
            x = (x - x[there].mean(axis=0)) / (x[there].std(axis=0) if standardise else 1.0)
            filled.append(np.where(there[:, None], x, 0.0))
        found = canonical(both(*filled), 4, 0.01, 2)
        np.testing.assert_allclose(recipe.projection[:4, :2].detach(), found.first, atol=1e-4)
        np.testing.assert_allclose(recipe.projection[4:, 2:].detach(), found.second, atol=1e-4)
        assert float(recipe.projection[4:, :2].abs().sum() + recipe.projection[:4, 2:].abs().sum()) == 0.0
        one = Batch(tuple(torch.from_numpy(X.arrays[n]).float() for n in X.names), torch.from_numpy(X.present))
        six = np.hstack([filled[0] @ found.first.numpy(), filled[1] @ found.second.numpy()])
        np.testing.assert_allclose(recipe.projected(one).detach(), six, atol=1e-4)

    def test_components_are_at_most_the_smaller_width(self):
        X, y = table()
        assert classifier(options={"components": 50}).fit(X, y).recipe_.projection.shape == (7, 6)

    def test_only_the_head_is_trained(self):
        X, y = table()
        recipe = classifier().fit(X, y).recipe_
        assert [name for name, p in recipe.net["head"].named_parameters()] == ["weight", "bias"]
        assert not recipe.mean.requires_grad
        assert not recipe.projection.requires_grad

    def test_one_modality_is_refused(self):
        with pytest.raises(ValueError, match="concat"):
            classifier().fit({"a": np.eye(8)}, np.arange(8) % 2)

    def test_raw_media_are_refused(self):
        towers = Towers([torch.nn.Linear(3, 4), Tower(3, 4, torch.Generator())], 4)
        with pytest.raises(ValueError, match="image"):
            cca.CCA(towers, ("image", "text"), 2, torch.Generator(), cca.Options())

    @pytest.mark.parametrize("options", [{"components": 0}, {"components": True}, {"ridge": -1.0}, {"ridge": np.inf}])
    def test_options_out_of_range_are_refused(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            cca.Options(**options)
