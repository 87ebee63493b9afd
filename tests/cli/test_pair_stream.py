"""Streams from the shell: sides in shards of their own, and the answers read back."""

import json

import numpy as np
import pandas as pd
import pytest

FIELDS = ("--field", "image=a", "--field", "text=b")
SHARDS = (("image", "images0"), ("image", "images1"), ("text", "texts"))


@pytest.fixture
def apart(tmp_path):
    """Two shards of images and one of texts as ready vectors, 12 rows each side, no row knowing the other's."""
    rng = np.random.default_rng(0)
    for k in range(2):
        frame = pd.DataFrame({"id": [f"i{k}{j}" for j in range(6)]})
        frame.assign(a=list(rng.normal(size=(6, 4)).astype(np.float32))).to_parquet(tmp_path / f"images{k}.parquet")
    frame = pd.DataFrame({"id": [f"t{j:02d}" for j in range(12)]})
    frame.assign(b=list(rng.normal(size=(12, 4)).astype(np.float32))).to_parquet(tmp_path / "texts.parquet")
    return tmp_path


def asked(shell, folder, *more):
    shards = [f"{side}={folder / name}.parquet" for side, name in SHARDS]
    into = folder / "tasks"
    sizes = ("--budget", "2", "--buffer", "6")
    said = shell("pair", "choose", *shards, "--stream", "--into", into, *sizes, *FIELDS, *more)
    assert said.code == 0, said.err
    return into, [[json.loads(line) for line in file.read_text().splitlines()] for file in sorted(into.glob("*.jsonl"))]


def test_sides_in_shards_of_their_own_are_asked_buffer_by_buffer(shell, apart):
    _, tasks = asked(shell, apart)
    assert [len(some) for some in tasks] == [2, 2]
    for number, some in enumerate(tasks):
        for task in some:
            letters = {"image": f"i{number}", "text": "t"}
            assert task["id"].startswith(letters[task["side"]])
            assert all(name.startswith(letters[task["target"]]) for name in task["shortlist"])


def test_answers_come_back_once_and_oddities_are_told(shell, apart):
    into, tasks = asked(shell, apart, "--side", "image")
    first, second = (dict(task) for task in tasks[0])
    first["answer"], second["answer"] = first["shortlist"][0], []
    answers = apart / "answers.jsonl"
    answers.write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n" + json.dumps(tasks[1][0]) + "\n")
    for new in ((2, 1, 1), (0, 0, 0)):  # the same file twice changes nothing
        told = json.loads(shell("pair", "add", into, answers, "--json").out)
        assert (told["answers"], told["pairs"], told["no_match"]) == new
        assert (told["unanswered"], told["waits"]) == (1, 2)
    table = pd.read_parquet(into / "pairs.parquet")
    assert table["id_a"].tolist() == [first["id"], second["id"]]
    assert table["id_b"].fillna("nobody").tolist() == [first["shortlist"][0], "nobody"]
    first["answer"] = first["shortlist"][1]
    answers.write_text(json.dumps(first) + "\n")
    told = json.loads(shell("pair", "add", into, answers, "--json").out)
    assert told["pairs"] == 1
    assert len(told["flags"]) == 1
    assert len(pd.read_parquet(into / "pairs.parquet")) == 3


@pytest.mark.parametrize(
    ("change", "told"),
    [({"id": "t00"}, "was not asked"), ({"answer": "nobody"}, "is no id of text"), ({"round": 9}, "no query does")],
)
def test_a_bad_line_changes_nothing(shell, apart, change, told):
    into, tasks = asked(shell, apart, "--side", "image")
    good, bad = {**tasks[0][0], "answer": []}, {**tasks[0][1], "answer": [], **change}
    if "id" in change:
        bad["id"] = next(name for some in tasks for task in some for name in [task["id"]] if task["round"] != 1)
    (apart / "answers.jsonl").write_text(json.dumps(good) + "\n" + json.dumps(bad) + "\n")
    said = shell("pair", "add", into, apart / "answers.jsonl")
    assert said.code == 2
    assert told in said.err
    assert not (into / "pairs.parquet").exists()


def test_shards_name_all_sides_or_none(shell, apart):
    one = ("pair", "choose", "--stream", "--into", apart / "x", "--budget", "2", *FIELDS)
    assert "no shards of text are named" in shell(*one, f"image={apart / 'images0.parquet'}").err
    assert "write SIDE=SHARDS" in shell(*one, f"image={apart / 'images0.parquet'}", apart / "texts.parquet").err
    assert not (apart / "x").exists()
