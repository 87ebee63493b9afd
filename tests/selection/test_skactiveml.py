"""Strategies behind scikit-activeml's contract: candidates, utilities, clones, classifiers, and the library's own."""

import os
import pickle
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import normalize

if not os.environ.get("CI"):
    pytest.importorskip("skactiveml", reason="the extra `bench` is not installed")

from skactiveml import pool as library
from skactiveml.classifier import SklearnClassifier
from skactiveml.utils import call_func, check_random_state

import modest
from modest.selection import METHODS
from modest.selection.from_sklearn import warm_arrays
from modest.selection.skactiveml import ROW_BY_ROW, Strategy

from .conftest import clusters

KNOBS = {
    "activeft": {"steps": 10}, "mmcsal": {"steps": 10}, "kmeans": {"rounds": 5, "restarts": 1}, "gcnal": {"steps": 10}
}  # fmt: skip
N, LABELLED = 60, 12
# with labels nothing, or nothing that matters here, is drawn for these
SETTLED = {"maxherding", "uherding", "entropy", "margin", "kcenter", "probcover", "alfamix", "auto"}
WARM = [name for name, method in METHODS.items() if method.needs]
VIEWS = {"image": slice(0, 6), "text": [6, 7, 8, 9]}

every = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def X():
    return np.concatenate([clusters(N, 6, 1), clusters(N, 4, 2)], axis=1).astype(np.float64)


@pytest.fixture(scope="module")
def truth(X):
    return (X[:, 0] > np.median(X[:, 0])).astype(float) + (X[:, 7] > np.median(X[:, 7]))


