"""Random changes of pictures, clips and waves: pure functions of uint8 or float arrays and a seeded generator.

Colour operations are Pillow's, whose definitions torchvision shares; blur is a true Gaussian. A picture is (h, w, 3)
uint8, a clip (t, h, w, 3) uint8, a wave (samples,) float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from torch import Tensor

__all__ = [
    "blur", "centre", "covered", "crop_box", "fixed_frames", "flip", "grey", "jitter", "middle_window", "normalise",
    "pad_or_cut", "random_frames", "random_window", "resized", "shift_hue", "shrunk",
]  # fmt: skip

Pixels = NDArray[np.uint8]
Wave = NDArray[np.float32]
Box = tuple[int, int, int, int]


def crop_box(
    height: int,
    width: int,
    rng: np.random.Generator,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Box:
    """Box (top, left, height, width) of a random part of a picture (Szegedy et al. 2015).

    Its area is a share of the picture's drawn from ``scale``, its width / height is drawn from ``ratio`` on a log
    scale. Ten tries; if none fits, the largest centred box whose shape lies within ``ratio``.
    """
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        shape = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            return int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1)), h, w
    shape = min(max(width / height, ratio[0]), ratio[1])
    w, h = (width, round(width / shape)) if width / height < shape else (round(height * shape), height)
    w, h = max(1, min(w, width)), max(1, min(h, height))
    return (height - h) // 2, (width - w) // 2, h, w


def resized(pixels: Pixels, box: Box, size: int) -> Pixels:
    """Part ``box`` (top, left, height, width) of a picture or clip, resized to (..., size, size, 3), antialiased."""
    top, left, h, w = box
    return _resize(pixels[..., top : top + h, left : left + w, :], size, size)


def shrunk(pixels: Pixels, short_side: int) -> Pixels:
    """Picture or clip with its shorter side at most ``short_side``; a smaller one stays as it is."""
    h, w = pixels.shape[-3:-1]
    if min(h, w) <= short_side:
        return pixels
    factor = short_side / min(h, w)
    return _resize(pixels, max(short_side, round(h * factor)), max(short_side, round(w * factor)))


def centre(pixels: Pixels, size: int) -> Pixels:
    """Evaluation's view: the central square whose side is 7/8 of the shorter side, resized to (..., size, size, 3).

    That is what "resize the shorter side to 256, cut the central 224" sees.
    """
    h, w = pixels.shape[-3:-1]
    side = max(1, round(min(h, w) * 7 / 8))
    return resized(pixels, ((h - side) // 2, (w - side) // 2, side, side), size)


def _resize(pixels: Pixels, height: int, width: int) -> Pixels:
    if pixels.shape[-3:-1] == (height, width):
        return np.ascontiguousarray(pixels)
    frames = np.ascontiguousarray(pixels).reshape(-1, *pixels.shape[-3:])
    done = [np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in frames]
    return np.stack(done).reshape(*pixels.shape[:-3], height, width, 3)


def flip(pixels: Pixels) -> Pixels:
    """Left and right exchanged."""
    return np.ascontiguousarray(pixels[..., ::-1, :])


def jitter(
    pixels: Pixels, rng: np.random.Generator, brightness: float, contrast: float, saturation: float, hue: float
) -> Pixels:
    """Brightness, contrast, saturation and hue of a picture changed, in random order.

    The first three are factors drawn from [max(0, 1 - a), 1 + a] of their amount a: a blend with black, with the mean
    grey, with the grey picture. Hue turns by a share of the circle drawn from [-hue, hue], hue at most 0.5.
    """
    factors = [rng.uniform(max(0.0, 1 - a), 1 + a) for a in (brightness, contrast, saturation)]
    turn = rng.uniform(-hue, hue)
    image = Image.fromarray(pixels)
    for step in rng.permutation(4):
        if step == 0 and brightness > 0:
            image = ImageEnhance.Brightness(image).enhance(factors[0])
        elif step == 1 and contrast > 0:
            image = ImageEnhance.Contrast(image).enhance(factors[1])
        elif step == 2 and saturation > 0:
            image = ImageEnhance.Color(image).enhance(factors[2])
        elif step == 3 and hue > 0:
            image = Image.fromarray(shift_hue(np.asarray(image), turn))
    return np.array(image)


def shift_hue(pixels: Pixels, turn: float) -> Pixels:
    """Hue turned by ``turn``, a share of the circle in [-0.5, 0.5]; saturation and value stay."""
    hsv = np.array(Image.fromarray(pixels).convert("HSV"))
    hsv[..., 0] += np.uint8(int(turn * 255) % 256)  # wraps round, as hues do
    return np.array(Image.fromarray(hsv, mode="HSV").convert("RGB"))


def grey(pixels: Pixels) -> Pixels:
    """Three equal channels: 0.299 red + 0.587 green + 0.114 blue."""
    return np.repeat(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], 3, axis=-1)


def blur(pixels: Pixels, sigma: float, kernel: int = 21) -> Pixels:
    """Gaussian blur of a picture with a square window of ``kernel`` (odd) pixels, edges mirrored.

    The window is cut where it reaches further than the picture is wide or high.
    """
    x = pixels.astype(np.float32)
    x = np.tensordot(_blurring(x.shape[0], sigma, kernel), x, axes=(1, 0))
    x = np.tensordot(_blurring(x.shape[1], sigma, kernel), x, axes=(1, 1)).transpose(1, 0, 2)
    return np.clip(np.rint(x), 0, 255).astype(np.uint8)


def _blurring(length: int, sigma: float, kernel: int) -> NDArray[np.float32]:
    """(length, length) matrix that blurs a line of pixels: one product is quicker than a convolution this small."""
    reach = min(kernel // 2, length - 1)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    places = np.abs(np.arange(length)[:, None] + offsets)
    places = np.where(places >= length, 2 * (length - 1) - places, places)  # mirrored, the edge itself once
    matrix = np.zeros((length, length), dtype=np.float32)
    np.add.at(matrix, (np.arange(length)[:, None], places), np.broadcast_to(weights / weights.sum(), places.shape))
    return matrix


def normalise(pixels: Pixels, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Float32 tensor (3, h, w) of a picture, (3, t, h, w) of a clip: (pixels / 255 - mean) / std per channel."""
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 0))).float().div_(255)
    channels = (3, *([1] * (x.ndim - 1)))
    return x.sub_(torch.tensor(mean).reshape(channels)).div_(torch.tensor(std).reshape(channels))


