"""modest next: the answers of people that it sees, and what it prints."""

import json

import numpy as np
import pytest

import modest
from modest.annotation.exchange import said_on_page
from modest.annotation.gather import tasks_of
from modest.annotation.labels import add_labels
from modest.annotation.store import Store


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


def test_the_threshold_is_told_in_points(pool, shell):
    said = shell("next", pool.path, "--threshold", "0")
    assert said.code == 2
    assert "--threshold 0" in said.err
    assert "Example: modest next pool" in shell("next", "--help").out