@pytest.fixture
def y(truth):
    return np.where(np.arange(N) % (N // LABELLED) == 0, truth, np.nan)


def linear(**more):
    return SklearnClassifier(LogisticRegression(), classes=[0, 1, 2], **more)


def strategy(method, **more):
    return Strategy(method, **{"views": VIEWS, "knobs": KNOBS.get(method), "random_state": 0, **more})


def query(method, X, y, **more):
    return strategy(method).query(X, y, **{"clf": linear(), **more})


def by_hand(method, X, y, budget, **arrays):
    """modest.select with the draws a strategy makes: its seed, and ids that number unlabelled rows first."""
    taken = ~np.isnan(y)
    place = np.argsort(np.argsort(taken, kind="stable"))
    views = modest.Views({"image": X[:, :6], "text": X[:, 6:]}, ids=np.char.zfill(place.astype(str), 2))
    seed = check_random_state(0, int((~taken).sum()) + 1).randint(2**31 - 1)
    return modest.select(views, budget, method, int(seed), taken, **arrays, **KNOBS.get(method, {}))


def obeys(rows, utilities, width, free, batch):
    """The contract: which cells are NaN, and that the largest utility of every turn is its pick."""
    assert rows.dtype.kind == "i"
    assert rows.shape == (batch,)
    assert len(set(rows.tolist())) == batch
    assert utilities.shape == (batch, width)
    open_ = np.zeros(width, dtype=bool)
    open_[free] = True
    for turn, row in enumerate(rows):
        np.testing.assert_array_equal(np.isnan(utilities[turn]), ~open_)
        assert np.isfinite(utilities[turn, row])
        assert np.nanargmax(utilities[turn]) == row
        open_[row] = False


@every
def test_every_unlabelled_row_may_be_chosen(method, X, y):
    rows, utilities = query(method, X, y, batch_size=7, return_utilities=True)
    obeys(rows, utilities, N, np.flatnonzero(np.isnan(y)), 7)
    np.testing.assert_array_equal(query(method, X, y, batch_size=7), rows)


@every
def test_candidates_as_rows(method, X, y):
    free = np.flatnonzero(np.isnan(y))[[30, 2, 11, 5, 40, 19]]
    rows, utilities = query(method, X, y, candidates=free, batch_size=3, return_utilities=True)
    obeys(rows, utilities, N, free, 3)
    again = query(method, X, y, candidates=np.sort(free), batch_size=3)
    np.testing.assert_array_equal(rows, again)
    with pytest.raises(ValueError, match="labeled"):
        query(method, X, y, candidates=[0, 1])


@every
def test_candidates_as_arrays_are_the_pool(method, X, y, truth):
    """Candidates that are all unlabelled rows of X, handed over as arrays, get the same answer and utilities."""
    free = np.flatnonzero(np.isnan(y))
    rows, utilities = query(method, X, y, batch_size=5, return_utilities=True)
    same, told = query(method, X, y, candidates=X[free], batch_size=5, return_utilities=True)
    np.testing.assert_array_equal(free[same], rows)
    np.testing.assert_allclose(told, utilities[:, free], atol=1e-7)
    other = np.random.default_rng(3).normal(size=(9, X.shape[1]))
    obeys(*query(method, X, y, candidates=other, batch_size=4, return_utilities=True), 9, np.arange(9), 4)


@every
def test_too_large_a_batch_is_a_warning_and_all_there_are(method, X, y):
    free = np.flatnonzero(np.isnan(y))
    with pytest.warns(UserWarning, match="batch_size"):
        rows = query(method, X, y, batch_size=N)
    np.testing.assert_array_equal(np.sort(rows), free)
    full = np.where(np.isnan(y), 1.0, y)
    with pytest.warns(UserWarning, match="batch_size"):
        rows, utilities = query(method, X, full, return_utilities=True)
    assert rows.shape == (0,)
    assert utilities.shape == (0, N)


@every
def test_the_state_decides_and_is_left_alone(method, X, y):
    one = strategy(method, random_state=np.random.RandomState(3))
    first = one.query(X, y, clf=linear(), batch_size=6)
    np.testing.assert_array_equal(one.query(X, y, clf=linear(), batch_size=6), first)
    before = X.copy(), y.copy()
    answers = {tuple(strategy(method, random_state=s).query(X, y, clf=linear(), batch_size=6)) for s in range(6)}
    assert len(answers) > 1 or method in SETTLED
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


@every
def test_clones_and_pickles(method, X, y):
    one = strategy(method, missing_label=-1)
    for other in (clone(one), pickle.loads(pickle.dumps(one))):  # noqa: S301
        assert type(other) is Strategy
        assert other.get_params() == one.get_params()
    marked = np.where(np.isnan(y), -1, y).astype(int)
    other = clone(strategy("random")).set_params(method=method, knobs=KNOBS.get(method), missing_label=-1)
    picks = other.query(X, marked, clf=linear(missing_label=-1), batch_size=4)
    np.testing.assert_array_equal(picks, query(method, X, y, batch_size=4))


@pytest.mark.parametrize(("missing", "names"), [(None, ["a", "b", "c"]), ("", ["a", "b", "c"]), (0, [1, 2, 3])])
@pytest.mark.parametrize("method", ["kcenter", "alfamix", "uherding"])
def test_missing_labels_of_every_kind(method, missing, names, X, y):
    kind = object if missing is None else None
    marked = np.array([missing if np.isnan(label) else names[int(label)] for label in y], dtype=kind)
    clf = SklearnClassifier(LogisticRegression(), classes=names, missing_label=missing)
    rows = strategy(method, missing_label=missing).query(X, marked, clf=clf, batch_size=5)
    np.testing.assert_array_equal(rows, query(method, X, y, batch_size=5))


def test_what_it_asks_is_what_select_answers(X, y):
    """Cold and warm: the arrays a reader would make by hand, handed to modest.select."""
    taken = ~np.isnan(y)
    views = {"image": X[:, :6], "text": X[:, 6:]}
    for method in ("maxherding", "kcenter", "probcover"):
        knobs = {"delta": 0.7} if method == "probcover" else {}
        rows, told = strategy(method, knobs=knobs).query(X, y, batch_size=8, return_utilities=True)
        choice = modest.select(views, 8, method, taken=taken, **knobs)
        np.testing.assert_array_equal(rows, choice.rows)
        np.testing.assert_allclose(told[np.arange(8), rows], choice.scores, atol=1e-6)
    clf = LogisticRegression().fit(X[taken], y[taken])
    proba = clf.predict_proba(X)
    labels = np.where(taken, y, -1).astype(int)
    choice = by_hand("uherding", X, y, 8, proba=proba, labels=labels)
    np.testing.assert_array_equal(query("uherding", X, y, batch_size=8), choice.rows)
    head = {"image": clf.coef_[:, :6], "text": clf.coef_[:, 6:]}

    def logits(features):
        tensor = next(iter(features.values()))
        parts = [features[name] @ tensor.new_tensor(weight.T) for name, weight in head.items()]
        return sum(parts) + tensor.new_tensor(clf.intercept_)

    choice = by_hand("alfamix", X, y, 8, features=views, head=logits, labels=labels)
    np.testing.assert_array_equal(query("alfamix", X, y, batch_size=8), choice.rows)


def test_utilities_of_row_by_row_methods_are_every_rows_score(X, y):
    proba = LogisticRegression().fit(X[~np.isnan(y)], y[~np.isnan(y)]).predict_proba(X)
    rows, utilities = query("entropy", X, y, batch_size=3, return_utilities=True)
    entropy = -(proba * np.log(proba)).sum(axis=1)
    free = np.isnan(y)
    np.testing.assert_allclose(utilities[0, free], entropy[free], atol=1e-9)
    free[rows[:2]] = False
    np.testing.assert_allclose(utilities[2, free], entropy[free], atol=1e-9)
    for method in ROW_BY_ROW:
        assert np.isfinite(query(method, X, y, return_utilities=True)[1][0, np.isnan(y)]).all()
    others = query("kcenter", X, y, batch_size=3, return_utilities=True)[1]
    assert (np.isneginf(others).sum(axis=1) == [N - LABELLED - 1, N - LABELLED - 2, N - LABELLED - 3]).all()


def test_rows_that_are_no_candidates_stay_to_be_covered():
    """Two candidates; the one near the crowd of rows that may not be chosen covers more."""
    crowd = np.array([[1.0, 0.02 * k] for k in range(8)])
    X = np.concatenate([[[-1.0, 0.0], [1.0, 0.3]], crowd])
    unknown = np.full(len(X), np.nan)
    one = Strategy("maxherding", knobs={"bandwidth": 0.5}, random_state=0)
    assert one.query(X, unknown, candidates=[0, 1]).tolist() == [1]
    assert one.query(X, unknown, candidates=X[:2]).tolist() == [0]  # these alone are the pool; ties go to the first


def test_absent_modalities_are_columns_of_nan(X, y):
    holes = X.copy()
    holes[5:20, :6] = np.nan
    for method in METHODS:
        assert len(query(method, holes, y, batch_size=4)) == 4
    present = np.stack([~np.isnan(holes[:, 0]), np.ones(N, dtype=bool)], axis=1)
    views = modest.Views({"image": X[:, :6], "text": X[:, 6:]}, present)
    choice = modest.select(views, 6, "maxherding", taken=~np.isnan(y))
    np.testing.assert_array_equal(query("maxherding", holes, y, batch_size=6), choice.rows)


class TestClassifiers:
    def test_any_will_do_and_stays_as_it_is(self, X, y):
        known = ~np.isnan(y)
        for clf in (GaussianNB(), LogisticRegression()):
            rows = query("margin", X, y, clf=clf, batch_size=5)
            assert not hasattr(clf, "classes_")
            fitted = clone(clf).fit(X[known], y[known])
            np.testing.assert_array_equal(query("margin", X, y, clf=fitted, fit_clf=False, batch_size=5), rows)
        wrapped = linear()
        query("margin", X, y, clf=wrapped)
        assert not hasattr(wrapped, "classes_")

    def test_weights_of_samples_reach_it(self, X, y):
        weight = np.linspace(0.01, 5.0, N)
        known = ~np.isnan(y)
        fitted = LogisticRegression().fit(X[known], y[known], weight[known])
        expected = query("entropy", X, y, clf=fitted, fit_clf=False, batch_size=5)
        for clf in (LogisticRegression(), linear()):
            rows = query("entropy", X, y, clf=clf, sample_weight=weight, batch_size=5)
            np.testing.assert_array_equal(rows, expected)
        with pytest.raises(ValueError, match="one weight per row"):
            query("entropy", X, y, sample_weight=weight[:3])

    def test_embeddings_as_badge_of_the_library_takes_them(self, X, y):
        class Inside(LogisticRegression):
            def predict_proba(self, X, inside=False):
                proba = super().predict_proba(X)
                return (proba, X[:, ::2] * 3.0) if inside else proba

        told = {"clf": Inside(), "batch_size": 6}
        one = strategy("badge", clf_embedding_flag_name="inside")
        rows = one.query(X, y, **told)
        one.set_params(clf_embedding_flag_name={"inside": True})
        np.testing.assert_array_equal(one.query(X, y, **told), rows)
        known = ~np.isnan(y)
        made = warm_arrays(
            Inside().fit(X[known], y[known]), ("features",), X, {"x": np.arange(10)}, known, y[known], "inside"
        )
        np.testing.assert_array_equal(made["features"]["embedding"], X[:, ::2] * 3.0)
        assert not np.array_equal(rows, strategy("badge").query(X, y, **told))
        for method in ("bmmal", "alfamix"):
            with pytest.raises(ValueError, match="leave clf_embedding_flag_name out"):
                strategy(method, clf_embedding_flag_name="inside").query(X, y, **told)

    def test_coalitions_are_predictions_with_the_others_zero(self, X, y):
        known = ~np.isnan(y)
        clf = GaussianNB().fit(X[known], y[known])
        blocks = {"a": np.arange(3), "b": np.arange(3, 6), "c": np.arange(6, 10)}
        made = warm_arrays(clf, ("coalition_proba",), X, blocks, known, y[known])["coalition_proba"]
        some = X.copy()
        some[:, blocks["a"]] = 0.0
        np.testing.assert_allclose(made[0b110], clf.predict_proba(some))
        np.testing.assert_allclose(made[0b111], clf.predict_proba(X))
        np.testing.assert_allclose(made[0], clf.predict_proba(0 * X))
        six = {str(k): np.arange(k, k + 1) for k in range(6)}
        with pytest.raises(ValueError, match="up to 5"):
            warm_arrays(clf, ("coalition_proba",), X[:, :6], six, known, y[known])

    def test_the_head_of_a_linear_model(self, X, y):
        """softmax of its logits is what the model says, for two classes as for three, whatever the order of columns."""
        import torch

        known = ~np.isnan(y)
        blocks = {"b": np.array([7, 2, 4]), "a": np.array([0, 1, 3, 5, 6, 8, 9])}
        features = {name: torch.as_tensor(X[:, columns]) for name, columns in blocks.items()}
        for labels in (y[known], np.minimum(y[known], 1)):
            clf = LogisticRegression().fit(X[known], labels)
            head = warm_arrays(clf, ("head",), X, blocks, known, labels)["head"]
            np.testing.assert_allclose(head(features).softmax(dim=1).numpy(), clf.predict_proba(X), atol=1e-12)

    def test_labels_are_places_among_the_classes_of_the_head(self, X, y):
        """The wrapper knows four classes, the linear model inside has seen three of them."""
        known = ~np.isnan(y)
        clf = SklearnClassifier(LogisticRegression(), classes=[-7, 0, 1, 2]).fit(X, y)
        blocks = {"x": np.arange(10)}
        alone = warm_arrays(clf, ("labels",), X, blocks, known, y[known])["labels"]
        beside = warm_arrays(clf, ("head", "labels"), X, blocks, known, y[known])["labels"]
        np.testing.assert_array_equal(alone[known], y[known] + 1)
        np.testing.assert_array_equal(beside[known], y[known])
        assert (beside[~known] == -1).all()

    @pytest.mark.parametrize("method", WARM)
    def test_a_modest_classifier_makes_its_own_arrays(self, method, X, y):
        clf = modest.MultimodalClassifier(method="concat", epochs=3)
        known = ~np.isnan(y)
        views = modest.Views({"image": X[:, :6], "text": X[:, 6:]})
        fitted = clone(clf).fit(views[known], y[known])
        told = np.where(known, y, None).astype(object)
        arrays = fitted.arrays(views, METHODS[method].needs, y=told)
        if method == "gcnal":
            arrays["labels"] = fitted.arrays(views, ["labels"], y=told)["labels"]
        np.testing.assert_array_equal(
            query(method, X, y, clf=clf, batch_size=5), by_hand(method, X, y, 5, **arrays).rows
        )


class TestRefusals:
    def test_a_method_that_needs_a_classifier(self, X, y):
        for method in ("badge", "entropy", "margin", "bmmal", "alfamix"):
            with pytest.raises(TypeError, match="clf is needed for"):
                strategy(method).query(X, y)
        assert len(strategy("gcnal").query(X, y)) == 1  # features are the views

    def test_what_is_no_classifier(self, X, y):
        for clf in ("state", np.nan, GaussianNB):
            with pytest.raises(TypeError, match="clf is"):
                query("margin", X, y, clf=clf)
        with pytest.raises(TypeError, match="no predict_proba"):
            query("margin", X, y, clf=object(), fit_clf=False)
        with pytest.raises(TypeError, match="fit_clf"):
            query("margin", X, y, fit_clf="yes")

    def test_a_head_that_is_not_linear(self, X, y):
        with pytest.raises(ValueError, match="GaussianNB without coef_"):
            query("alfamix", X, y, clf=GaussianNB())

    def test_no_label_to_train_on(self, X):
        with pytest.raises(ValueError, match="no label to train clf on"):
            query("margin", X, np.full(N, np.nan), clf=GaussianNB())
        assert len(query("margin", X, np.full(N, np.nan))) == 1  # a SkactivemlClassifier knows its classes

    @pytest.mark.parametrize("method", ["auto", "uherding"])
    @pytest.mark.parametrize("known", [0, 3])
    def test_a_method_that_can_do_without_is_not_shown_one_of_fewer_than_two_classes(self, method, known, X, recwarn):
        y = np.full(N, np.nan)
        y[:known] = 1
        plain = strategy(method).query(X, y, batch_size=3)
        for clf in (GaussianNB(), SklearnClassifier(LogisticRegression())):
            assert query(method, X, y, clf=clf, batch_size=3).tolist() == plain.tolist()
        assert not recwarn.list

    def test_missing_labels_that_differ(self, X, y):
        with pytest.raises((ValueError, TypeError), match="missing_label"):
            query("margin", X, y, clf=linear(missing_label=-1))

    @pytest.mark.parametrize("views", [{"a": slice(0, 5)}, {"a": slice(0, 7), "b": slice(5, 10)}, {"a": [0, 10]}])
    def test_views_that_are_no_partition(self, views, X, y):
        with pytest.raises(ValueError, match="each of the 10 columns of X once"):
            strategy("random", views=views).query(X, y)

    def test_unknown_names(self, X, y):
        with pytest.raises(ValueError, match=r"known: .*random"):
            strategy("nothing").query(X, y)
        with pytest.raises(TypeError, match="no such knob"):
            strategy("kcenter", knobs={"speed": 3}).query(X, y)

    def test_without_the_library_only_this_file_is_missing(self):
        code = "import sys; sys.modules['skactiveml'] = None; import modest.bench, modest.selection; print('there')"
        code += "; import modest.selection.skactiveml"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.stdout.strip() == "there"
        assert "pip install 'modest[bench]'" in done.stderr.splitlines()[-1]


class TestAgainstTheLibrary:
    """Where definitions agree, every pick of ours is among the library's best of that turn, at the same worth."""

    def replay(self, X, y, ours, theirs, worth, batch=8):
        """``worth`` leads our utility of a pick to theirs; they see our picks so far as labelled."""
        rows, utilities = ours.query(X, y, batch_size=batch, return_utilities=True)
        seen = y.copy()
        for turn, row in enumerate(rows):
            _, told = theirs().query(X, seen, return_utilities=True)
            assert told[0, row] == pytest.approx(np.nanmax(told[0]), abs=1e-5)
            assert worth(utilities[turn, row], told.shape[1] - np.isnan(told[0]).sum()) == pytest.approx(
                told[0, row], abs=1e-5
            )
            seen[row] = 0.0

    @pytest.fixture
    def units(self, X):
        return normalize(X)

    @pytest.mark.parametrize("labelled", [True, False])
    def test_maxherding(self, units, y, labelled):
        """Theirs is the mean over candidates alone, ours over all rows."""
        y = y if labelled else np.full(N, np.nan)
        ours = Strategy("maxherding", knobs={"bandwidth": 0.8})
        theirs = partial(library.MaxHerding, metric_dict={"gamma": 1 / 0.8**2}, random_state=0)
        self.replay(units, y, ours, theirs, lambda gain, free: gain * N / free)

    def test_coreset(self, units, y):
        self.replay(units, y, Strategy("kcenter"), partial(library.CoreSet, random_state=0), lambda d, _: d)

    @pytest.mark.parametrize("delta", [0.4, 0.8])
    def test_probcover(self, units, y, delta):
        """Up to full coverage: then the library draws, and we go on with a soft kernel."""
        theirs = partial(library.ProbCover, deltas=[delta], random_state=0)
        self.replay(units, y, Strategy("probcover", knobs={"delta": delta}), theirs, lambda gain, _: gain * N)

    def test_typiclust_on_clear_clusters(self):
        """One pick in each cluster, largest first; plain distances and 5 neighbours, as the library has them."""
        rng = np.random.default_rng(0)
        centres = np.eye(5)
        X = normalize(np.concatenate([c + 0.05 * rng.normal(size=(40 - 5 * k, 5)) for k, c in enumerate(centres)]))
        y = np.full(len(X), np.nan)
        rows = Strategy("typiclust", knobs={"distance": "plain", "neighbours": 5}, random_state=0).query(
            X, y, batch_size=5
        )
        theirs = library.TypiClust(k=5, random_state=0).query(X, y, batch_size=5)
        np.testing.assert_array_equal(rows, theirs)

    @pytest.mark.parametrize(("ours", "theirs"), [("entropy", "entropy"), ("margin", "margin_sampling")])
    def test_uncertainty(self, X, y, ours, theirs):
        rows, utilities = query(ours, X, y, batch_size=6, return_utilities=True)
        peer = library.UncertaintySampling(method=theirs, random_state=0)
        best, told = peer.query(X, y, clf=linear(), batch_size=6, return_utilities=True)
        np.testing.assert_array_equal(rows, best)
        difference = (utilities - told)[0][np.isnan(y)]
        np.testing.assert_allclose(difference, difference[0], atol=1e-7)  # margins differ by a constant

    def test_a_loop_written_for_the_library_runs_ours(self, X, truth):
        """The library's idiom: one call for all strategies, which passes on what a strategy takes."""
        for one in (library.RandomSampling(random_state=0), strategy("kcenter"), strategy("badge")):
            y = np.full(N, np.nan)
            y[:3] = truth[:3]
            for _ in range(3):
                rows = call_func(one.query, X=X, y=y, clf=linear(), batch_size=4, unheard_of=1)
                assert np.isnan(y[rows]).all()
                y[rows] = truth[rows]
            assert np.isfinite(y).sum() == 15

    def test_wrapped_by_the_library(self, X, y):
        wrapped = library.SubSamplingWrapper(strategy("kcenter"), max_candidates=20, random_state=0)
        rows, utilities = wrapped.query(X, y, batch_size=3, return_utilities=True)
        assert np.isnan(y[rows]).all()
        assert utilities.shape == (3, N)
