"""``embed``: from raw columns to views, what is written, what is kept, what is skipped."""

import csv
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

import modest
from modest.data import files
from modest.encoders import embed, jobs, load
from modest.encoders.encoder import Encoder

N = 10


def make(folder, n=N, **columns):
    """A pool of n items with the raw columns given, or else images (one of them a text) and texts (one null)."""
    folder.mkdir(parents=True, exist_ok=True)
    if not columns:
        draw = np.random.default_rng(0)
        for k in range(n):
            Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8)).save(folder / f"{k:02d}.png")
        (folder / "03.png").write_text("no picture")
        columns = {
            "image": [str(folder / f"{k:02d}.png") for k in range(n)],
            "text": [None if k == 5 else f"caption number {k}" for k in range(n)],
        }
    frame = pd.DataFrame({"id": [f"item-{k:02d}" for k in range(n)], **columns})
    return modest.ingest(frame, folder / "pool")


def content(place):
    """Bytes of every file below a folder, by its relative path."""
    return {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def test_views_are_written_and_open(tmp_path):
    pool = make(tmp_path)
    seen = []
    reports = embed(
        pool,
        {"image": "pixels?size=2", "text": "hashed-text?width=32"},
        batch_size=2,
        shard=4,
        progress=lambda done, total: seen.append((done, total)),
    )
    views = modest.open(pool.path).views()
    assert views.shape == {"image": (N, 36), "text": (N, 32)}
    assert views.present.tolist() == [[k != 3, k != 5] for k in range(N)]
    expected = load("pixels?size=2").encode([v for v in pool.table["image"] if "03" not in v])
    stored = np.asarray(views.arrays["image"])[[k for k in range(N) if k != 3]]
    np.testing.assert_allclose(stored, expected, atol=1e-6)  # batches of two sum in another order than all at once
    assert np.isnan(views.arrays["image"][3]).all()
    about = json.loads((pool.path / "views/image/pixels-size-2.json").read_text())
    assert about == {
        "modality": "image", "encoder": "pixels-size-2", "revision": "1", "rows": pool.config["rows"], "shape": [N, 36],
        "absent": 1, "standardised": False, "origin": "image", "kind": "image", "uri": "pixels?size=2",
        "preprocessing": dict(load("pixels?size=2").preprocessing), "dtype": "float32", "skipped": 1,
        "preprocessing_hash": load("pixels?size=2").preprocessing_hash,
    }  # fmt: skip
    with (pool.path / "views/image/pixels-size-2.skipped.csv").open(newline="") as handle:
        lines = list(csv.reader(handle))
    assert lines[0] == ["id", "value", "reason"]
    assert lines[1][:2] == ["item-03", str(tmp_path / "03.png")]
    assert "03.png" in lines[1][2]
    assert len(lines) == 2
    assert {p.name for p in (pool.path / "views/text").iterdir()} == {
        f"hashed-text-width-32{ending}" for ending in (".npy", ".json", ".present.npy")
    }
    assert reports["image"].skipped_file == pool.path / "views/image/pixels-size-2.skipped.csv"
    assert (reports["text"].skipped, reports["text"].absent, reports["text"].skipped_file) == (0, 1, None)
    assert seen[-1] == (2 * N, 2 * N)
    assert seen == sorted(seen)
    assert pool.config["modalities"] == {"image": "pixels-size-2", "text": "hashed-text-width-32"}
    assert modest.open(pool.path).config["modalities"] == pool.config["modalities"]
    assert len(modest.select(views, budget=3)) == 3


def test_batches_and_shards_do_not_change_the_view(tmp_path):
    pool = make(tmp_path)
    first = {}
    for batch_size, shard in ((64, 1024), (1, 3), (3, 1)):
        embed(pool, {"image": "pixels"}, batch_size=batch_size, shard=shard, fresh=True)
        found = content(pool.path / "views")
        assert found == (first or found)
        first = found


def test_a_finished_view_is_left_alone_and_another_encoder_is_refused(tmp_path, monkeypatch):
    pool = make(tmp_path)
    embed(pool, {"image": "pixels"})
    before = content(pool.path)
    monkeypatch.setattr("modest.encoders.pixels.read_image", None)  # reading again would fail
    report = embed(pool, {"image": "pixels"})["image"]
    assert (report.written, report.kept, report.encoded, report.skipped, report.absent) == (False, N, 0, 1, 1)
    assert content(pool.path) == before
    monkeypatch.setattr("modest.encoders.pixels.VERSION", "2")
    with pytest.raises(ValueError, match=r"another revision.*--fresh"):
        embed(pool, {"image": "pixels"})
    assert content(pool.path) == before
    monkeypatch.undo()
    monkeypatch.setattr("modest.encoders.pixels.VERSION", "2")
    assert embed(pool, {"image": "pixels"}, fresh=True)["image"].written
    assert json.loads((pool.path / "views/image/pixels.json").read_text())["revision"] == "2"
    with pytest.raises(ValueError, match="another dtype"):
        embed(pool, {"image": "pixels"}, half=True)


def test_a_second_view_does_not_become_the_default(tmp_path):
    pool = make(tmp_path)
    embed(pool, {"image": "pixels"})
    embed(pool, {"image": "pixels?size=2"})
    assert modest.open(pool.path).config["modalities"] == {"image": "pixels"}
    assert modest.open(pool.path).views(["image"]).shape["image"] == (N, 792)


def grow(pool, more):
    """The pool with more items at its end, as if they had been added to its table."""
    frame = pd.concat([pool.table, more], ignore_index=True)
    files.write_table(pool.path / "pool.parquet", modest.data.layout.as_text(frame))
    config = files.read_json(pool.path / "config.json")
    config |= {"items": len(frame), "rows": files.rows_hash(frame["id"].to_numpy(dtype=np.str_))}
    files.write_json(pool.path / "config.json", config)
    return modest.open(pool.path)


@pytest.mark.parametrize("shard", [3, 4, 100])
def test_only_new_rows_are_encoded(tmp_path, shard, monkeypatch):
    import modest.data.layout

    pool = make(tmp_path)
    embed(pool, {"image": "pixels"}, shard=shard)
    old = np.array(pool.views().arrays["image"])
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(tmp_path / "new.png")
    values = [str(tmp_path / "new.png"), str(tmp_path / "gone.png"), None]
    pool = grow(
        pool, pd.DataFrame({"id": ["a", "b", "c"], "image": values, "text": "t", "label": None, "split": "train"})
    )
    real, asked = modest.encoders.pixels.read_image, []
    monkeypatch.setattr("modest.encoders.pixels.read_image", lambda value: asked.append(value) or real(value))
    report = embed(pool, {"image": "pixels"}, shard=shard)["image"]
    assert asked == values[:2]
    assert (report.kept, report.encoded, report.skipped, report.absent) == (N, 2, 2, 3)
    views = pool.views()
    assert np.array_equal(views.arrays["image"][:N], old, equal_nan=True)
    assert np.array_equal(views.arrays["image"][N], load("pixels").encode(values[:1])[0])
    assert pool.present[:, 0].tolist() == [k not in (3, 11, 12) for k in range(N + 3)]
    with (pool.path / "views/image/pixels.skipped.csv").open(newline="") as handle:
        assert [line[0] for line in csv.reader(handle)] == ["id", "item-03", "b"]
    once = content(pool.path / "views")
    embed(pool, {"image": "pixels"}, shard=7, fresh=True)
    assert content(pool.path / "views") == once


def test_a_view_of_another_table_is_refused(tmp_path):
    pool = make(tmp_path)
    embed(pool, {"image": "pixels"})
    path = pool.path / "views/image/pixels.json"
    files.write_json(path, {**files.read_json(path), "rows": "0" * 16})
    with pytest.raises(ValueError, match=r"another table of items.*--fresh"):
        embed(pool, {"image": "pixels"})


def test_nothing_readable_is_an_error_and_writes_nothing(tmp_path):
    pool = make(tmp_path)
    before = content(pool.path)
    with pytest.raises(
        ValueError, match=r"no value of 'text' can be encoded as image for image \(the first: .*number 0"
    ):
        embed(pool, {"image": "pixels"}, columns={"image": "text"}, shard=3)
    assert content(pool.path) == before
    assert not (pool.path / "views" / "image").exists()
    empty = make(tmp_path / "b", image=[None] * N, text=["a"] * N)
    with pytest.raises(ValueError, match="no value at all"):
        embed(empty, {"image": "pixels"})


def test_columns_and_kinds(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000)), 8000)
    pool = make(
        tmp_path, 2, sound=[str(tmp_path / "a.wav"), None], clip=[None, str(tmp_path / "a.mp4")], note=["x", "y"]
    )
    with pytest.raises(
        ValueError, match=r"no raw column 'image' for image \(it has sound \(audio\), clip \(video\), note"
    ):
        embed(pool, {"image": "pixels"})
    with pytest.raises(ValueError, match="'pixels' reads image or video, not audio"):
        embed(pool, {"sound": "pixels"})
    with pytest.raises(ValueError, match="nothing says whether the raw column 'note'"):
        embed(pool, {"note": "hf:any"})
    with pytest.raises(
        ValueError, match="no value of 'clip' can be encoded as audio"
    ):  # its sound, and it is not there
        embed(pool, {"audio": "logmel"})
    with pytest.raises(ValueError, match="columns names 'audio'"):
        embed(pool, {"sound": "logmel"}, columns={"audio": "sound"})
    for bad, told in (
        ({}, "names no modality"),
        ({"a/b": "pixels"}, "plain name"),
        ({"note": "nix:"}, "no encoder that"),
    ):
        with pytest.raises(ValueError, match=told):
            embed(pool, bad)
    embed(pool, {"sound": "logmel", "note": "hashed-text"})
    embed(pool, {"audio": "logmel"}, columns={"audio": "sound"})
    assert modest.open(pool.path).names == ("sound", "note", "audio")
    assert modest.open(pool.path).present[:, 0].tolist() == [True, False]


