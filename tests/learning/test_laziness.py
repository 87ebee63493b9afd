"""Laziness: an encoder beside the same one trained alone, by its definition, on provoked cases, on a pool."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import modest
from modest import MultimodalClassifier, Views
from modest.evaluation import Difference, compare_rows
from modest.learning import METHODS
from modest.learning.laziness import Laziness, laziness, trained_alone, verdict
from modest.representation import Objective, pretrain
from modest.training import Plan

SETTINGS = {"epochs": 8, "lr": 0.02, "hidden": (), "width": 6}


def table(n=240, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    present = np.ones((n, 2), dtype=bool)
    present[rng.random(n) < 0.2, 1] = False
    arrays = {"a": 2 * np.eye(3)[y] + rng.normal(size=(n, 3)), "b": 2 * np.eye(3, 4)[y] + rng.normal(size=(n, 4))}
    return Views(arrays, present), np.array(list("xyz"))[y]


def halves():
    views, y = table()
    train, test = np.arange(240) % 2 == 0, np.arange(240) % 2 == 1
    return (views[train], y[train]), (views[test], y[test])


def lamed(clf, m):
    """A classifier whose encoder m says next to nothing of its input."""
    with torch.no_grad():
        layer = clf.recipe_.towers.encoders[m].layers[0]
        layer.weight.copy_(torch.zeros_like(layer.weight))
        layer.weight[0, -1] = 1.0  # one feature that tells no class apart
    return clf


def probe(clf, train, test, name):
    """Which test rows a logistic regression on standardised features gets right, written out."""
    parts = []
    for X, y in (train, test):
        at = np.ones(len(X), bool) if X.present is None else X.present[:, X.names.index(name)]
        parts.append((clf.arrays(X, ["features"])["features"][name][at].astype(np.float64), y[at]))
    (x, y), (other, truth) = parts
    mean, spread = x.mean(axis=0), x.std(axis=0)
    model = LogisticRegression(max_iter=1000).fit((x - mean) / spread, y)
    return model.predict((other - mean) / spread) == truth


def test_it_is_its_definition():
    train, test = halves()
    clf = MultimodalClassifier(method="concat", **SETTINGS).fit(*train)
    found = laziness(clf, train, test)
    assert list(found) == ["a", "b"]
    for m, name in enumerate("ab"):
        (here, y), (there, truth) = (
            (Views({name: X.arrays[name]}, None, X.ids)[X.present[:, m]], labels[X.present[:, m]])
            for X, labels in (train, test)
        )
        alone = MultimodalClassifier(method="late", **SETTINGS).fit(here, y)
        right = alone.predict(there) == truth
        at = test[0].present[:, m]
        said = clf.classes_[clf.modality_proba(test[0])[m, at].argmax(axis=1)] == truth
        joint = probe(clf, train, test, name)
        apart = probe(alone, (here, y), (there, truth), name)
        one = found[name]
        assert one.rows == at.sum() == len(truth)
        assert (one.alone, one.joint) == (right.mean(), said.mean())
        assert (one.alone_probe, one.joint_probe) == (apart.mean(), joint.mean())
        assert one.encoder == compare_rows(apart, joint)
        assert one.said == compare_rows(right, said)


def test_a_lamed_encoder_is_found_and_only_that():
    train, test = halves()
    for m, name in enumerate("ab"):
        clf = lamed(MultimodalClassifier(method="late", **SETTINGS).fit(*train), m)
        found = laziness(clf, train, test)
        assert {other for other, one in found.items() if one.lazy} == {name}
        assert found[name].encoder.mean > 0.2
        assert verdict(found, "late").startswith(f"Under late {name} is lazy, its encoder is")


def test_a_weak_modality_is_not_lazy():
    (X, y), (Z, t) = halves()
    noise = np.random.default_rng(5).normal(size=(len(y) + len(t), 4))
    train = Views({"a": X.arrays["a"], "b": noise[: len(y)]}), y
    test = Views({"a": Z.arrays["a"], "b": noise[len(y) :]}), t
    found = laziness(MultimodalClassifier(method="late", **SETTINGS).fit(*train), train, test)
    assert found["b"].alone_probe < 0.5
    assert not found["b"].lazy


def test_what_stands_in_absent_rows_does_not_matter():
    train, test = halves()
    clf = MultimodalClassifier(method="mla", options={"project": False}, **SETTINGS).fit(*train)
    filled = []
    for X, y in (train, test):
        arrays = {name: np.where(X.present[:, [m]], x, 1e3) for m, (name, x) in enumerate(X.arrays.items())}
        filled.append((Views(arrays, X.present, X.ids), y))
    assert laziness(clf, *filled) == laziness(clf, train, test)


def test_trainings_may_be_handed_over(monkeypatch):
    train, test = halves()
    clf = MultimodalClassifier(method="concat", **SETTINGS).fit(*train)
    alone = trained_alone(clf, train)
    assert [one.names_ for one in alone.values()] == [("a",), ("b",)]
    assert {one.method for one in alone.values()} == {"late"}
    expected = laziness(clf, train, test)
    monkeypatch.setattr(MultimodalClassifier, "fit", None)
    assert laziness(clf, train, test, alone) == expected


def test_a_pool_says_what_its_views_say(tmp_path):
    views, y = table()
    arrays = {name: np.where(views.present[:, [m]], x, np.nan) for m, (name, x) in enumerate(views.arrays.items())}
    split = np.where(np.arange(240) % 4 == 1, "test", "train")
    pool = modest.ingest({**arrays, "label": y, "split": split, "id": views.ids}, tmp_path / "pool")
    clf = MultimodalClassifier(method="concat", **SETTINGS).fit(pool)
    clf.save(tmp_path / "model")
    train, test = ((pool.views(rows=split == part), pool.labels[split == part]) for part in ("train", "test"))
    expected = laziness(clf, train, test)
    assert laziness(clf, pool) == laziness(modest.load(tmp_path / "model"), pool, "test") == expected
    assert expected["b"].rows < 60
    modest.ingest({**arrays, "c": arrays["a"], "label": y, "split": split, "id": views.ids}, tmp_path / "larger")
    assert laziness(clf, modest.open(tmp_path / "larger")) == expected  # a view it does not know takes no part
    with pytest.raises(ValueError, match="no labelled rows of split 'val'"):
        laziness(clf, pool, "val")


def test_raw_encoders_are_trained_alone_too(tmp_path):
    rng = np.random.default_rng(0)
    texts = [f"{('red', 'green')[k % 2]} thing {k}" for k in range(24)]
    given = {"text": texts, "x": rng.normal(size=(24, 3)) + (np.arange(24) % 2)[:, None]}
    split = np.where(np.arange(24) % 4 < 2, "train", "test")
    pool = modest.ingest({**given, "label": np.arange(24) % 2, "split": split}, tmp_path / "pool")
    bert = {"name": "bert", "layers": 1, "hidden": 8, "heads": 2, "length": 6}
    settings = {"epochs": 1, "width": 4, "hidden": (), "rates": {"text": 1e-3, "x": 0.1, "projectors": 0.01}}
    clf = MultimodalClassifier(method="late", encoders={"text": bert, "x": "mlp"}, **settings).fit(pool)
    alone = trained_alone(clf, pool)
    assert alone["text"].rates == {"text": 1e-3, "projectors": 0.01}
    assert alone["x"].rates == {"x": 0.1}
    assert laziness(clf, pool, alone=alone)["text"].rows == 12


def test_pretrained_encoders_are_started_from_alone_too(tmp_path):
    train, test = halves()
    train = Views(train[0].arrays), train[1]
    start = pretrain(train[0], objective=Objective(4), plan=Plan(epochs=1), batch_size=32, width=6).result
    settings = {"epochs": 1, "lr": 1e-30, "standardise": False}
    clf = MultimodalClassifier(method="concat", encoders=start, **settings).fit(*train)
    found = laziness(clf, train, (Views(test[0].arrays), test[1]))
    for m, (name, one) in enumerate(trained_alone(clf, train).items()):  # nothing moves, so alone is as together
        alone, together = one.recipe_.towers.encoders[0], clf.recipe_.towers.encoders[m]
        for a, b in zip(alone.parameters(), together.parameters()):
            torch.testing.assert_close(a, b)
        assert found[name].alone_probe == found[name].joint_probe
    start.save(tmp_path)
    clf.set_params(encoders=tmp_path)
    assert laziness(clf, train, (Views(test[0].arrays), test[1])) == found


def lost(points, low, high):
    return Difference(points / 100, low / 100, high / 100, False)


NOTHING = lost(0, -1, 1)


def made(encoder, said=NOTHING):
    return Laziness(50, 0.8, 0.7, 0.8, 0.7, encoder, said)


@pytest.mark.parametrize(
    ("difference", "clear"),
    [
        (lost(10, 5, 15), True),
        (lost(1.1, 0.1, 2), True),
        (lost(1, 0.5, 1.5), False),
        (lost(10, -1, 21), False),
        (lost(10, 0, 20), False),
        (lost(-10, -20, -5), False),
    ],
)
def test_lost_is_more_than_a_point_beyond_doubt(difference, clear):
    assert made(difference).lazy == clear
    assert made(difference, said=difference).unheard is False
    assert made(NOTHING, said=difference).unheard == clear
    assert made(NOTHING, said=difference).lazy is False


def test_the_verdict_is_one_sentence():
    sound = made(lost(2, -1, 5))
    assert verdict({"image": made(lost(-1, -3, 1)), "text": sound}, "concat") == (
        "No modality is shown to be lazy under concat (points lost by the encoder: image -1.0 [-3.0, 1.0]; "
        "text 2.0 [-1.0, 5.0]): no mend is due."
    )
    some = verdict({"image": made(lost(12, 8, 16)), "text": sound}, "mla")
    words, _, tried = some.rpartition(": try ")
    assert words == "Under mla image is lazy, its encoder is 12.0 [8.0, 16.0] points worse than trained alone"
    names = [told.removeprefix("--method ") for told in tried.rstrip(".").split(" or ")]
    assert "late" in names
    assert "mla" not in names
    assert set(names) <= set(METHODS)
    both = verdict({"image": made(lost(12, 8, 16)), "text": made(NOTHING, lost(30, 20, 40))}, "concat")
    assert "image is lazy" in both
    assert "; text is unheard, its encoder is sound but its own word is 30.0 [20.0, 40.0] points worse" in both


def test_beside_a_loud_modality_a_quiet_one_turns_lazy_under_a_joint_head():
    rng = np.random.default_rng(0)
    y = np.arange(1000) % 4
    loud, quiet = 6 * np.eye(4)[y] + rng.normal(size=(1000, 4)), 2 * np.eye(4, 30)[y] + rng.normal(size=(1000, 30))
    train, test = (({"loud": loud[at], "quiet": quiet[at]}, y[at]) for at in (slice(0, 500), slice(500, None)))
    clf = MultimodalClassifier(method="concat", epochs=10, lr=0.01, hidden=(16,), width=4).fit(*train)
    found = laziness(clf, train, test)
    assert found["quiet"].lazy
    assert not found["loud"].lazy
    assert verdict(found, "concat").startswith("Under concat quiet is lazy")


def test_bad_input_is_one_sentence():
    train, test = halves()
    clf = MultimodalClassifier(method="late", **SETTINGS).fit(*train)
    with pytest.raises(ValueError, match="test='test' names a split, and train is no Pool"):
        laziness(clf, train)
    nowhere = Views(test[0].arrays, np.stack([np.ones(120, bool), np.zeros(120, bool)], axis=1))
    with pytest.raises(ValueError, match="test has no labelled row with b"):
        laziness(clf, train, (nowhere, test[1]))
    with pytest.raises(ValueError, match="one label per row"):
        laziness(clf, train, (test[0], test[1][:-1]))
