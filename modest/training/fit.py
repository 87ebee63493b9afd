"""The one training loop: batches, turns, gradients, steps, schedules, validation, checkpoints.

Per batch (or ``accumulate`` batches), for every turn (group, loss) the task yields: clear gradients, backward, drop the
gradients outside the group, average over processes, let the task edit what is left, one optimiser step. Parameters
without a gradient are left alone by the step, momentum and weight decay included, so a modality's encoder moves on its
own turns only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

import numpy as np
import torch

from modest.training import resume
from modest.training.batches import Batches
from modest.training.checkpoints import restore, snapshot
from modest.training.plan import Plan, optimiser
from modest.training.processes import World
from modest.training.resume import Kept, Progress
from modest.training.task import Batch, Noting, Task
from modest.types import Record

__all__ = ["Plan", "fit"]

# rank (larger is better, compared as tuples) and the numbers to report
Validation = tuple[tuple[float, ...], Mapping[str, float]]


def fit(
    stages: Sequence[Task],
    batches: Batches,
    plan: Plan,
    validate: Callable[[Task], Validation] | None = None,
    progress: Callable[[int, int], None] | None = None,
    kept: Kept | None = None,
    world: World | None = None,
    whole: bool = False,
) -> Iterator[Record]:
    """Train the stages in order, yielding a Record after every step and every epoch.

    Parameters
    ----------
    stages : tasks; each gets a fresh optimiser and ``plan.epochs`` epochs
    batches : of the training rows; on several processes each one's part
    plan : numbers of the loop
    validate : called with the task after each epoch; gives (rank, numbers). The epoch of the highest rank is kept,
        the first one among equals. Without it the last epoch stays.
    progress : called with (epochs done, epochs in all)
    kept : file that holds the run after every epoch. If it is there the run goes on from it, to the same bits on one
        process; Records of the epochs it holds come first, without their steps. The file is left to the caller.
    world : the processes; each must be given the same tasks
    whole : tell tasks of the whole batch of all processes, of which their ``x`` is a part (``Batch.part``)

    Yields
    ------
    Record(stage, epoch, step, values). After a step ``values`` has ``turn``, ``loss``, ``lr`` (of the first rate);
    after an epoch ``losses`` (mean per turn), ``best`` (bool), with ``validate`` ``validation`` and of a Noting task
    ``notes``. Steps count from 1, per stage.

    Raises
    ------
    ValueError
        If a loss is not finite (names the turn and the step), there are no rows, several turns are to be accumulated,
        or ``kept`` is damaged or of another run.
    """
    if not len(batches):
        raise ValueError("batches has no rows to train on (or fewer than one whole batch); give more, or lower size.")
    world = world or World()
    found = None if kept is None else resume.read(kept)
    at, tensors = found or (Progress(), {})
    resume.put_back(tensors, stages)
    for told in at.told:
        yield Record(told["stage"], told["epoch"], told["step"], told["values"])
    for number in range(at.stage, len(stages)):
        task = stages[number]
        task.net.to(batches.device)
        optimizer = optimiser(task.net, plan)
        resume.put_back_optimiser(tensors if number == at.stage else {}, optimizer)
        if number > at.stage:
            at = Progress(stage=number, told=at.told)
        for epoch in range(at.epoch, plan.epochs):
            record = yield from _epoch(task, batches, plan, optimizer, epoch, at, (world, whole))
            record = _validated(record, task, validate, at)
            at.epoch = epoch + 1
            values = {**record.values}
            at.told.append({"stage": record.stage, "epoch": epoch, "step": record.step, "values": values})
            if kept is not None and world.main:
                resume.write(kept, stages, optimizer, at)
            if progress is not None and world.main:
                progress(number * plan.epochs + epoch + 1, len(stages) * plan.epochs)
            yield record
        if at.kept is not None:
            restore(task.net, at.kept)


def _validated(record: Record, task: Task, validate: Callable[[Task], Validation] | None, at: Progress) -> Record:
    """The epoch's Record with what validation says; the best net so far is kept in ``at``."""
    if validate is None:
        return Record(record.stage, record.epoch, record.step, {**record.values, "best": True})
    rank, measured = validate(task)
    better = at.best is None or rank > at.best
    if better:
        at.best, at.kept = rank, snapshot(task.net)
    values = {**record.values, "best": better, "validation": dict(measured)}
    return Record(record.stage, record.epoch, record.step, values)


