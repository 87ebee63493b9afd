"""The demo pool: handwritten digits, their telephone tones on a bad line, their names in many languages with typos."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files
from modest.data.features import from_array
from modest.data.ingest import put
from modest.data.keys import keys
from modest.data.layout import FORMAT
from modest.data.pool import Pool
from modest.data.presence import missing_mask
from modest.data.splits import carve
from modest.data.words import NUMBERS, mistype, ngrams, number_word

RATE = 8000  # samples per second, as on a telephone line
SAMPLES = 1024  # 0.128 s of tone
# hertz of the rows and columns of a telephone keypad (ITU-T Q.23), and where each digit lies
LOW, HIGH = (697.0, 770.0, 852.0, 941.0), (1209.0, 1336.0, 1477.0)
KEYPAD = {0: (3, 1), **{d: ((d - 1) // 3, (d - 1) % 3) for d in range(1, 10)}}
LOUDNESS = (0.25, 0.85)  # amplitude of the tones beside line noise of standard deviation 1
SLIPS = (0.72, 0.24, 0.04)  # share of words with 0, 1, 2 slips
HUM = ((50.0, 1.0), (150.0, 0.5), (250.0, 0.3))  # hertz and amplitude of the mains on the line
MISSING = 0.15  # share of missing cells


def demo(
    into: str | Path | None = None, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> Pool:
    """Make the demo pool: 1797 items, ten classes, three modalities, no download.

    ``image`` (64): scikit-learn's 8 x 8 scans of handwritten digits, real. ``audio`` (128): log-spectrogram of the
    digit's keypad tone, generated, so deep in line noise that it is clearly the weak modality. ``text`` (384): hashed
    character n-grams of the digit's name in one of 31 languages, mistyped. 15 % of all cells are missing and each item
    keeps at least one modality; 30 % of the items, stratified, are test.

    Parameters
    ----------
    into : folder, optional
        Left out, a fresh temporary folder.
    seed : int
        The same seed makes the same bytes; every draw is keyed by (seed, id).

    Returns
    -------
    Pool with raw columns ``word`` and ``language`` (null where the text is missing).

    Raises
    ------
    ValueError, OSError
        As :func:`modest.ingest`.
    """
    import pandas as pd
    from sklearn.datasets import load_digits

    digits = load_digits()
    y = digits.target.astype(np.int64)
    n = len(y)
    ids = np.char.add("digit-", np.char.zfill(np.arange(n).astype(np.str_), 4))
    words, languages = _words(y, ids, seed)
    arrays = {
        "image": digits.data.astype(np.float32),
        "audio": np.stack([log_spectrogram(wave) for wave in waveforms(y, ids, seed)]),
        "text": np.stack([ngrams(word, 384) for word in words]),
    }
    mask = missing_mask(n, len(arrays), MISSING, seed, ids)
    label = y.astype(np.str_)
    frame = pd.DataFrame(
        {
            "id": ids,
            "word": [word if there else None for word, there in zip(words, mask[:, 2])],
            "language": [language if there else None for language, there in zip(languages, mask[:, 2])],
            "label": label,
            "split": np.where(carve(label, 0.3, seed, ids=ids), "test", "train"),
        }
    )
    config: dict[str, Any] = {
        "kind": "pool",
        "format": FORMAT,
        "items": n,
        "rows": files.rows_hash(ids),
        "modalities": dict.fromkeys(arrays, "given"),
        "classes": [str(digit) for digit in range(10)],
        "lost": {},
    }
    target = Path(tempfile.mkdtemp(prefix="modest-demo-")) if into is None else Path(into)
    present = dict(zip(arrays, mask.T))
    chosen = {name: from_array(array, name) for name, array in arrays.items()}
    return put(target, frame, chosen, config, present=present, progress=progress)


def waveforms(y: NDArray[np.int64], ids: NDArray[np.str_], seed: int) -> NDArray[np.float32]:
    """(n, 1024) float32 at 8 kHz: the two tones of each digit with random phase and loudness, under line noise.

    The noise is white plus a hum of 50 Hz and its harmonics, and one stray tone as loud as the digit's own two, as
    cross-talk has it.
    """
    time = np.arange(SAMPLES) / RATE
    waves = np.empty((len(y), SAMPLES), dtype=np.float32)
    for i, (digit, key) in enumerate(zip(y.tolist(), keys(ids, seed, "audio").tolist())):
        draw = np.random.default_rng(key)
        low, high = KEYPAD[digit]
        loud = draw.uniform(*LOUDNESS)
        stray = draw.choice([*LOW, *HIGH])
        wave = draw.normal(size=SAMPLES)
        for hertz, gain in ((LOW[low], loud), (HIGH[high], loud), (stray, loud), *HUM):
            wave += gain * np.sin(2 * np.pi * (hertz * time + draw.uniform()))
        waves[i] = wave
    return waves


def log_spectrogram(wave: NDArray[np.float32], window: int = 256, step: int = 256) -> NDArray[np.float32]:
    """(frames * bins,) float32: log power of Hann-windowed frames in the bins between 600 and 1600 Hz.

    Bins are RATE / window = 31.25 Hz wide.
    """
    bins = np.fft.rfftfreq(window, 1 / RATE)
    kept = (bins >= 600) & (bins <= 1600)
    frames = np.lib.stride_tricks.sliding_window_view(wave, window)[::step] * np.hanning(window)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, kept]) ** 2
    return np.asarray(np.log(power + 1e-6), dtype=np.float32).ravel()


def _words(y: NDArray[np.int64], ids: NDArray[np.str_], seed: int) -> tuple[list[str], list[str]]:
    """(n,) mistyped number words and (n,) languages."""
    names = list(NUMBERS)
    words, languages = [], []
    for digit, key in zip(y.tolist(), keys(ids, seed, "text").tolist()):
        draw = np.random.default_rng(key)
        language = names[int(draw.integers(len(names)))]
        words.append(mistype(number_word(language, digit), int(draw.choice(3, p=SLIPS)), draw))
        languages.append(language)
    return words, languages
