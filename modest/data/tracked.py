"""What a training noted of its items epoch by epoch, kept beside the model for cartography."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modest.data import files
from modest.types import Bool, Float, Ids

FILE = "dynamics.npz"


@dataclass(frozen=True, eq=False)
class Tracked:
    """The training rows of one model over T epochs.

    ``ids`` and ``label`` (k,) str; ``confidence`` (T, k) probability of the label, ``correct`` (T, k) bool.
    """

    ids: Ids
    label: Ids
    confidence: Float
    correct: Bool

    def save(self, folder: str | Path) -> Path:
        """Write ``dynamics.npz`` (float32) into a folder, whole or not at all, and return where."""
        path = Path(folder) / FILE
        arrays = {
            "id": np.asarray(self.ids, dtype=np.str_),
            "label": np.asarray(self.label, dtype=np.str_),
            "confidence": np.asarray(self.confidence, dtype=np.float32),
            "correct": np.asarray(self.correct, dtype=bool),
        }
        files.write_npz(path, arrays)
        return path

    @classmethod
    def load(cls, folder: str | Path) -> Tracked:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If the model in that folder was trained without tracking its items.
        ValueError
            If the file is damaged.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise FileNotFoundError(f"{folder} has no {FILE}; train the model again with modest train --track-items.")
        try:
            arrays = files.read_npz(path)
            found = cls(*(arrays[name] for name in ("id", "label", "confidence", "correct")))
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} is damaged ({error}); train the model again with --track-items.") from None
        if not found.confidence.shape == found.correct.shape == (len(found.correct), len(found.ids)):
            raise ValueError(f"{path} is damaged (shapes differ); train the model again with --track-items.")
        return found
