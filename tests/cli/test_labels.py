"""``modest labels``: out to every tool, in from every kind of file, as a shell sees it."""

import csv
import json

import numpy as np
import pytest

import modest
from modest.annotation.gather import tasks_of
from modest.annotation.store import Store
from modest.data.pairs import read_pairs
from modest.rounds.asking import ask
from tests.cli.test_pair import make


@pytest.fixture
def chosen(pictures):
    """The pool of pictures with a round of five items without a label."""
    pool = modest.open(pictures)
    taken = [label is not None for label in pool.labels]
    table = {name: pool.table[name].to_numpy(object) for name in ("id", "image", "text", "label", "split")}
    x = np.random.default_rng(0).normal(size=(24, 3))
    pool = modest.ingest({**table, "x": x}, pictures.with_name("chosen"))
    pool.add(modest.select(pool.views(), 5, "random", taken=taken))
    return pool.path


def answered(path, words):
    """The tasks of an export, annotated by people 1, 2 ... : words per task."""
    tasks = json.loads(path.read_text())
    for k, (task, said) in enumerate(zip(tasks, words)):
        results = [[{"type": "choices", "from_name": "answer", "value": {"choices": [word]}}] for word in said]
        task["id"] = k + 1
        task["annotations"] = [
            {"id": j, "completed_by": j + 1, "result": one, "updated_at": "2026"} for j, one in enumerate(results)
        ]
    path.with_name("export.json").write_text(json.dumps(tasks))
    return path.with_name("export.json")


def test_to_label_studio_and_back(shell, chosen):
    told = shell("labels", "export", chosen, "--to", "label-studio", "--json")
    payload = json.loads(told.out)
    assert (told.code, payload["tasks"]) == (0, 5)
    words = [["red"], ["green", "green"], ["red", "green"], ["cannot tell"], []]
    export = answered(chosen / "rounds" / "1" / "label-studio" / "tasks.json", words)
    told = shell("labels", "add", chosen, export)
    assert told.code == 0, told.err
    assert "2 added, 0 overwritten, 0 known already" in told.out
    assert "ties, left open: 1" in told.out
    assert "3 items chosen wait" in told.out
    assert f"next: modest annotate {chosen}" in told.out
    report = json.loads(shell("labels", "add", chosen, export, "--json").out)["reports"]["label"]
    assert (report["added"], report["unchanged"], report["left"]) == (0, 2, 3)
    ids = modest.open(chosen).rounds[0].choice["id"].tolist()
    table = modest.open(chosen).table.set_index("id")["label"]
    assert table[ids[:2]].tolist() == ["red", "green"]
    told = shell("labels", "add", chosen, export, "--rule", "adjudicated", "--adjudicator", "2")
    assert "1 added" in told.out


def test_the_page_comes_in_without_a_file(shell, chosen):
    assert "modest annotate" in shell("labels", "add", chosen).err
    with Store(chosen) as store:
        store.add(tasks_of(modest.open(chosen)))
        for task in store.next("ann", count=2):
            store.answer(task.number, "ann", "label", ["red"])
    assert "2 added" in shell("labels", "add", chosen).out
    assert "0 added, 0 overwritten, 2 known already" in shell("labels", "add", chosen).out
    out = chosen / "labels.csv"
    assert shell("labels", "export", chosen, "--to", "csv").code == 0
    with out.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["label"] for row in rows if row["annotator"] == "ann"] == ["red", "red"]
    assert len(rows) == sum(label is not None for label in modest.open(chosen).labels)


def test_pairs_from_label_studio(shell, tmp_path):
    pool, _ = make(tmp_path / "pool")
    ask(pool, 3, "random", directions=[("image", "text")], shortlist=4)
    shell("labels", "export", pool.path, "--to", "label-studio", "--out", tmp_path / "ls")
    tasks = json.loads((tmp_path / "ls" / "tasks.json").read_text())
    export = answered(tmp_path / "ls" / "tasks.json", [["1"], ["none of these", "none of these"], ["cannot tell"]])
    told = shell("labels", "add", pool.path, export)
    assert told.code == 0, told.err
    assert "questions about partners: 2 added" in told.out
    assert f"next: modest pair train {pool.path}" in told.out
    table = read_pairs(pool.path)
    assert table["status"].tolist() == ["matched", "no_match", "no_match", "skipped"]
    assert table["id_b"][0] == tasks[0]["data"]["shortlist"][0]
    before = (pool.path / "pairs.parquet").read_bytes()
    assert "0 added, 0 overwritten, 2 known already" in shell("labels", "add", pool.path, export).out
    assert (pool.path / "pairs.parquet").read_bytes() == before


def test_the_form_is_what_was_asked_for_whatever_the_file_is_called(shell, chosen, tmp_path):
    for tool, first in (("csv", "id,label,"), ("jsonl", '{"id": ')):
        assert shell("labels", "export", chosen, "--to", tool, "--out", tmp_path / "labels.txt").code == 0
        assert (tmp_path / "labels.txt").read_text().startswith(first)


@pytest.mark.parametrize("tool", ["fiftyone", "lightly", "jsonl"])
def test_the_other_tools(shell, chosen, tmp_path, tool):
    out = tmp_path / f"out.{'jsonl' if tool == 'jsonl' else 'csv'}"
    told = json.loads(shell("labels", "export", chosen, "--to", tool, "--out", out, "--json").out)
    assert told["rows"] == len(out.read_text().splitlines()) - (tool != "jsonl")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["export", "--to", "excel"], "--to"),
        (["export", "--to", "csv", "--round", "1"], "--round goes with"),
        (["export", "--to", "csv", "--url", "http://x"], "--url goes with"),
        (["export", "--to", "datacomp"], "no uid"),
        (["export", "--to", "label-studio", "--round", "9"], "round 9"),
        (["add", "--rule", "most"], "rule"),
        (["add", "--rule", "adjudicated"], "adjudicator"),
        (["add", "nothing.csv"], "nothing.csv is not there"),
    ],
)
def test_what_does_not_fit_is_one_sentence(shell, chosen, more, told):
    said = shell("labels", more[0], chosen, *more[1:])
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert told in said.err


def test_nothing_is_written_when_a_line_is_wrong(shell, chosen, tmp_path):
    before = {path: path.read_bytes() for path in chosen.rglob("*") if path.is_file()}
    name = modest.open(chosen).rounds[0].choice["id"][0]
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": name, "label": "red"}) + "\n{")
    assert "line 2" in shell("labels", "add", chosen, tmp_path / "a.jsonl").err
    assert {path: path.read_bytes() for path in chosen.rglob("*") if path.is_file()} == before


def test_long_lists_are_cut_and_json_has_all(shell, chosen, tmp_path):
    (tmp_path / "a.csv").write_text("id,label\n" + "".join(f"odd-{k},red\n" for k in range(9)))
    told = shell("labels", "add", chosen, tmp_path / "a.csv")
    assert "and 4 more; --json lists all" in told.out
    report = json.loads(shell("labels", "add", chosen, tmp_path / "a.csv", "--json").out)["reports"]["label"]
    assert len(report["unknown_ids"]) == 9
