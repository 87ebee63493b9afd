"""The nine presets against numbers typed from the paper, sections 4.3 and 6.1 to 6.3."""

import dataclasses

import pytest

from modest.encoders.presets import PRESETS, preset

# name: section, epochs, warm-up, rates, weight decay, betas, prototypes, temperature, start
PAPER = {
    "food101/pretraining": ("6.1", 25, 5, {"text": 1e-5, "image": 1e-4}, 0.02, (0.9, 0.95), 1000, 0.07, "published"),
    "food101/supervised": ("6.2", 15, 5, {"text": 1e-5, "image": 1e-4}, 0.01, (0.9, 0.999), None, None, "published"),
    "food101/semi_supervised": (
        "6.3", 10, 5, {"text": 2e-6, "image": 2e-5}, 0.01, (0.9, 0.999), None, None, "pretraining",
    ),
    "kinetics_sound/pretraining": (
        "6.1", 45, 15, {"video": 1e-3, "audio": 1e-3}, 0.02, (0.9, 0.95), 500, 0.07, "published",
    ),
    "kinetics_sound/supervised": (
        "6.2", 45, 15, {"video": 1e-3, "audio": 1e-3}, 0.01, (0.9, 0.999), None, None, "published",
    ),
    "kinetics_sound/semi_supervised": (
        "6.3", 20, 10, {"video": 5e-4, "audio": 5e-4}, 0.01, (0.9, 0.999), None, None, "pretraining",
    ),
    "vggsound/pretraining": (
        "6.1", 45, 15, {"video": 1e-3, "audio": 1e-3}, 0.02, (0.9, 0.95), 5000, 0.07, "published",
    ),
    "vggsound/supervised": (
        "6.2", 45, 15, {"video": 1e-3, "audio": 1e-3}, 0.01, (0.9, 0.999), None, None, "published",
    ),
    "vggsound/semi_supervised": (
        "6.3", 20, 10, {"video": 1e-4, "audio": 1e-4}, 0.01, (0.9, 0.999), None, None, "pretraining",
    ),
}  # fmt: skip


def test_there_are_nine():
    assert set(PRESETS) == set(PAPER)


@pytest.mark.parametrize("name", sorted(PAPER))
def test_numbers_of_the_training(name):
    section, epochs, warmup, rates, decay, betas, prototypes, temperature, start = PAPER[name]
    made = preset(name)
    assert f"{made.data}/{made.stage}" == name
    assert (made.section, made.epochs, made.warmup) == (section, epochs, warmup)
    expected = {f"encoders.{modality}": rate for modality, rate in rates.items()} | {"projectors": 1e-3}
    heads = {} if section == "6.1" else {"heads": 1e-3}
    assert dict(made.lr) == {**expected, **heads}
    assert (made.weight_decay, made.betas) == (decay, betas)
    assert (made.prototypes, made.temperature, made.start) == (prototypes, temperature, start)
    assert (made.batch, made.local_batch, made.processes, made.width) == (256, 64, 4, 512)
    assert (made.optimizer, made.schedule) == ("adamw", "cosine")
    assert set(made.modalities) == set(rates)


@pytest.mark.parametrize("stage", ["pretraining", "supervised", "semi_supervised"])
def test_inputs_of_food101(stage):
    made = preset(f"food101/{stage}")
    image, text = made.backbones["image"], made.backbones["text"]
    assert (image["name"], image["size"]) == ("resnet101", 224)
    assert (image["jitter"], image["chances"]) == ((0.4, 0.4, 0.4, 0.1), (0.5, 0.8, 0.2, 1.0))
    assert (image["mean"], image["std"]) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (text["name"], text["length"]) == ("bert", 100)
    assert dict(made.weights) == {"image": "microsoft/resnet-101", "text": "google-bert/bert-base-uncased"}


@pytest.mark.parametrize("stage", ["pretraining", "supervised", "semi_supervised"])
@pytest.mark.parametrize(
    ("data", "statistics"), [("kinetics_sound", (-3.0352, 3.0475)), ("vggsound", (-3.0093, 2.7911))]
)
def test_inputs_of_clips(stage, data, statistics):
    made = preset(f"{data}/{stage}")
    video, audio = made.backbones["video"], made.backbones["audio"]
    assert (video["name"], video["size"], video["frames"], video["of"]) == ("r2plus1d18", 168, 3, 10)
    assert (video["mean"], video["std"]) == ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
    assert (audio["name"], audio["rate"], audio["clip"], audio["seconds"]) == ("audio_resnet18", 16000, 10.0, 5.0)
    assert (audio["n_fft"], audio["window"], audio["hop"]) == (512, 512, 159)
    assert (audio["mean"], audio["std"]) == statistics
    assert set(made.weights.values()) == {None}


def test_presets_cannot_be_changed():
    made = preset("food101/pretraining")
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.epochs = 1
    with pytest.raises(TypeError):
        made.lr["projectors"] = 1.0
    with pytest.raises(TypeError):
        made.backbones["image"]["size"] = 32


def test_an_unknown_name_lists_the_nine():
    with pytest.raises(ValueError, match="kinetics_sound/semi_supervised"):
        preset("imagenet/pretraining")
