"""The scikit-learn coat: inputs, absence, validation, saving, errors."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score

import modest
from modest import MultimodalClassifier, Views
from modest.learning import METHODS

FAST = {"epochs": 12, "width": 16, "lr": 0.01}


def table(n=90, seed=0):
    """Three classes; modality a tells them apart, b tells only class 0 from the rest."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    a = np.eye(3)[y] * 4 + rng.normal(size=(n, 3))
    b = np.c_[(y == 0) * 4.0, np.zeros(n)] + rng.normal(size=(n, 2))
    return {"a": a, "b": b}, y


def fitted(method="mla", y_kind=int, **more):
    X, y = table()
    return MultimodalClassifier(method=method, **{**FAST, **more}).fit(X, y.astype(y_kind)), X, y.astype(y_kind)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("y_kind", [int, str])
def test_shapes_and_sense(method, y_kind):
    clf, X, y = fitted(method, y_kind)
    other, truth = table(seed=1)
    proba, weights, own = clf.predict_proba(other), clf.fusion_weights(other), clf.modality_proba(other)
    assert (proba.shape, weights.shape, own.shape) == ((90, 3), (90, 2), (2, 90, 3))
    assert proba.dtype == weights.dtype == own.dtype == np.float64
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_allclose(own.sum(axis=2), 1)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert clf.classes_.tolist() == sorted(set(y.tolist()))
    assert np.array_equal(clf.predict(other), clf.classes_[proba.argmax(axis=1)])
    truth = truth.astype(y_kind)
    assert clf.score(other, truth) == (clf.predict(other) == truth).mean() > 0.8
    kept = {name: x.copy() for name, x in X.items()}
    clf.fit(X, y).predict(X)
    assert all(np.array_equal(kept[name], X[name]) for name in X)


@pytest.mark.parametrize("method", METHODS)
def test_absent_modalities_at_training_and_prediction(method):
    X, y = table()
    present = modest.data.missing_mask(90, 2, 0.4, 0)
    by_mask = Views(X, present)
    by_nan = {name: np.where(present[:, j, None], x, np.nan) for j, (name, x) in enumerate(X.items())}
    clf = MultimodalClassifier(method=method, **FAST).fit(by_mask, y)
    again = MultimodalClassifier(method=method, **FAST).fit(by_nan, y)
    assert np.array_equal(clf.predict_proba(by_mask), again.predict_proba(by_nan))
    assert (clf.fusion_weights(by_nan)[~present] == 0).all()
    own = clf.modality_proba(by_nan)
    assert np.array_equal(np.isnan(own).any(axis=2), ~present.T)
    # a modality left out of the mapping is absent in every row
    only = clf.predict_proba({"a": X["a"]})
    np.testing.assert_allclose(only, clf.predict_proba({"b": np.full((90, 2), np.nan), "a": X["a"]}))
    assert (clf.fusion_weights({"a": X["a"]}) == [1, 0]).all()


@pytest.mark.parametrize("fill", ["zero", "mean"])
@pytest.mark.parametrize("method", METHODS)
def test_filled_inputs_are_what_a_filled_table_gives(method, fill):
    X, y = table()
    holes = {**X, "b": X["b"].copy()}
    holes["b"][::3] = np.nan
    stand_in = 0 if fill == "zero" else np.nanmean(holes["b"], axis=0)
    filled = {**X, "b": np.where(np.isnan(holes["b"]), stand_in, holes["b"])}
    clf = MultimodalClassifier(method=method, fill=fill, standardise=fill == "mean", **FAST).fit(holes, y, False)
    np.testing.assert_allclose(clf.predict_proba(holes), clf.predict_proba(filled), atol=1e-5)
    if fill == "zero":  # nothing is standardised here, so training on the filled table is the same training
        same = clone(clf).fit(filled, y, False)
        np.testing.assert_allclose(clf.predict_proba(holes), same.predict_proba(filled), atol=1e-6)
    assert (clf.fusion_weights(holes) > 0).all()


def test_modality_dropout_is_seeded_and_matters():
    a, X, _ = fitted(modality_dropout=0.5)
    b, _, _ = fitted(modality_dropout=0.5)
    c, _, _ = fitted()
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))
    assert not np.array_equal(a.predict_proba(X), c.predict_proba(X))


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_answer_whatever_the_global_state(method):
    torch.manual_seed(1)
    a, X, _ = fitted(method)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    state = torch.random.get_rng_state()
    b, _, _ = fitted(method)
    assert torch.equal(state, torch.random.get_rng_state())
    assert np.array_equal(a.predict_proba(X), b.predict_proba(X))
    assert not np.array_equal(a.predict_proba(X), fitted(method, random_state=1)[0].predict_proba(X))


