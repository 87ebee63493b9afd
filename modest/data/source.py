"""What every reader returns, and the reader of Hugging Face datasets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import features
from modest.data.features import Feature
from modest.types import Bool


@dataclass
class Source:
    """What a reader found: ``columns`` (name -> values), ``features`` (name -> Feature), both as functions.

    ``classes``: names of classes per label column, ``""`` for all; ``present``: (n,) bool per modality; ``lost``: how
    many media files of a column are not there; ``missing``: ids of items left out since nothing of them is there;
    ``notes``: sentences that whoever reads numbers made of it should know; ``ids``: ids the source itself brings.
    """

    origin: str
    columns: dict[str, Callable[[], Any]] = field(default_factory=dict)
    features: dict[str, Callable[[], Feature]] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=dict)
    present: dict[str, Bool] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ids: Any = None


def itself(value: Any) -> Any:
    """Return the value; with ``partial``, a column that is already in memory."""
    return value


def dataset_source(dataset: Any) -> Source:
    """A Hugging Face ``datasets.Dataset`` or its like: vector columns stay on disk until they are written."""
    source = Source("dataset")
    kinds = getattr(dataset, "features", None) or {}
    head = dataset[: min(64, len(dataset))]
    for name in dataset.column_names:
        first = next((cell for cell in head[name] if cell is not None), None)
        if isinstance(first, (list, tuple, np.ndarray)) and np.asarray(first).dtype.kind in "buif":
            source.features[name] = partial(_dataset_feature, dataset, name, first)
        else:
            source.columns[name] = partial(_dataset_column, dataset, name)
        if getattr(kinds.get(name), "names", None):
            source.classes[name] = list(kinds[name].names)
    return source


def _dataset_column(dataset: Any, name: str) -> list[Any]:
    return list(dataset[name])


def _dataset_feature(dataset: Any, name: str, first: Any) -> Feature:
    shape = (len(dataset), int(np.size(first)))
    step = features.rows_per_block(shape[1], 8)
    origin = f"dataset:{name}"

    def blocks() -> Iterator[NDArray[Any]]:
        for start in range(0, shape[0], step):
            yield features.stack(dataset[start : start + step][name], shape[1], origin)

    return Feature(features.flat_shape(shape, origin), np.dtype(np.float32), blocks, origin)
