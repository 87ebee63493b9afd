"""From media to a trained classifier with the encoders of MLA: clips with sound and a transcript, generated here.

Two classes: a red clip with a low tone and the word "red", a blue one with a high tone and the word "blue".
"""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import modest
from modest import MultimodalClassifier
from modest.cli import app
from modest.learning.presets import of_preset

av = pytest.importorskip("av", reason="the extra `media` is not installed")
pytest.importorskip("transformers", reason="the extra `media` is not installed")

N, RATE = 24, 16000
LABELS = np.where(np.arange(N) % 2, "blue", "red")
SOUND = {"mels": 32, "frames": 32, "augment": 0}
ENCODERS = {
    "audio": {"name": "audio_resnet18", "features": "fbank", "width": 0.1, "depth": [1, 1], **SOUND},
    "video": {"name": "video_resnet18", "width": 0.1, "depth": [1, 1], "size": 16, "keep": 20, "frames": 3},
    "image": {"name": "m3ae_image", "layers": 1, "hidden": 16, "heads": 2, "size": 16, "patch": 8, "clip": True},
    "text": {"name": "m3ae_text", "layers": 1, "hidden": 16, "heads": 2, "vocab": 64, "length": 6},
    "sound": {"name": "cavmae_audio", "layers": 2, "hidden": 16, "heads": 2, "patch": 8, **SOUND},
}
CASES = {
    "audio and video": ("audio", "video"),
    "image and text": ("image", "text"),
    "all three": ("audio", "video", "text"),
    "all three by transformers": ("sound", "image", "text"),
}
COLUMNS = {"image": "video", "sound": "video"}  # of a clip: the frame in the middle, and what is heard


def clip(path, blue, rng):
    """A third of a second: five frames of one colour and a tone, in one file."""
    with av.open(str(path), "w") as out:
        video, audio = out.add_stream("mpeg4", rate=15), out.add_stream("aac", rate=RATE, layout="mono")
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        for _ in range(5):
            pixels = rng.integers(0, 60, (32, 32, 3))
            pixels[..., 2 if blue else 0] += 170
            out.mux(video.encode(av.VideoFrame.from_ndarray(pixels.astype(np.uint8), format="rgb24")))
        out.mux(video.encode())
        wave = 0.4 * np.sin(2 * np.pi * (2500 if blue else 400) * np.arange(RATE // 3) / RATE)
        wave = (wave + 0.02 * rng.standard_normal(len(wave))).astype(np.float32)
        for start in range(0, len(wave), 1024):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
            frame.rate, frame.pts = RATE, start
            out.mux(audio.encode(frame))
        out.mux(audio.encode())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pool of 24 clips with their transcripts, 16 of them for training; two rows have no transcript."""
    folder, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for i in range(N):
        clip(folder / f"{i}.mp4", bool(i % 2), rng)
    words = [None if i in (2, 21) else f"say {LABELS[i]} {['now', 'please', 'again'][i % 3]}" for i in range(N)]
    split = np.where(np.arange(N) < 16, "train", "test")
    values = [str(folder / f"{i}.mp4") for i in range(N)]
    told = {"id": [f"c{i:02d}" for i in range(N)], "video": values, "text": words, "label": LABELS, "split": split}
    modest.ingest(pd.DataFrame(told), folder / "pool")
    return folder / "pool"


@pytest.fixture
def pool(place):
    return modest.open(place)


def fitted(pool, names, **more):
    told = {"encoders": {name: ENCODERS[name] for name in names}, "epochs": 8, "batch_size": 8, "width": 8}
    told |= {"columns": {name: COLUMNS[name] for name in names if name in COLUMNS} or None, "lr": 3e-3}
    return MultimodalClassifier(**told, **more).fit(pool, validation=False)


@pytest.mark.parametrize("method", ["mla", "concat"])
@pytest.mark.parametrize("case", CASES)
def test_training_from_raw_media(pool, case, method, tmp_path):
    clf = fitted(pool, CASES[case], method=method)
    assert clf.names_ == CASES[case]
    assert clf.unreadable_ == {}
    first, last = (sum(clf.history_[k].values["losses"].values()) for k in (0, -1))
    assert last < 0.7 * first
    test = np.flatnonzero(pool.split == "test")
    out = clf.outputs(pool, test)
    assert (clf.classes_[out.proba.argmax(axis=1)] == LABELS[test]).mean() > 0.7  # colour, tone and word are plain
    lacking = [list(test).index(21)] if "text" in CASES[case] else []
    assert np.flatnonzero(~out.present.all(axis=1)).tolist() == lacking
    assert (out.weights[~out.present] == 0).all()
    np.testing.assert_allclose(out.weights.sum(axis=1), 1, atol=1e-6)
    clf.save(tmp_path / "model")
    again = modest.load(tmp_path / "model").outputs(pool, test)
    np.testing.assert_allclose(again.proba, out.proba, atol=1e-6)


def test_one_modality_alone_is_what_the_others_leave(pool, tmp_path):
    """A second pool of transcripts only: mla then says what its text says."""
    clf = fitted(pool, CASES["all three"], method="mla")
    table = pd.DataFrame({"id": pool.ids, "text": [f"say {label}" for label in LABELS]})
    second = modest.ingest(table, tmp_path / "second")
    out = clf.outputs(second)
    assert out.present.tolist() == [[False, False, True]] * N
    assert (out.weights == [0, 0, 1]).all()
    np.testing.assert_allclose(out.proba, out.modality[2], atol=1e-6)


def test_the_same_seed_gives_the_same_model(pool):
    a, b = (fitted(pool, CASES["all three by transformers"], method="mla") for _ in range(2))
    assert np.array_equal(a.outputs(pool).proba, b.outputs(pool).proba)


def test_a_preset_by_the_command_line(place):
    """mla/cremad with smaller encoders in place of its own; its other numbers stay."""
    told = {m: "&".join(f"{k}={json.dumps(v)}" for k, v in ENCODERS[m].items() if k != "name") for m in ENCODERS}
    typed = [f"--{m}={ENCODERS[m]['name']}?{told[m]}".replace(" ", "") for m in ("audio", "video")]
    arguments = ["train", str(place), "--preset", "mla/cremad", *typed, "--epochs", "2", "--name", "small", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, (done.output, done.exception)
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["method"], said["modalities"], said["epochs"]) == ("mla", ["audio", "video"], 2)
    clf = modest.load(place / "models" / "small")
    assert (clf.optimizer, clf.schedule, clf.lr, clf.batch_size) == ("sgd", "step", 1e-3, 64)
    assert clf.width == of_preset("mla/cremad")["width"] == 512
