"""Trainable encoders in one line of text: ``resnet18?width=0.25&size=64``, ``mlp?view=pixels``."""

from __future__ import annotations

import json
from typing import Any

from modest.encoders.encoder import split_query

__all__ = ["spec"]


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
