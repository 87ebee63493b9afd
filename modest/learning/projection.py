r"""Project the shared head's gradient away from the directions earlier features used.

Reference: Zhang, Yoon, Bansal, Yao, *Multimodal Representation Learning by Alternating Unimodal Adaptation* (MLA),
Eq. 3-4; the recursion is that of orthogonal weight modification (Zeng et al. 2019).

========  ==============  =========  ===============================================
paper     here            shape      meaning
========  ==============  =========  ===============================================
P_t       ``matrix``      (s, s)     projector, starts at the identity
h         ``mean``        (s,)       mean feature of the step's present rows
q_t       gain            (s,)       q = P h / (alpha + h' P h)
alpha     ``alpha``       > 0        small: a direction once seen is closed at once
dL/dW     ``grad``        (C, s)     gradient of the head's weight; the bias is free
========  ==============  =========  ===============================================

Equation: P_t = P_{t-1} - q_t h' P_{t-1}, gradient <- gradient P_t. Without normalisation this is
(I + sum_i h_i h_i' / alpha_i)^{-1} (Sherman-Morrison), symmetric with eigenvalues in (0, 1].

Departures: Eq. 3 as printed defines q_t by P_t itself, which is circular; the recursive-least-squares form is meant.
The released code divides element by element by an s x s matrix; the denominator is a scalar. P is kept in float64,
and each update is exactly symmetric; the mean is detached. Cost: O(s^2) per update, O(C s^2) per projection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from modest.checks import known

__all__ = ["GradientProjector"]


class GradientProjector:
    """Recursive-least-squares projector over features of width ``dim``.

    Parameters
    ----------
    dim : int
        Width s of the features and of the gradient's last axis.
    alpha : float > 0
        May be set between updates.
    normalize : "none" | "fro" | "trace"
        After each update, in place: nothing, P / its Frobenius norm, or P s / trace P (mean gain 1).
    reset : "never" | "epoch"
        Whether :meth:`start_epoch` puts P back to the identity.
    project_with : "current" | "previous"
        P after the last update, or before it.

    Raises
    ------
    ValueError
        For an unknown choice, ``dim`` < 1, ``alpha`` not positive, or a mean or gradient of another width.

    Examples
    --------
    >>> projector = GradientProjector(2, alpha=1.0)
    >>> projector.update(torch.tensor([1.0, 0.0]))
    >>> projector.project(torch.ones(1, 2)).tolist()
    [[0.5, 1.0]]
    """

    def __init__(
        self, dim: int, alpha: float, normalize: str = "none", reset: str = "never", project_with: str = "current"
    ) -> None:
        if dim < 1:
            raise ValueError(f"dim={dim} is not positive; give the width of the features.")
        self.dim = dim
        self.alpha = alpha
        self.normalize = known(normalize, ("none", "fro", "trace"), "normalize")
        self.reset = known(reset, ("never", "epoch"), "reset")
        self.project_with = known(project_with, ("current", "previous"), "project_with")
        self.updates = 0
        self._current = torch.eye(dim, dtype=torch.float64)
        self._previous = self._current

    @property
    def alpha(self) -> float:
        """The constant added to the denominator."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"alpha={value} is not a positive number; try 0.1.")
        self._alpha = float(value)

    @property
    def matrix(self) -> Tensor:
        """(dim, dim) float64, a copy of P after the last update."""
        return self._current.clone()

    @property
    def trace(self) -> float:
        """tr P / dim: the mean over all directions of what is left of a gradient; 1 at the start."""
        return float(torch.trace(self._current)) / self.dim

    def start_epoch(self) -> None:
        """Tell that an epoch begins: with ``reset="epoch"`` P is the identity again."""
        if self.reset == "epoch":
            self._current = self._previous = torch.eye(self.dim, dtype=torch.float64, device=self._current.device)

    def update(self, mean: Tensor) -> None:
        """Take in one mean feature, (dim,)."""
        if mean.shape != (self.dim,):
            raise ValueError(f"mean has shape {tuple(mean.shape)}; it must be one feature of width dim={self.dim}.")
        h = mean.detach().to(torch.float64)
        self._previous = self._current.to(h.device)
        k = self._previous @ h
        u = k / torch.sqrt(self.alpha + h @ k)
        P = torch.addr(self._previous, u, u, alpha=-1)  # symmetric to the bit
        if self.normalize == "fro":
            P = P / torch.linalg.norm(P)
        elif self.normalize == "trace":
            P = P * (self.dim / torch.trace(P))
        self._current = P
        self.updates += 1

    def project(self, grad: Tensor) -> Tensor:
        """Return ``grad`` (C, dim) times P, new, in the dtype of ``grad``."""
        if grad.ndim != 2 or grad.shape[1] != self.dim:
            raise ValueError(f"grad has shape {tuple(grad.shape)}; its last axis must have width dim={self.dim}.")
        P = self._current if self.project_with == "current" else self._previous
        return (grad.to(torch.float64) @ P.to(grad.device)).to(grad.dtype)

    def state(self) -> dict[str, Tensor]:
        """What :meth:`load_state` needs to go on from here."""
        return {"current": self._current, "previous": self._previous, "updates": torch.tensor(self.updates)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave."""
        self._current, self._previous = state["current"], state["previous"]
        self.updates = int(state["updates"])
