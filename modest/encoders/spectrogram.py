"""Log-magnitude spectrogram of a wave: what the paper's one-channel ResNet-18 sees.

log(|STFT(x)| + 1e-7) with 512 Fourier points, a periodic Hann window of 512 and a hop of 159 samples at 16 kHz (MMCSAL,
section 6.1). The frames are centred, the ends padded with zeros, and the result is normalised by mean and deviation of
the dataset, as in the code of BMMAL, whose settings the paper follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["STATISTICS", "frame_count", "log_spectrogram", "refuse_impossible"]

FLOOR = 1e-7
# dataset -> mean and standard deviation of its log spectrograms (BMMAL's code)
STATISTICS: Mapping[str, tuple[float, float]] = {
    "kinetics_sound": (-3.0352, 3.0475),
    "vggsound": (-3.0093, 2.7911),
}


def frame_count(samples: int, hop: int = 159) -> int:
    """Columns of the spectrogram of a wave of ``samples`` samples: 504 for five seconds.

    Examples
    --------
    >>> frame_count(5 * 16000)
    504
    """
    return samples // hop + 1


def refuse_impossible(n_fft: int, window: int, hop: int, std: float) -> None:
    """Check the settings of a spectrogram.

    Raises
    ------
    ValueError
        If the window is longer than ``n_fft``, or hop or deviation is not positive.
    """
    if not 0 < window <= n_fft:
        raise ValueError(f"window={window} does not lie in 1 ... n_fft={n_fft}; shorten it or raise n_fft.")
    if hop < 1 or not std > 0:
        raise ValueError(f"hop={hop} and std={std} must be positive; give hop=159 and the deviation of the dataset.")


def log_spectrogram(
    wave: NDArray[Any] | Tensor,
    *,
    n_fft: int = 512,
    window: int = 512,
    hop: int = 159,
    mean: float = 0.0,
    std: float = 1.0,
) -> Tensor:
    """Spectrogram of one wave, or of several of one length.

    Parameters
    ----------
    wave : (samples,) or (k, samples) float
    n_fft : points of the Fourier transform; rows are n_fft // 2 + 1 frequencies from 0 to half the rate
    window : length of the Hann window, at most ``n_fft``
    hop : samples from one frame to the next
    mean, std : subtracted from and divided into the logarithm

    Returns
    -------
    (1, n_fft // 2 + 1, frames) float32, with a leading k for several waves; see :func:`frame_count`.

    Raises
    ------
    ValueError
        If a setting is impossible, see :func:`refuse_impossible`.
    """
    refuse_impossible(n_fft, window, hop, std)
    x = torch.as_tensor(wave, dtype=torch.float32)
    shape = torch.hann_window(window, periodic=True, dtype=x.dtype, device=x.device)
    spectrum = torch.stft(
        x, n_fft, hop, window, shape, center=True, pad_mode="constant", normalized=False, return_complex=True
    )
    return ((spectrum.abs() + FLOOR).log() - mean).div(std).unsqueeze(-3)
