"""`modest select --explain`: a chosen item, one left out, and what cannot be explained."""

import json

import numpy as np
import pytest

import modest
from modest.selection.explain import explain
from tests.cli.test_select import modest_says


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(70, 3))
    split = np.array(["train"] * 60 + ["test"] * 10)
    views = {m: cause @ rng.normal(size=(3, 5)) + 0.3 * rng.normal(size=(70, 5)) for m in ("image", "text")}
    np.savez(folder / "source.npz", split=split, **views)
    modest.ingest(folder / "source.npz", folder / "pool", split="split")
    for budget in (6, 4):
        code, _, err = modest_says("select", folder / "pool", "--budget", budget)
        assert code == 0, err
    return folder / "pool"


def test_the_last_round_is_explained_and_equals_the_function(pool):
    opened = modest.open(pool)
    first, last = opened.rounds
    item = last.choice["id"][2]
    code, out, err = modest_says("select", pool, "--explain", item, "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["order"] == 2
    assert told["round"] == 2
    assert told["reason"] == last.choice["reason"][2]
    rows = np.flatnonzero(opened.split == "train")
    views = opened.views(rows=rows)
    taken = np.isin(views.ids, first.choice["id"].to_numpy(dtype=str))
    choice = modest.select(views, 4, taken=taken, since=first.state)
    assert choice.ids.tolist() == last.choice["id"].tolist()
    assert list(explain(views, choice, item, taken=taken).covers) == told["covers"]
    assert len(opened.rounds) == 2, "explaining chooses nothing"


def test_words_for_an_item_left_out_and_for_an_earlier_round(pool):
    opened = modest.open(pool)
    chosen = {i for one in opened.rounds for i in one.choice["id"]}
    left = next(i for i in opened.ids[opened.split == "train"].tolist() if i not in chosen)
    code, out, err = modest_says("select", pool, "--explain", left)
    assert code == 0, err
    assert out.startswith("Round 2, by auto.")
    assert f"{left} was not chosen" in out
    assert "would add" in out
    early = opened.rounds[0].choice["id"][0]
    assert "was labelled or chosen before" in modest_says("select", pool, "--explain", early)[1]
    assert f"{early} is number 1 of the choice" in modest_says("select", pool, "--explain", early, "--round", 1)[1]
    late = opened.rounds[1].choice["id"][0]
    assert f"{late} was not chosen" in modest_says("select", pool, "--explain", late, "--round", 1)[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--explain", "nobody"], "--explain 'nobody' is no id that round 2 could choose from (split 'train')."),
        (["--explain", "00", "--round", "7"], "--round 7 is none of 1, 2."),
    ],
)
def test_what_cannot_be_explained(pool, words, said):
    code, _, err = modest_says("select", pool, *words)
    assert code == 2
    assert said in err


def test_a_pool_without_rounds_says_how_to_make_one(tmp_path):
    np.savez(tmp_path / "s.npz", image=np.eye(4))
    modest.ingest(tmp_path / "s.npz", tmp_path / "pool")
    code, _, err = modest_says("select", tmp_path / "pool", "--explain", "0")
    assert code == 2
    assert "has no round yet; choose with: modest select" in err
