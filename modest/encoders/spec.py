"""How users name trainable encoders, and the Backbone each name stands for.

In one line of text ``resnet18?width=0.25&size=64`` or ``mlp?view=pixels``; in Python a name, {"name": ..., knobs}, or a
Backbone of their own.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from modest.encoders.encoder import split_query
from modest.encoders.trainable import Backbone, build

__all__ = ["Spec", "backbone_of", "parts", "ready_names", "spec"]

Spec = Backbone | str | Mapping[str, Any]


def spec(text: str) -> tuple[dict[str, Any], str | None]:
    """Keyword arguments of :func:`modest.encoders.trainable.build`, and the ready view that an ``mlp`` is to read.

    Parameters
    ----------
    text : name, or name?knob=value&knob=value; values are JSON where they can be read as such, else text

    Raises
    ------
    ValueError
        If the query cannot be read, or ``view`` is given to anything but an mlp.

    Examples
    --------
    >>> spec("resnet18?width=0.25&size=64")
    ({'name': 'resnet18', 'width': 0.25, 'size': 64}, None)
    >>> spec("mlp?view=pixels&hidden=[256]")
    ({'name': 'mlp', 'hidden': [256]}, 'pixels')
    """
    name, knobs = split_query(text)
    view = knobs.pop("view", None)
    if view is not None and name != "mlp":
        raise ValueError(f"{text!r} names a view, which only an mlp reads; write mlp?view={view}.")
    return {"name": name, **{knob: _value(value) for knob, value in knobs.items()}}, view


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def parts(spec: str | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Name and knobs of an encoder.

    Raises
    ------
    ValueError
        If it is neither a name nor a mapping with one.
    """
    if isinstance(spec, str):
        return spec, {}
    if not isinstance(spec, Mapping) or "name" not in spec:
        raise ValueError(f"encoders holds {spec!r}; give 'mlp', a name, {{'name': ..., knobs}} or a Backbone.")
    return str(spec["name"]), {key: value for key, value in spec.items() if key != "name"}


def ready_names(given: Mapping[str, Spec] | Sequence[str]) -> list[str]:
    """Modalities whose ready view is read."""
    if not isinstance(given, Mapping):
        return list(given)
    return [
        name
        for name, spec in given.items()
        if (spec.reading is None if isinstance(spec, Backbone) else parts(spec)[0] == "mlp")
    ]


def backbone_of(given: Spec, inputs: int | None, generator: torch.Generator, **usual: Any) -> Backbone:
    """Build the Backbone that a modality's encoder names, or copy the one given, which training then leaves as it is.

    Parameters
    ----------
    given : Backbone, name, or {"name": ..., knobs}
    inputs : features of the modality's ready view, for an mlp; None where there is none
    generator : seeded, of first weights
    usual : knobs of an mlp where ``given`` does not say otherwise

    Raises
    ------
    ValueError
        For an unknown encoder or knob, or an mlp without a ready view.
    """
    if isinstance(given, Backbone):
        return replace(given, net=copy.deepcopy(given.net))
    name, knobs = parts(given)
    if name == "mlp":
        knobs = {"inputs": inputs, **usual, **knobs}
        if knobs["inputs"] is None:
            raise ValueError("mlp needs a ready view; make one with modest embed, or name an encoder of raw media.")
    return build(name, generator=generator, **knobs)
