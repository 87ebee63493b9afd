"""The one training loop: batches, turns, gradients, steps, schedules, validation.

Per batch, for every turn (group, loss) the task yields: clear gradients, backward, drop the gradients outside the
group, let the task edit what is left, one optimiser step. Parameters without a gradient are left alone by the step,
momentum and weight decay included, so a modality's encoder moves on its own turns only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from modest.checks import known
from modest.training.batches import Batches
from modest.training.checkpoints import restore, snapshot
from modest.training.schedules import SCHEDULES
from modest.training.task import Task
from modest.types import Record

__all__ = ["OPTIMIZERS", "Plan", "fit"]

OPTIMIZERS = ("sgd", "adamw")
# rank (larger is better, compared as tuples) and the numbers to report
Validation = tuple[tuple[float, ...], Mapping[str, float]]


@dataclass(frozen=True)
class Plan:
    """Numbers of the loop: ``optimizer`` 'sgd' (with ``momentum``) or 'adamw', ``schedule`` a name of SCHEDULES.

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

    def __post_init__(self) -> None:
        """Check the numbers."""
        known(self.optimizer, OPTIMIZERS, "optimizer")
        known(self.schedule, SCHEDULES, "schedule")
        if self.epochs < 1:
            raise ValueError(f"epochs={self.epochs} is not positive; give at least 1.")
        if not (math.isfinite(self.lr) and self.lr > 0):
            raise ValueError(f"lr={self.lr} is not a positive number; try 1e-3.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ValueError(f"weight_decay={self.weight_decay} is negative or not finite; give 0 to leave it out.")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum={self.momentum} is not in [0, 1); give 0 to leave it out.")


def optimiser(net: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return the optimiser of a stage over all parameters of ``net``."""
    parameters = [p for p in net.parameters() if p.requires_grad]
    if plan.optimizer == "sgd":
        return torch.optim.SGD(parameters, plan.lr, momentum=plan.momentum, weight_decay=plan.weight_decay)
    return torch.optim.AdamW(parameters, plan.lr, weight_decay=plan.weight_decay)


def fit(
    stages: Sequence[Task],
    batches: Batches,
    plan: Plan,
    validate: Callable[[Task], Validation] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Record]:
    """Train the stages in order, yielding a Record after every step and every epoch.

    Parameters
    ----------
    stages : tasks; each gets a fresh optimiser and ``plan.epochs`` epochs
    batches : of the training rows
    plan : numbers of the loop
    validate : called with the task after each epoch; gives (rank, numbers). The epoch of the highest rank is kept,
        the first one among equals. Without it the last epoch stays.
    progress : called with (epochs done, epochs in all)

    Yields
    ------
    Record(stage, epoch, step, values). After a step ``values`` has ``turn``, ``loss``, ``lr``; after an epoch
    ``losses`` (mean per turn), ``best`` (bool) and, with ``validate``, ``validation``. Steps count from 1, per stage.

    Raises
    ------
    ValueError
        If a loss is not finite (names the turn and the step), or there are no rows.
    """
    if not len(batches):
        raise ValueError("batches has no rows to train on; give at least one labelled row.")
    for number, task in enumerate(stages):
        task.net.to(batches.device)
        optimizer = optimiser(task.net, plan)
        step, best, kept = 0, None, None
        for epoch in range(plan.epochs):
            losses: dict[str, list[float]] = {}
            for record in _epoch(task, batches, plan, optimizer, epoch, step):
                step = record.step
                losses.setdefault(record.values["turn"], []).append(record.values["loss"])
                yield record
            rank, measured = (None, None) if validate is None else validate(task)
            better = rank is None or best is None or rank > best
            if better and rank is not None:
                best, kept = rank, snapshot(task.net)
            if progress is not None:
                progress(number * plan.epochs + epoch + 1, len(stages) * plan.epochs)
            means = {turn: sum(of) / len(of) for turn, of in losses.items()}
            told = {} if measured is None else {"validation": dict(measured)}
            yield Record(task.name, epoch, step, {"losses": means, "best": better, **told})
        if kept is not None:
            restore(task.net, kept)


def _epoch(
    task: Task, batches: Batches, plan: Plan, optimizer: torch.optim.Optimizer, epoch: int, step: int
) -> Iterator[Record]:
    groups = {name: {id(p) for p in module.parameters()} for name, module in task.modules().items()}
    task.net.train()
    for batch in batches.epoch(epoch):
        rate = plan.lr * SCHEDULES[plan.schedule]((epoch + batch.index / batch.count) / plan.epochs)
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate
        told: Record | None = None
        for group, loss in task.turns(batch):
            if told is not None:  # only now has the task done what follows its yield
                yield told
            step += 1
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ValueError(
                    f"the loss of turn {group!r} became {value} in epoch {epoch}, step {step}; "
                    f"lower lr={plan.lr} or look for huge values in the views."
                )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for parameter in task.net.parameters():
                if id(parameter) not in groups[group]:
                    parameter.grad = None
            task.before_step(group)
            optimizer.step()
            told = Record(task.name, epoch, step, {"turn": group, "loss": value, "lr": rate})
        if told is not None:
            yield told
    task.net.eval()
