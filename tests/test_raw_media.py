"""From files to predictions: ingest -> embed -> represent -> select -> train -> predict with one modality absent.

On small parts of the real sets: JPEG and title, PNG and caption (by the command line), words cut out of MP4 clips with
sound, and a folder of all kinds of files, one of them damaged.
"""

import csv
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import modest
from modest import MultimodalClassifier
from modest.cli import app
from modest.data.decoding import read_audio
from modest.encoders import embed
from modest.representation import Objective
from modest.representation.stage import represent
from modest.training import Plan

pytest.importorskip("av", reason="the extra `media` is not installed")
pytest.importorskip("soundfile", reason="the extra `media` is not installed")
pytest.importorskip("transformers", reason="the extra `media` is not installed")
pytestmark = pytest.mark.real

DEPTH = [1, 1, 1, 1]
IMAGE = {"name": "resnet18", "width": 0.1, "depth": DEPTH, "size": 16, "keep": 24}
TEXT = {"name": "bert", "layers": 1, "hidden": 16, "heads": 2, "vocab": 256, "positions": 16, "length": 16}
AUDIO = {"name": "audio_resnet18", "width": 0.1, "depth": DEPTH, "clip": 0.4, "seconds": 0.3}
VIDEO = {"name": "r2plus1d18", "width": 0.1, "depth": DEPTH, "size": 16, "keep": 20, "frames": 2, "of": 3}
WIDTH, EPOCHS = 12, 2


def part(frame, label, classes, train, test):
    """The first rows of some classes: ``train`` and ``test`` of each."""
    kept = frame[frame[label].isin(classes)]
    counts = {"train": train, "test": test}
    return pd.concat(kept[kept["split"] == s].groupby(label).head(k) for s, k in counts.items()).reset_index(drop=True)


def beside(place, frame, archive):
    """The table as a file beside its archive of media, as it lies in the set."""
    place.mkdir()
    frame.to_csv(place / "items.csv", index=False)
    (place / archive.name).symlink_to(archive)
    return place / "items.csv"


def pretrained(pool, encoders, batch_size, unreadable=None, **more):
    """Stage 1 on the pool, and what it must hold: unit rows where something could be read, NaN elsewhere, on disk."""
    plan = Plan(epochs=EPOCHS, lr=1e-3, warmup=1, schedule="cosine")
    told = {"objective": Objective(2), "plan": plan, "batch_size": batch_size, "width": WIDTH, **more}
    before = {m: np.array(pool.views({m: e}).arrays[m]) for m in pool.names for e in pool.encoders(m)}
    made = represent(pool, encoders, **told)
    assert [epoch["epoch"] for epoch in made.about["history"]] == list(range(EPOCHS))
    assert all(np.isfinite(epoch["all"]) and epoch["all"] > 0 for epoch in made.about["history"])
    opened = modest.open(pool.path)
    views = opened.views(list(encoders))
    assert views.shape == dict.fromkeys(encoders, (len(pool), WIDTH))
    for m, name in enumerate(views.names):
        there = np.ones(len(pool), bool) if views.present is None else views.present[:, m]
        array = np.asarray(views.arrays[name])
        np.testing.assert_allclose(np.linalg.norm(array[there], axis=1), 1, atol=1e-5)
        assert np.isnan(array[~there]).all()
        assert len(np.unique(array[there].round(6), axis=0)) > there.sum() // 2  # not one point for all
        assert opened.config["modalities"][name] == "stage1"
        skipped = pool.path / f"views/{name}/stage1.skipped.csv"
        ids = pd.read_csv(skipped)["id"].tolist() if skipped.is_file() else []
        assert ids == (unreadable or {}).get(name, [])
    for name, array in before.items():  # views that were there still are
        assert any(np.array_equal(array, pool.views({name: e}).arrays[name], True) for e in pool.encoders(name))
    return made, views


