"""Log mel filterbank of a wave: 128 bands every 10 ms, as AST, CAV-MAE and MLA's audio encoders see sound.

The settings are those of Kaldi's filterbank as these three use it, so that published weights meet what they were
trained on.

=======  ====================================================================================
n, t     sample of a frame, 0 ... N - 1; frame; a frame is N = 25 ms long and starts 10 ms after the one before
x_t      frame t of the wave in [-1, 1]; only whole frames count
w        Hann window with both ends at zero, w_n = (1 - cos(2 pi n / (N - 1))) / 2
F        points of the Fourier transform: the power of two at or above N (512 at 16 kHz)
mel(f)   1127 ln(1 + f / 700), f in Hz (Young et al., the HTK book)
c_b      B + 2 corners equally far apart in mel from mel(20 Hz) to mel(rate / 2), b = 0 ... B + 1
=======  ====================================================================================

    y_t[n]   = (x_t[n] - mean x_t) - 0.97 (x_t[n - 1] - mean x_t)                        (each frame on its own)
    P_t[k]   = |sum_n w_n y_t[n] exp(-2 pi i k n / F)|^2
    H_b[k]   = max(0, min((mel(f_k) - c_b) / (c_{b+1} - c_b), (c_{b+2} - mel(f_k)) / (c_{b+2} - c_{b+1})))
    f_t[b]   = (ln max(sum_k H_b[k] P_t[k], 2^-23) - mean) / std

What precedes the first sample of a frame does not matter: w_0 = 0. The triangles are straight in mel, not in Hz, and
their height is 1. At 128 bands and 512 points the lowest lie so close that one holds no frequency of the transform;
it stays at the floor, as the published weights know it. Frames after the end of the sound are 0 before normalisation
(not silence, which is ln 2^-23 = -15.9), those beyond ``frames`` are cut. A sound shorter than one frame is followed by
silence up to one.

The frames are cut out and transformed directly: torch.stft cannot take the mean of each frame away. MLA and CAV-MAE
also subtract the mean of the whole wave, which the mean of each frame makes void. Kaldi's own default window (Povey's,
the same raised to 0.85) and its 16-bit amplitudes are not used by the three; neither is dither. Read, at these commits:
``src/dataloader.py`` of YuanGongND/cav-mae (01f73aa) and ``data/extract_fbank.py`` of MLA (4735bbc), which both call
torchaudio's Kaldi filterbank; that it computes the above was checked against transformers' own version for AST.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["FBANK", "fbank", "fitted", "mel_triangles", "samples_of"]

EMPHASIS, LOWEST, FLOOR = 0.97, 20.0, 2.0**-23
# whose -> mean and standard deviation of the log filterbank of AudioSet's sounds; AST divides by twice its deviation
FBANK: Mapping[str, tuple[float, float]] = {
    "cav_mae": (-5.081, 4.4849),
    "ast": (-4.2677393, 2 * 4.5689974),
    "none": (0.0, 1.0),  # what MLA's code gives to ResNet-18 and, on IEMOCAP, to CAV-MAE
}


def samples_of(frames: int, rate: int = 16000) -> int:
    """Samples of a wave of exactly ``frames`` frames.

    Examples
    --------
    >>> samples_of(1024)
    164080
    """
    return rate // 40 + (frames - 1) * (rate // 100)


@lru_cache(maxsize=8)
def mel_triangles(bands: int = 128, points: int = 512, rate: int = 16000) -> Tensor:
    """H of the equation, (bands, points // 2 + 1) float64: weights of the frequencies 0 ... rate / 2 in each band.

    Raises
    ------
    ValueError
        If ``bands`` is below 1, or ``rate`` leaves nothing above 20 Hz.
    """
    if bands < 1 or rate <= 2 * LOWEST:
        raise ValueError(f"mels={bands} at rate={rate} make no filterbank; give at least 1 band and a rate above 40.")

    def mel(hertz: Tensor) -> Tensor:
        return 1127 * torch.log1p(hertz / 700)

    ends = mel(torch.tensor([LOWEST, rate / 2], dtype=torch.float64))
    corners = ends[0] + (ends[1] - ends[0]) * torch.arange(bands + 2, dtype=torch.float64)[:, None] / (bands + 1)
    found = mel(torch.arange(points // 2 + 1, dtype=torch.float64) * rate / points)
    width = (ends[1] - ends[0]) / (bands + 1)
    return torch.minimum(found - corners[:-2], corners[2:] - found).div(width).clamp(min=0)


def fbank(wave: NDArray[Any] | Tensor, *, rate: int = 16000, mels: int = 128) -> Tensor:
    """f of the equation before normalisation, for all whole frames of a wave.

    Parameters
    ----------
    wave : (samples,) float, in about [-1, 1]
    rate : samples per second
    mels : bands

    Returns
    -------
    (frames, mels), frames = 1 + (samples - 25 ms) // 10 ms; float64 if the wave is, else float32.

    Raises
    ------
    ValueError
        If a setting is impossible.
    """
    x = torch.as_tensor(wave)
    x = x if x.dtype == torch.float64 else x.float()
    length, step = rate // 40, rate // 100  # 25 and 10 ms in whole samples, the fraction dropped
    points = 1 << max(1, math.ceil(math.log2(max(2, length))))
    triangles = mel_triangles(mels, points, rate).to(x)
    x = torch.nn.functional.pad(x, (0, max(0, length - len(x))))
    frames = x.unfold(0, length, step)
    frames = frames - frames.mean(dim=1, keepdim=True)
    frames = torch.cat([frames[:, :1], frames[:, 1:] - EMPHASIS * frames[:, :-1]], dim=1)
    window = torch.hann_window(length, periodic=False, dtype=x.dtype)
    power = torch.fft.rfft(frames * window, points).abs().square()
    bands: Tensor = (power @ triangles.T).clamp(min=FLOOR).log()
    return bands


def fitted(bands: Tensor, frames: int = 1024, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """(found, mels) padded with 0 or cut to ``frames``, normalised, as a picture (1, mels, frames) float32."""
    kept = torch.nn.functional.pad(bands[:frames], (0, 0, 0, max(0, frames - len(bands))))
    return ((kept - mean) / std).T.unsqueeze(0).float()
