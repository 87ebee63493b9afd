"""Fusion after the fact, features of encoders, and a model before its first step."""

from itertools import combinations

import numpy as np
import pytest
from sklearn.base import clone

import modest
from modest import MultimodalClassifier, Views
from modest.learning.analyses import encoded, feature_gaps, fuse_proba, untrained
from modest.representation import modality_gap

N = 60


def table(seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(N) % 3
    arrays = {name: np.eye(3, d)[y] + 0.7 * rng.normal(size=(N, d)) for name, d in (("a", 4), ("b", 3), ("c", 5))}
    present = rng.random((N, 3)) < 0.6
    present[~present.any(axis=1), 1] = True
    return Views(arrays, present), y


def trained(method="late", options=None, **settings):
    views, y = table()
    settings = {"epochs": 3, "hidden": (), "width": 6, **settings}
    return MultimodalClassifier(method=method, options=options, **settings).fit(views, y, validation=False)


def slow(proba, fusion):
    """Row by row, in logs."""
    M, n, C = proba.shape
    fused, weights = np.full((n, C), 1 / C), np.zeros((n, M))
    for i in range(n):
        here = [m for m in range(M) if not np.isnan(proba[m, i]).any()]
        if not here:
            continue
        entropy = [-sum(p * np.log(p) for p in proba[m, i] if p > 0) for m in here]
        raw = np.ones(len(here)) if fusion == "mean" else np.exp(-np.array(entropy))
        weights[i, here] = raw / raw.sum()
        product = np.prod([proba[m, i] ** weights[i, m] for m in here], axis=0)
        fused[i] = product / product.sum()
    return fused, weights


@pytest.mark.parametrize("fusion", ["entropy", "mean"])
@pytest.mark.parametrize(
    ("method", "options"), [("late", {}), ("late", {"head": "shared"}), ("mla", {}), ("mla", {"project": False})]
)
def test_it_is_the_recipes_own_fusion(method, options, fusion):
    clf = trained(method, {**options, "fusion": fusion}, lr=0.05)
    found = clf.outputs(table()[0])
    proba, weights = fuse_proba(found.modality, fusion)
    np.testing.assert_allclose(proba, found.proba, atol=1e-6)
    np.testing.assert_allclose(weights, found.weights, atol=1e-6)
    assert (weights[~found.present] == 0).all()
    assert proba.std() > 0.05


@pytest.mark.parametrize("fusion", ["entropy", "mean"])
def test_a_slow_loop_says_the_same(fusion):
    rng = np.random.default_rng(1)
    proba = rng.dirichlet(np.ones(4) / 2, size=(3, 25))
    proba[rng.random((3, 25)) < 0.4] = np.nan
    proba[:, 7] = np.nan
    for found, expected in zip(fuse_proba(proba, fusion), slow(proba, fusion)):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_by_hand():
    proba, weights = fuse_proba(np.array([[[0.5, 0.5]], [[0.8, 0.2]]]), "mean")
    assert weights.tolist() == [[0.5, 0.5]]
    np.testing.assert_allclose(proba, [[2 / 3, 1 / 3]])  # sqrt(0.4) : sqrt(0.1) = 2 : 1
    proba, weights = fuse_proba(np.array([[[0.5, 0.5]], [[1.0, 0.0]]]), "entropy")
    np.testing.assert_allclose(weights, [[1 / 3, 2 / 3]])  # exp(-log 2) : exp(0)
    np.testing.assert_allclose(proba, [[1.0, 0.0]], atol=1e-12)


def test_two_who_are_sure_of_different_classes_leave_no_nan():
    for fusion in ("entropy", "mean"):
        proba, _ = fuse_proba(np.array([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]]), fusion)
        np.testing.assert_allclose(proba, [[0.5, 0.5, 0.0]], atol=1e-12)


def test_the_input_stays_and_bad_input_is_one_sentence():
    given = np.array([[[np.nan, np.nan]], [[0.3, 0.7]]])
    before = given.copy()
    fuse_proba(given)
    np.testing.assert_array_equal(given, before)
    with pytest.raises(ValueError, match=r"fusion='median'.*entropy, mean"):
        fuse_proba(given, "median")
    with pytest.raises(ValueError, match=r"modality_proba has shape \(1, 2\)"):
        fuse_proba(given[0])


