"""Trainable encoders by name: the networks of the paper, any width and depth, with the reading of their raw values.

MMCSAL (section 4.3) takes ResNet-101 and BERT-base for Food101, R(2+1)D-18 and a one-channel ResNet-18 for clips with
sound; MLA (appendix A.3) ResNet-18 over frames and sound, M3AE and CAV-MAE. Here each also comes smaller, by ``width``
and ``depth`` or by the sizes of a transformer, and a ready view takes a small network (``mlp``).
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from modest.checks import known
from modest.encoders import backbones, transformer_backbones
from modest.encoders.reading import Reading

__all__ = ["BACKBONES", "Backbone", "Reading", "build"]


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


# name -> builder; its keyword arguments are the knobs
BACKBONES: Mapping[str, Callable[..., backbones.Made]] = MappingProxyType(
    {
        "resnet18": backbones.image,
        "resnet101": backbones.image,
        "audio_resnet18": backbones.audio,
        "video_resnet18": backbones.clips,
        "r2plus1d18": backbones.clips,
        "bert": transformer_backbones.text,
        "mlp": backbones.view,
        "clip_image": transformer_backbones.paired,
        "clip_text": transformer_backbones.paired,
        "siglip_image": transformer_backbones.paired,
        "siglip_text": transformer_backbones.paired,
        "m3ae_image": transformer_backbones.patches,
        "m3ae_text": transformer_backbones.words,
        "cavmae_audio": transformer_backbones.cavmae,
    }
)


def build(name: str, *, generator: torch.Generator, weights: str | Path | None = None, **knobs: Any) -> Backbone:
    """Build a trainable encoder.

    Parameters
    ----------
    name : resnet18 | resnet101 | m3ae_image (pictures), audio_resnet18 | cavmae_audio (sound), video_resnet18 |
        r2plus1d18 (clips), bert | m3ae_text (texts), mlp (ready views), clip_image | siglip_image | clip_text |
        siglip_text (towers that share a space)
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
