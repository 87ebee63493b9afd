"""modest data mask, train and evaluate under a mask, evaluate --patterns and the report of it."""

import json
from pathlib import Path

import numpy as np
import pytest

import modest
from modest.classifier import load
from modest.completion.imagination import imagination
from modest.data.hidden import Mask, masked
from modest.data.masks import split_mask
from modest.data.presence import achieved_rate
from modest.evaluation import accuracy
from modest.evaluation.patterns import found_patterns
from tests.bench.sample import table


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Two modalities, a fifth of the rows without audio, and an ae under models/."""
    given = table(n=200)
    path = tmp_path_factory.mktemp("pools") / "pool"
    arrays = {name: np.array(array) for name, array in given.views.arrays.items()}
    arrays["audio"][~given.views.present[:, 1]] = np.nan
    made = modest.ingest({**arrays, "label": given.labels, "split": given.split}, path)
    clf = modest.MultimodalClassifier(method="ae", epochs=2, lr=0.01, hidden=(), width=6).fit(made, validation=False)
    clf.save(path / "models" / "ae")
    return made


def said(shell, *arguments):
    found = shell(*arguments)
    assert found.code == 0, found.err
    return found.out


class TestMask:
    def test_rates_by_split_on_what_the_pool_has(self, pool, shell):
        told = json.loads(
            said(shell, "data", "mask", pool.path, "--rate", "test=0.5", "--rate", "train=0.2", "--seed", 3, "--name",
                 "torn", "--json")
        )  # fmt: skip
        mask = Mask.load(pool.path / "masks" / "torn.npz")
        drawn = split_mask(pool.ids, pool.split, 2, {"test": 0.5, "train": 0.2}, 3)
        rest = pool.present & drawn
        whole = rest.any(axis=1)
        np.testing.assert_array_equal(mask.present[whole], rest[whole])
        assert (mask.present.sum(axis=1) >= 1).all()
        assert not (mask.present & ~pool.present).any()
        assert told["sha256"] == mask.sha256
        assert told["splits"]["test"] == achieved_rate(mask.present[pool.split == "test"])
        assert told["next"] == f"modest train {pool.path} --mask torn"
        assert mask.about["seed"] == 3
        assert mask.about["rate"] == ["test=0.5", "train=0.2"]

    def test_blocks_go_before_rates_so_that_no_row_gets_one_back(self, pool, shell):
        said(shell, "data", "mask", pool.path, "--absent", "test=image", "--rate", "0.4", "--name", "block")
        mask = Mask.load(pool.path / "masks" / "block.npz").present
        test = pool.split == "test"
        np.testing.assert_array_equal(mask[test, 0], ~pool.present[test, 1])  # who has nothing else keeps it
        assert 0.3 < mask[~test, 0].mean() < 1.0

    def test_patterns_of_another_pool_and_of_mmin(self, pool, shell):
        said(shell, "data", "mask", pool.path, "--like", pool.path, "--name", "like")
        left = Mask.load(pool.path / "masks" / "like.npz").present
        patterns, rows = found_patterns(pool.present)
        assert {tuple(one) for one in found_patterns(left)[0]} <= {tuple(one) for one in patterns}
        assert left.mean() < pool.present.mean()
        said(shell, "data", "mask", pool.path, "--incomplete", "--name", "six")
        assert (Mask.load(pool.path / "masks" / "six.npz").present.sum(axis=1) == 1).all()
        assert rows.sum() == len(pool)

    @pytest.mark.parametrize(
        ("options", "told"),
        [((), "nothing says what to hide"), (("--rate", "0.3", "--name", "a/b"), "plain file name"),
         (("--incomplete", "--like", "x"), "give one of them"), (("--absent", "smell"), "no modality of the mask"),
         (("--absent", "val=image"), "there is no row"), (("--rate", "much"), "no number"),
         (("--rate", "tset=0.3"), "no row is of it"), (("--rate", "0.3", "--modality", "image"), "two modalities"),
         (("--absent", "image", "--absent", "audio"), "leaves no modality")],
    )  # fmt: skip
    def test_what_cannot_be_is_one_sentence(self, pool, shell, options, told):
        found = shell("data", "mask", pool.path, *options)
        assert found.code == 2
        assert told in found.err
        assert found.err.count("\n") == 1


def test_training_and_evaluation_under_a_mask(pool, shell):
    said(shell, "data", "mask", pool.path, "--rate", "0.4", "--name", "forty")
    mask = Mask.load(pool.path / "masks" / "forty.npz")
    out = said(shell, "train", pool.path, "--method", "late", "--mask", "forty", "--epochs", 2, "--name", "under")
    assert out.rstrip().endswith("--mask forty")
    kept = json.loads((pool.path / "models" / "under" / "metrics.json").read_text())
    assert kept["mask"]["sha256"] == mask.sha256
    assert kept["mask"]["rate"] == mask.rate
    under = masked(pool, "forty")
    wanted = modest.MultimodalClassifier(method="late", epochs=2).fit(under)
    clf = load(pool.path / "models" / "under")
    np.testing.assert_allclose(clf.predict_proba(pool), wanted.predict_proba(pool))
    told = json.loads(said(shell, "evaluate", pool.path, "--model", "under", "--mask", "forty", "--json"))
    rows = np.flatnonzero(pool.split == "test")
    found = clf.outputs(under, rows)
    np.testing.assert_array_equal(found.present, mask.present[rows])
    right = accuracy(pool.labels[rows].astype(str), clf.classes_[found.proba.argmax(axis=1)])
    assert told["fused"]["accuracy"] == right
    assert told["mask"]["sha256"] == mask.sha256
    assert "mask" not in json.loads(said(shell, "evaluate", pool.path, "--model", "under", "--json"))
    assert shell("train", pool.path, "--mask", "nothing").code == 2


def test_patterns_rates_and_imagination_in_text_json_figures_and_report(pool, shell, tmp_path):
    told = json.loads(said(shell, "evaluate", pool.path, "--model", "ae", "--patterns", "--json"))
    clf, rows = load(pool.path / "models" / "ae"), np.flatnonzero(pool.split == "test")
    found, y = clf.outputs(pool, rows), pool.labels[rows].astype(str)
    guess = clf.classes_[found.proba.argmax(axis=1)]
    assert [one["names"] for one in told["patterns"]] == [["image", "audio"], ["image"]]
    for one in told["patterns"]:
        at = found.present[:, 1] == ("audio" in one["names"])
        assert one["rows"] == at.sum()
        assert one["accuracy"] == accuracy(y[at], guess[at])
    rates = {one["rate"]: one["mean"] for one in told["rates"]}
    assert list(rates) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    both = found.present.all(axis=1)
    X = pool.views(rows=rows[both])
    alone = [(clf.predict({name: X.arrays[name]}) == y[both]).mean() for name in clf.names_]
    assert rates[0.0] == pytest.approx(told["patterns"][0]["accuracy"])
    assert rates[0.5] == pytest.approx(np.mean(alone))
    wanted = imagination(clf.trained_, pool, rows)
    assert [one["error"] for one in told["imagination"]] == pytest.approx([one.error for one in wanted])
    assert told["next"].endswith("--model ae")
    for path in told["figures"].values():
        assert Path(path).read_text(encoding="utf-8").startswith("<svg")
    text = said(shell, "evaluate", pool.path, "--model", "ae", "--patterns")
    for words in ("By presence pattern", "image + audio", "complete rows", "audio from image", "drawn in"):
        assert words in text
    sections = json.loads(said(shell, "report", pool.path, "--model", "ae", "--out", tmp_path / "r.html", "--json"))
    assert {"By presence pattern, test", "By missing rate, test", "Imagination, test"} <= set(sections["sections"])
    assert f"{100 * told['patterns'][1]['accuracy']:.1f} [" in (tmp_path / "r.html").read_text()


def test_a_model_that_was_not_looked_at_has_no_section(pool, shell, tmp_path):
    clf = modest.MultimodalClassifier(method="late", epochs=1, hidden=(), width=4).fit(pool, validation=False)
    clf.save(pool.path / "models" / "plain")
    found = shell("report", pool.path, "--model", "plain", "--out", tmp_path / "r.html")
    assert found.code == 2
    assert f"modest evaluate {pool.path} --model plain" in found.err
    said(shell, "evaluate", pool.path, "--model", "plain")
    told = json.loads(said(shell, "report", pool.path, "--model", "plain", "--out", tmp_path / "r.html", "--json"))
    assert "Each modality and all together, test" in told["sections"]
    assert "By presence pattern, test" not in told["sections"]
