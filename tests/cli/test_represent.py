"""``modest represent`` on the command line: what it makes and says, and one sentence for what it cannot do."""

import csv
import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

import modest
from modest.encoders import embed
from modest.encoders.trainable import build
from tests.data.test_decoding import write_mp4
from tests.encoders.test_embed import content

IMAGE = "resnet18?width=0.1&depth=[1,1,1,1]&size=8"
TEXT = "bert?layers=1&hidden=8&heads=2&vocab=64&positions=8&length=6"
SMALL = ("--epochs", 2, "--batch-size", 6, "--width", 8, "--prototypes", 2)
RAW = ("--image", IMAGE, "--text", TEXT)


def test_towers_over_the_ready_views(shell, pictures):
    said = shell("represent", pictures, *SMALL)
    assert said.code == 2
    assert f"{pictures} has no ready views yet; name encoders of its raw media" in said.err
    assert said.err.endswith(f"modest embed {pictures} --image URI --text URI\n")
    embed(modest.open(pictures), {"image": "pixels?size=2", "text": "hashed-text?width=16"})
    said = shell("represent", pictures, *SMALL)
    assert said.code == 0, said.err
    pool = modest.open(pictures)
    assert pool.config["modalities"] == {"image": "stage1", "text": "stage1"}
    assert pool.views().shape == {"image": (24, 8), "text": (24, 8)}
    assert pool.views().present.tolist() == [[k != 3, k != 5] for k in range(24)]
    made = modest.load(pictures / "models/stage1")
    assert made.sources == {"encoders": {"image": "pixels-size-2", "text": "hashed-text-width-16"}, "columns": {}}
    assert {m: b.name for m, b in made.backbones.items()} == {"image": "mlp", "text": "mlp"}
    assert len(made.about["history"]) == 2
    lines = said.out.splitlines()
    first, last = (made.about["history"][k]["all"] for k in (0, -1))
    assert lines[0] == f"image, text trained for 2 epochs, loss {first:.3f} to {last:.3f}"
    assert lines[1:3] == ["image: 23 rows, 1 absent", "text: 23 rows, 1 absent"]
    assert lines[-1] == f"next: modest select {pictures} --budget 0.01 --method mmcsal"
    before = content(pictures)
    assert shell("represent", pictures, *SMALL).out == said.out
    assert content(pictures) == before


def test_encoders_of_raw_media_with_knobs(shell, pictures):
    said = shell(
        "represent", pictures, *RAW, *SMALL, "--name", "mine", "--rate", "image=0.01", "--rate", "projectors=2e-3"
    )
    assert said.code == 0, said.err
    pool = modest.open(pictures)
    skipped = pictures / "views/image/mine.skipped.csv"
    assert f"image: 23 rows, 1 absent, 1 of them could not be read, listed in {skipped}" in said.out
    assert "text: 23 rows, 1 absent\n" in said.out
    assert f"the model is {pictures / 'models/mine'}" in said.out
    with skipped.open(newline="") as handle:
        (told,) = csv.DictReader(handle)
    assert told["id"] == "item-03"
    assert "03.png" in told["reason"]
    assert not (pictures / "views/text/mine.skipped.csv").exists()
    made = modest.load(pictures / "models/mine")
    config = made.backbones["image"].config
    assert (config["width"], config["depth"], config["size"]) == (0.1, [1, 1, 1, 1], 8)
    assert made.backbones["text"].config["hidden"] == 8
    assert made.about["plan"]["rates"] == {"encoders.0": 0.01, "projectors": 0.002}
    out, stored = made.encode(pool), pool.views()
    assert pool.config["modalities"] == {"image": "mine", "text": "mine"}
    for modality in ("image", "text"):
        assert np.array_equal(out.arrays[modality], stored.arrays[modality], equal_nan=True)
    chosen = shell("select", pictures, "--budget", 4, "--method", "maxherding", "--ignore-labels", "--json")
    assert chosen.code == 0, chosen.err
    assert len(json.loads(chosen.out)["ids"]) == 4


def test_an_item_of_which_nothing_could_be_read_is_never_chosen(shell, pictures):
    pool = modest.open(pictures)
    pool.table.loc[3, "text"] = None
    pool.save()
    assert shell("represent", pictures, *RAW, *SMALL).code == 0
    said = shell("select", pictures, "--budget", 17, "--ignore-labels")
    assert said.code == 0, said.err
    assert "17 of 17 free items chosen" in said.out
    assert "1 items have nothing that could be read, and are left out" in said.out
    assert "item-03" not in modest.open(pictures).rounds[0].choice["id"].tolist()


def test_an_mlp_over_a_view_that_is_named(shell, pictures):
    embed(modest.open(pictures), {"image": "pixels?size=2", "text": "hashed-text?width=16"})
    embed(modest.open(pictures), {"image": "pixels?size=3"})
    said = shell("represent", pictures, "--image", "mlp?view=pixels-size-3&hidden=[8]", "--view", "text=mlp", *SMALL)
    assert said.code == 0, said.err
    made = modest.load(pictures / "models/stage1")
    assert made.sources["encoders"] == {"image": "pixels-size-3", "text": "hashed-text-width-16"}
    shapes = modest.open(pictures).views({"image": "pixels-size-3"}).shape
    assert made.backbones["image"].config["inputs"] == shapes["image"][1]
    assert made.backbones["image"].config["hidden"] == [8]


