"""modest: multimodal learning on a modest budget.

Choose what to label, train a classifier that tolerates missing modalities, and see an honest curve of what it bought.
Public names are resolved on first use, so that ``import modest`` is quick and does not import torch.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> the module that holds it
_PUBLIC = {
    "Views": "modest.types",
    "Choice": "modest.types",
    "Record": "modest.types",
    "Pool": "modest.data.pool",
    "open": "modest.data.pool",
    "ingest": "modest.data.ingest",
    "demo": "modest.data.demo",
    "select": "modest.selection",
    "MultimodalClassifier": "modest.classifier",
    "load": "modest.classifier",
}
_ROOMS = (
    "bench", "cli", "completion", "data", "encoders", "evaluation", "learning", "neighbours", "pairing", "report",
    "representation", "rounds", "selection", "training",
)  # fmt: skip

__all__ = ["Choice", "MultimodalClassifier", "Pool", "Record", "Views", "demo", "ingest", "load", "open", "select"]


def __getattr__(name: str) -> Any:
    """Import a public name or a room when it is first asked for."""
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"modest.{name}")
    raise AttributeError(f"module 'modest' has no attribute {name!r}; its public names are {', '.join(__all__)}.")


def __dir__() -> list[str]:
    """Public names and rooms."""
    return sorted([*__all__, *_ROOMS, "__version__"])
