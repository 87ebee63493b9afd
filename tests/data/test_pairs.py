"""Sides, pairs and query rounds of a pool on disk."""

import threading

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data import files
from modest.data import pairs as stored
from modest.data.candidates import candidates
from modest.types import Query


def mixed(tmp_path, n=12):
    """Rows 0-3 have an image, 4-7 a text, 8-9 both, 10 both in test, 11 an image in test."""
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(n, 4)).astype(np.float32), rng.normal(size=(n, 4)).astype(np.float32)
    image[4:8] = text[:4] = text[11] = np.nan
    ids = [f"{'dcbaefghijkl'[k]}{k}" for k in range(n)]
    split = ["train"] * 10 + ["test"] * 2
    return modest.ingest({"image": image, "text": text, "id": ids, "split": split}, tmp_path / "pool")


def query(pool, rows, modality="image", target="text", shortlists=None):
    """A query over the sides of :func:`mixed`; ``rows`` are of the side."""
    sides, _ = stored.sides(pool)
    lists = np.full((len(rows), 3), -1) if shortlists is None else np.array(shortlists)
    named = sides[modality].ids[np.array(rows)]
    return Query(modality, target, np.array(rows), named, lists, np.linspace(0, 1, len(rows)), "random", {"seed": 3})


def ask(pool, *queries):
    sides, _ = stored.sides(pool)
    costs = {(q.modality, q.target): 2.5 for q in queries}
    ids = {name: side.ids for name, side in sides.items()}
    return stored.add_queries(
        pool, queries, ids, costs, lambda path, n: path.write_text(f"round {n}"), {"split": "train"}
    )


def answers(*lines):
    return pd.DataFrame(list(lines), columns=list(stored.COLUMNS))


def test_a_side_has_the_rows_of_its_modality(tmp_path):
    pool = mixed(tmp_path)
    sides, rows = stored.sides(pool)
    assert rows["image"].tolist() == [0, 1, 2, 3, 8, 9]
    assert rows["text"].tolist() == [4, 5, 6, 7, 8, 9]
    whole = pool.views()
    for name, side in sides.items():
        assert side.names == (name,)
        np.testing.assert_array_equal(side.arrays[name], whole.arrays[name][rows[name]])
        assert side.ids.tolist() == pool.ids[rows[name]].tolist()
        assert np.isfinite(side.arrays[name]).all()
    _, every = stored.sides(pool, split=None)
    assert every["image"].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]
    assert isinstance(sides["text"].arrays["text"], np.memmap)  # rows that lie together are not read


def test_what_has_no_sides_says_so(tmp_path):
    pool = mixed(tmp_path)
    with pytest.raises(ValueError, match="'val' is unknown"):
        stored.sides(pool, split="val")
    with pytest.raises(ValueError, match="a view of image alone"):
        stored.sides(pool, ["image"])
    one = {"image": np.eye(3), "text": np.vstack([np.full((2, 3), np.nan), np.eye(3)[:1]])}
    empty = modest.ingest({**one, "split": ["train", "train", "test"]}, tmp_path / "empty")
    with pytest.raises(ValueError, match="no row with text in split 'train'"):
        stored.sides(empty)


def test_rows_with_two_modalities_are_pairs_and_bought_ones_follow(tmp_path):
    pool = mixed(tmp_path)
    _, rows = stored.sides(pool)
    assert {way: two.tolist() for way, two in stored.bought(pool, rows).items()} == {
        ("image", "text"): [[4, 4], [5, 5]]
    }
    name = pool.ids.tolist()
    stored.write_pairs(
        pool.path,
        answers(
            ("image", name[1], "text", name[6], "matched", 1.0, "me", 1, 0),
            ("text", name[4], "image", name[0], "matched", 1.0, "me", 1, 1),  # asked the other way
            ("image", name[2], "text", None, "no_match", 1.0, "me", 1, 2),
            ("image", name[3], "text", name[10], "matched", 1.0, "me", 1, 3),  # of the test split
            ("image", name[1], "text", name[6], "matched", 1.0, "you", 2, 4),  # again
        ),
    )
    assert stored.bought(pool, rows)[("image", "text")].tolist() == [[4, 4], [5, 5], [1, 2], [0, 0]]
    _, every = stored.sides(pool, split=None)
    assert [3, 6] in stored.bought(pool, every)[("image", "text")].tolist()