def test_another_column_and_a_modality_of_any_name(shell, pictures):
    said = shell("represent", pictures, "--image", IMAGE, "--view", f"caption={TEXT}", "--from", "caption=text", *SMALL)
    assert said.code == 0, said.err
    assert modest.open(pictures).views().shape == {"image": (24, 8), "caption": (24, 8)}
    assert modest.load(pictures / "models/stage1").sources["columns"] == {"caption": "text"}


def test_json_is_one_object_and_nothing_else(shell, pictures):
    said = shell("represent", pictures, *RAW, *SMALL, "--json", "--seed", 3)
    assert (said.code, said.err) == (0, "")
    told = json.loads(said.out)
    assert told["modalities"] == ["image", "text"]
    assert [set(epoch) for epoch in told["history"]] == [{"epoch", "all"}] * 2
    assert told["gap"] == pytest.approx(modest.representation.modality_gap(modest.open(pictures).views()).gap)
    assert told["next"] == f"modest select {pictures} --budget 0.01 --method mmcsal"
    assert modest.load(pictures / "models/stage1").about["seed"] == 3


def test_other_settings_under_the_same_name(shell, pictures):
    assert shell("represent", pictures, *RAW, *SMALL).code == 0
    before = content(pictures)
    for other in (
        ("--lr", "0.1"),
        ("--cluster-on", "epoch"),
        ("--seed", 1),
        ("--image", IMAGE.replace("size=8", "size=9")),
    ):
        said = shell("represent", pictures, *RAW, *SMALL, *other)
        assert said.code == 2
        assert "trained with other settings or data; give another name, or ask for it fresh" in said.err
    assert content(pictures) == before
    assert shell("represent", pictures, *RAW, *SMALL, "--seed", 1, "--fresh").code == 0
    assert modest.load(pictures / "models/stage1").about["seed"] == 1
    odd = shell("represent", pictures, *SMALL, "--fresh")  # no encoders: towers over its own views
    assert odd.code == 2
    assert "the view image=stage1, which this run writes" in odd.err


def test_presets(shell, pictures, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = content(pictures)
    for name, told in (
        ("food101", "preset='food101' is unknown; known: food101/pretraining"),
        ("food101/supervised", "preset 'food101/supervised' is for modest train; here take food101/pretraining"),
        ("kinetics_sound/pretraining", "no raw column 'video' for video (it has image (image), text (text))"),
    ):
        said = shell("represent", pictures, "--preset", name)
        assert said.code == 2
        assert told in said.err
    assert content(pictures) == before
    said = shell("represent", pictures, "--preset", "food101/pretraining", *RAW, *SMALL[:4], "--prototypes", 2)
    assert said.code == 0, said.err
    about = modest.load(pictures / "models/stage1").about
    assert about["plan"]["rates"] == {"encoders.0": 1e-4, "encoders.1": 1e-5, "projectors": 1e-3}
    assert (about["plan"]["weight_decay"], about["plan"]["betas"]) == (0.02, [0.9, 0.95])
    assert (about["plan"]["epochs"], about["width"], about["batch_size"]) == (2, 512, 6)
    assert (about["plan"]["schedule"], about["objective"]["temperature"]) == ("cosine", 0.07)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--image", "lstm", "--text", TEXT], "name='lstm' is unknown; known: resnet18"),
        (["--image", "resnet18?breadth=2", "--text", TEXT], "knob of resnet18='breadth' is unknown; known: width"),
        (["--image", "resnet18?width", "--text", TEXT], "resnet18?width"),
        (["--image", "resnet18?size=0", "--text", TEXT], "size=0 of resnet18 is too small"),
        (["--image", "resnet18?view=pixels", "--text", TEXT], "which only an mlp reads"),
        (["--image", IMAGE], "aligns modalities and there is image; give at least two"),
        (["--image", IMAGE, "--text", "mlp"], "view"),
        (["--image", IMAGE, "--video", "r2plus1d18"], "no raw column 'video'"),
        (["--image", IMAGE, "--text", TEXT, "--from", "text"], "MODALITY=COLUMN"),
        (["--image", IMAGE, "--text", TEXT, "--rate", "image=fast"], "--rate image='fast' is no number"),
        (["--image", IMAGE, "--text", TEXT, "--rate", "sound=1e-3"], "rates names 'sound'"),
        (["--image", IMAGE, "--text", TEXT, "--epochs", 0], "epochs=0"),
        (["--image", IMAGE, "--text", TEXT, "--prototypes", 20], "prototypes=20 for 1"),
        (["--image", IMAGE, "--text", TEXT, "--cluster-on", "never"], "cluster_on='never' is unknown"),
        (["--image", IMAGE, "--text", TEXT, "--name", "a/b"], "plain folder name"),
        (["--image", IMAGE, "--text", TEXT, "--memory", "much"], "memory='much' cannot be read"),
        (["--image", f"{IMAGE}&weights=gone.safetensors", "--text", TEXT], "gone.safetensors' is no file or folder"),
    ],
)
def test_options_that_cannot_be_used(shell, pictures, options, told):
    before = content(pictures)
    said = shell("represent", pictures, *options)
    assert said.code == 2
    assert told in said.err
    assert said.err.startswith("modest: ")
    assert said.err.count("\n") == 1
    assert content(pictures) == before


