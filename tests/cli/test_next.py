"""modest next: the answers of people that it sees, and what it prints."""

import json

import numpy as np
import pytest

import modest
from modest.annotation.exchange import said_on_page
from modest.annotation.gather import tasks_of
from modest.annotation.labels import add_labels, add_pairs
from modest.annotation.opinions import Opinion
from modest.annotation.store import Store
from modest.rounds.asking import ask
from modest.rounds.next import Advice


@pytest.fixture
def pool(tmp_path):
    """30 items with a view, one round of 4 open."""
    rng = np.random.default_rng(0)
    split, label = ["train"] * 20 + ["test"] * 10, [None] * 20 + ["cat", "dog"] * 5
    pool = modest.ingest({"image": rng.normal(size=(30, 5)), "label": label, "split": split}, tmp_path / "pool")
    taken = pool.split != "train"
    pool.add(modest.select(pool.views(), 4, "kcenter", taken=taken))
    return pool


def told(shell, pool):
    said = shell("next", pool.path, "--json")
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_one_line_says_what_and_why_and_the_next_how(pool, shell):
    said = shell("next", pool.path)
    assert said.out.splitlines() == [
        "annotate: round 1 chose 4 items and none has an answer; 4 are left",
        f"next: modest annotate {pool.path} 1",
    ]
    found = told(shell, pool)
    assert found["command"] == found["next"] == f"modest annotate {pool.path} 1"
    assert (found["action"], found["facts"]["unanswered"]) == ("annotate", 4)
    assert not (pool.path / "annotations.sqlite").exists()  # nothing was written


def test_answers_of_the_page_are_seen_until_they_are_taken_in(pool, shell):
    with Store(pool.path) as store:
        store.add(tasks_of(pool))
        tasks = store.next("ada", count=4)
        for task, value in zip(tasks, ("cat", "dog", "cat")):
            store.answer(task.number, "ada", "label", [value])
        store.answer(tasks[3].number, "ada", "unsure")
        opinions = said_on_page(store.standing())
    found = told(shell, pool)
    assert (found["action"], found["facts"]["waiting"]) == ("labels add", 3)
    add_labels(pool.path, opinions, "page")
    found = told(shell, pool)
    assert (found["action"], found["facts"]["waiting"], found["facts"]["unclear"]) == ("train", 0, 1)


def test_people_who_differ_do_not_make_it_say_the_same_for_ever(pool, shell):
    with Store(pool.path, redundancy=2) as store:
        store.add(tasks_of(pool))
        for name, value in (("ada", "cat"), ("ben", "dog")):
            for task in store.next(name, count=4):
                store.answer(task.number, name, "label", [value if task.place == 0 else ("cat", "dog")[task.place % 2]])
        opinions = said_on_page(store.standing())
    assert told(shell, pool)["facts"]["waiting"] == 4
    add_labels(pool.path, opinions, "page")
    found = told(shell, pool)
    assert (found["action"], found["facts"]["unclear"]) == ("train", 1)


def test_what_a_file_said_cannot_be_told_is_not_asked_again(pool, shell):
    names = pool.rounds[0].choice["id"].tolist()
    said = [("cat",), ("dog",), ("cat",), None]
    add_labels(pool.path, [Opinion("label", name, one, "ada") for name, one in zip(names, said)], "answers.csv")
    found = told(shell, pool)
    assert (found["action"], found["facts"]["unclear"]) == ("train", 1)


def test_the_threshold_is_told_in_points(pool, shell, monkeypatch):
    seen = []
    monkeypatch.setattr("modest.rounds.next.advise", lambda *told: seen.append(told[-1]) or Advice("stop", "so", "so"))
    assert shell("next", pool.path, "--threshold", "2.5").code == 0
    assert seen == [0.025]
    said = shell("next", pool.path, "--threshold", "0")
    assert said.code == 2
    assert "--threshold 0" in said.err
    assert "Example: modest next pool" in shell("next", "--help").out


def test_answers_about_partners_wait_unless_people_differ(tmp_path, shell):
    rng = np.random.default_rng(0)
    ids = [f"i{k:02d}" for k in range(9)] + [f"t{k:02d}" for k in range(9)]
    image, text = rng.normal(size=(18, 6)), rng.normal(size=(18, 4))
    image[9:], text[:9] = np.nan, np.nan
    pool = modest.ingest({"id": ids, "split": ["train"] * 18, "image": image, "text": text}, tmp_path / "pool")
    ask(pool, 2, "random")
    with Store(pool.path, redundancy=2) as store:
        store.add(tasks_of(pool))
        first, second = store.next("ada", count=2)
        store.answer(first.number, "ada", "match", [f"{first.target[0]}00"])
        store.answer(second.number, "ada", "none")
        found = told(shell, pool)
        assert (found["action"], found["facts"]["waiting"]) == ("labels add", 2)
        store.answer(second.number, "ben", "match", [f"{second.target[0]}01"])
        assert told(shell, pool)["facts"]["waiting"] == 1
        opinions = said_on_page(store.standing())
    add_pairs(pool.path, opinions)
    found = told(shell, pool)
    assert (found["action"], found["facts"]["waiting"], found["facts"]["pairs_unanswered"]) == ("pair train", 0, 0)