def test_an_early_error_leaves_every_modality_untouched(tmp_path):
    pool = make(tmp_path)
    before = content(pool.path)
    with pytest.raises(ValueError, match="no encoder that"):
        embed(pool, {"image": "pixels", "text": "nix:1"})
    assert content(pool.path) == before


def test_dry_run_writes_nothing_and_knows_what_a_run_would_do(tmp_path):
    pool = make(tmp_path)
    before = content(pool.path)
    report = embed(pool, {"image": "pixels"}, shard=4, dry_run=True)["image"]
    assert content(pool.path) == before
    assert (report.rows, report.encoded, report.kept, report.shards, report.written) == (N, N, 0, 3, False)
    assert report.seconds > 0
    embed(pool, {"image": "pixels"})
    assert report.bytes == N * 792 * 4 == (pool.path / "views/image/pixels.npy").stat().st_size - 128
    again = embed(pool, {"image": "pixels"}, dry_run=True)["image"]
    assert (again.encoded, again.kept, again.seconds) == (0, N, 0.0)


def test_dry_run_times_at_most_a_sample(tmp_path, monkeypatch):
    read = []
    pool = make(tmp_path, 100, text=[f"text {k}" for k in range(100)])
    real = modest.encoders.hashed.read_text
    monkeypatch.setattr("modest.encoders.hashed.read_text", lambda value: read.append(value) or real(value))
    assert embed(pool, {"text": "hashed-text"}, dry_run=True)["text"].encoded == 100
    assert len(read) == jobs.SAMPLE + 1  # one to warm up
    assert len(set(read)) == jobs.SAMPLE


