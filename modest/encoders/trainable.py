"""Trainable encoders by name: the networks of the paper, any width and depth, with the reading of their raw values.

MMCSAL (section 4.3) takes ResNet-101 and BERT-base for Food101, R(2+1)D-18 and a one-channel ResNet-18 for clips with
sound. Here each also comes smaller, by ``width`` and ``depth``, and a ready view takes a small network (``mlp``).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from modest.checks import known
from modest.encoders.bert import bert, tokenizer_place, tokens
from modest.encoders.r2plus1d import r2plus1d
from modest.encoders.reading import (
    IMAGENET,
    KINETICS,
    Reading,
    audio_reading,
    image_reading,
    text_reading,
    video_reading,
)
from modest.encoders.resnet import DEPTHS, resnet
from modest.encoders.spectrogram import STATISTICS
from modest.encoders.towers import Tower
from modest.encoders.two_towers import two_tower
from modest.encoders.weights import fill, located, read_state

__all__ = ["BACKBONES", "Backbone", "Reading", "build"]

Numbers = Sequence[float]
Weights = str | Path | None
Made = tuple[nn.Module, Reading | None, dict[str, Any]]  # network, reading, knobs as decided


@dataclass(frozen=True, eq=False)
class Backbone:
    """A trainable encoder.

    Parameters
    ----------
    name : in ``BACKBONES``
    net : module, (k, \\*shape) -> (k, width); rows whose modality is absent never reach it
    width : features emitted
    reading : how raw values become its input; None takes a ready view (k, d) of floats
    config : ``build(**config, generator=...)`` makes the same architecture and reading again; can be written as JSON
    """

    name: str
    net: nn.Module
    width: int
    reading: Reading | None
    config: Mapping[str, Any]


def _image(
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
    keep = 2 * size if keep is None else keep
    statistics = _exactly(3, mean, "mean"), _exactly(3, std, "std")
    changes = _exactly(2, scale, "scale"), _exactly(4, jitter, "jitter"), _exactly(4, chances, "chances")
    reading = image_reading(size, keep, augment, *changes, statistics)
    net = resnet(depth or name, generator=generator, block=DEPTHS[name][0], width=width, weights=weights)
    return net, reading, {"keep": keep}


def _audio(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    width: float = 1.0,
    depth: str | Sequence[int] | None = None,
    rate: int = 16000,
    clip: float = 10.0,
    seconds: float = 5.0,
    augment: float = 1.0,
    n_fft: int = 512,
    window: int = 512,
    hop: int = 159,
    mean: float = STATISTICS["kinetics_sound"][0],
    std: float = STATISTICS["kinetics_sound"][1],
) -> Made:
    reading = audio_reading(rate, clip, seconds, augment, (n_fft, window, hop), (mean, std))
    net = resnet(depth or "resnet18", generator=generator, width=width, channels=1, weights=weights)
    return net, reading, {}


def _video(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    width: float = 1.0,
    depth: Sequence[int] = (2, 2, 2, 2),
    size: int = 112,
    frames: int = 3,
    of: int = 10,
    keep: int | None = None,
    augment: float = 1.0,
    scale: Numbers = (0.08, 1.0),
    flip: float = 0.5,
    mean: Numbers = KINETICS[0],
    std: Numbers = KINETICS[1],
) -> Made:
    if not 0 < frames <= of:
        raise ValueError(f"frames={frames} does not lie in 1 ... of={of}; choose fewer frames or decode more.")
    keep = round(size * 8 / 7) if keep is None else keep
    statistics = _exactly(3, mean, "mean"), _exactly(3, std, "std")
    reading = video_reading(size, frames, of, keep, augment, _exactly(2, scale, "scale"), flip, statistics)
    return r2plus1d(depth, generator=generator, width=width, weights=weights), reading, {"keep": keep}


def _text(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    positions: int = 512,
    dropout: float = 0.1,
    length: int = 100,
    tokenizer: str = "auto",
    grams: int = 0,
) -> Made:
    if length > positions:
        raise ValueError(f"length={length} is more than positions={positions}; lower it.")
    place = tokenizer_place(tokenizer, weights)
    reading = text_reading(tokens(place, length, vocab, grams), length)
    sizes = {"layers": layers, "hidden": hidden, "heads": heads, "vocab": vocab, "positions": positions}
    return bert(generator=generator, weights=weights, dropout=dropout, **sizes), reading, {"tokenizer": place}


def _view(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    inputs: int,
    hidden: Sequence[int] = (),
    width: int = 512,
) -> Made:
    net = Tower(inputs, width, generator, hidden=tuple(hidden))
    if weights is not None:
        fill(net, read_state(located(weights)), weights, f"an mlp of inputs {inputs}, width {width}")
    return net, None, {}


def _paired(name: str, *, generator: torch.Generator, weights: Weights = None, place: str | None = None) -> Made:
    where = place or weights
    if where is None:
        raise ValueError(f"{name} is published; name its folder or hub id, weights=..., or place=... without weights.")
    return two_tower(name, where, generator, weights is not None)


# name -> builder; its keyword arguments are the knobs
BACKBONES: Mapping[str, Callable[..., Made]] = MappingProxyType(
    {
        "resnet18": _image,
        "resnet101": _image,
        "audio_resnet18": _audio,
        "r2plus1d18": _video,
        "bert": _text,
        "mlp": _view,
        "clip_image": _paired,
        "clip_text": _paired,
        "siglip_image": _paired,
        "siglip_text": _paired,
    }
)


def build(name: str, *, generator: torch.Generator, weights: str | Path | None = None, **knobs: Any) -> Backbone:
    """Build a trainable encoder.

    Parameters
    ----------
    name : resnet18 | resnet101 (pictures), audio_resnet18 (sound), r2plus1d18 (clips), bert (texts), mlp (ready views),
        clip_image | siglip_image | clip_text | siglip_text (towers that share a space)
    generator : seeded; the only source of the first weights: equal generators give equal weights
    weights : file, transformers folder or hub name of published weights; None starts from the generator
    **knobs : sizes of the network and of its input; docs/encoders.md lists them

    Raises
    ------
    ValueError
        If the name or a knob is unknown (the known ones are listed), a knob is impossible, or weights do not fit.
    FileNotFoundError
        If the weights are nowhere.
    TypeError
        If a knob that has no default is missing.
    ImportError
        If the encoder needs transformers and it is not installed.
    """
    make = BACKBONES[known(name, BACKBONES, "name")]
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(make).parameters.items()
        if key not in ("name", "generator", "weights")
    }
    for knob in knobs:
        known(knob, defaults, f"knob of {name}")
    chosen = {**defaults, **knobs}
    for knob, value in chosen.items():
        if value is inspect.Parameter.empty:
            raise TypeError(f"{name} needs {knob}; give it: build({name!r}, {knob}=...).")
    for knob in ("size", "keep", "rate", "augment", "width"):
        if knob in knobs and knobs[knob] is not None and knobs[knob] < (0 if knob == "augment" else 1e-9):
            raise ValueError(f"{knob}={knobs[knob]} of {name} is too small; give a positive number.")
    net, reading, decided = make(name, generator=generator, weights=weights, **chosen)
    config = json.loads(json.dumps({"name": name, **chosen, **decided}))
    return Backbone(name, net, net.width, reading, config)  # type: ignore[arg-type]


def _exactly(count: int, values: Numbers, knob: str) -> Any:
    """``values`` as a tuple of ``count`` floats; those of ``std`` positive."""
    if len(values) != count or (knob == "std" and min(values) <= 0):
        raise ValueError(f"{knob}={list(values)} is not usable; give {count} numbers, those of std above 0.")
    return tuple(float(value) for value in values)
