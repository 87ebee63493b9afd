"""`modest select`, `methods`, `doctor`: rounds, what is taken, and one sentence for bad input."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import modest
from modest.selection import METHODS


def modest_says(*words):
    done = subprocess.run(
        [sys.executable, "-m", "modest.cli", *map(str, words)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.strip()


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    source = tmp_path / "source.npz"
    labels = np.array(["a"] * 5 + [""] * 25)
    np.savez(source, image=rng.normal(size=(30, 4)), text=rng.normal(size=(30, 4)))
    made = modest.ingest(source, tmp_path / "pool")
    made.add({made.ids[k]: labels[k] for k in range(5)})
    return tmp_path / "pool"


def test_a_round_is_written_and_the_next_does_not_repeat_it(pool):
    code, out, err = modest_says("select", pool, "--budget", 6, "--method", "kcenter", "--json")
    assert code == 0, err
    first = json.loads(out)
    assert first["round"] == 1
    assert first["candidates"] == 25, "labelled items are not offered"
    second = json.loads(modest_says("select", pool, "--budget", 6, "--method", "kcenter", "--json")[1])
    assert not set(first["ids"]) & set(second["ids"])
    opened = modest.open(pool)
    assert not set(first["ids"]) & set(opened.ids[:5])
    assert [len(r.choice) for r in opened.rounds] == [6, 6]


def test_share_knob_and_text(pool):
    code, out, err = modest_says("select", pool, "--budget", 0.1, "--method", "activeft", "--knob", "steps=3")
    assert code == 0, err
    assert "3 of 25 free items chosen by activeft" in out
    assert "next: modest train" in out
    assert modest.open(pool).rounds[0].manifest["trace"]["steps"] == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "0"], "budget=0 is not positive"),
        (["--budget", "-3"], "budget=-3 is not positive"),
        (["--budget", "26"], "only 25 rows are free"),
        (["--budget", "many"], "'many' is no number"),
        (["--budget", "3", "--method", "best"], "known: auto, random, kmeans"),
        (["--budget", "3", "--knob", "steps=3"], "has no such knob: 'steps'"),
        (["--budget", "3", "--split", "dev"], "split='dev' is unknown"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(pool, words, said):
    code, out, err = modest_says("select", pool, *words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert not out
    assert modest.open(pool).rounds == ()


@pytest.fixture(scope="module")
def warm_pool(tmp_path_factory):
    """40 items of two classes, 12 labelled and 6 of split test, with a concat and an mla model trained on it."""
    folder, rng = tmp_path_factory.mktemp("warm"), np.random.default_rng(1)
    truth = rng.integers(2, size=40)
    arrays = {m: rng.normal(size=(2, 4))[truth] + rng.normal(size=(40, 4)) for m in ("image", "text")}
    arrays["text"][20:24] = np.nan
    source = folder / "source.npz"
    np.savez(source, split=np.where(np.arange(40) >= 34, "test", "train"), **arrays)
    made = modest.ingest(source, folder / "pool")
    made.add({made.ids[k]: "ab"[truth[k]] for k in range(12)})
    for method in ("concat", "mla"):
        clf = modest.MultimodalClassifier(method=method, epochs=3, hidden=(), width=4)
        clf.fit(modest.open(folder / "pool"), validation=False).save(folder / "pool/models" / method)
    return folder / "pool"


def copied(warm_pool, tmp_path):
    return shutil.copytree(warm_pool, tmp_path / "pool")


@pytest.mark.parametrize("method", ["bmmal", "alfamix", "uherding"])  # between them they take every array there is
def test_a_model_supplies_the_arrays(warm_pool, tmp_path, method):
    pool = copied(warm_pool, tmp_path)
    code, out, err = modest_says("select", pool, "--budget", 4, "--method", method, "--model", "concat", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["candidates"] == 22
    assert told["model"] == "concat"
    opened = modest.open(pool)
    rows = np.arange(34)
    clf = modest.load(pool / "models/concat")
    labels = np.where(rows < 12, opened.labels[:34], None)
    entry = METHODS[method]
    arrays = clf.arrays(opened.views(rows=rows), (*entry.needs, *entry.uses), y=labels)
    expected = modest.select(opened.views(rows=rows), 4, method, taken=rows < 12, **arrays)
    assert told["ids"] == expected.ids.tolist()
    trace = opened.rounds[0].manifest["trace"]
    assert trace["model"] == "concat"
    assert trace["knobs"] == {}


def test_a_rehearsal_knows_the_labels_of_what_was_bought_alone(warm_pool, tmp_path):
    pool = copied(warm_pool, tmp_path)
    words = ["--ignore-labels", "--model", "concat", "--method", "alfamix", "--budget", 3]
    code, _, err = modest_says("select", pool, *words)
    assert code == 2
    assert "labels has no known class" in err
    assert modest_says("select", pool, "--ignore-labels", "--budget", 30, "--method", "random", "--json")[0] == 0
    code, out, err = modest_says("select", pool, *words, "--json")
    assert code == 0, err
    assert json.loads(out)["candidates"] == 4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "badge"], "--method badge needs proba, features of a trained classifier; name it by --model"),
        (["--method", "kcenter", "--model", "concat"], "--method kcenter uses no model; leave out --model"),
        (["--method", "badge", "--model", "best"], "there are concat, mla"),
        (["--method", "alfamix", "--model", "mla"], "this one is 'mla'; train one with method='concat'"),
    ],
)
def test_a_model_that_cannot_help_is_one_sentence(warm_pool, words, said):
    code, out, err = modest_says("select", warm_pool, "--budget", 3, *words)
    assert code == 2
    assert said in err
    assert len(err.splitlines()) == 1
    assert not out
    assert modest.open(warm_pool).rounds == ()


def test_nothing_free_says_what_to_do(pool):
    assert modest_says("select", pool, "--budget", 25)[0] == 0
    code, _, err = modest_says("select", pool, "--budget", 1)
    assert code == 2
    assert "--ignore-labels" in err


def test_methods_lists_every_strategy_and_recipe():
    from modest.completion import METHODS as COMPLETIONS
    from modest.learning import METHODS as RECIPES

    told = json.loads(modest_says("methods", "--json")[1])
    assert [m["name"] for m in told["selection"]] == list(METHODS)
    assert [m["name"] for m in told["recipes"]] == list(RECIPES)
    assert [m["name"] for m in told["completions"]] == list(COMPLETIONS)


def test_doctor_names_device_and_precision():
    told = json.loads(modest_says("doctor", "--json")[1])
    assert told["device"] in ("cpu", "cuda")
    assert isinstance(told["bf16_tiles"], bool)
    assert told["next"] == "modest demo"


def test_every_command_has_help_with_an_example():
    from modest.cli import COMMANDS

    for name in COMMANDS:
        code, out, _ = modest_says(name, "--help")
        assert code == 0
        assert "Example: modest" in out, name
