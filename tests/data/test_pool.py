"""A pool on disk: opened lazily, labels and rounds added atomically, damage named."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data import files


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    text[[1, 4]] = np.nan
    label = np.array(["a", "b", None, None, "b", "a"], dtype=object)
    arrays = {"image": image, "text": text, "label": label, "note": list("uvwxyz")}
    return modest.ingest({**arrays, "id": [f"n{i}" for i in range(6)]}, tmp_path / "pool")


def choice(rows=(2, 0)):
    rows = np.array(rows, dtype=np.int64)
    ids = np.array([f"n{i}" for i in rows])
    trace = {"objective": np.float64(1.5), "steps": np.arange(3)}
    scores, reasons = np.array([0.5, 0.25])[: len(rows)], ("far", "near")[: len(rows)]
    return modest.Choice(rows, scores, ids, "maxherding", reasons, trace)


def test_views_are_memory_maps_with_presence_and_ids(pool):
    views = pool.views()
    assert views.names == ("image", "text")
    assert all(isinstance(array, np.memmap) for array in views.arrays.values())
    assert views.ids.tolist() == pool.ids.tolist() == [f"n{i}" for i in range(6)]
    assert views.present[:, 1].tolist() == [True, False, True, True, False, True]
    assert np.isnan(views.arrays["text"][1]).all()
    assert pool.views(["image"]).present is None
    assert pool.views("text", rows=[3, 1]).ids.tolist() == ["n3", "n1"]
    assert pool.views({"text": "given"}, rows=np.arange(6) > 3).present[:, 0].tolist() == [False, True]


def test_opening_reads_no_content(pool, monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("content was read")

    monkeypatch.setattr(files, "read_table", refuse)
    monkeypatch.setattr(files, "read_npy", refuse)
    again = modest.open(pool.path)
    assert (len(again), again.names, again.encoders("image")) == (6, ("image", "text"), ("given",))


def test_a_view_that_is_not_there_names_the_command(pool):
    with pytest.raises(FileNotFoundError, match=r"no view image=resnet .*modest embed .*--image resnet"):
        pool.views({"image": "resnet"})
    with pytest.raises(FileNotFoundError, match=r"modest embed .*--audio URI"):
        pool.views(["audio"])


def test_labels_are_written_at_once_and_unknown_ids_are_named(pool):
    assert pool.labels.tolist() == ["a", "b", None, None, "b", "a"]
    assert pool.add({"n2": "c", "n0": None, "n3": 7}) == 3
    again = modest.open(pool.path)
    assert again.labels.tolist() == pool.labels.tolist() == [None, "b", "c", "7", "b", "a"]
    assert again.table["note"].tolist() == list("uvwxyz")
    before = (pool.path / "pool.parquet").read_bytes()
    with pytest.raises(ValueError, match="'stranger'"):
        pool.add({"n1": "a", "stranger": "b"})
    assert (pool.path / "pool.parquet").read_bytes() == before
    with pytest.raises(TypeError, match="mapping"):
        pool.add(["n1"])


def test_a_choice_becomes_the_next_round(pool):
    assert pool.rounds == ()
    assert [pool.add(choice()), pool.add(choice((5,)))] == [1, 2]
    first, second = modest.open(pool.path).rounds
    table = first.choice
    assert table.columns.tolist() == ["id", "order", "score", "reason", "method"]
    assert table["id"].tolist() == ["n2", "n0"]
    assert table["order"].tolist() == [0, 1]
    assert first.manifest["trace"] == {"objective": 1.5, "steps": [0, 1, 2]}
    assert (first.manifest["method"], first.manifest["items"], second.number) == ("maxherding", 2, 2)
    stranger = modest.Choice(np.array([0]), np.array([0.0]), np.array(["who"]), "random")
    with pytest.raises(ValueError, match="'who'"):
        pool.add(stranger)
    assert len(pool.rounds) == 2
    assert sorted(p.name for p in (pool.path / "rounds").iterdir()) == ["1", "2"]


def test_a_round_killed_half_way_is_written_over(pool):
    half = pool.path / "rounds" / ".1.partial"
    half.mkdir(parents=True)
    (half / "choice.parquet").write_bytes(b"half")
    assert pool.add(choice()) == 1
    assert [p.name for p in (pool.path / "rounds").iterdir()] == ["1"]


def test_save_keeps_edits_of_the_table_but_not_of_ids(pool):
    pool.table["mine"] = range(6)
    pool.table.loc[0, "split"] = "test"
    pool.save()
    assert modest.open(pool.path).split.tolist() == ["test", *["train"] * 5]
    assert modest.open(pool.path).table["mine"].tolist() == list(range(6))
    pool.table.loc[0, "split"] = "later"
    with pytest.raises(ValueError, match="'later'"):
        pool.save()
    fresh = modest.open(pool.path)
    fresh.ids  # noqa: B018 (known before the edit)
    fresh.table.loc[0, "id"] = "other"
    with pytest.raises(ValueError, match="ids may not be edited"):
        fresh.save()


def test_newer_formats_other_kinds_and_no_pool_are_refused(pool, tmp_path):
    config = pool.path / "config.json"
    told = json.loads(config.read_text())
    for change, match in (({"format": 99}, "upgrade"), ({"kind": "model"}, "'model'")):
        config.write_text(json.dumps({**told, **change}))
        with pytest.raises(ValueError, match=match):
            modest.open(pool.path)
    config.write_text("{")
    with pytest.raises(ValueError, match="no valid JSON"):
        modest.open(pool.path)
    with pytest.raises(FileNotFoundError, match="modest ingest"):
        modest.open(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 4, 60, 130])
def test_a_truncated_view_is_named(pool, keep):
    path = pool.path / "views" / "image" / "given.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"image.given\.npy"):
        modest.open(pool.path).views()


def test_rows_in_another_order_are_noticed(pool):
    table = pd.read_parquet(pool.path / "pool.parquet")
    table.iloc[::-1].to_parquet(pool.path / "pool.parquet", index=False)
    with pytest.raises(ValueError, match="another order"):
        modest.open(pool.path).views()


def test_the_folder_reads_without_modest(pool):
    table = pd.read_parquet(pool.path / "pool.parquet")
    assert table.columns.tolist() == ["id", "note", "label", "split"]
    about = json.loads(Path(pool.path / "views" / "text" / "given.json").read_text())
    assert (about["shape"], about["absent"], about["encoder"]) == ([6, 4], 2, "given")
    assert np.load(pool.path / "views" / "text" / "given.npy").shape == (6, 4)
