"""modest evaluate on a small pool: calibration, other fusions, laziness and the gap of the features."""

import json

import numpy as np
import pytest

import modest
from modest.data.history import read_history
from modest.evaluation import accuracy, calibration
from modest.learning.analyses import encoded, feature_gaps, fuse_proba, untrained
from modest.learning.laziness import laziness, verdict
from modest.representation import Objective, pretrain
from modest.training import Plan
from tests.bench.sample import table


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pool of two modalities, some rows without audio, and a late classifier under its models/."""
    given = table(n=200)
    path = tmp_path_factory.mktemp("pools") / "pool"
    arrays = {name: np.array(array) for name, array in given.views.arrays.items()}
    arrays["audio"][~given.views.present[:, 1]] = np.nan
    pool = modest.ingest({**arrays, "label": given.labels, "split": given.split}, path)
    clf = modest.MultimodalClassifier(method="late", epochs=4, lr=0.01, hidden=(), width=6).fit(pool, validation=False)
    clf.save(path / "models" / "late")
    return pool, clf


def evaluated(shell, pool, *arguments):
    said = shell("evaluate", pool.path, "--model", "late", *arguments)
    assert said.code == 0, said.err
    return said.out


def test_calibration_stands_beside_accuracy(trained, shell):
    pool, clf = trained
    told = json.loads(evaluated(shell, pool, "--json"))
    rows = np.flatnonzero(pool.split == "test")
    found = clf.outputs(pool, rows)
    numbers = np.searchsorted(clf.classes_, pool.labels[rows].astype(str))
    at = found.present[:, clf.names_.index("audio")]
    cases = {"fused": (told["fused"], found.proba, np.ones(len(rows), bool))}
    for m, name in enumerate(clf.names_):
        cases[name] = (told["modality"][name], found.modality[m], found.present[:, m])
    assert not at.all()
    for own, proba, there in cases.values():
        expected = calibration(proba[there], numbers[there])
        keys = ("ece", "ece_by_chance", "nll", "brier")
        assert [own[key] for key in keys] == pytest.approx(
            [expected.error, expected.chance, expected.nll, expected.brier]
        )
        assert own["rows"] == there.sum()
    assert told["modality"]["image"]["weight"] == pytest.approx(found.weights[:, clf.names_.index("image")].mean())
    assert told["modality"]["audio"]["weight"] == pytest.approx(found.weights[at, clf.names_.index("audio")].mean())
    kept = json.loads((pool.path / "models/late/metrics.json").read_text())["evaluation"]["test"]
    assert kept == {name: told[name] for name in ("split", "fused", "modality")}
    head, _, fused = evaluated(shell, pool).splitlines()[1:4]
    assert head.split()[-4:] == ["ece", "by", "chance", "rows"]
    assert f"{100 * told['fused']['ece']:.1f}" in fused.split()


def test_other_fusions_stand_beside_the_models_own(trained, shell):
    pool, clf = trained
    told = json.loads(evaluated(shell, pool, "--fusion", "entropy", "--fusion", "mean", "--json"))
    rows = np.flatnonzero(pool.split == "test")
    proba, _ = fuse_proba(clf.outputs(pool, rows).modality, "entropy")
    right = accuracy(pool.labels[rows].astype(str), clf.classes_[proba.argmax(axis=1)])
    assert list(told["fusion"]) == ["entropy", "mean"]
    assert told["fusion"]["entropy"]["accuracy"] == right
    assert told["fusion"]["mean"] == pytest.approx(told["fused"])  # late fuses by the mean
    assert told["fusion"]["entropy"]["nll"] != pytest.approx(told["fused"]["nll"])
    assert "all, by entropy" in evaluated(shell, pool, "--fusion", "entropy")
    said = shell("evaluate", pool.path, "--model", "late", "--fusion", "loudest")
    assert said.code == 2
    assert "fusion='loudest'" in said.err


def test_laziness_is_told_in_a_table_and_a_sentence(trained, shell):
    pool, clf = trained
    told = json.loads(evaluated(shell, pool, "--laziness", "--json"))
    expected = laziness(clf, pool)
    assert told["verdict"] == verdict(expected, "late")
    for name, one in expected.items():
        own = told["laziness"][name]
        assert own["alone"] == one.alone
        assert own["encoder"] == {"mean": one.encoder.mean, "low": one.encoder.low, "high": one.encoder.high,
                                  "tied": one.encoder.tied}  # fmt: skip
        assert (own["lazy"], own["unheard"]) == (one.lazy, one.unheard)
    text = evaluated(shell, pool, "--laziness")
    assert told["verdict"] in text
    one = expected["audio"]
    (line,) = [line for line in text.splitlines() if line.startswith("audio") and "[" in line]
    assert line.split()[1:3] == [f"{100 * one.alone_probe:.1f}", f"{100 * one.joint_probe:.1f}"]
    assert line.split()[-1] == str(one.rows)


def test_the_gap_of_the_features_before_and_after_is_told_and_drawn(trained, shell):
    pool, clf = trained
    told = json.loads(evaluated(shell, pool, "--gap", "--json"))
    rows = np.flatnonzero(pool.split == "test")
    pair = clf.names_
    name = "-".join(pair)
    for when, model in (("before", untrained(clf)), ("after", clf.trained_)):
        gap = feature_gaps(encoded(model, pool, rows))[pair]
        assert told["gap"][name][when]["gap"] == pytest.approx(gap.gap)
        assert told["gap"][name][when]["paired"] == pytest.approx(gap.paired)
        assert told["gap"][name][when]["rows"] == gap.rows < len(rows)
    assert told["gap"][name]["before"]["gap"] != told["gap"][name]["after"]["gap"]
    figure = pool.path / "models" / "late" / f"gap-{name}.svg"
    assert told["gap"][name]["figure"] == str(figure)
    first = figure.read_text()
    assert first.startswith("<svg")
    assert f"drawn in {figure}" in evaluated(shell, pool, "--gap")
    assert figure.read_text() == first


def test_one_modality_has_no_gap(trained, shell):
    pool, _ = trained
    clf = modest.MultimodalClassifier(method="late", epochs=1, views={"image": "given"}).fit(pool)
    clf.save(pool.path / "models" / "lone")
    said = shell("evaluate", pool.path, "--model", "lone", "--gap")
    assert said.code == 2
    assert "--gap needs two modalities, and this model has image only" in said.err


def test_where_a_model_started_is_remembered(trained, shell):
    pool, _ = trained
    start = pretrain(pool, objective=Objective(4), plan=Plan(epochs=1), batch_size=32, width=6).result
    start.save(pool.path / "models" / "stage1")
    said = shell("train", pool.path, "--start", "stage1", "--epochs", 1, "--lr", "1e-30", "--name", "began")
    assert said.code == 0, said.err
    said = shell("evaluate", pool.path, "--model", "began", "--gap", "--laziness", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    (pair,) = told["gap"].values()
    assert pair["before"]["gap"] == pytest.approx(pair["after"]["gap"], abs=1e-6)
    assert all(own["alone_probe"] == own["joint_probe"] for own in told["laziness"].values())


def test_an_evaluation_is_a_line_of_the_pools_history(trained, shell):
    pool, _ = trained
    before = len(read_history(pool.path))
    place = pool.path / "models/late/metrics.json"
    metrics = json.loads(place.read_text()) if place.is_file() else {}
    evaluated(shell, pool)
    assert len(read_history(pool.path)) == before  # the model was saved without the number of its labels
    labels = {"method": "late", "labelled": 120, "labels": "0123456789abcdef"}
    place.write_text(json.dumps({**metrics, **labels}))
    told = json.loads(evaluated(shell, pool, "--split", "train", "--json"))
    (line,) = read_history(pool.path)[before:]
    assert {key: line[key] for key in labels} == labels
    assert (line["split"], line["model"], line["mask"]) == ("train", "late", None)
    assert all(line[key] == told["fused"][key] for key in ("rows", "accuracy", "macro_accuracy", "weighted_f1"))
    assert line["time"].endswith("+00:00")
