import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from modest import Views
from modest.bench.probe import Probe, Standard


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