def test_the_mean_of_slices_of_a_joint_head_votes_as_the_head_but_less_surely():
    views, y = table()
    clf = MultimodalClassifier(method="concat", epochs=5, hidden=(), width=6).fit(views.arrays, y, validation=False)
    found = clf.outputs(views.arrays)
    proba, _ = fuse_proba(found.modality, "mean")
    assert (proba.argmax(axis=1) == found.proba.argmax(axis=1)).all()
    np.testing.assert_allclose(proba**3 / (proba**3).sum(axis=1, keepdims=True), found.proba, atol=1e-5)


def test_features_are_the_encoders_and_absent_ones_are_marked():
    clf, (views, _) = trained(), table()
    rows = np.array([5, 0, 17, 40])
    found = encoded(clf.trained_, views, rows)
    expected = clf.arrays(views, ["features"], rows)["features"]
    assert found.names == ("a", "b", "c")
    np.testing.assert_array_equal(found.present, views.present[rows])
    for name in found.names:
        np.testing.assert_array_equal(found.arrays[name], expected[name])
    np.testing.assert_array_equal(encoded(clf.trained_, views).arrays["b"][rows], found.arrays["b"])


def test_items_of_a_pool_of_which_the_model_reads_nothing_stand_as_absent(tmp_path):
    views, y = table()
    arrays = {name: np.where(views.present[:, [m]], x, np.nan) for m, (name, x) in enumerate(views.arrays.items())}
    lacking = np.isnan(arrays["a"]).all(axis=1) & np.isnan(arrays["b"]).all(axis=1)
    assert lacking.any()
    pool = modest.ingest({**arrays, "label": y}, tmp_path / "pool")
    clf = MultimodalClassifier(method="late", epochs=1, hidden=(), width=6, views={"a": "given", "b": "given"})
    clf.fit(pool, validation=False)
    with pytest.warns(UserWarning, match="have no modality that could be read"):
        found = encoded(clf.trained_, pool)
    with pytest.warns(UserWarning, match="have no modality that could be read"):
        some = encoded(clf.trained_, pool, np.arange(1, N, 2))
    np.testing.assert_array_equal(found.present, views.present[:, :2])
    assert lacking[1::2].any()
    np.testing.assert_array_equal(some.arrays["a"], found.arrays["a"][1::2])
    for m, name in enumerate("ab"):
        assert (found.arrays[name].any(axis=1) == found.present[:, m]).all()


@pytest.mark.parametrize("method", ["concat", "mla"])
def test_a_model_before_its_first_step_is_what_a_vanishing_rate_leaves(method):
    views, y = table()
    clf = trained(method, random_state=4)
    still = clone(clf).set_params(epochs=1, lr=1e-30).fit(views, y, validation=False)
    begun = untrained(clf)
    for name in ("a", "b", "c"):
        first = encoded(begun, views).arrays[name]
        np.testing.assert_allclose(first, encoded(still.trained_, views).arrays[name], atol=1e-6)
        assert np.abs(first - encoded(clf.trained_, views).arrays[name]).max() > 1e-3
    assert begun.classes.tolist() == [0, 1, 2]


def test_a_saved_classifier_begins_alike(tmp_path):
    views, _ = table()
    clf = trained(random_state=2)
    clf.save(tmp_path)
    begun, again = (untrained(one) for one in (clf, modest.load(tmp_path)))
    np.testing.assert_array_equal(encoded(begun, views).arrays["c"], encoded(again, views).arrays["c"])


def test_every_pair_has_its_gap_over_the_items_that_have_both():
    features = encoded(trained().trained_, table()[0])
    found = feature_gaps(features)
    assert list(found) == list(combinations("abc", 2))
    for (a, b), gap in found.items():
        both = features.present[:, ["abc".index(a), "abc".index(b)]].all(axis=1)
        unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (features.arrays[m][both] for m in (a, b))]
        assert gap.gap == pytest.approx(np.linalg.norm(unit[0].mean(axis=0) - unit[1].mean(axis=0)), abs=1e-6)
        assert gap.rows == both.sum() < N
        assert gap.paired == pytest.approx((unit[0] * unit[1]).sum(axis=1).mean(), abs=1e-6)


def test_a_pair_that_no_item_has_is_left_out():
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(4, 2)) for name in "abc"}
    present = np.array([[1, 0, 1], [1, 0, 1], [0, 1, 1], [0, 1, 1]], dtype=bool)
    assert list(feature_gaps(Views(arrays, present))) == [("a", "c"), ("b", "c")]
    whole = feature_gaps(Views(arrays))
    assert whole["a", "b"].gap == modality_gap(arrays).gap
