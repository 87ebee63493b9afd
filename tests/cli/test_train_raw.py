"""``modest train`` on raw media: encoders from scratch or from stage 1, presets, a kill and the same files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modest
from modest.encoders import embed
from tests.cli.test_represent import IMAGE, RAW, SMALL, TEXT
from tests.encoders.test_embed import content

ROOT = Path(modest.__file__).parent.parent
SHORT = ("--epochs", 2, "--batch-size", 6, "--method", "late")
# pictures: 24 rows, of these 18 train, and of these 12 have labels
LABELLED = [k for k in range(24) if k % 4 and k % 3 != 2]


@pytest.fixture
def stage1(shell, pictures):
    """The pool with a model of stage 1 and its views."""
    assert shell("represent", pictures, *RAW, *SMALL).code == 0
    return pictures


def test_encoders_from_scratch_then_predict(shell, pictures, tmp_path):
    said = shell("train", pictures, *RAW, *SHORT, "--name", "mine", "--rate", "image=0.01")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "trained late on image, text: 2 classes"
    assert lines[2] == "image: 1 values could not be read and count as absent"
    assert lines[-1] == f"next: modest evaluate {pictures} --model {pictures / 'models/mine'}"
    folder = pictures / "models/mine"
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "metrics.json", "model.safetensors"]
    assert json.loads((folder / "metrics.json").read_text())["unreadable"] == {"image": 1}
    pool, saved = modest.open(pictures), modest.load(folder)
    assert saved.trained_.made.configs["image"]["size"] == 8
    encoders = {
        "image": {"name": "resnet18", "width": 0.1, "depth": [1, 1, 1, 1], "size": 8},
        "text": {"name": "bert", "layers": 1, "hidden": 8, "heads": 2, "vocab": 64, "positions": 8, "length": 6},
    }
    clf = modest.MultimodalClassifier(
        method="late", encoders=encoders, epochs=2, batch_size=6, rates={"image": 0.01}
    ).fit(pool)
    assert np.array_equal(clf.predict_proba(pool), saved.predict_proba(pool))
    assert pool.names == ()  # nothing stands on a view
    out = tmp_path / "said.csv"
    assert shell("predict", pictures, "--model", "mine", "--out", out).code == 0
    frame = pd.read_csv(out)
    assert frame["id"].tolist() == pool.ids.tolist()
    assert frame["label"].tolist() == saved.predict(pool).tolist()
    assert np.flatnonzero(frame["weight_image"] == 0).tolist() == [3]
    assert np.flatnonzero(frame["weight_text"] == 0).tolist() == [5]


def test_only_what_is_asked_for_is_read(shell, pictures):
    (pictures.parent / "05.png").unlink()
    said = shell("train", pictures, "--text", TEXT, *SHORT, "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert (told["modalities"], told["unreadable"]) == (["text"], {})


def test_a_ready_view_beside_raw_media(shell, pictures):
    pool = modest.open(pictures)
    embed(pool, {"text": "hashed-text?width=16"})
    embed(pool, {"text": "hashed-text?width=32"})
    said = shell("train", pictures, "--image", IMAGE, "--view", "text=mlp?view=hashed-text-width-32", *SHORT)
    assert said.code == 0, said.err
    clf = modest.load(pictures / "models/late")
    assert clf.names_ == ("image", "text")
    assert clf.trained_.reader.views == {"text": "hashed-text-width-32"}
    assert clf.trained_.made.widths == {"image": None, "text": 32}


def test_another_column(shell, pictures):
    said = shell("train", pictures, "--view", f"caption={TEXT}", "--from", "caption=text", *SHORT)
    assert said.code == 0, said.err
    assert modest.load(pictures / "models/late").trained_.reader.columns == {"caption": "text"}


def test_start_goes_on_from_stage_1(shell, stage1):
    before = content(stage1 / "models/stage1")
    for name, lr in (("still", "1e-12"), ("moved", "1e-2")):
        said = shell("train", stage1, "--start", "stage1", *SHORT, "--name", name, "--lr", lr)
        assert said.code == 0, said.err
        assert "trained late on image, text: 2 classes" in said.out
    assert content(stage1 / "models/stage1") == before
    first = modest.load(stage1 / "models/stage1")
    still, moved = (modest.load(stage1 / "models" / name).trained_.made for name in ("still", "moved"))
    assert still.width == first.net.width == 8
    for m, name in enumerate(("image", "text")):
        for part, of in (("encoder", first.net.encoders[m]), ("projector", first.net.projectors[m])):
            was = dict(of.named_parameters())
            near = dict(getattr(still.modules[name], part).named_parameters())
            far = dict(getattr(moved.modules[name], part).named_parameters())
            assert all(np.allclose(near[k].detach(), was[k].detach(), atol=1e-8) for k in was)
            assert not all(np.allclose(far[k].detach(), was[k].detach(), atol=1e-4) for k in was)
    pool = modest.open(stage1)
    assert len(modest.load(stage1 / "models/moved").predict(pool)) == 24
    path = stage1 / "models/stage1"  # a folder will do as well
    assert shell("train", stage1, "--start", path, *SHORT, "--name", "folder", "--lr", "1e-2").code == 0
    one, other = (stage1 / "models" / name / "model.safetensors" for name in ("moved", "folder"))
    assert one.read_bytes() == other.read_bytes()


def test_presets(shell, stage1):
    before = content(stage1)
    for options, told in (
        (
            ["food101/semi_supervised"],
            "--preset food101/semi_supervised starts from a pretraining; name it with --start",
        ),
        (["food101/pretraining"], "'food101/pretraining' has no labels to train on; give it to modest represent"),
        (["food102/supervised"], "preset='food102/supervised' is unknown; known: food101/pretraining"),
        (["kinetics_sound/supervised"], "no raw column 'video'"),
        (
            ["kinetics_sound/semi_supervised", "--start", "stage1"],
            "rates names 'video'; known: image, text, projectors",
        ),
    ):
        said = shell("train", stage1, "--preset", *options, "--batch-size", 6)
        assert said.code == 2
        assert told in said.err
        assert said.err.count("\n") == 1
    assert content(stage1) == before
    few = ("--epochs", 2, "--warmup", 1, "--batch-size", 6)
    said = shell("train", stage1, "--preset", "food101/semi_supervised", "--start", "stage1", *few, "--name", "semi")
    assert said.code == 0, said.err
    said = shell("train", stage1, "--preset", "food101/supervised", *RAW, *few, "--name", "scratch")
    assert said.code == 0, said.err
    for name, rates in (("semi", (2e-5, 2e-6)), ("scratch", (1e-4, 1e-5))):
        params = modest.load(stage1 / "models" / name).get_params()
        assert params["method"] == "concat"
        assert params["options"] == {"unimodal_heads": True}
        assert params["rates"] == {"image": rates[0], "text": rates[1], "projectors": 1e-3}
        assert (params["lr"], params["weight_decay"], params["betas"]) == (1e-3, 0.01, (0.9, 0.999))
        assert (params["epochs"], params["warmup"], params["batch_size"]) == (2, 1, 6)
    assert modest.load(stage1 / "models/scratch").trained_.made.width == 512


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--image", "lstm"], "name='lstm' is unknown; known: resnet18"),
        (["--image", "resnet18?breadth=1"], "knob of resnet18='breadth' is unknown"),
        (["--image", IMAGE, "--video", "r2plus1d18"], "no raw column 'video'"),
        (["--image", "mlp"], "has no view of 'image'"),
        (["--image", IMAGE, "--rate", "sound=1"], "rates names 'sound'"),
        (["--image", IMAGE, "--rate", "image=fast"], "--rate image='fast' is no number"),
        (["--image", IMAGE, "--from", "image"], "--from 'image' cannot be read; write MODALITY=COLUMN"),
        (["--image", IMAGE, "--fill", "mean"], "fill='mean'"),
        (["--start", "nowhere"], "'nowhere' is neither a folder of a model nor a name under"),
        (["--start", "stage1", "--image", IMAGE], "--start brings its own encoders; leave out --image"),
        (["--start", "stage1", "--name", "stage1"], "stage1 holds a representation; give another --name"),
        (["--image", f"{IMAGE}&weights=gone.pth"], "gone.pth' is no file or folder here"),
    ],
)
def test_options_that_cannot_be_used(shell, request, options, told):
    pool = request.getfixturevalue("stage1" if "stage1" in options else "pictures")
    before = content(pool)
    said = shell("train", pool, *options, "--epochs", 1)
    assert said.code == 2
    assert told in said.err
    assert said.err.startswith("modest: ")
    assert said.err.count("\n") == 1
    assert content(pool) == before


def test_a_classifier_is_nothing_to_start_from(shell, pictures):
    assert shell("train", pictures, "--text", TEXT, *SHORT).code == 0
    said = shell("train", pictures, "--start", "late", *SHORT, "--name", "other")
    assert said.code == 2
    assert "kind 'classifier'" in said.err


def test_a_cut_run_is_not_gone_on_with_by_other_settings(shell, pictures, monkeypatch):
    def cut(*given):
        raise OSError("the disk is gone")

    with monkeypatch.context() as patched:
        patched.setattr("modest.classifier.MultimodalClassifier.save", cut)
        assert shell("train", pictures, "--text", TEXT, *SHORT).code == 2
    kept = pictures / "models/late/run.safetensors"
    assert kept.is_file()
    said = shell("train", pictures, "--text", TEXT, *SHORT, "--seed", 1)
    assert said.code == 2
    assert f"{kept} was kept by a run with other settings or data; remove it to start anew" in said.err
    with monkeypatch.context() as patched:
        patched.setattr("modest.training.fit._epoch", cut)  # both epochs are done
        assert shell("train", pictures, "--text", TEXT, *SHORT).code == 0
    assert not kept.exists()


def test_media_none_of_which_can_be_read(shell, pictures):
    for k in range(24):
        (pictures.parent / f"{k:02d}.png").write_bytes(b"")
    said = shell("train", pictures, *RAW, *SHORT, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["unreadable"] == {"image": len(LABELLED)}
    said = shell("train", pictures, "--image", IMAGE, *SHORT, "--name", "alone")
    assert said.code == 2
    assert "no row to train on has anything that can be read (the first: " in said.err
    assert f"{pictures.parent / '01.png'} is empty; copy it again); look at its files." in said.err
    assert said.err.count("\n") == 1
    assert not (pictures / "models/alone").exists()


@pytest.mark.parametrize("how", ["raw", "start"])
def test_killed_at_many_steps_and_run_again(tmp_path, how):
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.train_kills", str(tmp_path), how],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = json.loads(done.stdout)
    assert {begun + more for _, begun, more in killed} <= {3, 4}
    assert {begun for _, begun, _ in killed} >= {1, 2, 3}
    assert killed[0][0] == "os.remove models/model/run.safetensors"
