"""`modest select`, `methods`, `doctor`: rounds, what is taken, and one sentence for bad input."""

import json
import subprocess
import sys

import numpy as np
import pytest

import modest


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
        (["--budget", "3", "--method", "best"], "known: random, kmeans"),
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


def test_nothing_free_says_what_to_do(pool):
    assert modest_says("select", pool, "--budget", 25)[0] == 0
    code, _, err = modest_says("select", pool, "--budget", 1)
    assert code == 2
    assert "--ignore-labels" in err


def test_methods_lists_every_strategy_and_recipe():
    from modest.learning import METHODS as RECIPES
    from modest.selection import METHODS

    told = json.loads(modest_says("methods", "--json")[1])
    assert [m["name"] for m in told["selection"]] == list(METHODS)
    assert [m["name"] for m in told["recipes"]] == list(RECIPES)


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