def test_the_projection_fires_through_the_classifier():
    on, _, _ = fitted()
    off, _, _ = fitted(options={"project": False})
    recipe = on.recipe_
    steps = sum("turn" in r.values for r in MultimodalClassifier(**FAST).run(*table()))
    assert recipe.projector.updates == steps - 1 > 20
    assert off.recipe_.projector.updates == 0
    assert not torch.equal(recipe.head.weight, off.recipe_.head.weight)


def test_scikit_learn_manners():
    clf, X, y = fitted(options={"alpha": 0.3}, hidden=(8,))
    copy = clone(clf)
    assert copy.get_params() == clf.get_params()
    assert not hasattr(copy, "recipe_")
    assert copy.set_params(lr=0.5).lr == 0.5
    with pytest.raises(TypeError):
        MultimodalClassifier("mla")
    with pytest.raises(NotFittedError):
        copy.predict(X)
    flat = np.hstack(list(X.values()))
    assert cross_val_score(MultimodalClassifier(**FAST), flat, y, cv=3).min() > 0.7


def test_every_kind_of_input_gives_the_same_model():
    X, y = table()
    flat = np.hstack(list(X.values()))
    two = pd.DataFrame(flat, columns=pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]))
    cells = pd.DataFrame({"a": list(X["a"]), "b": list(X["b"])})
    expected = MultimodalClassifier(**FAST).fit(X, y).predict_proba(X)
    for other in (Views(X), two, cells, {k: torch.from_numpy(x) for k, x in X.items()}):
        assert np.array_equal(MultimodalClassifier(**FAST).fit(other, y.tolist()).predict_proba(other), expected)
    holes = cells.copy()
    holes.at[4, "b"] = None
    assert MultimodalClassifier(**FAST).fit(holes, y).fusion_weights(holes)[4].tolist() == [1, 0]
    single = MultimodalClassifier(**FAST).fit(flat, y)
    assert single.names_ == ("x",)
    assert np.array_equal(single.predict(flat), single.predict(pd.DataFrame(flat)))


def test_order_of_modalities_does_not_matter_at_prediction():
    clf, X, _ = fitted()
    assert np.array_equal(clf.predict_proba(X), clf.predict_proba({"b": X["b"], "a": X["a"]}))


def test_validation_chooses_the_best_epoch():
    X, y = table()
    clf = MultimodalClassifier(**FAST).fit(X, y, validation=0.3)
    told = [r.values["validation"] for r in clf.history_]
    ranks = [(v["accuracy"], -v["loss"]) for v in told]
    assert len(ranks) == 12
    best = [r.values["best"] for r in clf.history_]
    assert best == [all(rank > earlier for earlier in ranks[:e]) for e, rank in enumerate(ranks)]
    mask = np.arange(90) % 5 == 0
    other = {k: x[mask] for k, x in X.items()}
    clf = MultimodalClassifier(**FAST).fit(X, y, validation=mask)
    assert max(r.values["validation"]["accuracy"] for r in clf.history_) == clf.score(other, y[mask])
    rest = {k: x[~mask] for k, x in X.items()}
    pair = MultimodalClassifier(**FAST).fit(rest, y[~mask], validation=(other, y[mask]))
    np.testing.assert_allclose(pair.predict_proba(X), clf.predict_proba(X), atol=1e-6)


def test_validation_rule_by_rows_per_class():
    X, y = table(59)
    assert "validation" not in MultimodalClassifier(**FAST).fit(X, y).history_[0].values
    X, y = table(60)
    assert "validation" in MultimodalClassifier(**FAST).fit(X, y).history_[0].values
    assert "validation" not in MultimodalClassifier(**FAST).fit(X, y, validation=False).history_[0].values


def test_unseen_classes_count_as_wrong():
    clf, X, y = fitted()
    assert clf.score(X, np.full(90, 99)) == 0
    unseen = clone(clf).fit(X, y, validation=({k: x[:10] for k, x in X.items()}, np.full(10, 99)))
    assert unseen.history_[0].values["validation"]["accuracy"] == 0


