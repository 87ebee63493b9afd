"""The optimiser behind ActiveFT and MMCSAL: a few free unit vectors are moved until they stand for the pool.

    s(i, j) = mean cosine of item i and parameter j over the modalities item i has,   s_i = argmax_j s(i, j)
    L_j     = log sum_k exp(s(theta_k, theta_j) / tau)

    "released":  J = mean_i softplus(log lambda_div + L_{s_i} - s(i, s_i) / tau), theta_k held fixed, k = j included
    "self":      J = -mean_i s(i, s_i) / tau + lambda_div mean_j L_j, k = j included
    "printed":   the same with k = j left out
    plus the alignment of ``alignment_term``; steps are Adam's on unnormalised leaves, normalised in every pass.

The gradients are written out. The pool only enters through the assignment s_i and the sum over each parameter's items
of weight times item, a (B, D) matrix; both are made anew every ``refresh`` steps, and in between a step never touches
the n rows. ``refresh=1`` is the exact full-batch run.
Cost n B D / refresh + B B D per step; memory one tile of rows x B, never n x B.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from modest.checks import known
from modest.neighbours import Block, Rows, log_sum_exp, nearest
from modest.types import Bool

Objective = Literal["released", "self", "printed"]
Align = Literal["none", "lse", "paired", "infonce"]
Schedule = Literal["cosine", "constant"]


@dataclass(frozen=True)
class Settings:
    """Knobs of the optimisation; ``temperature`` divides cosines, ``lr`` is Adam's, ``refresh`` counts steps."""

    objective: Objective = "released"
    align: Align = "none"
    lambda_div: float = 1.0
    lambda_align: float = 1.0
    temperature: float = 0.07
    steps: int = 300
    lr: float = 1e-3
    schedule: Schedule = "cosine"
    refresh: int = 5

    def __post_init__(self) -> None:
        """Refuse knobs outside their range in one sentence."""
        known(self.objective, ("released", "self", "printed"), "objective")
        known(self.align, ("none", "lse", "paired", "infonce"), "align")
        known(self.schedule, ("cosine", "constant"), "schedule")
        for name in ("temperature", "lr", "lambda_div"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)} must be above 0.")
        if self.steps < 0 or self.refresh < 1:
            raise ValueError(f"steps={self.steps} must be 0 or more and refresh={self.refresh} at least 1.")


@dataclass(eq=False)
class Optimised:
    """End of a run: unit parameters ``u`` (B, D), leaves ``theta`` (B, D), objective at each refresh, assignment."""

    u: Tensor
    theta: Tensor
    losses: list[float]
    refreshed: list[int]
    assignment: Tensor
    similarity: Tensor
    counts: Tensor = field(default_factory=lambda: torch.empty(0))


def halves(x: Tensor, dims: tuple[int, ...]) -> list[Tensor]:
    """Split (B, D) into one (B, d_m) per modality."""
    return [x[:, sum(dims[:m]) : sum(dims[: m + 1])] for m in range(len(dims))]


def unit(theta: Tensor, dims: tuple[int, ...]) -> Tensor:
    """(B, D) with every modality's half divided by its norm."""
    return torch.cat([torch.nn.functional.normalize(half, dim=1) for half in halves(theta, dims)], dim=1)