def test_half_is_half_and_says_when_it_does_not_fit(tmp_path, monkeypatch):
    pool = make(tmp_path)
    embed(pool, {"text": "hashed-text"}, half=True)
    array = pool.views().arrays["text"]
    assert array.dtype == np.float16
    assert np.allclose(array[0], load("hashed-text").encode(["caption number 0"])[0], atol=2e-3)
    big = Encoder("big", "big", "text", 2, "1", {}, str, lambda samples: np.full((len(samples), 2), 1e6, np.float32))
    monkeypatch.setitem(embed.__globals__, "load", lambda *given: big)
    with pytest.raises(ValueError, match="row 'item-00' do not fit float16"):
        embed(pool, {"text": "hashed-text?width=16"}, half=True)


def test_features_without_a_direction_are_skipped(tmp_path, monkeypatch):
    pool = make(tmp_path)

    def forward(samples):
        rows = {"caption number 1": [0, 0], "caption number 2": [np.inf, 1]}
        return np.array([rows.get(sample, [1, 2]) for sample in samples], dtype=np.float32)

    monkeypatch.setitem(
        embed.__globals__, "load", lambda *given: Encoder("odd", "odd", "text", 2, "1", {}, str, forward)
    )
    report = embed(pool, {"text": "hashed-text"}, shard=4)["text"]
    assert (report.skipped, report.absent) == (2, 3)
    assert pool.present[:, 0].tolist() == [k not in (1, 2, 5) for k in range(N)]


