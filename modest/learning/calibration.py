r"""Temperature scaling: logits divided by one number, so that a confidence means a share of right answers.

Reference: Guo, Pleiss, Sun, Weinberger, *On Calibration of Modern Neural Networks*, ICML 2017. Symbols: ``logits``
(n, C) on rows that did not train, ``y`` (n,) their classes, T > 0 the temperature.

Equation: T = argmin over T of -mean_i log softmax(z_i / T)[y_i]. The mean is convex in 1 / T, so a bounded search over
log T finds it. Entropies, and with them fusion weights, can be compared between modalities only after it: a network
that has learned its training rows by heart is sure of itself whatever it is worth.

Departures: T stays within [1/20, 20]: on rows that are all right, or all alike, the best T has no bound. Cost: some
tens of passes over n C numbers.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor, nn

from modest.training import Batch, Batches
from modest.types import Bool, Float, Int

__all__ = ["Calibrated", "likelihood", "spoken", "temperature"]

_LARGEST = float(np.log(20.0))


@runtime_checkable
class Calibrated(Protocol):
    """A recipe of several experts that takes their temperatures from rows it was not trained on."""

    net: nn.Module

    def experts(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(K, n, C) logits of every expert, no temperature applied, and (n, K) bool, who has something to say."""
        ...

    def calibrate(self, logits: Float, there: Bool, y: Int) -> None:
        """Set the temperatures from logits (K, n, C), there (n, K) and the classes (n,) of the rows."""
        ...


def spoken(recipe: Calibrated, batches: Batches) -> tuple[Float, Bool]:
    """What the experts say of all rows of ``batches``: logits (K, n, C) float64 and there (n, K)."""
    recipe.net.to(batches.device).eval()
    with torch.no_grad():
        parts = [recipe.experts(batch) for batch in batches.epoch()]
    logits, there = torch.cat([part[0] for part in parts], dim=1), torch.cat([part[1] for part in parts])
    return logits.double().cpu().numpy(), there.cpu().numpy()


def likelihood(logits: Float, y: Int) -> float:
    """Mean log likelihood, nats, of classes (n,) under logits (n, C)."""
    return float(log_softmax(logits, axis=1)[np.arange(len(y)), y].mean())


def temperature(logits: Float, y: Int) -> float:
    """The temperature of logits (n, C) given classes (n,); 1 without rows.

    Examples
    --------
    >>> z = np.log([[0.9, 0.1]] * 10)  # says 90 %, and is right in 6 of 10
    >>> y = np.array([0] * 6 + [1] * 4)
    >>> T = temperature(z, y)
    >>> round(float(np.exp(z[0, 0] / T) / np.exp(z[0] / T).sum()), 3)
    0.6
    """
    if not len(y):
        return 1.0

    def loss(log_t: float) -> float:
        return -likelihood(logits / np.exp(log_t), y)

    return float(np.exp(minimize_scalar(loss, bounds=(-_LARGEST, _LARGEST), method="bounded").x))
