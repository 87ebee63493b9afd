"""The arrays a trained classifier hands to selection: against its predictions, and against heads by hand."""

import numpy as np
import pytest
import torch

import modest
from modest import MultimodalClassifier, Views
from modest.learning.warm import NEEDS
from modest.selection import METHODS

rng = np.random.default_rng(0)
N, CLASSES = 60, ["bee", "cat", "dog"]
Y = rng.integers(3, size=N)
X = {
    "image": (rng.normal(size=(3, 4))[Y] + 0.7 * rng.normal(size=(N, 4))).astype(np.float32),
    "text": (rng.normal(size=(3, 6))[Y] + 0.7 * rng.normal(size=(N, 6))).astype(np.float32),
}
PRESENT = rng.random((N, 2)) < 0.7
PRESENT[~PRESENT.any(axis=1), 0] = True
VIEWS = Views(X, present=PRESENT)


def trained(method="concat", **knobs):
    clf = MultimodalClassifier(method=method, epochs=4, hidden=(8,), width=5, random_state=1, **knobs)
    return clf.fit(VIEWS, np.array(CLASSES)[Y], validation=False)


@pytest.fixture(scope="module")
def clf():
    return trained()


def softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_exactly_what_is_needed_in_that_order(clf):
    assert list(clf.arrays(VIEWS, NEEDS, y=[None] * N)) == list(NEEDS)
    assert list(clf.arrays(VIEWS, ("labels", "proba"), y=[None] * N)) == ["labels", "proba"]
    assert list(clf.arrays(VIEWS, "proba")) == ["proba"]
    assert clf.arrays(VIEWS, ()) == {}


def test_probabilities_are_the_predictions(clf):
    expected = clf.predict_proba(VIEWS)
    np.testing.assert_allclose(clf.arrays(VIEWS, ["proba"])["proba"], expected, atol=1e-12)
    together = clf.arrays(VIEWS, ["proba", "features"])["proba"]  # the head on the features of the same pass
    np.testing.assert_allclose(together, expected, atol=1e-6)
    assert together.dtype == np.float64


def test_features_are_the_towers_and_zero_where_absent(clf):
    features = clf.arrays(VIEWS, ["features"])["features"]
    assert list(features) == ["image", "text"]
    state = {name: value.numpy() for name, value in clf.recipe_.net.state_dict().items()}
    for m, name in enumerate(features):
        tower = f"towers.encoders.{m}"
        x = (X[name] - state[f"{tower}.shift"]) / state[f"{tower}.scale"]
        lower, upper = sorted({int(k.split(".")[4]) for k in state if k.startswith(f"{tower}.layers.")})
        x = x @ state[f"{tower}.layers.{lower}.weight"].T + state[f"{tower}.layers.{lower}.bias"]
        x = np.maximum(x, 0) @ state[f"{tower}.layers.{upper}.weight"].T + state[f"{tower}.layers.{upper}.bias"]
        np.testing.assert_allclose(features[name], np.where(PRESENT[:, [m]], x, 0.0), atol=1e-5)
        assert features[name].shape == (N, 5)
        assert (features[name][~PRESENT[:, m]] == 0).all()


def test_coalitions_zero_the_features_of_who_is_not_in_them(clf):
    made = clf.arrays(VIEWS, ["coalition_proba", "features"])
    weight, bias = clf.recipe_.head.weight.detach().numpy(), clf.recipe_.head.bias.detach().numpy()
    for members in range(4):
        blocks = [f if members >> m & 1 else 0 * f for m, f in enumerate(made["features"].values())]
        expected = softmax((np.hstack(blocks) @ weight.T + bias).astype(np.float64))
        np.testing.assert_allclose(made["coalition_proba"][members], expected, atol=1e-6)
    np.testing.assert_allclose(made["coalition_proba"][3], clf.predict_proba(VIEWS), atol=1e-6)
    only_image = Views({"image": X["image"]}, present=PRESENT[:, :1])[np.flatnonzero(PRESENT[:, 0])]
    alone = made["coalition_proba"][1][PRESENT[:, 0]]
    np.testing.assert_allclose(alone, clf.predict_proba(only_image), atol=1e-6)


def test_the_head_is_a_differentiable_function_of_the_features(clf):
    made = clf.arrays(VIEWS, ["head", "features"])
    z = {name: torch.as_tensor(f).double().requires_grad_() for name, f in made["features"].items()}
    logits = made["head"](z)
    np.testing.assert_allclose(softmax(logits.detach().numpy()), clf.predict_proba(VIEWS), atol=1e-6)
    gradient = torch.autograd.grad(logits[:, 1].sum(), list(z.values()))
    weight = clf.recipe_.head.weight.detach().numpy()
    np.testing.assert_allclose(gradient[1], np.tile(weight[1, 5:], (N, 1)), atol=1e-7)
    still = made["head"]({name: f.detach() for name, f in z.items()})
    assert not still.requires_grad  # the weights are constants
    shuffled = made["head"]({"text": z["text"], "image": z["image"]})  # by name, not by order
    np.testing.assert_array_equal(shuffled.detach(), logits.detach())


