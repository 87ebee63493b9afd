"""Augmentations against Pillow or a slow loop."""

import colorsys
import math

import numpy as np
import pytest
import torch
from PIL import Image

from modest.encoders import augment as a


@pytest.fixture
def picture():
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((40, 30), Image.Resampling.BICUBIC))


def test_crop_box_lies_inside_and_has_the_area_and_shape_asked_for():
    rng = np.random.default_rng(0)
    shares, shapes = [], []
    for _ in range(2000):
        top, left, h, w = a.crop_box(300, 400, rng)
        assert 0 <= top <= 300 - h
        assert 0 <= left <= 400 - w
        shares.append(h * w / 120_000)
        shapes.append(math.log(w / h))
    assert 0.07 < min(shares) < 0.12
    assert 0.9 < max(shares) <= 1.0
    assert -0.31 < min(shapes) < -0.25
    assert 0.25 < max(shapes) < 0.31


def test_crop_box_draws_the_area_evenly_and_the_shape_on_a_log_scale():
    rng = np.random.default_rng(0)
    boxes = [a.crop_box(400, 400, rng, scale=(0.1, 0.5), ratio=(1 / 4, 4)) for _ in range(4000)]
    shares = np.array([h * w / 160_000 for _, _, h, w in boxes])
    shapes = np.array([math.log(w / h) for _, _, h, w in boxes])
    flat = np.abs(shapes) < math.log(2)  # every area up to one half fits in these shapes
    np.testing.assert_allclose(np.histogram(shares[flat], 4, (0.1, 0.5))[0] / flat.sum(), 0.25, atol=0.04)
    assert abs(np.mean(shapes)) < 0.04
    tops = np.array([top / (400 - h) for top, _, h, _ in boxes if h < 400])
    np.testing.assert_allclose(np.histogram(tops, 4, (0, 1))[0] / len(tops), 0.25, atol=0.04)


def test_crop_box_falls_back_to_the_centre_of_a_ribbon():
    assert a.crop_box(10, 1000, np.random.default_rng(0), scale=(1.0, 1.0)) == (0, 493, 10, 13)
    assert a.crop_box(1000, 9, np.random.default_rng(0), scale=(1.0, 1.0)) == (494, 0, 12, 9)


def test_crop_box_of_equal_generators_is_equal():
    boxes = [a.crop_box(50, 60, np.random.default_rng(7)) for _ in range(2)]
    assert boxes[0] == boxes[1] != a.crop_box(50, 60, np.random.default_rng(8))


def test_resized_is_pillow_on_the_part_cut_out(picture):
    cut = Image.fromarray(picture).crop((5, 4, 5 + 20, 4 + 16))
    expected = np.asarray(cut.resize((12, 12), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(a.resized(picture, (4, 5, 16, 20), 12), expected)


def test_resized_averages_blocks_when_it_halves():
    # antialiased bilinear: weights 1/8 3/8 3/8 1/8 over four pixels, so a ramp stays a ramp inside
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 16, axis=0).repeat(3, axis=2)
    got = a.resized(ramp, (0, 0, 16, 16), 8)[4, :, 0].astype(int)
    assert got[1:-1].tolist() == [25, 45, 65, 85, 105, 125]


def test_a_clip_is_cut_and_flipped_alike_in_all_frames(picture):
    clip = np.stack([picture, picture[::-1], picture[:, ::-1]])
    got = a.flip(a.resized(clip, (2, 3, 20, 20), 10))
    for frame, expected in zip(got, clip):
        np.testing.assert_array_equal(frame, a.flip(a.resized(expected, (2, 3, 20, 20), 10)))


def test_flip_against_a_loop(picture):
    got = a.flip(picture)
    for y in range(30):
        for x in range(40):
            assert (got[y, x] == picture[y, 39 - x]).all()


def test_centre_is_what_resize_256_and_cut_224_sees():
    wide = np.zeros((256, 400, 3), dtype=np.uint8)
    wide[16:240, 88:312] = 200  # exactly the central 224 of a picture whose shorter side is 256
    wide[17:239, 89:311] = 100  # so that its rim is one pixel wide
    got = a.centre(wide, 224)
    assert got.shape == (224, 224, 3)
    assert (got[[0, -1]] == 200).all()
    assert (got[:, [0, -1]] == 200).all()
    assert (got[1:-1, 1:-1] == 100).all()


def test_shrunk_keeps_the_shape_and_never_enlarges(picture):
    assert a.shrunk(picture, 15).shape == (15, 20, 3)
    assert a.shrunk(picture, 30) is picture
    assert a.shrunk(np.stack([picture, picture]), 15).shape == (2, 15, 20, 3)


def jittered(picture, **amounts):
    every = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, **amounts}
    return [a.jitter(picture, np.random.default_rng(seed), **every).astype(float) for seed in range(12)]


def test_brightness_is_a_factor_of_the_pixels(picture):
    spread = []
    for got in jittered(picture, brightness=0.4):
        safe = (picture > 60) & (got < 255)
        factor = np.median(got[safe] / picture[safe])
        assert 0.58 <= factor <= 1.42
        np.testing.assert_allclose(got, np.clip(picture * factor, 0, 255), atol=2.5)
        spread.append(factor)
    assert max(spread) - min(spread) > 0.3


