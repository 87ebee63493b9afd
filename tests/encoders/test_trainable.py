"""Trainable encoders by name: readings of real files, fixed shapes, knobs, rebuilding, gradients, refusals."""

import json

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file

from modest.data.decoding import Unreadable
from modest.encoders import augment
from modest.encoders.spectrogram import log_spectrogram
from modest.encoders.trainable import BACKBONES, build

SMALL = {
    "resnet18": {"width": 0.125, "depth": [1, 1], "size": 32},
    "resnet101": {"width": 0.0625, "depth": [1, 1], "size": 32},
    "audio_resnet18": {
        "width": 0.125,
        "depth": [1, 1],
        "clip": 1.0,
        "seconds": 0.5,
        "n_fft": 64,
        "window": 64,
        "hop": 160,
    },
    "r2plus1d18": {"width": 0.125, "depth": [1, 1], "size": 16, "frames": 2, "of": 4},
    "video_resnet18": {"width": 0.125, "depth": [1, 1], "size": 32, "frames": 2, "of": 4},
    "m3ae_image": {"layers": 1, "hidden": 8, "heads": 2, "size": 16, "patch": 8},
    "m3ae_text": {"layers": 1, "hidden": 8, "heads": 2, "vocab": 100, "length": 12},
    "cavmae_audio": {"layers": 2, "hidden": 8, "heads": 2, "patch": 8, "mels": 16, "frames": 24, "cover": [6, 8]},
    "bert": {"layers": 1, "hidden": 16, "heads": 2, "vocab": 100, "positions": 32, "length": 12},
    "mlp": {"inputs": 6, "hidden": [8], "width": 5},
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def small(name, seed=0, **more):
    return build(name, generator=generator(seed), **{**SMALL[name], **more})


def batch(backbone, rows=3):
    if backbone.reading is None:
        return torch.rand(rows, backbone.config["inputs"], generator=generator(9))
    if backbone.reading.dtype == torch.int64:
        x = torch.randint(3, 100, (rows, *backbone.reading.shape), generator=generator(9))
        x[0, 5:] = 0
        return x
    return torch.rand(rows, *backbone.reading.shape, generator=generator(9))


@pytest.fixture(scope="module")
def media(tmp_path_factory):
    """One real file of each kind: a picture, a tone, four coloured frames."""
    place = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((80, 60)).save(place / "a.png")
    soundfile.write(place / "a.wav", 0.5 * np.sin(np.arange(8000) * 0.3), 16000)
    with av.open(str(place / "a.mp4"), "w") as out:
        stream = out.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in (20, 60, 100, 140, 180, 220, 240, 250):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, dtype=np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return {
        "resnet18": str(place / "a.png"),
        "resnet101": str(place / "a.png"),
        "m3ae_image": str(place / "a.png"),
        "cavmae_audio": str(place / "a.wav"),
        "video_resnet18": str(place / "a.mp4"),
        "m3ae_text": "Red canvas shoes, size 42",
        "audio_resnet18": str(place / "a.wav"),
        "r2plus1d18": str(place / "a.mp4"),
        "bert": "Red canvas shoes, size 42",
    }


def test_the_examination_covers_all_backbones():
    paired = {"clip_image", "clip_text", "siglip_image", "siglip_text"}  # in test_clip_towers: they need a folder
    assert set(SMALL) | paired == set(BACKBONES)


@pytest.mark.parametrize("name", sorted(SMALL))
class TestEvery:
    def test_features_have_the_width_told_and_gradients_reach_all_weights(self, name):
        made = small(name)
        made.net.train()
        out = made.net(batch(made))
        assert out.shape == (3, made.width)
        assert out.dtype == torch.float32
        out.square().sum().backward()
        without = {
            n for n, p in made.net.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
        }
        # a key's bias shifts all scores of a query alike, which softmax does not see
        assert {n for n in without if not n.endswith("key.bias")} == set()

    def test_config_is_json_and_builds_the_same_again(self, name):
        made = small(name)
        again = build(**json.loads(json.dumps(dict(made.config))), generator=generator(0))
        assert again.config == made.config
        shapes = {n: tuple(t.shape) for n, t in made.net.state_dict().items()}
        assert {n: tuple(t.shape) for n, t in again.net.state_dict().items()} == shapes
        again.net.load_state_dict(made.net.state_dict())
        x = batch(made)
        assert torch.equal(again.net.eval()(x), made.net.eval()(x))
        if made.reading is not None:
            assert (again.reading.shape, again.reading.dtype) == (made.reading.shape, made.reading.dtype)

    def test_weights_come_from_the_generator_alone(self, name):
        before = torch.get_rng_state()
        first, again, other = (small(name, seed).net.state_dict() for seed in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), before)
        assert all(torch.equal(first[n], again[n]) for n in first)
        assert any(not torch.equal(first[n], other[n]) for n in first)

    def test_an_unknown_knob_lists_the_known_ones(self, name):
        with pytest.raises(ValueError, match=r"knob of .*'colour' is unknown; known: .*(width|hidden)"):
            small(name, colour=3)


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"mlp"}))
class TestReadings:
    def test_shape_and_type_are_as_told(self, name, media):
        reading = small(name).reading
        array = reading.read(media[name])
        for x in (reading.eval(array), reading.train(array, np.random.default_rng(0))):
            assert tuple(x.shape) == reading.shape
            assert x.dtype == reading.dtype

    def test_evaluation_is_fixed_and_training_follows_the_generator(self, name, media):
        reading = small(name).reading
        array = reading.read(media[name])
        kept = array.copy()
        assert torch.equal(reading.eval(array), reading.eval(array))
        drawn = [reading.train(array, np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)]
        assert torch.equal(drawn[0], drawn[1])
        if reading.kind != "text":
            assert any(not torch.equal(drawn[0], x) for x in drawn[2:])
        assert (array == kept).all()  # it may be a cached one

    def test_augment_0_is_the_view_of_evaluation(self, name, media):
        if small(name).reading.kind == "text":
            assert "augment" not in small(name).config
            return
        reading = small(name, augment=0).reading
        array = reading.read(media[name])
        assert torch.equal(reading.train(array, np.random.default_rng(0)), reading.eval(array))

    def test_another_kind_of_file_is_unreadable(self, name, media):
        wrong = {"image": "audio_resnet18", "audio": "resnet18", "video": "audio_resnet18"}
        reading = small(name).reading
        value = "" if reading.kind == "text" else media[wrong[reading.kind]]
        with pytest.raises(Unreadable):
            reading.read(value)