@pytest.mark.parametrize(
    ("y", "expected"),
    [(["dog", None, "bee", "owl", np.nan, ""], [2, -1, 0, -1, -1, -1]), (np.array(["cat"] * 6), [1] * 6)],
)
def test_labels_are_places_among_the_classes(clf, y, expected):
    found = clf.arrays(VIEWS[np.arange(6)], ["labels"], y=y)["labels"]
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_labels_of_a_classifier_of_numbers():
    some = MultimodalClassifier(method="concat", epochs=1, hidden=()).fit(VIEWS, Y * 10, validation=False)
    y = np.where(np.arange(N) < 5, Y * 10, -1)
    np.testing.assert_array_equal(some.arrays(VIEWS, ["labels"], y=y)["labels"], np.where(np.arange(N) < 5, Y, -1))


def test_rows_in_their_order(clf):
    rows = np.array([30, 2, 57])
    every = clf.arrays(VIEWS, ["proba", "features", "coalition_proba", "labels"], y=np.array(CLASSES)[Y])
    some = clf.arrays(VIEWS, ["proba", "features", "coalition_proba", "labels"], rows, np.array(CLASSES)[Y])
    np.testing.assert_allclose(some["proba"], every["proba"][rows], atol=1e-7)
    np.testing.assert_allclose(some["features"]["text"], every["features"]["text"][rows], atol=1e-6)
    np.testing.assert_allclose(some["coalition_proba"], every["coalition_proba"][:, rows], atol=1e-6)
    np.testing.assert_array_equal(some["labels"], every["labels"][rows])


def test_batches_are_joined_in_order(clf, monkeypatch):
    needs = ["proba", "features", "coalition_proba"]
    whole = clf.arrays(VIEWS, needs)
    monkeypatch.setattr("modest.learning.warm.rows_at_once", lambda table: 7)
    parts = clf.arrays(VIEWS, needs)
    np.testing.assert_allclose(parts["proba"], whole["proba"], atol=1e-6)
    np.testing.assert_allclose(parts["features"]["image"], whole["features"]["image"], atol=1e-6)
    np.testing.assert_allclose(parts["coalition_proba"], whole["coalition_proba"], atol=1e-6)


def test_a_modality_the_table_does_not_have_is_absent(clf):
    there = Views({"image": X["image"]})
    made = clf.arrays(there, ["features", "proba"])
    assert (made["features"]["text"] == 0).all()
    choice = modest.select(there, 4, "badge", **made)
    assert len(set(choice.rows)) == 4


@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if method.needs])
def test_every_warm_strategy_takes_them(clf, method):
    y = np.array(CLASSES, dtype=object)[Y]
    y[12:] = None
    taken = np.arange(N) < 12
    entry = METHODS[method]
    made = clf.arrays(VIEWS, (*entry.needs, *entry.uses), y=y)
    choice = modest.select(VIEWS, 6, method, taken=taken, **made)
    assert len(set(choice.rows)) == 6
    assert not taken[choice.rows].any()


@pytest.mark.parametrize("method", ["late", "mla"])
def test_other_recipes_give_what_makes_sense_of_them(method):
    other = trained(method)
    made = other.arrays(VIEWS, ["proba", "features"])
    np.testing.assert_allclose(made["proba"], other.predict_proba(VIEWS), atol=1e-12)
    assert made["features"]["text"].shape == (N, 5)
    for name in ("head", "coalition_proba"):
        with pytest.raises(ValueError, match=f"{name} must come from .* this one is '{method}'.*method='concat'"):
            other.arrays(VIEWS, [name])


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_filled_in_modalities_are_refused_where_they_would_not_be_zero(fill):
    other = trained(fill=fill)
    np.testing.assert_allclose(other.arrays(VIEWS, ["proba"])["proba"], other.predict_proba(VIEWS), atol=1e-12)
    for name in ("features", "head", "coalition_proba"):
        with pytest.raises(ValueError, match=f"with fill='{fill}' an absent modality has features"):
            other.arrays(VIEWS, [name])


def test_refusals(clf):
    with pytest.raises(ValueError, match="needs='gradient' is unknown"):
        clf.arrays(VIEWS, ["gradient"])
    with pytest.raises(ValueError, match="labels are needed, and X is no Pool"):
        clf.arrays(VIEWS, ["labels"])
    with pytest.raises(ValueError, match=r"y has shape \(3,\)"):
        clf.arrays(VIEWS, ["labels"], y=[0, 1, 2])
    with pytest.raises(ValueError, match="rows holds 60"):
        clf.arrays(VIEWS, ["proba"], rows=[60])
    nothing = PRESENT.copy()
    nothing[3] = False
    with pytest.raises(ValueError, match=r"row 3 .*has no modality"):
        clf.arrays(Views(X, present=nothing), ["features"])
    with pytest.raises(Exception, match="not trained yet"):
        MultimodalClassifier().arrays(VIEWS, ["proba"])
    six = {f"m{k}": np.eye(6) for k in range(6)}
    many = MultimodalClassifier(method="concat", epochs=1, hidden=(), width=2).fit(six, [0, 1] * 3, validation=False)
    with pytest.raises(ValueError, match="coalition_proba of 6 modalities has 64 coalitions"):
        many.arrays(six, ["coalition_proba"])
