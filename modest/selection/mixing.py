"""Mixing features with labelled ones until predictions flip: the part of ALFA-Mix that asks the head.

Symbols and equations: ``alfamix.py``. Rows are in the frame of ids; an absent modality's features stay zero.
Cost C passes of the head per cap and row that has not flipped; memory a few tiles of features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from modest.neighbours import Rows
from modest.types import Float, Int

_STEPS, _RATE, _TINY = 5, 0.1, 1e-8


@dataclass(frozen=True, eq=False)
class Space:
    """The features ``rows`` and the ``head`` (z -> logits) over them."""

    rows: Rows
    head: Callable[[Mapping[str, Tensor]], Tensor]

    def logits(self, z: Tensor) -> Tensor:
        """(k, C) logits of features (k, D) side by side."""
        parts = dict(zip(self.rows.names, torch.split(z, list(self.rows.dims), dim=1)))
        found = self.head(parts)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != len(z):
            told = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"head gives {told} for {len(z)} rows; it must give logits, ({len(z)}, C).")
        return found

    def there(self, at: Tensor) -> Tensor:
        """(k, D) 1 where a row's modality is present, else 0."""
        widths = torch.tensor(self.rows.dims, device=self.rows.device)
        there: Tensor = self.rows.p[at].repeat_interleave(widths, dim=1)
        return there

    def gradient(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted classes (k,), and the gradient (k, D) of the cross-entropy at them by the features.

        Raises
        ------
        ValueError
            If the head cannot be differentiated.
        """
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            logits = self.logits(z)
            if not logits.requires_grad:
                raise ValueError("head has no gradient; alfamix needs a differentiable function of the features.")
            predicted = logits.argmax(dim=1)
            return predicted, torch.autograd.grad(cross_entropy(logits, predicted, reduction="sum"), z)[0]

    def anchors(self, labels: Int, classes: int) -> Tensor:
        """(C, D) mean features of each class's labelled rows that have the modality, else of all labelled ones."""
        total = torch.zeros((classes, self.rows.width), dtype=torch.float64, device=self.rows.device)
        count = torch.zeros_like(total)
        for at in np.array_split(np.flatnonzero(labels >= 0), -(-int((labels >= 0).sum()) // self.rows.tile)):
            rows, of = torch.as_tensor(at, device=total.device), torch.as_tensor(labels[at], device=total.device)
            total.index_add_(0, of, self.rows.take(rows).x.double())
            count.index_add_(0, of, self.there(rows).double())
        everyone = total.sum(dim=0) / count.sum(dim=0).clamp_min(1.0)
        return torch.where(count > 0, total / count.clamp_min(1.0), everyone).to(self.rows.dtype)


def pull(z: Tensor, anchor: Tensor, gradient: Tensor, cap: float, there: Tensor) -> Tensor:
    """(k, D) mixture minus z, alpha (a - z), of the closed form; zero where the gradient is."""
    gradient, away = gradient * there, ((anchor - z) * there).norm(dim=1, keepdim=True)
    steep = gradient.norm(dim=1, keepdim=True)
    direction = torch.where(steep > 0, gradient / steep, 0.0)
    step: Tensor = cap / there.sum(dim=1, keepdim=True).sqrt() * away * direction
    return step


def learn(
    logits: Callable[[Tensor], Tensor], z: Tensor, anchor: Tensor, predicted: Tensor, cap: float, start: Tensor,
    there: Tensor,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The shortest alpha (k, D) found that flips the prediction, 1 where none did, and (k,) bool whether one did."""
    alpha, shortest = start.clamp(_TINY, cap) * there, there.clone()
    flipped = torch.zeros(len(z), dtype=torch.bool, device=z.device)
    for _ in range(_STEPS):
        with torch.enable_grad():
            alpha = alpha.detach().requires_grad_()
            found = logits(z + alpha * (anchor - z))
            loss = 0.01 * alpha.norm(dim=1).sum() - cross_entropy(found, predicted, reduction="sum")
            slope = torch.autograd.grad(loss, alpha)[0]
        alpha = alpha.detach()
        now = found.detach().argmax(dim=1) != predicted
        flipped |= now
        shorter = now & (alpha.norm(dim=1) < shortest.norm(dim=1))
        shortest = torch.where(shorter[:, None], alpha, shortest)
        alpha = (alpha - _RATE * slope / (slope.abs() + _TINY)).clamp(_TINY, cap) * there
    return shortest, flipped


def flips(
    space: Space, at: Tensor, anchors: Tensor, cap: float, noise: Callable[[int, int], Tensor] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Which way some rows flip at one cap.

    Parameters
    ----------
    at : (k,) rows (frame of ids)
    anchors : (C, D)
    noise : (class, k) -> (k, D) starts of alpha as multiples of the cap, for the learned form; None: the closed form

    Returns
    -------
    (C, k) bool, whether a row flips towards each class; (C, k) norm of alpha where it does, else infinity; (k, D) the
    shortest alpha that flips, 1 where none shorter than that does.
    """
    z, there = space.rows.take(at).x, space.there(at)
    predicted, gradient = space.gradient(z)
    shortest = torch.ones_like(z)
    flipped = torch.zeros((len(anchors), len(at)), dtype=torch.bool, device=z.device)
    length = torch.full(flipped.shape, torch.inf, dtype=z.dtype, device=z.device)
    for c, anchor in enumerate(anchors):
        if noise is None:
            step = pull(z, anchor, gradient, cap, there)
            with torch.no_grad():
                flipped[c] = space.logits(z + step).argmax(dim=1) != predicted
            alpha = step / (anchor - z + _TINY)
        else:
            start = noise(c, len(at)).to(z) * cap
            alpha, flipped[c] = learn(space.logits, z, anchor, predicted, cap, start, there)
        length[c] = alpha.norm(dim=1).masked_fill(~flipped[c], torch.inf)
        shorter = length[c] < shortest.norm(dim=1)
        shortest = torch.where(shorter[:, None], alpha, shortest)
    return flipped, length, shortest


def candidates(
    space: Space, free: Int, anchors: Tensor, budget: int, alpha_cap: float, seed: int, learned: bool, noise: Any
) -> tuple[Float, Int]:
    """Cap at which each free row (f,) flips, infinity if at none that was tried, and towards which class (f,)."""
    cap_of, target = np.full(len(free), np.inf), np.full(len(free), -1, dtype=np.int64)
    tile = int(max(1, min(space.rows.tile, space.rows.memory // 8 // (64 * space.rows.width))))
    if noise is not None:
        noise = np.asarray(noise)
        if noise.ndim != 4 or noise.shape[1:] != (len(anchors), len(free), space.rows.width):
            told = f"(caps, {len(anchors)}, {len(free)}, {space.rows.width})"
            raise ValueError(f"noise has shape {noise.shape}; it must be {told}: caps, classes, free rows, features.")
    for k in range(math.ceil(1.0 / alpha_cap - 1e-9)):
        if noise is not None and k == len(noise):
            raise ValueError(f"noise holds starts for {k} caps and too few rows flip; give one more.")
        cap, left = alpha_cap * (k + 1), np.flatnonzero(np.isinf(cap_of))
        draws = [np.random.default_rng([seed % 2**63, k, c]) for c in range(len(anchors))] if learned else []
        for start in range(0, len(left), tile):
            part = left[start : start + tile]

            def starts(c: int, count: int, k: int = k, part: Int = part, draws: Any = draws) -> Tensor:
                if noise is not None:
                    return torch.as_tensor(noise[k, c, part])
                return torch.as_tensor(0.5 + 0.5 * draws[c].standard_normal((count, space.rows.width)))

            at = torch.as_tensor(free[part], device=space.rows.device)
            flipped, length, _ = flips(space, at, anchors, cap, starts if learned else None)
            some = flipped.any(dim=0).cpu().numpy()
            cap_of[part[some]] = cap
            target[part[some]] = length.argmin(dim=0).cpu().numpy()[some]
        if int(np.isfinite(cap_of).sum()) > budget:
            break
    return cap_of, target
