"""The tasks of a pool: what its rounds chose, what they asked, and nothing that has an answer."""

import numpy as np
import pandas as pd
import pytest

import modest
from modest.annotation.gather import tasks_of
from modest.annotation.store import Store
from modest.data import files
from modest.rounds.answers import answer
from modest.rounds.asking import ask
from modest.types import Choice
from tests.representation.test_paired import pool as halves  # noqa: F401


@pytest.fixture
def pool(tmp_path):
    """Ten items, 3 with a label, 8 and 9 of the test split."""
    frame = pd.DataFrame(
        {
            "id": [f"n{k}" for k in range(10)],
            "text": [f"text {k}" for k in range(10)],
            "label": ["cat" if k == 3 else None for k in range(10)],
            "split": ["train"] * 8 + ["test"] * 2,
        }
    )
    return modest.ingest(frame, tmp_path / "pool")


def choose(pool, rows, scores, reasons=()):
    rows = np.array(rows)
    return pool.add(Choice(rows, np.array(scores), pool.ids[rows], "margin", tuple(reasons)))


def test_label_tasks_are_a_rounds_items_in_its_order_without_those_known(pool):
    choose(pool, [4, 3, 0], [0.5, 0.25, np.nan], ["far", "near", ""])
    choose(pool, [7, 1], [2.0, 1.0])
    digest = files.file_hash(pool.path / "rounds" / "1" / "choice.parquet")
    found = list(tasks_of(pool, [1]))
    assert [(one.round, one.kind, one.place, one.id, one.score, one.reason, one.round_hash) for one in found] == [
        (1, "label", 0, "n4", 0.5, "far", digest),
        (1, "label", 2, "n0", None, "", digest),  # it keeps its place when n3 is left out
    ]
    assert [one.id for one in tasks_of(pool)] == ["n4", "n0", "n7", "n1"]
    assert [one.id for one in tasks_of(pool, relabel=True)] == ["n4", "n3", "n0", "n7", "n1"]
    pool.add({"n4": "dog"})
    assert [one.id for one in tasks_of(modest.open(pool.path))] == ["n0", "n7", "n1"]


def test_pair_tasks_are_the_questions_that_wait(halves, tmp_path):  # noqa: F811
    first, second = ask(halves, 3, "auto"), ask(halves, 2, "random", directions=[("text", "image")])
    found = list(tasks_of(halves))
    assert {one.round for one in found} == {first.number, second.number}
    (query,) = first.queries
    mine = [one for one in found if one.round == first.number]
    assert [one.id for one in mine] == query.ids.tolist()
    assert [one.place for one in mine] == [0, 1, 2]
    assert {(one.side, one.target) for one in mine} == {(query.modality, query.target)}
    assert [one.shortlist for one in mine] == [()] * 3  # ready views of two widths: nothing tells who is likely
    assert {one.round_hash for one in mine} == {files.file_hash(first.tasks.with_name("query.parquet"))}
    lines = pd.DataFrame({"id": [mine[1].id], "match": ["none of these"], "round": [first.number]})
    lines.to_csv(tmp_path / "said.csv", index=False)
    answer(halves, tmp_path / "said.csv")
    left = list(tasks_of(modest.open(halves.path), [first.number]))
    assert [(one.id, one.place) for one in left] == [(mine[0].id, 0), (mine[2].id, 2)]
    assert [one.kind for one in tasks_of(halves, [second.number])] == ["pair", "pair"]


@pytest.mark.parametrize(
    ("margin", "score", "reason"),
    [
        (0.0126, 0.0126, "chosen by margin; the likeliest text leads the second by 0.013 in similarity"),
        (np.inf, None, "chosen by margin; it has fewer than two free candidates"),
        (np.nan, None, "chosen by margin; image and text have no common space that would tell how sure it is"),
    ],
)
def test_the_reason_of_a_pair_is_its_margin(halves, margin, score, reason):  # noqa: F811
    from modest.data.pairs import add_queries
    from modest.types import Query

    told = np.array([0]), np.array(["i00"]), np.array([[3, 1, -1]]), np.array([margin])
    query = Query("image", "text", *told, "margin")
    ids = {"image": halves.ids, "text": halves.ids}
    number = add_queries(halves, [query], ids, {("image", "text"): 1.0}, lambda path, number: path.touch(), {})
    (one,) = tasks_of(halves, [number])
    assert (one.score, one.reason, one.shortlist) == (score, reason, ("i03", "i01"))


def test_several_directions_of_a_round_have_places_of_their_own(halves):  # noqa: F811
    number = ask(halves, 4, "random", directions=[("image", "text"), ("text", "image")]).number
    found = list(tasks_of(halves, [number]))
    assert [one.place for one in found] == list(range(len(found)))


def test_the_whole_pool_is_its_training_items_without_a_label(pool):
    choose(pool, [4], [1.0])
    found = list(tasks_of(pool, whole=True))
    assert [(one.round, one.place, one.id) for one in found] == [(0, k, f"n{k}") for k in (0, 1, 2, 4, 5, 6, 7)]
    assert {one.round_hash for one in found} == {pool.config["rows"]}
    assert [one.id for one in tasks_of(pool, whole=True, relabel=True)] == [f"n{k}" for k in range(8)]


def test_rows_that_a_killed_append_left_are_not_there(pool, monkeypatch):
    monkeypatch.setattr("modest.annotation.gather.PIECE", 4)
    table = files.read_table(pool.path / "pool.parquet")
    files.write_table(pool.path / "pool.parquet", pd.concat([table, table.assign(id="late", label="x")]))
    assert len(list(tasks_of(pool, whole=True, relabel=True))) == 8


def test_without_rounds_there_is_nothing_and_unknown_ones_are_named(pool):
    assert list(tasks_of(pool)) == []
    with pytest.raises(ValueError, match=r"round 2 is not in .*; it has none yet\."):
        tasks_of(pool, [2])
    choose(pool, [4], [1.0])
    with pytest.raises(ValueError, match=r"round 2 is not in .*; it has 1\."):
        tasks_of(pool, [1, 2])


def test_gathering_twice_asks_once(pool):
    choose(pool, [4, 5], [1.0, 0.5])
    with Store(pool.path) as store:
        assert store.add(tasks_of(pool)) == 2
        assert store.add(tasks_of(pool)) == 0
        choose(pool, [6], [1.0])
        assert store.add(tasks_of(modest.open(pool.path))) == 1
