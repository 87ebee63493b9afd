"""Answers into a pool: what is added, kept, left out and reported; the log; repeats; kills; pairs and the ledger."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import modest
from modest.annotation.exchange import PAGE, read_answers, said_on_page
from modest.annotation.gather import tasks_of
from modest.annotation.handing_over import all_classes, who_said_what, write_rows
from modest.annotation.labels import COLUMNS, Rule, add_labels, add_pairs, read_log
from modest.annotation.opinions import Opinion
from modest.annotation.store import Store
from modest.data.lock import held
from modest.data.pairs import read_pairs
from modest.rounds.answers import answer
from modest.rounds.asking import ask
from modest.rounds.book import pending
from tests.cli.test_pair import make
from tests.killing import in_fork

ANN, BOB = "ann", "bob"


def said(name, word, who=ANN, **more):
    return Opinion("label", name, None if word is None else (word,), who, f"line of {name}", **more)


@pytest.fixture
def pool(tmp_path):
    """Six items; the first two are cat and dog."""
    frame = pd.DataFrame({"id": list("abcdef"), "label": ["cat", "dog", *[None] * 4]})
    return modest.ingest(frame.assign(x=[np.eye(6)[k] for k in range(6)]), tmp_path / "pool").path


def labels(path):
    opened = modest.open(path)
    return dict(zip(opened.ids.tolist(), opened.labels))


def test_everything_that_can_happen_to_a_label_at_once(pool):
    given = [
        said("c", "cat"), said("c", "cat", BOB),               # agreed
        said("d", "cat"), said("d", "dog", BOB),               # a tie
        said("a", "cat"), said("b", "cat"),                    # known, and known otherwise
        said("e", "cow"), said("z", "cat"), said("f", None),   # unknown class, unknown id, cannot tell
    ]  # fmt: skip
    report = add_labels(pool, given, "f.csv")
    assert labels(pool) == {"a": "cat", "b": "dog", "c": "cat", "d": None, "e": None, "f": None}
    assert (report.added, report.overwritten, report.unchanged, report.left) == (1, 0, 1, 0)
    assert report.differ == (("d", {ANN: "cat", BOB: "dog"}, None),)
    assert report.kept == (("b", "dog", "cat"),)
    assert (report.unknown_ids, report.unknown_classes, report.new_classes) == (("z",), {"cow": 1}, ())
    assert (report.cannot_tell, report.ties, report.undecided, report.few) == (("f",), ("d",), (), ())


def test_the_same_again_changes_nothing(pool):
    given = [said("c", "cat", at="1"), said("d", None), said("b", "cat")]
    add_labels(pool, given, "f.csv")
    before = {p.name: p.read_bytes() for p in pool.iterdir() if p.is_file()}
    again = add_labels(pool, given, "copy of f.csv")
    assert {p.name: p.read_bytes() for p in pool.iterdir() if p.is_file()} == before
    assert (again.added, again.unchanged, len(again.kept)) == (0, 1, 1)


def test_overwriting_is_asked_for(pool):
    report = add_labels(pool, [said("b", "cat"), said("a", "cat")], "f.csv", Rule(overwrite=True))
    assert (report.overwritten, report.unchanged, report.kept, labels(pool)["b"]) == (1, 1, (), "cat")


def test_a_tie_never_overwrites(pool):
    report = add_labels(pool, [said("b", "cat"), said("b", "dog", BOB)], "f.csv", Rule(overwrite=True))
    assert (report.ties, labels(pool)["b"]) == (("b",), "dog")


def test_new_classes(pool, tmp_path):
    cow = [said("c", "cow")]
    assert add_labels(pool, cow, "f", classes=["cow"]).added == 1
    assert add_labels(pool, [said("d", "hen")], "f", new_classes=True).new_classes == ("hen",)
    assert add_labels(pool, [said("e", "ox")], "f", new_classes=False).unknown_classes == {"ox": 1}
    bare = modest.ingest({"x": np.eye(3), "id": list("abc")}, tmp_path / "bare").path
    assert add_labels(bare, cow, "f", new_classes=False).added == 0
    assert add_labels(bare, cow, "f").new_classes == ("cow",)  # a pool without classes takes what it is told
    assert add_labels(bare, [said("a", "ox")], "f").unknown_classes == {"ox": 1}


def test_an_unknown_class_has_no_voice(pool):
    report = add_labels(pool, [said("c", "cta"), said("c", "cat", BOB)], "f")
    assert (report.added, report.differ, labels(pool)["c"]) == (1, (), "cat")


def test_rules_and_minimum_reach_the_pool(pool):
    two = [said("c", "cat"), said("c", "dog", BOB), said("d", "dog"), said("e", "cat"), said("e", "cat", BOB)]
    report = add_labels(pool, two, "f", Rule("unanimous", minimum=2))
    assert (report.undecided, report.few, labels(pool)["e"]) == (("c",), ("d",), "cat")
    report = add_labels(pool, two, "f", Rule("adjudicated", BOB))
    assert (report.added, labels(pool)["c"], labels(pool)["d"]) == (2, "dog", "dog")
    assert report.differ == (("c", {ANN: "cat", BOB: "dog"}, "dog"),)


def test_a_persons_last_word_counts(pool):
    add_labels(pool, [said("c", "cat", at="1"), said("c", "dog", at="2")], "f")
    assert labels(pool)["c"] == "dog"
    assert read_log(pool)["label"].tolist() == ["cat", "dog"]


def test_the_log_has_who_said_what(pool):
    add_labels(pool, [said("c", "cat", at="1"), said("d", None, BOB), said("e", "ox"), said("z", "cat")], "f.csv")
    log = read_log(pool)
    assert list(log.columns) == list(COLUMNS)
    assert log.astype(object).where(log.notna(), None).to_numpy().tolist() == [
        ["c", "cat", ANN, "f.csv", "1"], ["d", None, BOB, "f.csv", ""], ["e", "ox", ANN, "f.csv", ""]]  # fmt: skip


def test_labels_that_came_meanwhile_are_not_lost(pool):
    opened = modest.open(pool)
    assert opened.labels[2] is None
    add_labels(pool, [said("c", "cat")], "f")
    add_labels(opened.path, [said("d", "dog")], "f")
    assert (labels(pool)["c"], labels(pool)["d"]) == ("cat", "dog")


def test_a_kill_at_any_step_leaves_a_pool_that_the_same_command_finishes(pool):
    given, before = [said("c", "cat"), said("d", "dog")], pool.with_name("before")
    shutil.copytree(pool, before)
    _, (steps, _) = in_fork(pool, lambda: add_labels(pool, given, "f"))
    assert {"os.rename .labels.parquet.partial", "os.rename .pool.parquet.partial"} <= set(steps)
    wanted = {name: (pool / name).read_bytes() for name in ("pool.parquet", "labels.parquet")}
    for k in range(len(steps)):
        shutil.rmtree(pool)
        shutil.copytree(before, pool)
        status, _ = in_fork(pool, lambda: add_labels(pool, given, "f"), k)
        assert status == 9
        assert set(labels(pool).values()) <= {"cat", "dog", None}
        add_labels(pool, given, "f")
        assert {name: (pool / name).read_bytes() for name in wanted} == wanted, steps[k]


def test_left_counts_what_rounds_chose(pool):
    opened = modest.open(pool)
    opened.add(modest.select(opened.views(), 4, "random", taken=np.array([True] * 2 + [False] * 4)))
    assert add_labels(pool, [said("c", "cat")], "f").left == 3


def test_export_reads_back(pool, tmp_path):
    add_labels(pool, [said("c", "cat", at="1"), said("c", "dog", BOB), said("d", None)], "f")
    rows = who_said_what(modest.open(pool))
    assert [(row["id"], row["label"], row["annotator"], row["known"]) for row in rows] == [
        ("c", "cat", ANN, ""), ("c", "dog", BOB, ""), ("d", "cannot tell", ANN, ""),
        ("a", "cat", "", "cat"), ("b", "dog", "", "dog")]  # fmt: skip
    for name in ("out.csv", "out.jsonl"):
        write_rows(tmp_path / name, rows, (*COLUMNS, "known"), lines=name.endswith("jsonl"))
        told = read_answers(tmp_path / name)
        report = add_labels(pool, told.opinions, name)
        assert (report.added, report.unchanged, report.ties, report.cannot_tell) == (0, 2, ("c",), ("d",))


def test_the_page_of_two_people(pool):
    opened = modest.open(pool)
    opened.add(modest.select(opened.views(), 3, "random", taken=np.array([True] * 2 + [False] * 4)))
    with Store(pool, redundancy=2) as store:
        store.add(tasks_of(opened))
        store.add_class("cow", ANN)
        for who, words in ((ANN, ("cat", "cow", "cat")), (BOB, ("cat", "cow", "dog"))):
            for task, word in zip(store.next(who, count=3), words):
                store.answer(task.number, who, "label", [word])
        told = said_on_page(store.standing())
    report = add_labels(pool, told, PAGE, classes=all_classes(opened))
    assert (report.added, len(report.ties), report.left) == (2, 1, 1)
    assert {row["source"] for row in who_said_what(modest.open(pool)) if row["annotator"]} == {PAGE}
    assert len(who_said_what(modest.open(pool))) == 6 + 2


@pytest.mark.parametrize("name", [ANN, BOB])
def test_pairs_by_a_rule_and_the_ledger(tmp_path, name):
    pool, partner = make(tmp_path / "pool")
    asked = ask(pool, 4, "random", directions=[("image", "text")]).queries[0].ids.tolist()
    others = [partner[one] for one in asked[1:] + asked[:1]]
    about = {"side": "image", "target": "text", "round": 1}

    def pair(one, partners, who):
        return Opinion("pair", one, partners, who, f"line of {one}", **about)

    given = [
        pair(asked[0], (partner[asked[0]],), ANN), pair(asked[0], (partner[asked[0]],), BOB),
        pair(asked[1], (partner[asked[1]],), ANN), pair(asked[1], (others[1],), BOB),
        pair(asked[2], (), ANN), pair(asked[3], None, ANN),
        pair("nobody", (), ANN), pair(asked[2], ("no id",), BOB),
    ]  # fmt: skip
    report = add_pairs(pool.path, given, Rule("adjudicated", name))
    right = {ANN: partner[asked[1]], BOB: others[1]}[name]
    table = read_pairs(pool.path)
    assert set(zip(table["id_a"], table["id_b"].fillna("-"), table["status"], table["annotator"])) == {
        (asked[0], partner[asked[0]], "matched", ANN), (asked[0], partner[asked[0]], "matched", BOB),
        (asked[1], right, "matched", name), (asked[2], "-", "no_match", ANN),
        (asked[3], "-", "skipped", ANN)}  # fmt: skip
    assert (report.added, report.unknown_ids, report.cannot_tell) == (3, ("nobody", "no id"), (asked[3],))
    assert report.differ == ((asked[1], {ANN: partner[asked[1]], BOB: others[1]}, right),)
    assert (report.left, len(pending(modest.open(pool.path)))) == (0, 0)
    before = (pool.path / "pairs.parquet").read_bytes()
    again = add_pairs(pool.path, given, Rule("adjudicated", name))
    assert ((pool.path / "pairs.parquet").read_bytes() == before, again.added, again.unchanged) == (True, 0, 3)
    late = [pair(asked[0], (others[0],), ANN)]
    kept = add_pairs(pool.path, late)
    assert kept.kept == ((asked[0], partner[asked[0]], others[0]),)
    assert (pool.path / "pairs.parquet").read_bytes() == before
    assert add_pairs(pool.path, late, Rule(overwrite=True)).flags


def test_classes_named_when_the_pool_was_made_are_known(tmp_path):
    frame = pd.DataFrame({"id": list("ab"), "label": [None, None], "x": [np.eye(2)[k] for k in range(2)]})
    pool = modest.ingest(frame, tmp_path / "pool", classes=["cat", "cow"])
    report = add_labels(pool.path, [said("a", "cow"), said("b", "ox"), said("z", "cat"), said("z", "cat", BOB)], "f")
    assert (report.added, report.unknown_classes, report.new_classes) == (1, {"ox": 1}, ())
    assert report.unknown_ids == ("z",)


def test_the_log_keeps_each_person_and_each_time_once(pool):
    given = [said("c", "cat", at="1"), said("c", "cat", BOB, at="1"), said("c", "cat", at="2")]
    add_labels(pool, given, "f")
    written = (pool / "labels.parquet").stat().st_ino
    add_labels(pool, given[:2], "another file")
    log = read_log(pool)
    assert list(zip(log["annotator"], log["at"], log["source"])) == [(ANN, "1", "f"), (BOB, "1", "f"), (ANN, "2", "f")]
    assert (pool / "labels.parquet").stat().st_ino == written  # nothing new is not written again


def test_people_without_a_name_are_told_apart_by_where_they_wrote(pool):
    given = [Opinion("label", "c", (word,), "", f"line {k}") for k, word in enumerate(("cat", "dog"))]
    assert add_labels(pool, given, "f").differ == (("c", {"line 0": "cat", "line 1": "dog"}, None),)


def test_one_run_of_labels_at_a_time(pool):
    with held(pool / ".labels.parquet.lock", pool / "labels.parquet"), pytest.raises(OSError, match=r"labels\.parquet"):
        add_labels(pool, [said("c", "cat")], "f")
    assert labels(pool)["c"] is None


def test_pairs_say_which_round_they_answer_and_ids_that_were_not_asked_are_left_out(tmp_path):
    pool, partner = make(tmp_path / "pool")
    first = ask(pool, 1, "random", directions=[("image", "text")]).queries[0].ids[0]
    add_pairs(pool.path, [Opinion("pair", first, (partner[first],), ANN, "line 1")])
    second = ask(modest.open(pool.path), 1, "random", directions=[("image", "text")]).queries[0].ids[0]
    other = next(name for name in partner if name.startswith("image") and name not in (first, second))
    given = [Opinion("pair", second, (partner[second],), ANN, "line 2", round=2),
             Opinion("pair", other, (partner[other],), ANN, "line 3")]  # fmt: skip
    report = add_pairs(pool.path, given)
    assert (report.added, report.unknown_ids) == (1, (other,))
    assert sorted(read_pairs(pool.path)["round"]) == [1, 2]
    with pytest.raises(ValueError, match=r"line 4 .*in round 1"):
        add_pairs(pool.path, [Opinion("pair", second, (partner[second],), ANN, "line 4", round=1)])


def test_a_second_person_who_agrees_later_is_written_beside_the_first(tmp_path):
    pool, partner = make(tmp_path / "pool")
    one = ask(pool, 1, "random", directions=[("image", "text")]).queries[0].ids[0]
    for who in (ANN, BOB):
        add_pairs(pool.path, [Opinion("pair", one, (partner[one],), who, "line 1")])
    assert sorted(read_pairs(pool.path)["annotator"]) == [ANN, BOB]


def test_a_question_that_nobody_could_answer_is_answered_later(tmp_path):
    pool, partner = make(tmp_path / "pool")
    one = ask(pool, 1, "random", directions=[("image", "text")]).queries[0].ids[0]
    assert add_pairs(pool.path, [Opinion("pair", one, None, ANN, "line 1")]).cannot_tell == (one,)
    report = add_pairs(pool.path, [Opinion("pair", one, (partner[one],), BOB, "line 2")])
    assert (report.added, report.kept) == (1, ())


def test_pairs_without_a_direction_find_their_question(tmp_path):
    pool, partner = make(tmp_path / "pool")
    one = ask(pool, 1, "random", directions=[("image", "text")]).queries[0].ids[0]
    assert add_pairs(pool.path, [Opinion("pair", one, (partner[one],), ANN, "line 1")]).added == 1
    with pytest.raises(ValueError, match="line 2"):
        add_pairs(pool.path, [Opinion("pair", one, (partner[one],), ANN, "line 2", side="text")])


def test_the_ledger_takes_lines_and_cannot_tell_costs(tmp_path):
    pool, partner = make(tmp_path / "pool")
    asking = ask(pool, 2, "random")
    tasks = [json.loads(line) for line in asking.tasks.read_text().splitlines()]
    tasks[0]["answer"], tasks[1]["answer"] = "Cannot tell", partner[tasks[1]["id"]]
    taken = answer(pool, [(f"line {k}", task) for k, task in enumerate(tasks)])
    assert (taken.skipped, taken.pairs, taken.cost, taken.waits) == (1, 1, 2.0, 0)
