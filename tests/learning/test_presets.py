"""MLA's five presets against numbers typed from its appendix and repository, and each built once without memory."""

import pytest
import torch

from modest import MultimodalClassifier
from modest.encoders.trainable import build
from modest.learning.presets import MLA, of_preset
from modest.training import Plan
from modest.training.schedules import SCHEDULES

AUDIO_VIDEO = ("mla/cremad", "mla/kinetics_sounds")
TEXT_IMAGE = ("mla/food101", "mla/mvsa")


def test_there_are_five():
    assert set(MLA) == {*AUDIO_VIDEO, *TEXT_IMAGE, "mla/iemocap"}


@pytest.mark.parametrize("name", MLA)
def test_numbers_of_the_training(name):
    """SGD with momentum 0.9, rate 1e-3, batch 64, decay 1e-4, 100 epochs, times 0.1 after 70."""
    told = of_preset(name)
    clf = MultimodalClassifier(**told)
    assert clf.method == "mla"
    assert (clf.epochs, clf.lr, clf.batch_size, clf.weight_decay, clf.warmup) == (100, 1e-3, 64, 1e-4, 0)
    assert clf.optimizer == "sgd"
    assert Plan().momentum == 0.9
    assert [SCHEDULES[clf.schedule](epoch / 100) for epoch in (0, 69, 70, 99)] == [1, 1, 0.1, 0.1]
    assert clf.width == (512 if name in AUDIO_VIDEO else 768)
    assert clf.get_params()["encoders"] == told["encoders"]


@pytest.mark.parametrize("name", AUDIO_VIDEO)
def test_sound_and_three_frames(name):
    told = of_preset(name)["encoders"]
    assert list(told) == ["audio", "video"]
    audio, video = told["audio"], told["video"]
    assert (audio["name"], audio["features"], audio["mels"], audio["frames"]) == ("audio_resnet18", "fbank", 128, 1024)
    assert (audio["mean"], audio["std"], audio["augment"]) == (0, 1, 0)
    assert (video["name"], video["frames"], video["of"], video["size"]) == ("video_resnet18", 3, 3, 224)
    assert video["mean"] == (0.485, 0.456, 0.406)


@pytest.mark.parametrize("name", TEXT_IMAGE)
def test_text_and_picture(name):
    told = of_preset(name)["encoders"]
    assert list(told) == ["text", "image"]
    assert (told["text"]["name"], told["text"]["length"], told["text"]["pooling"]) == ("m3ae_text", 256, "all")
    assert (told["image"]["name"], told["image"]["size"], told["image"].get("patch", 16)) == ("m3ae_image", 256, 16)


def test_all_three_of_iemocap():
    told = of_preset("mla/iemocap")["encoders"]
    assert list(told) == ["audio", "video", "text"]
    assert [knobs["name"] for knobs in told.values()] == ["cavmae_audio", "m3ae_image", "m3ae_text"]
    assert told["video"]["clip"] is True
    assert (told["audio"]["mean"], told["audio"]["std"]) == (-5.081, 4.4849)


# parameters of each encoder at the published size
SIZES = {"audio_resnet18": 11_170_240, "video_resnet18": 11_176_512, "m3ae_image": 85_648_128}
SIZES |= {"m3ae_text": 108_498_432, "cavmae_audio": 85_647_360}
INPUTS = {"audio_resnet18": (1, 128, 1024), "video_resnet18": (3, 3, 224, 224), "m3ae_image": (3, 256, 256)}
INPUTS |= {"m3ae_text": (256,), "cavmae_audio": (1, 128, 1024)}


@pytest.mark.parametrize("name", MLA)
def test_every_encoder_is_built_at_the_published_size(name, monkeypatch):
    for place in ("resnet", "m3ae", "cav_mae"):  # nothing is drawn: parameters stay where they are, without memory
        monkeypatch.setattr(f"modest.encoders.{place}.built", lambda make, generator, draw=True: make())
    for knobs in of_preset(name)["encoders"].values():
        more = {"tokenizer": "hashed"} if "tokenizer" in knobs else {}
        with torch.device("meta"):
            made = build(**{**knobs, **more}, generator=torch.Generator())
        assert all(p.is_meta for p in made.net.parameters())
        assert sum(p.numel() for p in made.net.parameters()) == SIZES[made.name]
        assert made.reading.shape == INPUTS[made.name]
        assert made.width == of_preset(name)["width"]
        with torch.device("meta"):
            x = torch.zeros((2, *made.reading.shape), dtype=made.reading.dtype)
            assert made.net(x).shape == (2, made.width)


def test_published_weights_are_named_by_modality():
    told = of_preset("mla/mvsa", weights={"text": "m3ae.safetensors", "image": "m3ae.safetensors"})
    assert {knobs["weights"] for knobs in told["encoders"].values()} == {"m3ae.safetensors"}
    assert "weights" not in of_preset("mla/mvsa")["encoders"]["text"]  # a copy was changed
    with pytest.raises(ValueError, match="audio"):
        of_preset("mla/mvsa", weights={"audio": "x"})


def test_presets_cannot_be_changed():
    told = of_preset("mla/cremad")
    told["encoders"]["video"]["size"] = 32
    assert of_preset("mla/cremad")["encoders"]["video"]["size"] == 224
    with pytest.raises(TypeError):
        MLA["mla/cremad"][0]["video"]["size"] = 32


def test_an_unknown_name_lists_all():
    with pytest.raises(ValueError, match=r"food101/supervised.*mla/cremad.*mla/iemocap"):
        of_preset("mla/ave")
    with pytest.raises(ValueError, match="give it to modest represent"):
        of_preset("food101/pretraining")