def test_weights_of_another_architecture(shell, pictures, tmp_path):
    generator = torch.Generator().manual_seed(0)
    wide = build("resnet18", width=0.2, depth=(1, 1, 1, 1), size=8, generator=generator).net.body.state_dict()
    save_file({name: tensor.contiguous() for name, tensor in wide.items()}, tmp_path / "wide.safetensors")
    (tmp_path / "torn.safetensors").write_bytes((tmp_path / "wide.safetensors").read_bytes()[:100])
    before = content(pictures)
    for name, told in (("wide", "has shape"), ("torn", "is damaged")):
        path = tmp_path / f"{name}.safetensors"
        said = shell("represent", pictures, "--image", f"{IMAGE}&weights={path}", "--text", TEXT, *SMALL)
        assert said.code == 2
        assert f"weights='{path}'" in said.err
        assert told in said.err
        assert said.err.count("\n") == 1
    assert content(pictures) == before
    fitting = IMAGE.replace("0.1", "0.2") + f"&weights={tmp_path / 'wide.safetensors'}"
    assert shell("represent", pictures, "--image", fitting, "--text", TEXT, *SMALL).code == 0


def bad(place, what):
    """(kind of the modality, an encoder of it, a value that cannot be read, a part of the sentence about it)."""
    sound = "audio_resnet18?width=0.1&depth=[1,1,1,1]&clip=0.1&seconds=0.1"
    film = "r2plus1d18?width=0.1&depth=[1,1,1,1]&size=8&frames=1&of=2"
    if what == "text":
        (place / "bad.png").write_text("this is a text")
        return "image", IMAGE, str(place / "bad.png"), "bad.png is no picture"
    if what == "zero bytes":
        (place / "bad.png").write_bytes(b"")
        return "image", IMAGE, str(place / "bad.png"), "bad.png is empty"
    if what == "no sound":
        return "audio", sound, write_mp4(place / "bad.mp4"), "bad.mp4 has no sound"
    if what == "not there":
        return "video", film, str(place / "bad.mp4"), "bad.mp4 is not there"
    return "text", TEXT, "word " * 2_000_000, "has 10,000,000 characters and at most 1,000,000 are read"


KINDS = ["text", "zero bytes", "no sound", "not there", "10 MB"]


@pytest.mark.parametrize("what", KINDS)
def test_a_value_that_cannot_be_read_is_counted_and_listed(shell, tmp_path, what):
    kind, encoder, value, told = bad(tmp_path, what)
    pool, n = mixed(tmp_path, kind, [value, None], good=6), 8
    said = shell("represent", pool, f"--{kind}", encoder, "--view", "other=mlp", "--epochs", 1, "--batch-size", 6)
    assert said.code == 0, said.err
    assert f"{kind}: 6 rows, 2 absent, 1 of them could not be read" in said.out
    assert modest.open(pool).views({kind: "stage1"}).present[:, 0].tolist() == [k < 6 for k in range(n)]
    with (pool / f"views/{kind}/stage1.skipped.csv").open(newline="") as handle:
        (line,) = csv.DictReader(handle)
    assert line["id"] == "6"
    assert told in line["reason"]


@pytest.mark.parametrize("what", KINDS)
def test_a_modality_of_which_nothing_can_be_read_is_one_sentence(shell, tmp_path, what):
    kind, encoder, value, told = bad(tmp_path, what)
    pool = mixed(tmp_path, kind, [value] * 6, good=0)
    before = content(pool)
    said = shell("represent", pool, f"--{kind}", encoder, "--view", "other=mlp", "--epochs", 1, "--batch-size", 6)
    assert said.code == 2
    assert told in said.err
    assert said.err.startswith(f"modest: no value of {kind}")
    assert said.err.count("\n") == 1
    assert len(said.err) < 500
    assert content(pool) == before


def mixed(place, kind, values, good):
    """A pool of one raw column, ``good`` readable values and then ``values``, and a ready view ``other``."""
    draw = np.random.default_rng(0)
    fine = []
    for k in range(good):
        if kind == "image":
            Image.fromarray(draw.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(place / f"{k}.png")
            fine.append(str(place / f"{k}.png"))
        elif kind == "audio":
            soundfile.write(place / f"{k}.wav", draw.normal(size=1600) / 9, 16000)
            fine.append(str(place / f"{k}.wav"))
        elif kind == "video":
            fine.append(write_mp4(place / f"{k}.mp4", frames=3))
        else:
            fine.append(f"caption {k}")
    frame = pd.DataFrame({"id": [str(k) for k in range(good + len(values))], kind: fine + values})
    view = draw.normal(size=(len(frame), 4)).astype(np.float32)
    return modest.ingest(frame, place / "pool", views={"other": view}).path