def test_ready_features_by_row_and_by_id(tmp_path):
    pool = make(tmp_path)
    x = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
    np.save(tmp_path / "rows.npy", x)
    np.savez(tmp_path / "ids.npz", id=pool.ids[::-1][:-1], vectors=x[::-1][:-1])
    reports = embed(pool, {"image": f"npy:{tmp_path / 'rows.npy'}", "text": f"npy:{tmp_path / 'ids.npz'}:vectors"})
    views = modest.open(pool.path).views()
    assert np.array_equal(views.arrays["image"], x)
    assert np.array_equal(views.arrays["text"][1:], x[1:])
    assert views.present.tolist() == [[True, k > 0] for k in range(N)]
    assert reports["text"].absent == 1
    before = content(pool.path)
    again = embed(pool, {"image": f"npy:{tmp_path / 'rows.npy'}"})["image"]
    assert (again.written, content(pool.path) == before) == (False, True)
    np.save(tmp_path / "rows.npy", x + 1)
    with pytest.raises(ValueError, match="another revision"):
        embed(pool, {"image": f"npy:{tmp_path / 'rows.npy'}"})
    embed(pool, {"image": f"npy:{tmp_path / 'rows.npy'}"}, fresh=True, half=True)
    assert modest.open(pool.path).views(["image"]).arrays["image"].dtype == np.float16
    np.save(tmp_path / "short.npy", x[:4])
    with pytest.raises(ValueError, match="4 rows"):
        embed(pool, {"image": f"npy:{tmp_path / 'short.npy'}"})
    with pytest.raises(ValueError, match=r"no \.npy"):
        embed(pool, {"image": f"npy:{tmp_path / 'a.txt'}"})
    with pytest.raises(FileNotFoundError):
        embed(pool, {"image": f"npy:{tmp_path / 'gone.npy'}"})
    assert not list(Path(pool.path).rglob("*.partial"))


def test_memory_does_not_grow_with_the_pool(tmp_path):
    """Features of 1000 rows are 33 MB; what is held is one shard of 64 rows and one batch, beside ids and values."""
    peaks = {}
    for n in (200, 1000):
        pool = make(tmp_path / str(n), n, text=[f"words {k}" for k in range(n)])
        pool.ids  # noqa: B018 - the ids themselves grow with the pool
        tracemalloc.start()
        embed(pool, {"text": "hashed-text?width=8192&chars=2&words=0"}, batch_size=16, shard=64)
        peaks[n] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[1000] < peaks[200] + 2_000_000
    assert peaks[1000] < 12 * 64 * 8192 * 4
