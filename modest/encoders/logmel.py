"""``logmel``: a sound as its mel spectrogram, averaged over a fixed number of stretches of time. No weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.decoding import read_audio
from modest.encoders.encoder import Encoder, slug, whole_knobs
from modest.encoders.pixels import stacked

VERSION = "1"  # raised whenever the same sound would give other features
RATE = 16000  # samples per second
WINDOW, HOP = 512, 160  # samples: 32 ms windows every 10 ms
FLOOR = 1e-10  # power below which a mel band counts as silent
RANGE = 8.0  # decades below the loudest band of a clip that are told apart
PIECE = 6000  # frames transformed at once, so that memory does not follow the length of a clip


def logmel(uri: str, knobs: Mapping[str, str], kind: str | None = None, device: Any = None) -> Encoder:
    """Encoder of sounds.

    Knobs of the URI: ``mels`` (40) bands from 0 to 8 kHz, ``bins`` (16) stretches of time, however long the clip.
    ``device`` is not used.

    Features: log10 of the mel power, at least 1e-10 and at most 8 decades below the clip's loudest band, scaled as
    (x + 4) / 4 (Radford et al. 2022, Whisper); its mean in each of the stretches (mels * bins, band after band), then
    mean and standard deviation over time (2 mels). Digital silence gives -1.5 in all means and 0 in the deviations, so
    that it is the same direction always and never all zeros.

    Raises
    ------
    ValueError
        If a knob is unknown or out of range.
    """
    values = whole_knobs(uri, knobs, {"mels": (40, 4, 128), "bins": (16, 1, 512)})
    mels, bins = values["mels"], values["bins"]

    def read(value: str) -> NDArray[np.float32]:
        return pooled(log_mel(read_audio(value, RATE), mels), bins)

    return Encoder(
        uri=uri,
        name=slug(uri),
        kind="audio",
        dim=mels * (bins + 2),
        revision=VERSION,
        preprocessing={
            "encoder": "logmel",
            **values,
            "rate": RATE,
            "window": WINDOW,
            "hop": HOP,
            "floor": FLOOR,
            "range": RANGE,
        },
        read=read,
        forward=stacked,
    )


def mel_filters(mels: int, window: int = WINDOW, rate: int = RATE) -> NDArray[np.float32]:
    """(mels, window / 2 + 1) float32 triangles of height 1, equally wide on the mel scale from 0 to rate / 2 Hz.

    mel(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987). A triangle so narrow that no frequency of the transform falls
    into it takes the nearest one, so that no band is empty.
    """
    hertz = np.fft.rfftfreq(window, 1 / rate)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    rise = (hertz - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    fall = (corners[2:, None] - hertz) / (corners[2:] - corners[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rise, fall))
    for band in np.flatnonzero(~filters.any(axis=1)):
        filters[band, np.argmin(np.abs(hertz - corners[band + 1]))] = 1.0
    return np.asarray(filters, dtype=np.float32)


def log_mel(wave: NDArray[np.float32], mels: int) -> NDArray[np.float32]:
    """(mels, frames) float32 of a (samples,) wave at 16 kHz, scaled as :func:`logmel` says; one frame at least."""
    import torch

    wave = np.pad(wave, (0, max(0, WINDOW - len(wave))))
    frames = 1 + (len(wave) - WINDOW) // HOP
    filters = torch.from_numpy(mel_filters(mels))
    window = torch.hann_window(WINDOW)
    pieces = []
    for start in range(0, frames, PIECE):
        count = min(PIECE, frames - start)
        part = torch.from_numpy(np.ascontiguousarray(wave[start * HOP : (start + count - 1) * HOP + WINDOW]))
        power = torch.stft(part, WINDOW, HOP, window=window, center=False, return_complex=True).abs() ** 2
        pieces.append(torch.log10(torch.clamp(filters @ power, min=FLOOR)))
    bands = torch.cat(pieces, dim=1)
    return np.asarray(((torch.maximum(bands, bands.max() - RANGE) + 4) / 4).numpy(), dtype=np.float32)


def pooled(bands: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """(mels * bins + 2 mels,) float32 of (mels, frames): means of ``bins`` stretches, then mean and deviation.

    The stretches are as equal as whole frames allow; a clip of fewer frames than stretches repeats some.
    """
    frames = bands.shape[1]
    edges = np.arange(bins + 1) * frames / bins
    first = np.floor(edges[:-1]).astype(int)
    last = np.maximum(np.ceil(edges[1:]).astype(int), first + 1)
    means = np.stack([bands[:, a:b].mean(axis=1) for a, b in zip(first, last)], axis=1)
    return np.concatenate([means.ravel(), bands.mean(axis=1), bands.std(axis=1)]).astype(np.float32)
