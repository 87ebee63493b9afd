import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from modest import Views, select
from modest.bench.probe import Probe, Standard
from modest.selection import METHODS
from modest.selection.arrays import ARRAYS


def test_without_absence_it_is_logistic_regression_on_standardised_features():
    rng = np.random.default_rng(0)
    a, b, y = rng.normal(2, 3, (60, 4)), rng.normal(size=(60, 3)), rng.integers(3, size=60)
    views = Views({"a": a, "b": b})
    fused, own = Probe(Standard.of(views), c=0.5).fit(views[:30], y[:30]).predict(views)
    x = StandardScaler().fit_transform(np.hstack([a, b]))
    oracle = LogisticRegression(C=0.5, max_iter=1000).fit(x[:30], y[:30].astype(str))
    np.testing.assert_allclose(fused, oracle.predict_proba(x), atol=1e-6)
    alone = LogisticRegression(C=0.5, max_iter=1000).fit(x[:30, :4], y[:30].astype(str))
    np.testing.assert_allclose(own[0], alone.predict_proba(x[:, :4]), atol=1e-6)


def test_absent_halves_sit_at_the_mean_and_what_lies_in_them_does_not_matter():
    rng = np.random.default_rng(1)
    a, b, y = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), np.arange(40) % 2
    present = np.ones((40, 2), dtype=bool)
    present[::4, 1] = False
    junk = b.copy()
    junk[::4] = 1e6
    hole = b.copy()
    hole[::4] = np.nan
    answers = []
    for view, mask in ((b, present), (junk, present), (hole, None)):
        views = Views({"a": a, "b": view}, mask)
        standard = Standard.of(views)
        np.testing.assert_allclose(standard.mean["b"], b[present[:, 1]].mean(axis=0))
        answers.append(Probe(standard).fit(views, y).predict(views))
    for fused, own in answers[1:]:
        np.testing.assert_array_equal(fused, answers[0][0])
        np.testing.assert_array_equal(own, answers[0][1])
    assert np.isnan(answers[0][1][1, ::4]).all()
    assert not np.isnan(answers[0][1][0]).any()


def test_one_class_bought_is_answered_always():
    views = Views({"a": np.random.default_rng(0).normal(size=(10, 2))})
    fused, _ = Probe(Standard.of(views)).fit(views[:3], ["x"] * 3).predict(views)
    np.testing.assert_array_equal(fused, np.ones((10, 1)))


def test_a_constant_column_is_harmless():
    views = Views({"a": np.column_stack([np.ones(10), np.arange(10.0)])})
    table, _ = Standard.of(views).features(views)
    np.testing.assert_array_equal(table["a"][:, 0], 0.0)
    assert table["a"][:, 1].std() == pytest.approx(1.0)


def classified(classes, absent=True, seed=0):
    """Views, labels, and a probe fitted to half of the rows."""
    rng = np.random.default_rng(seed)
    n, y = 60, np.array(list("abcd"))[np.random.default_rng(9).integers(classes, size=60)]
    present = np.ones((n, 3), dtype=bool)
    if absent:
        present[::4, 1], present[1::5, 2] = False, False
    views = Views({m: rng.normal(size=(n, d)) + (y == "b")[:, None] for m, d in zip("uvw", (3, 4, 2))}, present)
    return views, y, Probe(Standard.of(views), c=0.7).fit(views[np.arange(30)], y[:30])


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("absent", [False, True])
def test_arrays_are_what_a_linear_head_over_standardised_features_says(classes, absent):
    """Every row and coalition by itself, from scikit-learn's own numbers."""
    views, y, probe = classified(classes, absent)
    known = np.where(np.arange(60) < 30, y.astype(object), None)
    made = probe.arrays(views, ARRAYS, known)
    assert tuple(made) == ARRAYS
    np.testing.assert_allclose(made["proba"], probe.predict(views)[0], atol=1e-12)
    standard, blocks = Standard.of(views), {}
    for m, (name, array) in enumerate(views.arrays.items()):
        blocks[name] = np.zeros((60, array.shape[1] + (absent and m > 0)))
        for row in np.flatnonzero(views.present[:, m]):
            x = (array[row] - standard.mean[name]) / standard.deviation[name]
            blocks[name][row] = [*x, 1.0] if absent and m > 0 else x
        np.testing.assert_allclose(made["features"][name], blocks[name], atol=1e-5)
        assert (made["features"][name][~views.present[:, m]] == 0).all()
    for members in range(8):
        kept = [b if members >> m & 1 else np.zeros_like(b) for m, b in enumerate(blocks.values())]
        expected = probe._fused.predict_proba(np.hstack(kept))
        np.testing.assert_allclose(made["coalition_proba"][members], expected, atol=1e-6)
    assert made["labels"].tolist() == ["abcd".index(name) for name in y[:30]] + [-1] * 30


def test_the_head_gives_the_probabilities_and_gradients():
    views, _, probe = classified(3)
    made = probe.arrays(views, ("features", "head"))
    z = {name: torch.as_tensor(x, dtype=torch.float64).requires_grad_() for name, x in made["features"].items()}
    logits = made["head"]({name: z[name] for name in reversed(z)})  # by name, not by order
    np.testing.assert_allclose(torch.softmax(logits.detach(), dim=1), probe.predict(views)[0], atol=1e-6)
    gradient = torch.autograd.grad(logits[:, 1].sum(), list(z.values()))
    expected = np.split(probe._fused.coef_[1], np.cumsum([x.shape[1] for x in z.values()])[:-1])
    for found, weight in zip(gradient, expected):
        np.testing.assert_allclose(found, np.tile(weight, (60, 1)), atol=1e-12)
    single = made["head"]({name: torch.as_tensor(x) for name, x in made["features"].items()})
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single, logits.detach(), atol=1e-4)


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.needs or entry.uses])
def test_every_warm_method_takes_them(method):
    views, y, probe = classified(3)
    known = np.where(np.arange(60) < 30, y.astype(object), None)
    entry = METHODS[method]
    arrays = probe.arrays(views, (*entry.needs, *entry.uses), known)
    assert min(select(views, 5, method, taken=np.arange(60) < 30, **arrays).rows) >= 30


def test_what_it_cannot_give_is_said():
    views, y, probe = classified(3)
    with pytest.raises(ValueError, match="known: proba"):
        probe.arrays(views, ["grades"])
    for labels in (None, y[:3]):
        with pytest.raises(ValueError, match="one label for each of the 60 rows"):
            probe.arrays(views, ["labels"], labels)
    with pytest.raises(ValueError, match="two classes"):
        Probe(Standard.of(views)).fit(views[:3], ["x"] * 3).arrays(views, ["proba"])
