"""The table of completions: how each is built, its options, one line of what it does, and its paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from torch import Tensor

from modest.completion import dropout, filling
from modest.learning.methods import Method
from modest.training.task import Batch

__all__ = ["METHODS", "Imagining"]


@runtime_checkable
class Imagining(Protocol):
    """A completion whose imagination can be looked at and compared with the truth."""

    def imagined(self, batch: Batch, m: int) -> Tensor:
        """(n, e_m) what it takes modality m of every row to be, from what the row has; in a space of its own."""
        ...

    def truth(self, batch: Batch, m: int) -> Tensor:
        """(n, e_m) what modality m is, in that space; only rows that have it mean anything."""
        ...


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "zero": Method(filling.filled("zero"), filling.Options, "absent views are zeros under one head", "baseline"),
        "mean": Method(
            filling.filled("mean"), filling.Options, "absent views are the mean of training rows under one head",
            "baseline",
        ),
        "dropout": Method(
            dropout.Dropout,
            dropout.Options,
            "one head over all features; every step hides some modalities",
            "Neverova et al., ModDrop: Adaptive Multi-modal Gesture Recognition, TPAMI 2016",
        ),
    }
)  # fmt: skip
