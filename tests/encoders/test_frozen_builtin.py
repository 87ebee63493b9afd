"""Built-in encoders: pixels, logmel, hashed-text."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from modest.encoders import load
from modest.encoders.hashed import counts
from modest.encoders.logmel import log_mel, mel_filters, pooled
from modest.encoders.pixels import describe


def picture(path, array):
    Image.fromarray(np.asarray(array, dtype=np.uint8)).save(path)
    return str(path)


def test_pixels_thumbnail_is_the_mean_over_areas(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    features = load("pixels?size=2").encode([picture(tmp_path / "a.png", x)])
    assert features.shape == (1, 2 * 2 * 3 + 24)
    areas = x.reshape(2, 4, 2, 6, 3).mean(axis=(1, 3))
    assert np.allclose(
        features[0, :12], (areas / 255 - 0.5).ravel(), atol=0.5 / 255 + 1e-6
    )  # PIL rounds to whole levels
    shares = np.array([[(x[..., c] // 32 == level).mean() for level in range(8)] for c in range(3)])
    assert np.allclose(features[0, 12:] ** 2, shares.ravel(), atol=1e-6)


@pytest.mark.parametrize("level", [0, 127, 128, 255])
def test_pixels_of_one_colour_are_never_zero(level):
    features = describe(np.full((3, 5, 3), level, np.uint8), 4)
    assert np.linalg.norm(features[48:]) == pytest.approx(np.sqrt(3))
    assert np.linalg.norm(features[:48]) <= np.sqrt(3) + 1e-6


def test_pixels_of_a_clip_are_its_frames_side_by_side(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as box:
        stream = box.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for k in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 10 * k, np.uint8), format="rgb24")
            box.mux(stream.encode(frame))
        box.mux(stream.encode())
    encoder = load("pixels?size=2&frames=2", "video")
    features = encoder.encode([str(path)])[0].reshape(2, -1)
    assert (encoder.kind, encoder.dim) == ("video", 2 * (12 + 24))
    assert features[0, :12].mean() < features[1, :12].mean()  # it gets brighter
    assert load("pixels").preprocessing_hash != load("pixels", "video").preprocessing_hash


def test_logmel_filters_are_triangles_that_leave_no_band_empty():
    for mels in (4, 40, 128):
        filters = mel_filters(mels)
        assert filters.shape == (mels, 257)
        assert (filters.max(axis=1) > 0).all()
        assert filters.max() <= 1
        assert (np.diff(filters @ np.arange(257) / filters.sum(1)) > 0).all() or mels == 128


def test_logmel_finds_the_band_of_a_tone():
    hertz = 1000.0
    wave = np.sin(2 * np.pi * hertz * np.arange(16000) / 16000).astype(np.float32)
    bands = log_mel(wave, 40)
    filters = mel_filters(40)
    assert bands.shape == (40, 1 + (16000 - 512) // 160)
    assert bands.mean(axis=1).argmax() == filters[:, round(hertz / 16000 * 512)].argmax()


def test_logmel_in_pieces_is_logmel_at_once(monkeypatch):
    wave = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    whole = log_mel(wave, 20)
    monkeypatch.setattr("modest.encoders.logmel.PIECE", 7)
    assert np.allclose(log_mel(wave, 20), whole, atol=1e-5)


def test_logmel_pools_any_length_to_one_width():
    bands = np.arange(12, dtype=np.float32).reshape(2, 6)
    features = pooled(bands, 3)
    assert features[:6].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]
    assert features[6:8].tolist() == bands.mean(1).tolist()
    assert features[8:].tolist() == pytest.approx(bands.std(1).tolist())
    assert pooled(bands[:, :1], 3).shape == features.shape


def test_logmel_of_silence_and_of_next_to_nothing(tmp_path):
    encoder = load("logmel?mels=8&bins=2")
    silence, click = tmp_path / "silence.wav", tmp_path / "click.wav"
    soundfile.write(silence, np.zeros(8000), 16000)
    soundfile.write(click, np.array([0.5]), 16000)
    found = encoder.encode([str(silence), str(click)])
    assert found[0].tolist() == pytest.approx([-1.5] * 24 + [0.0] * 8)
    assert np.isfinite(found).all()
    assert np.abs(found[1]).max() > 0


def test_hashed_text_equals_a_slow_loop():
    mask = 2**64 - 1

    def mixed(x):
        x = (x + 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    text, width, sums = " red shoe ", 64, np.zeros(64)
    for length in (2, 3):
        for start in range(len(text) - length + 1):
            state = 16 + length
            for letter in text[start : start + length]:
                state = mixed(state ^ ord(letter))
            sums[state % width] += 1 if state >> 63 else -1
    assert np.allclose(counts("Red\n shoe", width, 3, 0), np.sign(sums) * np.sqrt(np.abs(sums)))


def test_hashed_text_likens_alike_and_is_never_zero():
    encoder = load("hashed-text?width=4096")
    a, b, c = encoder.encode(["a red running shoe", "red running shoes", "green glass bottle"])
    unit = [x / np.linalg.norm(x) for x in (a, b, c)]
    assert unit[0] @ unit[1] > 0.5 > unit[0] @ unit[2]
    for text in ("!", "é", "Ｘ", "\N{FAMILY}", "a" * 5000):
        assert counts(text, 16).any()
    assert counts("a b", 16, 0, 2).any()
    assert not np.array_equal(counts("a b", 64, 0, 2), counts("b a", 64, 0, 2))  # word pairs know the order
    assert counts("!", 16, 0, 2).tolist() == [1.0] + [0.0] * 15  # no word in it


def test_built_ins_are_the_same_in_another_process(tmp_path):
    code = "from modest.encoders import load; print(load('hashed-text').encode(['süße Maus']).tobytes().hex())"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert load("hashed-text").encode(["süße Maus"]).tobytes().hex() == there


def test_encode_keeps_rows_and_names_the_one_it_cannot_read(tmp_path):
    good = picture(tmp_path / "a.png", np.zeros((2, 2, 3)))
    found = load("pixels?size=2").encode([None, good, float("nan"), good], batch_size=1)
    assert np.isnan(found[[0, 2]]).all()
    assert np.isfinite(found[[1, 3]]).all()
    (tmp_path / "b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"row 1 cannot be encoded.*b\.png"):
        load("pixels").encode([good, str(tmp_path / "b.png")])
    assert load("pixels").encode([]).shape == (0, 792)
    with pytest.raises(ValueError, match="batch_size=0"):
        load("pixels").encode([good], batch_size=0)
