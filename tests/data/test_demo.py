"""The demo pool: real digits, tones that are the keypad's, words in many languages, one weak modality."""

import importlib

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import modest
from modest.data.demo import HIGH, KEYPAD, LOW, RATE, log_spectrogram, waveforms
from modest.data.words import NUMBERS, mistype, ngrams


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return modest.demo(tmp_path_factory.mktemp("demo") / "pool")


def test_three_modalities_some_missing_never_all(pool):
    assert pool.names == ("image", "audio", "text")
    assert len(pool) == 1797
    present = pool.present
    assert present.any(axis=1).all()
    assert (np.abs(1 - present.mean(axis=0) - 0.15) < 0.03).all()
    assert (pool.table["word"].notna().to_numpy() == present[:, 2]).all()
    y = load_digits().target
    assert (pool.labels == y.astype(str)).all()
    assert np.allclose(pool.views().arrays["image"][present[:, 0]], load_digits().data[present[:, 0]])
    test = pool.split == "test"
    assert all(abs(test[y == c].mean() - 0.3) < 0.01 for c in range(10))


def test_one_modality_is_clearly_weaker(pool):
    views, test, score = pool.views(), pool.split == "test", {}
    for m, (name, array) in enumerate(views.arrays.items()):
        there = pool.present[:, m]
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.05, max_iter=500))
        model.fit(array[there & ~test], pool.labels[there & ~test].astype(str))
        score[name] = model.score(array[there & test], pool.labels[there & test].astype(str))
    assert score["image"] > 0.9
    assert score["text"] > 0.85
    assert 0.5 < score["audio"] < 0.75


def test_the_same_seed_makes_the_same_bytes(pool, tmp_path):
    assert modest.demo(tmp_path / "again").config == pool.config
    assert modest.demo(tmp_path / "other", seed=1).config != pool.config


def test_a_quiet_line_carries_the_two_tones_of_the_key(monkeypatch):
    room = importlib.import_module("modest.data.demo")  # modest.data.demo itself is the function
    monkeypatch.setattr(room, "LOUDNESS", (40.0, 41.0))
    monkeypatch.setattr(room, "HUM", ())
    y = np.arange(10)
    waves = waveforms(y, y.astype(str), seed=0)
    time = np.arange(waves.shape[1]) / RATE

    def power(wave, hertz):  # discrete Fourier sum at one frequency, written out
        return abs(np.sum(wave * np.exp(-2j * np.pi * hertz * time)))

    for digit, wave in zip(y, waves):
        row, column = KEYPAD[digit]
        low, high = [power(wave, f) for f in LOW], [power(wave, f) for f in HIGH]
        assert low[row] > 0.7 * max(low)
        assert high[column] > 0.7 * max(high)
    assert [KEYPAD[d] for d in (1, 3, 5, 7, 0)] == [(0, 0), (0, 2), (1, 1), (2, 0), (3, 1)]


def test_the_spectrogram_peaks_at_the_tone():
    tone = np.sin(2 * np.pi * 1000 * np.arange(1024) / RATE).astype(np.float32)
    frames = log_spectrogram(tone).reshape(4, -1)
    bins = np.fft.rfftfreq(256, 1 / RATE)
    kept = bins[(bins >= 600) & (bins <= 1600)]
    assert frames.shape[1] == len(kept)
    assert set(kept[frames.argmax(axis=1)]) == {1000.0}


def test_words_in_many_languages():
    assert len(NUMBERS) >= 20
    assert all(len(words.split()) == 10 for words in NUMBERS.values())
    draw = np.random.default_rng(0)
    assert mistype("seven", 0, draw) == "seven"
    slips = {mistype("seven", 1, draw) for _ in range(200)}
    assert {"svn" in word for word in slips} == {False}
    assert all(abs(len(word) - 5) <= 1 for word in slips)
    assert len(slips) > 20


def test_ngrams_count_every_piece():
    counts = ngrams("Ab", 4096, (1, 2))
    assert np.abs(counts).sum() == 7  # ^ a b $ and ^a ab b$
    assert (counts == ngrams("aB", 4096, (1, 2))).all()