def test_pictures_are_normalised_and_kept_small(media):
    reading = small("resnet18", size=16, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25]).reading
    array = reading.read(media["resnet18"])
    assert array.dtype == np.uint8
    assert array.shape == (32, 43, 3)  # the shorter side of 60 is kept at twice the size
    expected = (augment.centre(array, 16) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(reading.eval(array).permute(1, 2, 0).numpy(), expected, atol=1e-5)


def test_weaker_augmentation_stays_nearer_to_the_picture(media):
    array = small("resnet18").reading.read(media["resnet18"])
    far = []
    for strength in (0.1, 1.0):
        reading = small("resnet18", augment=strength).reading
        draws = [reading.train(array, np.random.default_rng(seed)) for seed in range(30)]
        far.append(np.mean([float((x - reading.eval(array)).abs().mean()) for x in draws]))
    assert far[0] < 0.8 * far[1]


def test_chances_switch_each_change_on_and_off(media):
    array = small("resnet18").reading.read(media["resnet18"])
    rng = np.random.default_rng

    def drawn(chances, seed=0):
        made = small("resnet18", chances=chances, scale=[1.0, 1.0], mean=[0, 0, 0], std=[1, 1, 1])
        return made.reading.train(array, rng(seed))

    plain = drawn([0, 0, 0, 0])
    assert torch.equal(drawn([1, 0, 0, 0]), plain.flip(-1))
    grey = drawn([0, 0, 1, 0])
    assert torch.equal(grey[0], grey[1])
    assert not torch.equal(plain[0], plain[1])
    rough = (plain[..., 1:] - plain[..., :-1]).abs().mean()
    soft = drawn([0, 0, 0, 1])
    assert (soft[..., 1:] - soft[..., :-1]).abs().mean() < rough
    assert not torch.equal(drawn([0, 1, 0, 0]), plain)


def test_sound_in_evaluation_is_the_spectrogram_of_the_middle(media):
    made = small("audio_resnet18")
    wave = made.reading.read(media["audio_resnet18"])
    assert wave.dtype == np.float32
    assert len(wave) == 16000  # half a second of sound, padded to one second
    mean, std = made.config["mean"], made.config["std"]
    expected = log_spectrogram(wave[4000:12000], n_fft=64, window=64, hop=160, mean=mean, std=std)
    assert torch.equal(made.reading.eval(wave), expected)


def test_frames_of_a_clip_follow_time_and_share_one_crop(media):
    reading = small("r2plus1d18", mean=[0, 0, 0], std=[1, 1, 1]).reading
    clip = reading.read(media["r2plus1d18"])
    assert clip.shape == (4, 18, 27, 3)
    x = reading.eval(clip)
    assert torch.allclose(x[:, 0], torch.tensor(clip[1, 9, 9, 0] / 255, dtype=torch.float32), atol=0.02)
    ramp = np.broadcast_to(np.arange(27, dtype=np.uint8)[None, None, :, None] * 9, (4, 18, 27, 3)).copy()
    ramps = [reading.train(ramp, np.random.default_rng(seed)) for seed in range(20)]
    assert all(torch.equal(x[:, 0], x[:, 1]) for x in ramps)  # equal frames stay equal: one part, one flip
    rising = [bool(x[0, 0, 0, -1] > x[0, 0, 0, 0]) for x in ramps]
    assert any(rising)
    assert not all(rising)
    levels = np.array([10, 20, 30, 40], dtype=np.uint8)[:, None, None, None] * np.ones((1, 18, 27, 3), dtype=np.uint8)
    for seed in range(10):
        x = reading.train(levels, np.random.default_rng(seed))
        assert x[0, 0, 0, 0] < x[0, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "knobs", "told"),
    [
        ("resnet18", {"width": 0}, "width"),
        ("resnet18", {"size": 0}, "size"),
        ("resnet18", {"augment": -1}, "augment"),
        ("resnet18", {"depth": "resnet19"}, "depth='resnet19' is unknown"),
        ("audio_resnet18", {"seconds": 2.0}, "seconds=2.0 does not lie within clip=1.0"),
        ("audio_resnet18", {"hop": 0}, "hop=0"),
        ("audio_resnet18", {"window": 65}, "window=65"),
        ("resnet18", {"mean": [0.5]}, r"mean=\[0.5\]"),
        ("r2plus1d18", {"std": [0.5, 0.5, 0.0]}, "std="),
        ("resnet18", {"chances": [0.5]}, "chances="),
        ("r2plus1d18", {"frames": 5}, "frames=5"),
        ("r2plus1d18", {"depth": "resnet18"}, "depth='resnet18' is no R"),
        ("audio_resnet18", {"features": "mfcc"}, "features.*'mfcc' is unknown.*spectrogram, fbank"),
        ("audio_resnet18", {"features": "fbank", "std": 0}, "std=0 make no filterbank"),
        ("cavmae_audio", {"cover": [1]}, r"cover=\[1\]"),
        ("cavmae_audio", {"frames": 20}, "patch=8 does not divide 16 x 20"),
        ("cavmae_audio", {"shared": 3}, "shared=3"),
        ("m3ae_image", {"size": 20}, "patch=8 does not divide 20"),
        ("m3ae_image", {"heads": 3}, "heads=3"),
        ("m3ae_image", {"order": "rows"}, "order.*'rows' is unknown"),
        ("m3ae_text", {"pooling": "cls"}, "pooling.*'cls' is unknown"),
        ("bert", {"hidden": 15}, "hidden a multiple of heads"),
        ("bert", {"length": 40}, "positions=32"),
        ("bert", {"length": 2}, "length=2"),
    ],
)
def test_impossible_knobs_are_named(name, knobs, told):
    with pytest.raises(ValueError, match=told) as error:
        small(name, **knobs)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="resnet18, resnet101, audio_resnet18, video_resnet18, r2plus1d18, bert, mlp"):
        build("vgg", generator=generator())


