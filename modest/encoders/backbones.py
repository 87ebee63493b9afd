"""How ResNets, R(2+1)D and small networks are put together: network, reading of raw values, knobs and their defaults.

One function per kind of encoder: ``(name, *, generator, weights, **knobs) -> (network, reading, knobs as decided)``.
:mod:`modest.encoders.trainable` names them; docs/encoders.md lists the knobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from modest.checks import known
from modest.encoders.fbank import FBANK
from modest.encoders.r2plus1d import r2plus1d
from modest.encoders.reading import (
    IMAGENET,
    KINETICS,
    Reading,
    audio_reading,
    fbank_reading,
    image_reading,
    video_reading,
)
from modest.encoders.resnet import DEPTHS, FrameResNet, resnet
from modest.encoders.spectrogram import STATISTICS
from modest.encoders.towers import Tower
from modest.encoders.weights import fill, located, read_state

__all__ = ["COVER", "Made", "Numbers", "Weights", "audio", "clips", "exactly", "image", "pictures", "view"]

FEATURES = {"spectrogram": STATISTICS["kinetics_sound"], "fbank": FBANK["cav_mae"]}  # with their usual statistics
COVER = (48.0, 192.0)  # bands and frames that CAV-MAE covers at most when it is fine-tuned
Numbers = Sequence[float]
Weights = str | Path | None
Made = tuple[nn.Module, Reading | None, dict[str, Any]]  # network, reading, knobs as decided


def image(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    width: float = 1.0,
    depth: str | Sequence[int] | None = None,
    size: int = 224,
    keep: int | None = None,
    augment: float = 1.0,
    scale: Numbers = (0.08, 1.0),
    jitter: Numbers = (0.4, 0.4, 0.4, 0.1),
    chances: Numbers = (0.5, 0.8, 0.2, 0.0),
    mean: Numbers = IMAGENET[0],
    std: Numbers = IMAGENET[1],
) -> Made:
    """ResNet over pictures."""
    keep = 2 * size if keep is None else keep
    reading = pictures(size, keep, augment, scale, jitter, chances, mean, std)
    net = resnet(depth or name, generator=generator, block=DEPTHS[name][0], width=width, weights=weights)
    return net, reading, {"keep": keep}


def audio(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    width: float = 1.0,
    depth: str | Sequence[int] | None = None,
    features: str = "spectrogram",
    rate: int = 16000,
    clip: float = 10.0,
    seconds: float = 5.0,
    augment: float = 1.0,
    n_fft: int = 512,
    window: int = 512,
    hop: int = 159,
    mels: int = 128,
    frames: int = 1024,
    cover: Numbers = COVER,
    mean: float | None = None,
    std: float | None = None,
) -> Made:
    """ResNet over sound: log spectrograms, or with ``features="fbank"`` log mel filterbanks."""
    usual = FEATURES[known(features, FEATURES, "features")]
    statistics = usual[0] if mean is None else mean, usual[1] if std is None else std
    if features == "fbank":
        reading = fbank_reading(rate, mels, frames, augment, exactly(2, cover, "cover"), statistics)
    else:
        reading = audio_reading(rate, clip, seconds, augment, (n_fft, window, hop), statistics)
    net = resnet(depth or "resnet18", generator=generator, width=width, channels=1, weights=weights)
    return net, reading, {"mean": statistics[0], "std": statistics[1]}


def clips(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    width: float = 1.0,
    depth: str | Sequence[int] | None = None,
    size: int | None = None,
    frames: int = 3,
    of: int | None = None,
    keep: int | None = None,
    augment: float = 1.0,
    scale: Numbers = (0.08, 1.0),
    flip: float = 0.5,
    mean: Numbers | None = None,
    std: Numbers | None = None,
) -> Made:
    """R(2+1)D-18 as MMCSAL takes it (Kinetics-400's statistics, 3 of 10 frames), or one ResNet-18 over every frame."""
    moving = name == "r2plus1d18"
    size = (112 if moving else 224) if size is None else size
    of = (10 if moving else frames) if of is None else of
    if not 0 < frames <= of:
        raise ValueError(f"frames={frames} does not lie in 1 ... of={of}; choose fewer frames or decode more.")
    keep = round(size * 8 / 7) if keep is None else keep
    usual = KINETICS if moving else IMAGENET
    statistics = exactly(3, mean or usual[0], "mean"), exactly(3, std or usual[1], "std")
    reading = video_reading(size, frames, of, keep, augment, exactly(2, scale, "scale"), flip, statistics)
    decided = {"size": size, "of": of, "keep": keep, "mean": statistics[0], "std": statistics[1]}
    if not moving:
        frame = resnet(depth or "resnet18", generator=generator, width=width, weights=weights)
        return FrameResNet(frame), reading, decided
    blocks = depth or (2, 2, 2, 2)
    if isinstance(blocks, str):
        raise ValueError(f"depth={blocks!r} is no R(2+1)D; give one to four positive numbers of blocks.")
    return r2plus1d(blocks, generator=generator, width=width, weights=weights), reading, {**decided, "depth": blocks}


def view(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    inputs: int,
    hidden: Sequence[int] = (),
    width: int = 512,
) -> Made:
    """A small network over a ready view."""
    net = Tower(inputs, width, generator, hidden=tuple(hidden))
    if weights is not None:
        fill(net, read_state(located(weights)), weights, f"an mlp of inputs {inputs}, width {width}")
    return net, None, {}


def pictures(
    size: int,
    keep: int,
    augment: float,
    scale: Numbers,
    jitter: Numbers,
    chances: Numbers,
    mean: Numbers,
    std: Numbers,
    clip: bool = False,
) -> Reading:
    """Reading of pictures, or of the frame in the middle of a clip; the numbers of each knob are counted."""
    statistics = exactly(3, mean, "mean"), exactly(3, std, "std")
    changes = exactly(2, scale, "scale"), exactly(4, jitter, "jitter"), exactly(4, chances, "chances")
    return image_reading(size, keep, augment, *changes, statistics, clip)


def exactly(count: int, values: Numbers, knob: str) -> Any:
    """``values`` as a tuple of ``count`` floats; those of ``std`` positive."""
    if len(values) != count or (knob == "std" and min(values) <= 0):
        raise ValueError(f"{knob}={list(values)} is not usable; give {count} numbers, those of std above 0.")
    return tuple(float(value) for value in values)
