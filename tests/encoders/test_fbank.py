"""The filterbank against a slow one, against transformers' own of AST, and on tones whose band is known by hand."""

import math

import numpy as np
import pytest
import torch

from modest.encoders.fbank import FBANK, fbank, fitted, mel_triangles, samples_of


def slow(wave, rate=16000, mels=128):
    """Frame by frame, frequency by frequency, band by band: Kaldi's recipe as a person would do it on paper."""
    length, step = rate * 25 // 1000, rate // 100
    points = 1
    while points < length:
        points *= 2

    def mel(hertz):
        return 1127.0 * math.log(1.0 + hertz / 700.0)

    low, high = mel(20.0), mel(rate / 2)
    corners = [low + (high - low) * b / (mels + 1) for b in range(mels + 2)]
    rows = []
    for start in range(0, len(wave) - length + 1, step):
        frame = np.array(wave[start : start + length], dtype=np.float64)
        frame = frame - frame.sum() / length
        emphasised = [frame[0] - 0.97 * frame[0]] + [frame[n] - 0.97 * frame[n - 1] for n in range(1, length)]
        windowed = [v * (0.5 - 0.5 * math.cos(2 * math.pi * n / (length - 1))) for n, v in enumerate(emphasised)]
        n = np.arange(length)
        power = [abs(np.sum(windowed * np.exp(-2j * np.pi * k * n / points))) ** 2 for k in range(points // 2 + 1)]
        row = []
        for b in range(mels):
            left, middle, right = corners[b : b + 3]
            total = 0.0
            for k, p in enumerate(power):
                m = mel(k * rate / points)
                if left < m <= middle:
                    total += p * (m - left) / (middle - left)
                elif middle < m < right:
                    total += p * (right - m) / (right - middle)
            row.append(math.log(max(total, 1.1920928955078125e-07)))
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize(("rate", "mels", "seconds"), [(16000, 128, 0.06), (8000, 40, 0.05), (11025, 23, 0.05)])
def test_it_is_the_slow_one(rate, mels, seconds):
    rng = np.random.default_rng(0)
    wave = 0.1 * rng.standard_normal(int(seconds * rate)) + 0.05
    found = fbank(wave, rate=rate, mels=mels)
    assert found.dtype == torch.float64
    expected = slow(wave, rate, mels)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(fbank(wave.astype(np.float32), rate=rate, mels=mels).numpy(), expected, atol=2e-3)


def test_it_is_what_transformers_computes_for_ast():
    transformers = pytest.importorskip("transformers")
    with pytest.warns(UserWarning, match="all zero"):  # their word for the empty lowest band
        theirs = transformers.ASTFeatureExtractor(do_normalize=False)
    wave = (0.2 * np.random.default_rng(1).standard_normal(9000)).astype(np.float32)
    expected = theirs(wave, sampling_rate=16000, return_tensors="np")["input_values"][0]
    found = fitted(fbank(wave))
    assert found.shape == (1, 128, 1024)
    np.testing.assert_allclose(found[0].T.numpy(), expected, atol=2e-3)


@pytest.mark.parametrize("hertz", [250.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_lies_in_its_band(hertz):
    """Band b peaks at mel(20) + (b + 1) (mel(8000) - mel(20)) / 129, worked out here from the definition alone."""
    wave = np.sin(2 * np.pi * hertz * np.arange(3200) / 16000)
    found = fbank(wave).mean(dim=0)
    mel = [1127 * math.log(1 + f / 700) for f in (20.0, hertz, 8000.0)]
    place = (mel[1] - mel[0]) / (mel[2] - mel[0]) * 129 - 1
    assert abs(int(found.argmax()) - place) <= 1


def test_the_power_of_a_tone_by_hand():
    """An amplitude a at a bin of the transform: |Y| = a |1 - 0.97 e^{-iw}| / 2 times the sum of the window, 199.5."""
    k, a = 64, 0.25  # 2000 Hz
    omega = 2 * math.pi * k / 512
    wave = a * np.sin(omega * np.arange(4000))
    # all bands together weigh a frequency in the middle of the range by 1: neighbouring triangles add up
    peak = a * abs(1 - 0.97 * np.exp(-1j * omega)) / 2 * 199.5
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)
    lobes = [abs(np.sum(window * np.exp(2j * np.pi * d * np.arange(400) / 512))) / 199.5 for d in range(-6, 7)]
    total = peak**2 * sum(s**2 for s in lobes)
    assert float(fbank(wave).exp().sum(dim=1).mean()) == pytest.approx(total, rel=1e-2)


def test_neighbouring_triangles_add_up_to_one_and_reach_to_half_the_rate():
    triangles = mel_triangles(40, 512, 16000)
    assert triangles.shape == (40, 257)
    total = triangles.sum(dim=0)
    assert torch.allclose(total[8:200], torch.ones(192, dtype=torch.float64))
    assert total[0] == 0
    assert total[256] < 1e-9
    assert (mel_triangles(128, 512, 16000).sum(dim=1) == 0).nonzero().numel() == 1  # the empty band of the docstring


def test_silence_constants_and_short_sounds_stand_on_the_floor():
    for wave in (np.zeros(800), np.full(800, 0.7), np.zeros(3), np.zeros(0)):
        found = fbank(wave)
        assert torch.allclose(found, torch.full_like(found, -15.9424), atol=1e-3)
    assert fbank(np.zeros(399)).shape == (1, 128)
    assert fbank(np.zeros(560)).shape == (2, 128)


def test_a_constant_offset_changes_nothing():
    wave = 0.1 * np.random.default_rng(2).standard_normal(2000)
    assert torch.allclose(fbank(wave), fbank(wave - wave.mean() + 0.3), atol=1e-8)


def test_frames_are_padded_with_zero_before_normalisation_and_cut():
    bands = torch.arange(6.0).reshape(3, 2)
    padded = fitted(bands, 5, mean=1.0, std=2.0)
    assert padded.tolist() == [[[-0.5, 0.5, 1.5, -0.5, -0.5], [0.0, 1.0, 2.0, -0.5, -0.5]]]
    assert fitted(bands, 2).tolist() == [[[0.0, 2.0], [1.0, 3.0]]]
    assert len(fbank(np.zeros(samples_of(7)))) == 7
    assert len(fbank(np.zeros(samples_of(7) - 1))) == 6


def test_the_statistics_are_the_published_ones():
    assert FBANK["cav_mae"] == (-5.081, 4.4849)
    assert FBANK["ast"] == (-4.2677393, 9.1379948)
    with pytest.raises(ValueError, match="mels=0"):
        fbank(np.zeros(800), mels=0)
    with pytest.raises(ValueError, match="rate=30"):
        fbank(np.zeros(800), rate=30)
