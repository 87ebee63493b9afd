"""Looking at a task from outside: probabilities, validation accuracy, per-item confidence over the epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy.special import softmax as scipy_softmax

from modest.learning.calibration import likelihood
from modest.training.batches import Batches
from modest.types import Bool, Float, Int

__all__ = ["Dynamics", "forward", "measure", "softmax"]


def softmax(logits: Float) -> Float:
    """Probabilities over the last axis."""
    p: Float = scipy_softmax(logits, axis=-1)
    return p


def forward(task: Any, batches: Batches) -> tuple[Float, Float, Float, Bool]:
    """Of all rows of ``batches``: logits fused (n, C) and per modality (M, n, C), fusion weights (n, M), float64.

    Also present (n, M) bool, what could be read.
    """
    task.net.to(batches.device).eval()
    with torch.no_grad():
        parts = [(*task.logits(batch), batch.present) for batch in batches.epoch()]
    fused, own, weights, present = (torch.cat(part, dim=d).cpu() for part, d in zip(zip(*parts), (0, 1, 0, 0)))
    return fused.double().numpy(), own.double().numpy(), weights.double().numpy(), present.numpy()


def measure(task: Any, batches: Batches) -> tuple[tuple[float, ...], Mapping[str, float]]:
    """Accuracy and mean negative log likelihood (nats) on labelled rows; the rank is accuracy, then likelihood.

    Rows whose class number is -1 (unknown in training) count as wrong and have no likelihood.
    """
    y = batches.y if batches.y is not None else np.full(len(batches.present), -1)
    truth = y[batches.rows]
    fused = forward(task, batches)[0]
    accuracy = float((fused.argmax(axis=1) == truth).mean())
    seen = np.flatnonzero(truth >= 0)
    loss = -likelihood(fused[seen], truth[seen]) if len(seen) else 0.0
    return (accuracy, -loss), {"accuracy": accuracy, "loss": loss}


class Dynamics:
    """Confidence of each training row in its own label, epoch by epoch (for data cartography).

    ``rows`` (k,) of the table; ``confidence`` (epochs, k) probability of the label given; ``correct`` (epochs, k) bool;
    ``modality`` (epochs, M, k) the same probability by each modality's own logits, NaN where absent.
    """

    def __init__(self, rows: Int, y: Int) -> None:
        self.rows, self._y = rows, y
        self._notes: list[tuple[Float, Any, Float]] = []

    def note(self, task: Any, batches: Batches) -> None:
        """Take down one epoch."""
        fused, own, _, present = forward(task, batches)
        k = np.arange(len(self._y))
        modality = softmax(own)[:, k, self._y]
        modality[~present.T] = np.nan
        self._notes.append((softmax(fused)[k, self._y], fused.argmax(axis=1) == self._y, modality))

    @property
    def confidence(self) -> Float:
        """(epochs, k)."""
        return np.stack([note[0] for note in self._notes])

    @property
    def correct(self) -> Any:
        """(epochs, k) bool."""
        return np.stack([note[1] for note in self._notes])

    @property
    def modality(self) -> Float:
        """(epochs, M, k)."""
        return np.stack([note[2] for note in self._notes])