def _to_leaf(gradient: Tensor, theta: Tensor, u: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Gradient at the unit halves -> gradient at the unnormalised leaves: (g - (g . u) u) / norm, half by half."""
    parts = zip(halves(gradient, dims), halves(u, dims), halves(theta, dims))
    return torch.cat([(g - (g * v).sum(1, keepdim=True) * v) / t.norm(dim=1, keepdim=True) for g, v, t in parts], dim=1)


def start_at(rows: Rows, block: Block) -> Tensor:
    """(B, D) unit halves of some rows; the missing half of a row is that modality's mean direction."""
    if bool((block.p == 1).all()):
        return block.x.clone()
    total = torch.zeros(rows.width, dtype=rows.dtype, device=rows.device)
    for _, tile in rows.tiles():
        total += tile.x.sum(0)
    mean = unit(total[None], rows.dims)
    filled = [
        torch.where(there[:, None] > 0, half, direction)
        for half, there, direction in zip(halves(block.x, rows.dims), block.p.T, halves(mean, rows.dims))
    ]
    return torch.cat(filled, dim=1)


def alignment_term(u: Tensor, dims: tuple[int, ...], settings: Settings, fast: bool) -> tuple[float, Tensor]:
    """Value and gradient at the unit halves of the alignment added to the loss, a mean over modality pairs.

    ``lse``: -lambda A; ``paired``: -lambda P; ``infonce``: +lambda ((A + A reversed) / 2 - P); each raises the cosine
    of a parameter's own halves, with A = mean_j log sum_k exp(cos(theta1_j, theta2_k) / tau) and P its diagonal.
    """
    gradient = torch.zeros_like(u)
    if settings.align == "none" or len(dims) < 2:
        return 0.0, gradient
    value = 0.0
    parts, slots = halves(u, dims), halves(gradient, dims)
    pairs = [(a, b) for a in range(len(dims)) for b in range(a + 1, len(dims))]
    scale, weight = 1.0 / settings.temperature, settings.lambda_align / len(pairs)
    even = torch.full((len(u),), 1.0 / len(u), dtype=u.dtype, device=u.device)
    # share of A (first to second), of A reversed and of P in the term
    forward, backward, paired = {"lse": (-1.0, 0.0, 0.0), "paired": (0.0, 0.0, -1.0), "infonce": (0.5, 0.5, -1.0)}[
        settings.align
    ]
    for a, b in pairs:
        for i, j, share in ((a, b, forward), (b, a, backward)):
            if share == 0.0:
                continue
            each, to_i, to_j = log_sum_exp(parts[i], parts[j], scale, weights=even, fast=fast)
            assert to_j is not None
            value += weight * share * float(each.mean())
            slots[i].add_(to_i, alpha=weight * share / len(u))
            slots[j].add_(to_j, alpha=weight * share)
        if paired:
            value += weight * paired * scale * float((parts[a] * parts[b]).sum(1).mean())
            slots[a].add_(parts[b], alpha=weight * paired * scale / len(u))
            slots[b].add_(parts[a], alpha=weight * paired * scale / len(u))
    return value, gradient


class _Pull:
    """What the pool says between refreshes: the pull (B, D) on every parameter and the weight (B,) of its repulsion."""

    def __init__(self, rows: Rows, used: Tensor, settings: Settings) -> None:
        self.rows, self.used, self.settings = rows, used, settings
        self.count = float(used.sum())

    def refresh(self, u: Tensor, spread: Tensor) -> float:
        """Assign every row anew; return the data's part of the objective. ``spread`` is L (B,)."""
        self.index, self.similarity = nearest(self.rows, u)
        tau = self.settings.temperature
        if self.settings.objective == "released":
            margin = float(np.log(self.settings.lambda_div)) + spread[self.index] - self.similarity / tau
            value = float((torch.nn.functional.softplus(margin) * self.used).sum()) / self.count
            weight = torch.sigmoid(margin) * self.used / self.count
        else:
            value = -float((self.similarity * self.used).sum()) / self.count / tau
            weight = self.used / self.count
        self.repulsion = torch.zeros(len(u), dtype=u.dtype, device=u.device).index_add_(0, self.index, weight)
        self.pull = torch.zeros_like(u)
        scale = weight * self.rows.weight / tau
        for start, block in self.rows.tiles():
            part = slice(start, start + len(block))
            self.pull.index_add_(0, self.index[part], block.x * scale[part, None])
        return value


def _diversity(
    u: Tensor, settings: Settings, dims: tuple[int, ...], free: Tensor, fast: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """L (B,), its gradient at each row's own side (B, D), and for the two-sided objectives the other side (B, D)."""
    scale = 1.0 / (settings.temperature * len(dims))
    # a lone parameter has no other one; its self term only pulls along itself, which the normalisation removes
    own = settings.objective != "printed" or len(u) == 1
    two_sided = settings.objective != "released"
    weights = free * (settings.lambda_div / float(free.sum())) if two_sided else None
    value, mine, other = log_sum_exp(u, u, scale, own=own, weights=weights, fast=fast)
    return value, mine, torch.zeros_like(u) if other is None else other


def optimise(
    rows: Rows,
    theta: Tensor,
    settings: Settings,
    *,
    used: Bool | None = None,
    fixed: Tensor | None = None,
    watch: Callable[[int, Tensor], None] | None = None,
) -> Optimised:
    """Move the leaves ``theta`` (B, D) by ``settings.steps`` Adam steps.

    ``used`` (n,) marks the rows the loss counts (all); ``fixed`` (F, D) are unit parameters that stand first, repel and
    attract rows but never move; ``watch(t, theta)`` sees the leaves after step t. In the result ``assignment`` counts
    the free parameters only when nothing is fixed, else fixed ones come first.
    """
    count = torch.ones(len(rows), dtype=rows.dtype, device=rows.device)
    if used is not None:
        count = torch.as_tensor(used, device=rows.device).to(rows.dtype)
    held = theta[:0] if fixed is None else fixed
    free = torch.cat([torch.zeros(len(held)), torch.ones(len(theta))]).to(theta)
    leaf = theta.clone()
    adam = torch.optim.Adam([leaf], lr=settings.lr, betas=(0.9, 0.999), eps=1e-8)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(1, settings.steps), eta_min=1e-6)
    pull = _Pull(rows, count, settings)
    losses, refreshed = [], []
    for t in range(settings.steps):
        moving = unit(leaf, rows.dims)
        u = torch.cat([held, moving])
        spread, mine, other = _diversity(u, settings, rows.dims, free, rows.fast)
        aligned, towards = alignment_term(moving, rows.dims, settings, rows.fast)
        if t % settings.refresh == 0:
            value = pull.refresh(u, spread) + aligned
            if settings.objective != "released":
                value += settings.lambda_div * float((spread * free).sum() / free.sum())
            losses.append(value)
            refreshed.append(t)
        weight = pull.repulsion if settings.objective == "released" else free * (settings.lambda_div / free.sum())
        gradient = (weight[:, None] * mine + other - pull.pull)[len(held) :] + towards
        leaf.grad = _to_leaf(gradient, leaf, moving, rows.dims)
        adam.step()
        if settings.schedule == "cosine":
            cosine.step()
        if watch is not None:
            watch(t + 1, leaf)
    u = torch.cat([held, unit(leaf, rows.dims)])
    index, similarity = nearest(rows, u)
    counts = torch.bincount(index[count > 0], minlength=len(u))
    return Optimised(u[len(held) :], leaf, losses, refreshed, index, similarity, counts[len(held) :])
