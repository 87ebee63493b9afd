"""The numbers of a training: passes, rates, optimiser, warm-up, accumulation, precision, seed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import nn

from modest.checks import known
from modest.training.schedules import SCHEDULES

__all__ = ["OPTIMIZERS", "Plan", "optimiser"]

OPTIMIZERS = ("sgd", "adamw")


@dataclass(frozen=True)
class Plan:
    """Numbers of the loop.

    ``optimizer`` "sgd" (with ``momentum``) or "adamw" (with ``betas``, ``eps``). ``schedule``, of SCHEDULES, follows
    ``warmup`` epochs of linear growth from 0. ``rates``: learning rates by prefix of a parameter's name in the task's
    net, the longest prefix wins and ``lr`` is everyone else's. ``accumulate`` batches make one step, each weighted by
    its rows: with a mean over rows as the loss that is the step of the batches put together; a contrastive loss sees
    no more negatives by it. ``autocast``: bf16 in the forward pass. ``seed``: of dropout, drawn anew for every step
    from (seed, stage, step), so that a training can be taken up at any step.

    Raises
    ------
    ValueError
        For an unknown name or a number out of range.
    """

    epochs: int = 100
    lr: float = 1e-3
    optimizer: str = "adamw"
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "constant"
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    accumulate: int = 1
    autocast: bool = False
    seed: int = 0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        """Check the numbers."""
        known(self.optimizer, OPTIMIZERS, "optimizer")
        known(self.schedule, SCHEDULES, "schedule")
        if self.epochs < 1:
            raise ValueError(f"epochs={self.epochs} is not positive; give at least 1.")
        for name, rate in {"lr": self.lr, **{f"rates[{k!r}]": v for k, v in self.rates.items()}}.items():
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"{name}={rate} is not a positive number; try 1e-3.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay={self.weight_decay} is negative or not finite; give 0 to leave it out.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum={self.momentum} is not in [0, 1); give 0 to leave it out.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas={self.betas} are not both in [0, 1); the usual pair is (0.9, 0.999).")
        if not 0 <= self.warmup < self.epochs:
            raise ValueError(f"warmup={self.warmup} epochs must lie in [0, epochs={self.epochs}); shorten it.")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} is negative; give 0 or more.")
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ValueError(f"eps={self.eps} is not a positive number; the usual one is 1e-8.")
        if self.accumulate < 1:
            raise ValueError(f"accumulate={self.accumulate} is not positive; 1 steps after every batch.")

    def factor(self, epoch: int, index: int, count: int) -> float:
        """Factor of every rate at batch ``index`` of ``count`` of an epoch, all from 0.

        Linear growth over the warm-up, its first step already above 0 and its last at 1, then the schedule from its
        own beginning.

        Examples
        --------
        >>> plan = Plan(epochs=3, warmup=1, schedule="cosine")
        >>> [plan.factor(e, i, 2) for e in range(3) for i in range(2)][:3]
        [0.5, 1.0, 1.0]
        """
        done = epoch + index / count
        if done < self.warmup:
            return min(1.0, (done + 1 / count) / self.warmup)
        return SCHEDULES[self.schedule]((done - self.warmup) / (self.epochs - self.warmup))


def optimiser(net: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return the optimiser of a stage over all parameters of ``net``, one group per rate, its rate under ``base``.

    Raises
    ------
    ValueError
        If a prefix in ``plan.rates`` belongs to no parameter.
    """
    by_rate: dict[float, list[nn.Parameter]] = {}
    used = set()
    for name, parameter in net.named_parameters():
        fitting = [prefix for prefix in plan.rates if name == prefix or name.startswith(f"{prefix}.")]
        used.update(fitting)
        if parameter.requires_grad:
            rate = plan.rates[max(fitting, key=len)] if fitting else plan.lr
            by_rate.setdefault(rate, []).append(parameter)
    for prefix in plan.rates:
        if prefix not in used:
            roots = sorted({".".join(name.split(".")[:2]) for name, _ in net.named_parameters()})
            raise ValueError(f"rates names {prefix!r}, which has no parameters; there are {', '.join(roots)}.")
    groups = [{"params": parameters, "lr": rate, "base": rate} for rate, parameters in by_rate.items()]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(groups, plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay)
    return torch.optim.AdamW(groups, plan.lr, betas=plan.betas, eps=plan.eps, weight_decay=plan.weight_decay)