def chosen(pool, budget, **knobs):
    """Rows of a choice among the training rows, kept as the pool's first round."""
    train = np.flatnonzero(pool.split == "train")
    choice = modest.select(pool.views(rows=train), budget, "mmcsal", seed=1, steps=10, **knobs)
    rows = train[choice.rows]
    assert len(set(rows.tolist())) == budget == len(choice)
    assert np.array_equal(pool.ids[rows], choice.ids)
    assert pool.add(choice) == 1
    assert modest.open(pool.path).rounds[0].choice["id"].tolist() == choice.ids.tolist()
    return rows


def labels_of(pool, rows):
    """Labels as a person gives them: those of the rows, nobody else's."""
    y = np.full(len(pool), None, dtype=object)
    y[rows] = pool.labels[rows]
    return y


def without(clf, whole, lacking, absent):
    """What a classifier of separate heads says of items that lack one modality: what the other says on its own."""
    out, full = clf.outputs(lacking), clf.outputs(whole)
    m = clf.names_.index(absent)
    assert not out.present[:, m].any()
    assert np.isnan(out.modality[m]).all()
    assert (out.weights[:, m] == 0).all()
    np.testing.assert_allclose(out.weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(out.proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(out.proba, full.modality[1 - m], atol=1e-5)
    assert not np.allclose(out.proba, full.proba, atol=1e-4)
    assert set(clf.predict(lacking)) <= set(clf.classes_)


def test_jpeg_and_title(shared, tmp_path):
    data = shared / "data" / "fashion_products"
    frame = part(pd.read_csv(data / "items.csv"), "articleType", ["Handbags", "Tshirts", "Wallets"], 24, 6)
    table = beside(tmp_path / "set", frame, data / "images.zip")
    pool = modest.ingest(table, tmp_path / "pool", label="articleType", columns=["image", "text"])
    assert (len(pool), pool.classes, pool.names) == (90, ("Handbags", "Tshirts", "Wallets"), ())
    assert pool.config["lost"] == {}
    assert pool.table["image"][0] == f"{(tmp_path / 'set/images.zip').resolve()}!{frame['image'][0]}"

    reports = embed(pool, {"image": "pixels?size=4", "text": "hashed-text?width=64"}, shard=32)
    assert {m: (r.encoded, r.skipped, r.absent) for m, r in reports.items()} == dict.fromkeys(reports, (90, 0, 0))
    assert pool.views().shape == {"image": (90, reports["image"].dim), "text": (90, 64)}
    ready = MultimodalClassifier(method="late", epochs=30, random_state=0).fit(pool)
    test = np.flatnonzero(pool.split == "test")
    assert np.mean(ready.classes_[ready.outputs(pool, test).proba.argmax(axis=1)] == pool.labels[test]) > 0.8

    made, views = pretrained(pool, {"image": IMAGE, "text": TEXT}, batch_size=24)
    again = made.encode(pool, rows=np.arange(5))
    for name in views.names:
        np.testing.assert_allclose(again.arrays[name], views.arrays[name][:5], atol=1e-5)
    rows = chosen(pool, 12)
    clf = MultimodalClassifier(method="late", encoders=made, epochs=EPOCHS, batch_size=6).fit(
        pool, labels_of(pool, rows)
    )
    assert clf.unreadable_ == {}
    clf.save(tmp_path / "model")
    scratch = MultimodalClassifier(method="mla", encoders={"image": IMAGE, "text": TEXT}, epochs=EPOCHS, batch_size=6)
    scratch.fit(pool, labels_of(pool, rows))
    for absent, left in (("image", "text"), ("text", "image")):
        second = modest.ingest(table, tmp_path / left, label="articleType", columns=[left])
        without(modest.load(tmp_path / "model"), pool, second, absent)
        without(scratch, pool, second, absent)
    embed(second, {"image": "pixels?size=4"})  # and the same for a view
    without(ready, pool, second, "text")


def run(*arguments):
    """What a command with --json says; it must end well."""
    done = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert done.exit_code == 0, (done.output, done.exception)
    return json.loads(done.stdout.splitlines()[-1])


def told(spec):
    """An encoder as it is typed."""
    knobs = "&".join(f"{knob}={json.dumps(value)}" for knob, value in spec.items() if knob != "name")
    return f"{spec['name']}?{knobs}".replace(" ", "")


def test_png_and_caption_by_the_command_line(shared, tmp_path):
    data = shared / "data" / "emoji_captions"
    frame = part(pd.read_csv(data / "captions.csv"), "group", ["Food & Drink", "Animals & Nature"], 30, 8)
    truth = dict(zip(frame["id"], frame["group"]))
    table = beside(tmp_path / "set", frame.drop(columns=["group"]), data / "images.zip")
    pool, second = tmp_path / "pool", tmp_path / "second"
    columns = ("--column", "image", "--column", "text=caption")
    assert run("ingest", table, "--into", pool, *columns)["items"] == 76

    found = run("embed", pool, "--image", "pixels?size=4", "--text", "hashed-text?width=32")["views"]
    assert {m: (v["rows"], v["skipped"]) for m, v in found.items()} == {"image": (76, 0), "text": (76, 0)}
    small = ("--epochs", EPOCHS, "--batch-size", 20, "--width", WIDTH, "--prototypes", 2)
    made = run("represent", pool, "--image", told(IMAGE), "--text", told(TEXT), *small)
    assert len(made["history"]) == EPOCHS
    opened = modest.open(pool)
    assert opened.views().shape == {"image": (76, WIDTH), "text": (76, WIDTH)}
    assert opened.views().present is None
    assert 0 <= made["gap"] <= 2

    choice = run("select", pool, "--budget", 10, "--method", "mmcsal", "--knob", "steps=10")
    train = set(opened.ids[opened.split == "train"])
    assert len(set(choice["ids"])) == 10 == choice["chosen"]
    assert (choice["round"], choice["candidates"]) == (1, 60)
    assert set(choice["ids"]) <= train
    asked = [*choice["ids"], *opened.ids[opened.split == "test"]]
    assert opened.add({name: truth[name] for name in asked}) == 26  # the person's part
    model = run("train", pool, "--start", "stage1", "--method", "late", "--epochs", EPOCHS, "--batch-size", 5)
    assert (model["modalities"], model["classes"]) == (["image", "text"], sorted(set(truth.values())))
    assert model["unreadable"] == {}

    assert run("predict", pool, "--model", "late", "--out", tmp_path / "both.csv")["rows"] == 76
    both = pd.read_csv(tmp_path / "both.csv")
    assert both["id"].tolist() == frame["id"].tolist()
    assert (both[["weight_image", "weight_text"]] > 0).all(axis=None)
    run("ingest", table, "--into", second, "--column", "text=caption")
    modest.open(second).add({name: truth[name] for name in asked})
    out = run("predict", second, "--model", pool / "models/late", "--out", tmp_path / "one.csv", "--split", "test")
    one = pd.read_csv(tmp_path / "one.csv")
    assert out["rows"] == len(one) == 16
    assert (one["weight_image"] == 0).all()
    assert (one["weight_text"] == 1).all()
    clf = modest.load(pool / "models/late")
    own = clf.outputs(opened, np.flatnonzero(opened.split == "test")).modality[1]
    np.testing.assert_allclose(one["probability"], own.max(axis=1), atol=1e-5)
    assert one["label"].tolist() == clf.classes_[own.argmax(axis=1)].tolist()
    scores = run("evaluate", second, "--model", pool / "models/late")
    correct = np.mean([truth[i] == label for i, label in zip(one["id"], one["label"])])
    assert scores["fused"]["accuracy"] == pytest.approx(correct)
    assert scores["modality"]["image"]["rows"] == 0


def test_words_cut_out_of_clips_with_sound(shared, tmp_path):
    data = shared / "data" / "grid_s1"
    frame = part(pd.read_csv(data / "clips.csv"), "colour", ["blue", "red"], 16, 4)
    cut = [f"#t={a},{b}" for a, b in zip(frame["colour_start_s"], frame["colour_end_s"])]
    values = [f"{data.resolve()}/clips_mp4.zip!{name}.mp4{at}" for name, at in zip(frame["clip_id"], cut)]
    columns = {"id": frame["clip_id"], "label": frame["colour"], "split": frame["split"]}
    pool = modest.ingest(pd.DataFrame({**columns, "video": values}), tmp_path / "pool")

    seconds = frame["colour_end_s"] - frame["colour_start_s"]
    heard = [len(read_audio(value, 16000)) / 16000 for value in values[:4]]
    np.testing.assert_allclose(heard, seconds[:4], atol=1e-3)
    reports = embed(pool, {"video": "pixels?size=4&frames=2", "audio": "logmel"})
    assert {m: (r.column, r.encoded, r.skipped) for m, r in reports.items()} == {
        "video": ("video", 40, 0),
        "audio": ("video", 40, 0),
    }
    made, _ = pretrained(pool, {"video": VIDEO, "audio": AUDIO}, batch_size=16)
    assert made.backbones["audio"].reading.kind == "audio"
    rows = chosen(pool, 8)
    clf = MultimodalClassifier(method="mla", encoders=made, epochs=EPOCHS, batch_size=4)
    clf.fit(pool, labels_of(pool, rows))
    # a second pool: the pictures of these words were lost, their sound was kept in a column of its own
    test = pool.split == "test"
    told = {"id": frame["clip_id"][test], "audio": np.array(values)[test]}
    second = modest.ingest(pd.DataFrame(told), tmp_path / "second")
    full = clf.outputs(pool, np.flatnonzero(test))
    out = clf.outputs(second)
    assert out.present.tolist() == [[False, True]] * 8
    assert (out.weights == [0, 1]).all()
    np.testing.assert_allclose(out.proba, full.modality[clf.names_.index("audio")], atol=1e-5)


@pytest.mark.parametrize("method", ["mla", "concat"])
def test_clips_with_sound_and_transcript(shared, tmp_path, method):
    """Three modalities of one recording through the encoders of MLA: the rows of the test lack the transcript."""
    data = shared / "data" / "grid_s1"
    frame = part(pd.read_csv(data / "clips.csv"), "colour", ["blue", "red"], 12, 4)
    test = (frame["split"] == "test").to_numpy()
    cut = [f"#t={a},{b}" for a, b in zip(frame["colour_start_s"], frame["colour_end_s"])]
    values = [f"{data.resolve()}/clips_mp4.zip!{name}.mp4{at}" for name, at in zip(frame["clip_id"], cut)]
    columns = {"id": frame["clip_id"], "label": frame["colour"], "split": frame["split"], "video": values}
    pool = modest.ingest(pd.DataFrame({**columns, "text": frame["transcript"].where(~test)}), tmp_path / "pool")
    encoders = {
        "audio": {"name": "audio_resnet18", "width": 0.1, "depth": DEPTH, "features": "fbank", "frames": 40},
        "video": {"name": "video_resnet18", "width": 0.1, "depth": DEPTH, "size": 32, "keep": 40},
        "text": {"name": "m3ae_text", "layers": 1, "hidden": 16, "heads": 2, "vocab": 64, "length": 8},
    }
    clf = MultimodalClassifier(method=method, encoders=encoders, epochs=EPOCHS, batch_size=8, width=WIDTH).fit(pool)
    assert (clf.names_, clf.unreadable_) == (("audio", "video", "text"), {})
    out = clf.outputs(pool, np.flatnonzero(test))
    assert out.present.tolist() == [[True, True, False]] * 8
    assert (out.weights[:, 2] == 0).all()
    np.testing.assert_allclose(out.weights.sum(axis=1), 1, atol=1e-6)
    assert np.isfinite(out.proba).all()
    bands = clf.trained_.reader.readings["audio"].read(values[0])
    seconds = (frame["colour_end_s"] - frame["colour_start_s"])[0]
    assert len(bands) == pytest.approx(1 + (seconds - 0.025) / 0.01, abs=1)


def test_a_folder_of_files_of_every_kind(shared, tmp_path):
    media = shared / "data" / "raw_media"
    with (media / "index.csv").open(newline="") as handle:
        expected = list(csv.DictReader(handle))
    folder = tmp_path / "files"
    for kind in ("photos", "audio", "video"):
        shutil.copytree(media / kind, folder / kind)
    for line in (media / "photos_captions.jsonl").read_text().splitlines():
        about = json.loads(line)
        (folder / about["image"]).with_suffix(".txt").write_text(about["captions"][0])
    pool = modest.ingest(folder, tmp_path / "pool")
    kinds = {kind: [row["file"] for row in expected if row["kind"] == kind] for kind in ("image", "audio", "video")}
    broken = [row["file"].rsplit(".", 1)[0] for row in expected if "DECODE ERROR" in row["note"]]
    assert len(pool) == len(expected) == 47
    for kind, files in kinds.items():
        column = pool.table[kind].dropna()
        assert sorted(str(v).removeprefix(f"{folder.resolve()}/") for v in column) == sorted(files)
    counts = {"image": 20, "audio": 24, "video": 3}
    assert {kind: len(files) for kind, files in kinds.items()} == counts
    assert broken == ["video/corrupted"]

    asked = {"image": "pixels?size=4", "text": "hashed-text?width=32", "audio": "logmel", "video": "pixels?frames=2"}
    reports = embed(pool, {**asked, "sound": "logmel"}, columns={"sound": "video"})
    skipped = {m: r.skipped for m, r in reports.items()}
    assert skipped == {"image": 0, "text": 0, "audio": 0, "video": 1, "sound": 1}
    assert {m: 47 - r.absent for m, r in reports.items()} == {**counts, "text": 23, "video": 2, "sound": 2}

    encoders = {"image": IMAGE, "text": TEXT, "audio": AUDIO, "video": VIDEO, "sound": AUDIO}
    sources = {"columns": {"sound": "video"}}
    lost = {"video": broken, "sound": broken}
    few = Objective(0)
    _, views = pretrained(pool, encoders, 47, lost, sources=sources, objective=few)
    assert views.present.sum(axis=0).tolist() == [20, 23, 24, 2, 2]
    assert np.flatnonzero(~views.present.any(axis=1)).tolist() == np.flatnonzero(np.isin(pool.ids, broken)).tolist()

    choice = run("select", pool.path, "--budget", 46, "--ignore-labels")
    assert (choice["candidates"], choice["left_out"]) == (46, 1)
    assert sorted(choice["ids"]) == sorted(set(pool.ids) - set(broken))
    y = np.array([name.split("/")[0] for name in pool.ids], dtype=object)
    clf = MultimodalClassifier(
        method="late", encoders={"image": IMAGE, "text": TEXT, "audio": AUDIO, "video": VIDEO}, epochs=EPOCHS
    ).fit(pool, y)
    assert {m: list(rows) for m, rows in clf.unreadable_.items()} == {
        "video": np.flatnonzero(np.isin(pool.ids, broken)).tolist()
    }
    with pytest.warns(UserWarning, match=r"1 rows have no modality that could be read, the first is 'video/corrupted'"):
        full = clf.outputs(pool)
    assert full.present[:, :3].tolist() == views.present[:, :3].tolist()
    # the photographs again, without their captions
    shutil.rmtree(folder / "audio")
    shutil.rmtree(folder / "video")
    for path in (folder / "photos").glob("*.txt"):
        path.unlink()
    second = modest.ingest(folder, tmp_path / "second")
    out = clf.outputs(second)
    assert out.present.tolist() == [[True, False, False, False]] * 20
    photos = np.flatnonzero([name.startswith("photos/") for name in pool.ids])
    assert second.ids.tolist() == pool.ids[photos].tolist()
    np.testing.assert_allclose(out.proba, full.modality[0][photos], atol=1e-5)
    np.testing.assert_allclose(out.weights, [[1, 0, 0, 0]] * 20, atol=1e-6)