def test_a_knob_without_a_default_is_asked_for():
    with pytest.raises(TypeError, match="mlp needs inputs"):
        build("mlp", generator=generator())


@pytest.mark.parametrize("name", ["audio_resnet18", "r2plus1d18", "mlp"])
def test_weights_of_another_architecture_are_refused(name, tmp_path):
    save_file(small("resnet18").net.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match="does not fit") as error:
        small(name, weights=tmp_path / "w.safetensors")
    assert "\n" not in str(error.value)


def test_clips_are_read_as_each_paper_reads_them():
    """R(2+1)D: three of ten frames, Kinetics-400's statistics; frames through a ResNet-18: all three, ImageNet's."""
    small = {"width": 0.1, "depth": [1]}
    moving, still = (build(name, generator=generator(), **small) for name in ("r2plus1d18", "video_resnet18"))
    told = [[made.config[knob] for knob in ("size", "frames", "of", "keep")] for made in (moving, still)]
    assert told == [[112, 3, 10, 128], [224, 3, 3, 256]]
    assert [made.config["mean"][0] for made in (moving, still)] == [0.43216, 0.485]
    assert build("video_resnet18", generator=generator(), **small, frames=5).config["of"] == 5
    with pytest.raises(ValueError, match="of=0"):
        build("video_resnet18", generator=generator(), **small, of=0)


def test_sound_has_the_statistics_of_its_features():
    for features, expected in (("spectrogram", (-3.0352, 3.0475)), ("fbank", (-5.081, 4.4849))):
        config = small("audio_resnet18", features=features).config
        assert (config["mean"], config["std"]) == expected
        own = small("audio_resnet18", features=features, mean=0.0, std=2.0).config
        assert (own["mean"], own["std"]) == (0, 2)


def test_encoders_below_two_million_parameters_exist():
    for name, knobs in (
        ("resnet18", {"width": 0.25}),
        ("audio_resnet18", {"width": 0.25}),
        ("r2plus1d18", {"width": 0.25}),
    ):
        made = build(name, generator=generator(), **knobs)
        assert sum(p.numel() for p in made.net.parameters()) < 2_000_000