def test_pairs_come_back_with_their_types(tmp_path):
    pool = mixed(tmp_path)
    before = stored.read_pairs(pool.path)
    assert list(before.columns) == list(stored.COLUMNS)
    assert before.empty
    stored.write_pairs(pool.path, before)
    assert stored.read_pairs(pool.path).empty
    told = answers(
        ("image", "c1", "text", None, "no_match", 2, "", 1, 0), ("image", "b2", "text", "e4", "matched", 1, "a", 1, 1)
    )
    stored.write_pairs(pool.path, told)
    back = stored.read_pairs(pool.path)
    assert back["id_b"].isna().tolist() == [True, False]
    assert (back["cost"].dtype, back["round"].dtype, back["answer"].dtype) == ("float64", "int64", "int64")
    one = (pool.path / stored.FILE).read_bytes()
    stored.write_pairs(pool.path, back)
    assert (pool.path / stored.FILE).read_bytes() == one
    (pool.path / stored.FILE).write_bytes(one[: len(one) // 2])
    with pytest.raises(ValueError, match=r"pairs\.parquet is no whole Parquet file"):
        stored.read_pairs(pool.path)


def test_only_one_run_writes_pairs(tmp_path):
    pool = mixed(tmp_path)
    inside, go = threading.Event(), threading.Event()

    def hold():
        with stored.writing_pairs(pool.path):
            inside.set()
            go.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    assert inside.wait(10)
    with pytest.raises(OSError, match=r"pairs\.parquet is in use by another run"), stored.writing_pairs(pool.path):
        pass
    go.set()
    other.join()
    with stored.writing_pairs(pool.path):
        pass
    assert not list(pool.path.glob(".*"))


def test_queries_are_rounds_of_their_own_kind(tmp_path):
    pool = mixed(tmp_path)
    choice = modest.select(pool.views(), 2, method="random")
    assert pool.add(choice) == 1
    lists = [[0, 2, -1], [5, -1, -1]]
    assert ask(pool, query(pool, [3, 0], shortlists=lists), query(pool, [1], "text", "image")) == 2
    assert pool.add(choice) == 3
    assert [one.number for one in pool.rounds] == [1, 3]
    assert all("choice.parquet" in {p.name for p in one.path.iterdir()} for one in pool.rounds)
    (one,) = stored.query_rounds(pool.path)
    assert (one.number, one.manifest["kind"], one.manifest["items"], one.manifest["split"]) == (2, "query", 3, "train")
    assert [told["trace"] for told in one.manifest["queries"]] == [{"seed": 3}] * 2
    assert (one.path / stored.TASKS).read_text() == "round 2"
    table = stored.read_queries(one)
    assert table["id"].tolist() == ["a3", "d0", "f5"]
    assert table["modality"].tolist() == ["image", "image", "text"]
    assert table["target"].tolist() == ["text", "text", "image"]
    assert table["order"].tolist() == [0, 1, 0]
    assert [list(names) for names in table["shortlist"]] == [["e4", "g6"], ["j9"], []]
    assert table["cost"].tolist() == [2.5] * 3
    assert stored.asked(pool.path)["round"].tolist() == [2] * 3


def test_what_reads_rounds_of_labels_sees_none_of_pairs(tmp_path):
    pool = mixed(tmp_path)
    before = candidates(pool)
    ask(pool, query(pool, [3, 0]))
    after = candidates(modest.open(pool.path))
    assert after[0].tolist() == before[0].tolist()
    assert after[1].tolist() == before[1].tolist()
    assert modest.open(pool.path).rounds == ()


def test_a_failed_round_leaves_nothing(tmp_path):
    pool = mixed(tmp_path)

    def fail(path, number):
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        stored.add_queries(pool, [query(pool, [0])], {"text": pool.ids}, {("image", "text"): 1}, fail, {})
    assert list((pool.path / "rounds").iterdir()) == []
    assert stored.asked(pool.path).empty
    assert files.read_json(pool.path / "config.json")["items"] == 12