def test_records_and_dynamics():
    X, y = table()
    run = MultimodalClassifier(**FAST).run(Views(X, np.arange(180).reshape(90, 2) % 5 != 0), y, track_items=True)
    first = next(run)
    assert (first.stage, first.epoch, first.step) == ("mla", 0, 1)
    clf = run.result
    k = len(clf.dynamics.rows)
    assert clf.dynamics.confidence.shape == clf.dynamics.correct.shape == (12, k)
    assert clf.dynamics.modality.shape == (12, 2, k)
    assert np.isnan(clf.dynamics.modality).any()
    calls = []
    MultimodalClassifier(**FAST).fit(X, y, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(e + 1, 12) for e in range(12)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("y_kind", [int, str])
def test_save_and_load_are_equal_to_the_bit(tmp_path, method, y_kind):
    options = {"alpha": lambda share: 0.1} if method == "mla" else None
    clf, X, _ = fitted(method, y_kind, hidden=(8,), options=options)
    clf.save(tmp_path / "m")
    again = modest.load(tmp_path / "m")
    holes = {"a": X["a"], "b": np.where(np.arange(90)[:, None] % 3 == 0, np.nan, X["b"])}
    for call in ("predict_proba", "modality_proba", "fusion_weights", "predict"):
        assert np.array_equal(
            getattr(clf, call)(holes), getattr(again, call)(holes), equal_nan=call == "modality_proba"
        )
    assert again.classes_.dtype == clf.classes_.dtype
    assert again.names_ == clf.names_
    assert again.get_params()["hidden"] == (8,)
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_load_refuses_other_kinds_and_newer_formats(tmp_path):
    clf, _, _ = fitted()
    clf.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for change, message in (({"kind": "encoder"}, "kind 'encoder', unknown"), ({"format": 3}, "format 3, newer")):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(ValueError, match=message):
            modest.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="holds no config"):
        modest.load(tmp_path / "nowhere")
    with pytest.raises(NotFittedError):
        MultimodalClassifier().save(tmp_path)


def broken(**arrays):
    X, y = table(12)
    return {**X, **arrays}, y


HOLE = table(12)[0]["b"].copy()
HOLE[7, 1] = np.inf
EMPTY = {k: np.where(np.arange(12)[:, None] == 5, np.nan, x) for k, x in table(12)[0].items()}


@pytest.mark.parametrize(
    ("X", "y", "params", "message"),
    [
        (broken(b=HOLE)[0], None, {}, r"X\['b'\] row 7 .*NaN or inf"),
        (EMPTY, None, {}, "X row 5 .*no modality at all"),
        (None, np.zeros(12), {}, "1 class"),
        (None, np.arange(11), {}, r"y has shape \(11,\)"),
        (None, np.array([None, *range(11)], dtype=object), {}, "y row 0 has no label"),
        (None, np.array([np.nan, *range(11)]), {}, "y row 0 has no label"),
        (None, None, {"method": "nonsense"}, "method='nonsense' is unknown; known: mla, concat, late"),
        (None, None, {"options": {"nonsense": 1}}, "options key='nonsense'"),
        (None, None, {"fill": "nonsense"}, "fill='nonsense'"),
        (None, None, {"epochs": 0}, "epochs=0"),
        (None, None, {"batch_size": 0}, "batch_size"),
        (None, None, {"modality_dropout": 2}, "modality_dropout=2"),
        (None, None, {"device": "nonsense"}, "device='nonsense'"),
    ],
)
def test_bad_input_is_one_sentence(X, y, params, message):
    good, labels = table(12)
    with pytest.raises(ValueError, match=message):
        MultimodalClassifier(**params).run(good if X is None else X, labels if y is None else y)


def test_bad_prediction_input_is_one_sentence():
    clf, X, _ = fitted()
    with pytest.raises(ValueError, match="modality 'c', unknown in training; known: a, b"):
        clf.predict({"c": X["a"]})
    with pytest.raises(ValueError, match=r"X\['a'\] has 2 features, in training 3"):
        clf.predict({"a": X["b"]})
    with pytest.raises(ValueError, match=r"row 5 .*no modality at all"):
        clf.predict(EMPTY)
    with pytest.raises(ValueError, match="y is missing"):
        clf.fit(X)
    with pytest.raises(ValueError, match="marks every row"):
        clf.fit(X, np.arange(90) % 3, validation=np.ones(90, bool))
    with pytest.raises(ValueError, match="validation is"):
        clf.fit(X, np.arange(90) % 3, validation=np.ones(9, bool))
    with pytest.raises(TypeError, match="random_state"):
        MultimodalClassifier(random_state=None).fit(X, np.arange(90) % 3)
