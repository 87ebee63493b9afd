"""What an encoder through transformers is made of, and how the parts are put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model: ``net``, its ``config``, the ``place`` and ``options`` its other files are read with, ``knobs``
    of the URI, ``device``."""

    net: Any
    config: Any
    place: str
    options: Mapping[str, Any]
    knobs: Mapping[str, str]
    device: torch.device


@dataclass(frozen=True, eq=False)
class Parts:
    """What makes an encoder: ``decode`` (raw value -> raw sample), ``prepare`` (raw sample -> sample), ``forward``
    (k samples -> (k, d) float32), a ``blank`` raw sample to learn d from, and the ``preprocessing`` for the record."""

    decode: Callable[[str], Any]
    prepare: Callable[[Any], Any]
    forward: Callable[[Sequence[Any]], NDArray[np.float32]]
    blank: Any
    preprocessing: Mapping[str, Any]


def parts(
    model: Model,
    decode: Callable[[str], Any],
    prepare: Callable[[Any], Any],
    features: Callable[[Any], Tensor],
    blank: Any,
    told: Mapping[str, Any],
    collate: Callable[[Sequence[Any]], Any] = np.stack,
    knobs: Sequence[str] = (),
) -> Parts:
    """Put parts together; ``features`` gets one collated batch as a tensor, or whatever ``collate`` gives."""
    odd = [name for name in model.knobs if name not in knobs]
    if odd:
        raise ValueError(f"the knob {odd[0]!r} is unknown to {model.config.model_type} models")

    def forward(samples: Sequence[Any]) -> NDArray[np.float32]:
        batch = collate(samples)
        batch = torch.from_numpy(np.ascontiguousarray(batch)) if isinstance(batch, np.ndarray) else batch
        with torch.inference_mode():
            answer = features(batch.to(model.device))
        return np.asarray(answer.float().cpu().numpy(), dtype=np.float32)

    return Parts(decode, prepare, forward, blank, told)


def settings(before: Any) -> dict[str, Any]:
    """What a processor is set to, as far as it is JSON."""
    told = {}
    for name, value in sorted(before.to_dict().items()):
        try:
            told[name] = json.loads(json.dumps(value))
        except TypeError:
            continue
    return {name: value for name, value in told.items() if not name.startswith("_")}


def processor(name: str, model: Model, **more: Any) -> Any:
    """Read what goes before a model: a tokenizer, an image processor, a feature extractor."""
    import transformers

    return getattr(transformers, name).from_pretrained(model.place, **more, **model.options)
