"""modest evaluate --what-if on a small pool: the table, the sentences, and whose rows they are."""

import json

import numpy as np
import pytest

import modest
from modest.evaluation import what_if
from modest.learning.shown import Shown
from tests.bench.sample import table


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pool of two modalities, some rows without audio, and a late classifier under its models/."""
    given = table(n=200)
    path = tmp_path_factory.mktemp("pools") / "pool"
    arrays = {name: np.array(array) for name, array in given.views.arrays.items()}
    arrays["audio"][~given.views.present[:, 1]] = np.nan
    pool = modest.ingest({**arrays, "label": given.labels, "split": given.split}, path)
    clf = modest.MultimodalClassifier(method="late", epochs=3, lr=0.01, hidden=(), width=6).fit(pool, validation=False)
    clf.save(path / "models" / "late")
    return pool, clf


def test_it_prints_what_the_function_finds(trained, shell):
    pool, clf = trained
    said = shell("evaluate", pool.path, "--model", "late", "--what-if", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)["what_if"]
    rows = np.flatnonzero(pool.split == "test")
    views = pool.views(rows=rows)
    numbers = np.searchsorted(clf.classes_, pool.labels[rows].astype(str))
    assert set(views.names) == set(clf.names_)
    expected = what_if(clf.predict_proba, views, numbers)
    assert told["split"] == "test"
    assert told["rows"] == len(rows)
    for own, one in zip(told["patterns"], expected.patterns):
        assert (own["shown"], own["rows"]) == (list(one.shown), one.rows)
        assert own["accuracy"] == pytest.approx(one.accuracy)
    for own, one in zip(told["worth"], expected.worth):
        assert own["drop"]["mean"] == pytest.approx(one.drop.mean)
        assert own["value"]["high"] == pytest.approx(one.value.high)
    assert told["sentences"] == list(expected.sentences())
    kept = json.loads((pool.path / "models/late/metrics.json").read_text())["evaluation"]["test"]
    assert kept["what_if"] == told


def test_the_text_says_which_rows_they_are(trained, shell):
    pool, _ = trained
    said = shell("evaluate", pool.path, "--model", "late", "--what-if").out
    assert "What if these were all there is" in said
    assert "If one has to go" in said
    assert f"the {(pool.split == 'test').sum()} labelled test rows, which did not train the model." in said


def test_training_rows_are_refused(trained, shell):
    said = shell("evaluate", trained[0].path, "--model", "late", "--what-if", "--split", "train")
    assert said.code == 2
    assert said.err.startswith("modest: --what-if needs rows that did not train the model")


def test_one_modality_is_refused(trained, shell):
    pool, _ = trained
    alone = modest.MultimodalClassifier(method="late", epochs=1, hidden=(), encoders={pool.names[0]: "mlp"})
    alone.fit(pool, validation=False).save(pool.path / "models" / "alone")
    said = shell("evaluate", pool.path, "--model", "alone", "--what-if")
    assert said.code == 2
    assert "compares modalities" in said.err


def test_shown_rows_are_predicted_as_if_they_had_nothing_else(trained):
    pool, clf = trained
    rows = np.flatnonzero(pool.split == "test")
    shown = Shown(clf.trained_, pool, rows)
    assert (shown.rows == rows).all()
    assert (shown.present == pool.present[rows]).all()
    at = np.flatnonzero(shown.present.all(axis=1))
    for m, name in enumerate(clf.names_):
        own = shown.proba(at, np.arange(2) == m)
        views = pool.views([name], rows=rows[at])
        assert own == pytest.approx(clf.predict_proba(views))
        assert own == pytest.approx(clf.modality_proba(pool)[m, rows[at]])
    assert shown.proba(at, np.ones(2, dtype=bool)) == pytest.approx(clf.outputs(pool, rows[at]).proba)


def test_pictures_that_cannot_be_read_are_absent(pictures):
    pool = modest.open(pictures)
    small = {"image": {"name": "resnet18", "width": 0.05, "size": 16}}
    clf = modest.MultimodalClassifier(method="late", epochs=1, encoders=small, width=8).fit(pool, validation=False)
    shown = Shown(clf.trained_, pool, np.arange(len(pool)))
    assert 3 not in shown.rows
    assert len(shown.rows) == len(pool) - 1
    assert shown.present.all()
    with pytest.raises(ValueError, match="can be read"):
        Shown(clf.trained_, pool, np.array([3]))