def _epoch(
    task: Task, batches: Batches, plan: Plan, optimizer: torch.optim.Optimizer, epoch: int, at: Progress,
    here: tuple[World, bool],
) -> Generator[Record, None, Record]:
    """Steps of one epoch; returns the epoch's own Record."""
    losses: dict[str, list[float]] = {}
    world, whole = here
    task.net.train()
    stream = map(world.whole, batches.epoch(epoch)) if whole else batches.epoch(epoch)
    while chunk := list(islice(stream, plan.accumulate)):
        for parameters in optimizer.param_groups:
            parameters["lr"] = parameters["base"] * plan.factor(epoch, chunk[0].index, chunk[0].count)
        for record in _turns(task, chunk, plan, optimizer, at, world):
            losses.setdefault(record.values["turn"], []).append(record.values["loss"])
            yield record
    world.average_buffers(task.net)
    task.net.eval()
    means = {turn: sum(of) / len(of) for turn, of in losses.items()}
    told = {"notes": dict(task.notes())} if isinstance(task, Noting) else {}
    return Record(task.name, epoch, at.step, {"losses": means, **told})


def _turns(
    task: Task, chunk: Sequence[Batch], plan: Plan, optimizer: torch.optim.Optimizer, at: Progress, world: World
) -> Iterator[Record]:
    """Every turn of one batch, or the one turn of several batches accumulated."""
    turns = [task.turns(batch) for batch in chunk]
    groups = {name: {id(p) for p in module.parameters()} for name, module in task.modules().items()}
    rows = sum(len(batch) for batch in chunk)
    told: Record | None = None
    while True:
        group, value = None, 0.0
        for k, (turn, batch) in enumerate(zip(turns, chunk)):
            with _drawn((plan.seed, at.stage, at.step, k), batch), _cast(plan, batch):
                got = next(turn, None)
            if k == 0 and told is not None:  # only now has the task done what follows its yield
                yield told
            if got is None:
                continue
            if told is not None and len(chunk) > 1:
                raise ValueError(f"accumulate={plan.accumulate} needs a task of one turn, {task.name} has more; use 1.")
            if group is None:
                optimizer.zero_grad(set_to_none=True)
            group, loss = got
            share = len(batch) / rows
            value += share * float(loss.detach())
            (loss if len(chunk) == 1 else loss * share).backward()  # type: ignore[no-untyped-call]
        if group is None:
            return
        at.step += 1
        _refuse_infinite(value, group, chunk[0].epoch, at.step, plan)
        for parameter in task.net.parameters():
            if id(parameter) not in groups[group]:
                parameter.grad = None
        world.average_gradients(task.net)
        task.before_step(group)
        optimizer.step()
        rate = optimizer.param_groups[0]["lr"]
        told = Record(task.name, chunk[0].epoch, at.step, {"turn": group, "loss": value, "lr": rate})


def _refuse_infinite(value: float, group: str, epoch: int, step: int, plan: Plan) -> None:
    if not math.isfinite(value):
        raise ValueError(
            f"the loss of turn {group!r} became {value} in epoch {epoch}, step {step}; "
            f"lower lr={plan.lr} or look for huge values in the views."
        )


@contextmanager
def _drawn(key: tuple[int, ...], batch: Batch) -> Iterator[None]:
    """Draw what happens inside (dropout) from ``key``; torch's generators are left as they were."""
    devices = [batch.present.device] if batch.present.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        seed = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
        torch.default_generator.manual_seed(seed)
        if devices:
            torch.cuda.manual_seed(seed)
        yield


def _cast(plan: Plan, batch: Batch) -> torch.autocast:
    return torch.autocast(batch.present.device.type, torch.bfloat16, enabled=plan.autocast)
