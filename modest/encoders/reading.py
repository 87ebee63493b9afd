"""How a raw value becomes a tensor: decoding, augmentation in training, a fixed view in evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.data.decoding import read_audio, read_image, read_text, read_video
from modest.encoders import augment as change
from modest.encoders.fbank import fbank, fitted, mel_triangles, samples_of
from modest.encoders.spectrogram import frame_count, log_spectrogram, refuse_impossible

__all__ = [
    "IMAGENET", "KINETICS", "Reading", "audio_reading", "fbank_reading", "image_reading", "text_reading",
    "video_reading",
]  # fmt: skip

Array = NDArray[Any]
Triple = tuple[float, float, float]
# (mean, std) per channel of pixels in [0, 1]
IMAGENET: tuple[Triple, Triple] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
KINETICS: tuple[Triple, Triple] = ((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))


@dataclass(frozen=True)
class Reading:
    """From a raw value to the tensor a network takes; nothing random but what the generator handed in draws.

    Parameters
    ----------
    kind : image | audio | video | text
    read : raw value -> compact array (uint8 pixels, float32 wave, int64 tokens), which may be kept; raises
        :class:`modest.data.decoding.Unreadable`
    train : (array, generator) -> tensor, augmented
    eval : array -> tensor, always the same
    shape, dtype : of that tensor
    """

    kind: str
    read: Callable[[Any], Array]
    train: Callable[[Array, np.random.Generator], Tensor]
    eval: Callable[[Array], Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype


def image_reading(
    size: int,
    keep: int,
    augment: float,
    scale: tuple[float, float],
    jitter: tuple[float, float, float, float],
    chances: tuple[float, float, float, float],
    statistics: tuple[Triple, Triple],
    clip: bool = False,
) -> Reading:
    """Pictures (3, size, size): a random part resized, flipped, jittered, greyed, blurred; in evaluation the centre.

    Parameters
    ----------
    keep : shorter side that is kept after decoding; smaller pictures stay as they are
    augment : strength; 0 = the view of evaluation, 1 = as given; below 1 the part is larger, colours and chances less
    scale : smallest and largest share of the area that is cut out
    jitter : amounts of brightness, contrast, saturation, hue
    chances : of flip, jitter, grey, blur (21 pixels, deviation between 0.1 and 2)
    clip : the picture is the frame in the middle of a clip
    """
    amounts = [a * augment for a in jitter]
    flips, jitters, greys, blurs = (min(1.0, p * min(1.0, augment)) for p in chances)
    share = (1 - min(1.0, augment) * (1 - scale[0]), scale[1])

    def evaluate(pixels: Array) -> Tensor:
        return change.normalise(change.centre(pixels, size), *statistics)

    def train(pixels: Array, rng: np.random.Generator) -> Tensor:
        if augment == 0:
            return evaluate(pixels)
        h, w = pixels.shape[:2]
        x = change.resized(pixels, change.crop_box(h, w, rng, share), size)
        luck = rng.random(4)
        if luck[0] < flips:
            x = change.flip(x)
        if luck[1] < jitters:
            x = change.jitter(x, rng, amounts[0], amounts[1], amounts[2], min(0.5, amounts[3]))
        if luck[2] < greys:
            x = change.grey(x)
        if luck[3] < blurs:
            x = change.blur(x, rng.uniform(0.1, 2.0))
        return change.normalise(x, *statistics)

    def read(value: str) -> Array:
        if clip:
            return change.shrunk(read_video(value, frames=1, short_side=keep)[0], keep)
        return change.shrunk(read_image(value), keep)

    return Reading("video" if clip else "image", read, train, evaluate, (3, size, size), torch.float32)


def video_reading(
    size: int,
    frames: int,
    of: int,
    keep: int,
    augment: float,
    scale: tuple[float, float],
    flip: float,
    statistics: tuple[Triple, Triple],
) -> Reading:
    """Clips (3, frames, size, size): ``frames`` of ``of`` frames at random, one part and one flip for all of them.

    In evaluation, or with ``augment`` = 0, the middles of equal parts and the centre.
    """
    share = (1 - min(1.0, augment) * (1 - scale[0]), scale[1])
    fixed = change.fixed_frames(of, frames)

    def evaluate(clip: Array) -> Tensor:
        return change.normalise(change.centre(clip[fixed], size), *statistics)

    def train(clip: Array, rng: np.random.Generator) -> Tensor:
        if augment == 0:
            return evaluate(clip)
        chosen = clip[change.random_frames(of, frames, rng)]
        h, w = clip.shape[1:3]
        x = change.resized(chosen, change.crop_box(h, w, rng, share), size)
        if rng.random() < flip * min(1.0, augment):
            x = change.flip(x)
        return change.normalise(x, *statistics)

    def read(value: str) -> Array:
        return change.shrunk(read_video(value, frames=of, short_side=keep), keep)

    return Reading("video", read, train, evaluate, (3, frames, size, size), torch.float32)


def audio_reading(
    rate: int,
    clip: float,
    seconds: float,
    augment: float,
    transform: tuple[int, int, int],
    statistics: tuple[float, float],
) -> Reading:
    """Log spectrograms (1, n_fft // 2 + 1, columns) of ``seconds`` out of ``clip`` seconds of sound.

    The wave is padded or cut to ``clip`` seconds first; in training the part is random, in evaluation, or with
    ``augment`` = 0, the middle. ``transform`` is (n_fft, window, hop).
    """
    whole, part = round(clip * rate), round(seconds * rate)
    n_fft, window, hop = transform
    refuse_impossible(n_fft, window, hop, statistics[1])
    if not 0 < part <= whole:
        raise ValueError(f"seconds={seconds} does not lie within clip={clip} seconds; shorten it.")

    def spectrogram(wave: Array) -> Tensor:
        return log_spectrogram(wave, n_fft=n_fft, window=window, hop=hop, mean=statistics[0], std=statistics[1])

    def evaluate(wave: Array) -> Tensor:
        return spectrogram(change.middle_window(wave, part))

    def train(wave: Array, rng: np.random.Generator) -> Tensor:
        return evaluate(wave) if augment == 0 else spectrogram(change.random_window(wave, part, rng))

    def read(value: str) -> Array:
        return change.pad_or_cut(read_audio(value, rate), whole)

    return Reading("audio", read, train, evaluate, (1, n_fft // 2 + 1, frame_count(part, hop)), torch.float32)


def fbank_reading(
    rate: int, mels: int, frames: int, augment: float, cover: tuple[float, float], statistics: tuple[float, float]
) -> Reading:
    """Log mel filterbanks (1, mels, frames), padded or cut; in training some bands and frames are covered with 0.

    Parameters
    ----------
    augment : strength; 0 = the view of evaluation, 1 = as given
    cover : most bands and most frames that are covered
    """
    if frames < 1 or min(cover) < 0 or not statistics[1] > 0:
        told = f"frames={frames}, cover={list(cover)}, std={statistics[1]}"
        raise ValueError(f"{told} make no filterbank; give frames and std above 0 and cover of at least 0.")
    mel_triangles(mels, rate=rate)  # refuses what makes no filterbank

    def evaluate(bands: Array) -> Tensor:
        return fitted(torch.from_numpy(np.array(bands)), frames, *statistics)

    def train(bands: Array, rng: np.random.Generator) -> Tensor:
        return evaluate(change.covered(bands, rng, (cover[0] * augment, cover[1] * augment)))

    def read(value: str) -> Array:
        return fbank(read_audio(value, rate)[: samples_of(frames, rate)], rate=rate, mels=mels).numpy()

    return Reading("audio", read, train, evaluate, (1, mels, frames), torch.float32)


def text_reading(tokens: Callable[[str], NDArray[np.int64]], length: int) -> Reading:
    """Tokens (length,) int64; nothing is augmented."""

    def evaluate(row: Array) -> Tensor:
        return torch.from_numpy(np.array(row, dtype=np.int64))

    def read(value: str) -> Array:
        return tokens(read_text(value))

    return Reading("text", read, lambda row, rng: evaluate(row), evaluate, (length,), torch.int64)
