"""A trained recipe with all that prediction needs, and how it is kept on disk."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modest.checks import row_numbers
from modest.data.files import rows_hash
from modest.data.pool import Pool
from modest.encoders.table import Table, sample
from modest.learning import Method, Recipe
from modest.learning.assembly import Assembly, described, rebuilt
from modest.learning.holdout import Labelled
from modest.learning.inputs import Reader, whole
from modest.learning.measure import forward, softmax
from modest.learning.towers import Towers
from modest.neighbours.device import decide
from modest.training import Batches, read_model, restore, weights_hash, write_model
from modest.types import Bool, Float, Int

__all__ = ["Outputs", "Trained", "fingerprint", "recipe_over", "rows_at_once"]

_ROWS, _RAW_ROWS = 4096, 64


@dataclass(frozen=True, eq=False)
class Outputs:
    """``proba`` (n, C); ``modality`` (M, n, C), NaN where absent; ``weights`` (n, M); ``present`` (n, M) bool."""

    proba: Float
    modality: Float
    weights: Float
    present: Bool


def recipe_over(
    made: Assembly,
    method: Method,
    classes: int,
    fill: str,
    options: Mapping[str, Any] | None,
    generator: torch.Generator,
) -> Recipe:
    """Untrained recipe over an assembly of encoders."""
    towers = Towers(list(made.modules.values()), made.width, fill)
    return method.build(towers, list(made.modules), classes, generator, options)


def fingerprint(made: Assembly, data: Labelled, check: Labelled, params: Mapping[str, Any]) -> str:
    """SHA-256 of what decides a training: parameters, first weights, rows, labels, and samples of the inputs."""
    told = hashlib.sha256(json.dumps([dict(params), described(made)], sort_keys=True, default=str).encode())
    for module in made.modules.values():
        told.update(weights_hash(module).encode())
    for part in (data, check):
        told.update(rows_hash(part.table.ids[part.rows]).encode() + part.y[part.rows].tobytes())
        told.update(part.table.present[part.rows].tobytes())
        for column in part.table.columns:
            told.update(sample(column, part.rows).encode())
    return told.hexdigest()


def rows_at_once(table: Table) -> int:
    """Rows of a pass without gradients: fewer where some are pictures or clips, which are large."""
    return _RAW_ROWS if any(column.eager for column in table.columns) else _ROWS


@dataclass(frozen=True, eq=False)
class Trained:
    """A ``recipe`` and the ``method`` that built it, its ``classes`` (C,) in order, encoders, ``reader`` of inputs."""

    recipe: Recipe
    method: Method
    classes: Any
    made: Assembly
    reader: Reader

    def outputs(self, X: Any, rows: Int | None = None, device: str | None = None) -> Outputs:
        """Predictions for X, or some rows of it; a warning tells of rows of which no raw medium could be read.

        Raises
        ------
        ValueError
            For an unknown modality, another width, a row without modality, NaN or inf in a present row.
        """
        found = self.reader.read(X)
        chosen = np.arange(len(found)) if rows is None else row_numbers(rows, len(found))
        whole(found, chosen, lone=isinstance(X, Pool))
        size, where = rows_at_once(found), decide(device)
        batches = Batches(found.columns, found.present, chosen, size=size, shuffle=False, device=where, augment=False)
        fused, own, weights, present = forward(self.recipe, batches)
        own[~present.T] = np.nan
        silent = chosen[~present.any(axis=1)]
        if len(silent):
            warnings.warn(
                f"{len(silent)} rows have no modality that could be read, the first is {str(found.ids[silent[0]])!r}; "
                "their probabilities say nothing.",
                stacklevel=3,
            )
        return Outputs(softmax(fused), softmax(own), weights, present)

    def save(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Write weights and ``config`` with what :meth:`load` needs, each file atomically."""
        classes = {"dtype": self.classes.dtype.str, "values": self.classes.tolist()}
        reading = {"views": dict(self.reader.views), "columns": dict(self.reader.columns)}
        about = {"modalities": described(self.made), "width": self.made.width, "classes": classes, "reading": reading}
        write_model(folder, self.recipe.net, {**config, **about})

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any], method: Method) -> Trained:
        """Read what :meth:`save` wrote of a model of ``method``; ``config["params"]`` are those of the classifier.

        Raises
        ------
        ValueError
            If the model is older than format 2, whose encoders went by other names.
        """
        if config["format"] < 2:
            raise ValueError(f"{folder} was saved by modest 0.1, whose models cannot be read any more; train it again.")
        params, generator = config["params"], torch.Generator().manual_seed(0)
        made = rebuilt(config["modalities"], tuple(params["hidden"]), int(config["width"]))
        classes = np.array(config["classes"]["values"], dtype=config["classes"]["dtype"])
        recipe = recipe_over(made, method, len(classes), params["fill"], params["options"], generator)
        restore(recipe.net, read_model(folder, config))
        return cls(recipe, method, classes, made, Reader(made.widths, made.readings, **config["reading"]))