def random_frames(of: int, frames: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """``frames`` of ``of`` frames without repetition, in the order of time."""
    return np.sort(rng.choice(of, size=frames, replace=False)).astype(np.int64)


def fixed_frames(of: int, frames: int) -> NDArray[np.int64]:
    """Evaluation's frames: the middles of ``frames`` equal parts.

    Examples
    --------
    >>> fixed_frames(10, 3).tolist(), fixed_frames(10, 5).tolist()
    ([1, 5, 8], [1, 3, 5, 7, 9])
    """
    return ((2 * np.arange(frames) + 1) * of // (2 * frames)).astype(np.int64)


def pad_or_cut(wave: NDArray[Any], samples: int) -> Wave:
    """The first ``samples`` of a wave; a shorter one is followed by silence."""
    kept = np.asarray(wave[:samples], dtype=np.float32)
    return np.pad(kept, (0, samples - len(kept)))


def random_window(wave: Wave, samples: int, rng: np.random.Generator) -> Wave:
    """``samples`` in a row from a random place, clipped to [-1, 1]."""
    start = int(rng.integers(len(wave) - samples + 1))
    return np.clip(wave[start : start + samples], -1.0, 1.0)


def middle_window(wave: Wave, samples: int) -> Wave:
    """The ``samples`` in the middle, clipped to [-1, 1]."""
    start = (len(wave) - samples) // 2
    return np.clip(wave[start : start + samples], -1.0, 1.0)


def covered(bands: NDArray[np.float32], rng: np.random.Generator, most: tuple[float, float]) -> NDArray[np.float32]:
    """Copy of a (frames, mels) filterbank with some bands and some frames in a row set to 0 (Park et al. 2019).

    The number of bands is drawn below ``most[0]``, that of frames below ``most[1]``, each place uniformly.
    """
    out = np.array(bands)
    for axis, limit in ((1, most[0]), (0, most[1])):
        size = out.shape[axis]
        width = min(size, int(rng.random() * limit))
        start = int(rng.random() * (size - width + 1))
        out[(slice(None),) * axis + (slice(start, start + width),)] = 0
    return out
