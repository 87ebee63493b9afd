"""Spectrograms against a slow Fourier sum, and on sounds whose spectrum is known."""

import numpy as np
import pytest
import torch

from modest.encoders.spectrogram import STATISTICS, frame_count, log_spectrogram


def slow(wave, n_fft, window, hop):
    """log(|DFT of the Hann-windowed frame| + 1e-7), frame by frame, frequency by frequency."""
    hann = np.array([0.5 - 0.5 * np.cos(2 * np.pi * i / window) for i in range(window)])
    before = (n_fft - window) // 2
    hann = np.pad(hann, (before, n_fft - window - before))
    padded = np.pad(wave.astype(np.float64), n_fft // 2)
    columns = []
    for start in range(0, len(wave) + 1, hop):
        frame = padded[start : start + n_fft] * hann
        column = []
        for k in range(n_fft // 2 + 1):
            turns = np.exp(-2j * np.pi * k * np.arange(n_fft) / n_fft)
            column.append(np.log(abs((frame * turns).sum()) + 1e-7))
        columns.append(column)
    return np.array(columns).T


@pytest.mark.parametrize(("n_fft", "window", "hop"), [(512, 512, 159), (64, 48, 20)])
def test_against_a_slow_fourier_sum(n_fft, window, hop):
    wave = np.random.default_rng(0).normal(0, 0.2, 700).astype(np.float32)
    expected = slow(wave, n_fft, window, hop)
    got = log_spectrogram(wave, n_fft=n_fft, window=window, hop=hop)
    assert got.shape == (1, *expected.shape) == (1, n_fft // 2 + 1, frame_count(700, hop))
    np.testing.assert_allclose(got[0].numpy(), expected, atol=2e-3)


def test_a_pure_tone_lights_its_own_row():
    rate, row = 16000, 64  # 64 * 16000 / 512 = 2000 Hz
    wave = 0.5 * np.sin(2 * np.pi * 2000 * np.arange(5 * rate) / rate)
    got = log_spectrogram(wave)[0]
    assert got.shape == (257, 504)
    inside = got[:, 4:-4]
    assert (inside.argmax(dim=0) == row).all()
    # amplitude 1/2 under a Hann window of 512: |S| = 1/2 * 1/2 * 256 = 64
    np.testing.assert_allclose(inside[row].numpy(), np.log(64.0), atol=1e-3)
    assert inside[row + 4 :].max() < np.log(64.0) - 7


def test_silence_is_the_floor():
    assert torch.allclose(log_spectrogram(np.zeros(2000)), torch.tensor(np.log(1e-7), dtype=torch.float32))


def test_mean_and_deviation_of_the_dataset():
    assert STATISTICS == {"kinetics_sound": (-3.0352, 3.0475), "vggsound": (-3.0093, 2.7911)}
    wave = np.random.default_rng(1).normal(size=2000)
    mean, std = STATISTICS["vggsound"]
    assert torch.allclose(log_spectrogram(wave, mean=mean, std=std), (log_spectrogram(wave) + 3.0093) / 2.7911)


def test_several_waves_at_once():
    waves = np.random.default_rng(2).normal(size=(3, 900))
    got = log_spectrogram(waves)
    assert got.shape == (3, 1, 257, 6)
    assert torch.allclose(got[1], log_spectrogram(waves[1]), atol=1e-5)


@pytest.mark.parametrize("knobs", [{"window": 600}, {"hop": 0}, {"std": 0.0}])
def test_impossible_settings_are_refused(knobs):
    with pytest.raises(ValueError, match=next(iter(knobs))):
        log_spectrogram(np.zeros(2000), **knobs)
