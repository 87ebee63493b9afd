"""Encoders: frozen ones by URI, and with them from raw media to views; trainable ones; small towers over ready views.

What needs torch is resolved on first use, so that encoders without weights start quickly. ``embed`` is the function
here; its file is ``modest/encoders/embed.py``.
"""

from __future__ import annotations

import importlib
from typing import Any

from modest.encoders.embed import embed
from modest.encoders.encoder import Encoder
from modest.encoders.hub import kinds, load
from modest.encoders.written import Report

# public name -> the file that holds it, for names whose file imports torch
_LAZY = {"Tower": "towers", "linear": "towers"}

__all__ = ["Encoder", "Report", "Tower", "embed", "kinds", "linear", "load"]


def __getattr__(name: str) -> Any:
    """Import a name or a file of the room when it is first asked for."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"modest.encoders.{_LAZY[name]}"), name)
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"modest.encoders.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"modest.encoders.{name}":
                raise
    raise AttributeError(f"module 'modest.encoders' has no attribute {name!r}; its names are {', '.join(__all__)}.")


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)