def test_contrast_blends_with_the_mean_grey(picture):
    mean = np.rint((picture @ np.array([0.299, 0.587, 0.114])).mean())
    for got in jittered(picture, contrast=0.4):
        off = np.abs(picture - mean) > 40
        inside = off & (got > 0) & (got < 255)
        factor = np.median((got - mean)[inside] / (picture - mean)[inside])
        assert 0.55 <= factor <= 1.45
        np.testing.assert_allclose(got, np.clip(mean + factor * (picture - mean), 0, 255), atol=3)


def test_saturation_blends_with_the_grey_picture(picture):
    dull = (picture @ np.array([0.299, 0.587, 0.114]))[..., None]
    for got in jittered(picture, saturation=0.4):
        inside = (np.abs(picture - dull) > 20) & (got > 0) & (got < 255)
        factor = np.median((got - dull)[inside] / (picture - dull)[inside])
        assert 0.55 <= factor <= 1.45
        np.testing.assert_allclose(got, np.clip(dull + factor * (picture - dull), 0, 255), atol=3)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.25, 0.5])
def test_hue_against_a_loop(picture, turn):
    got = a.shift_hue(picture, turn)
    for y in range(0, 30, 5):
        for x in range(0, 40, 5):
            h, s, v = colorsys.rgb_to_hsv(*(picture[y, x] / 255))
            expected = np.array(colorsys.hsv_to_rgb((h + turn) % 1.0, s, v)) * 255
            np.testing.assert_allclose(got[y, x], expected, atol=14)  # hue is kept in 8 bits


def test_jitter_draws_all_it_draws_from_the_generator(picture):
    first, again = (a.jitter(picture, np.random.default_rng(5), 0.4, 0.4, 0.4, 0.1) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert (first != a.jitter(picture, np.random.default_rng(6), 0.4, 0.4, 0.4, 0.1)).any()
    np.testing.assert_array_equal(a.jitter(picture, np.random.default_rng(6), 0, 0, 0, 0), picture)


def test_grey_against_its_definition(picture):
    got = a.grey(picture)
    np.testing.assert_allclose(got[..., 0], picture @ np.array([0.299, 0.587, 0.114]), atol=1)
    assert (got[..., 0] == got[..., 1]).all()
    assert (got[..., 0] == got[..., 2]).all()


def test_blur_against_a_slow_loop():
    x = np.random.default_rng(1).integers(0, 256, (11, 9, 3), dtype=np.uint8)
    sigma, kernel = 1.3, 7
    weights = np.array([[math.exp(-(i * i + j * j) / (2 * sigma**2)) for j in range(-3, 4)] for i in range(-3, 4)])
    weights /= weights.sum()
    padded = np.pad(x.astype(float), ((3, 3), (3, 3), (0, 0)), mode="reflect")
    expected = np.zeros(x.shape)
    for y in range(11):
        for z in range(9):
            expected[y, z] = (padded[y : y + kernel, z : z + kernel] * weights[..., None]).sum(axis=(0, 1))
    np.testing.assert_allclose(a.blur(x, sigma, kernel), expected, atol=0.51)


def test_blur_takes_pictures_smaller_than_its_window():
    flat = np.full((4, 3, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(a.blur(flat, 2.0, 21), flat)


def test_normalise_puts_channels_first():
    x = np.arange(2 * 2 * 2 * 3, dtype=np.uint8).reshape(2, 2, 2, 3) * 10
    got = a.normalise(x, (0.1, 0.2, 0.3), (0.5, 0.25, 2.0))
    assert got.dtype == torch.float32
    for t in range(2):
        for y in range(2):
            for z in range(2):
                for c, (m, s) in enumerate(zip((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))):
                    assert got[c, t, y, z] == pytest.approx((x[t, y, z, c] / 255 - m) / s, abs=1e-6)


def test_frames_are_distinct_sorted_and_all_are_reached():
    seen = [a.random_frames(10, 3, np.random.default_rng(seed)) for seed in range(200)]
    assert all((np.diff(row) > 0).all() for row in seen)
    assert set(np.concatenate(seen)) == set(range(10))
    assert a.fixed_frames(10, 3).tolist() == [1, 5, 8]
    assert a.fixed_frames(10, 5).tolist() == [1, 3, 5, 7, 9]  # BMMAL's
    assert a.fixed_frames(4, 4).tolist() == [0, 1, 2, 3]


def test_waves_are_padded_cut_and_clipped():
    wave = np.array([0.5, -2.0, 3.0, 0.25, 0.0, 1.0], dtype=np.float32)
    assert a.pad_or_cut(wave, 8).tolist() == [0.5, -2.0, 3.0, 0.25, 0.0, 1.0, 0.0, 0.0]
    assert a.pad_or_cut(wave, 2).tolist() == [0.5, -2.0]
    assert a.middle_window(wave, 4).tolist() == [-1.0, 1.0, 0.25, 0.0]
    starts = {tuple(a.random_window(wave, 4, np.random.default_rng(seed)).tolist()) for seed in range(40)}
    assert starts == {(0.5, -1.0, 1.0, 0.25), (-1.0, 1.0, 0.25, 0.0), (1.0, 0.25, 0.0, 1.0)}


def test_five_seconds_of_ten_start_between_0_and_5_and_the_middle_is_2_5_to_7_5():
    rate = 16000
    wave = np.linspace(-1, 1, 10 * rate, dtype=np.float32)
    np.testing.assert_array_equal(a.middle_window(wave, 5 * rate), wave[40_000:120_000])
    starts = [
        int(np.searchsorted(wave, a.random_window(wave, 5 * rate, np.random.default_rng(s))[0])) for s in range(60)
    ]
    assert min(starts) < 8000
    assert 72_000 < max(starts) <= 80_000
