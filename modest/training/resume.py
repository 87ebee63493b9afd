"""Taking up a training where it was cut: one file per run, written whole after every epoch.

The file is safetensors: tensors of the net, the optimiser, the best epoch's net and the task's own state, with the
counters and the finished epochs' Records as JSON in its header. One file, renamed into place, is never half old.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from modest.training.checkpoints import restore, snapshot, write_atomically
from modest.training.task import Stateful, Task

__all__ = ["Kept", "Progress", "put_back", "put_back_optimiser", "read", "write"]


@dataclass
class Progress:
    """How far a run is: stage and epochs done in it, steps, best rank so far and its net, finished epochs' Records."""

    stage: int = 0
    epoch: int = 0
    step: int = 0
    best: tuple[float, ...] | None = None
    kept: dict[str, Tensor] | None = None
    told: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Kept:
    """Where a run keeps its checkpoint, and ``run``, the digest of all that decides its outcome."""

    path: Path
    run: str


def write(where: Kept, stages: Sequence[Task], optimizer: torch.optim.Optimizer, at: Progress) -> None:
    """Write the checkpoint of a run between two epochs; nets of the stages before are part of it."""
    tensors = {f"best/{name}": tensor for name, tensor in (at.kept or {}).items()}
    for number, task in enumerate(stages[: at.stage + 1]):
        tensors |= {f"net/{number}/{name}": tensor for name, tensor in snapshot(task.net).items()}
        if isinstance(task, Stateful):
            tensors |= {f"task/{number}/{name}": tensor for name, tensor in task.state().items()}
    for number, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if value is not None:
                tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value)
    about = {"stage": at.stage, "epoch": at.epoch, "step": at.step, "best": at.best, "told": at.told, "run": where.run}
    where.path.parent.mkdir(parents=True, exist_ok=True)
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(where.path, save(own, {"progress": json.dumps(about)}))


def read(where: Kept) -> tuple[Progress, dict[str, Tensor]] | None:
    """Progress and tensors of a checkpoint; None if there is none.

    Raises
    ------
    ValueError
        If the file is damaged, or of a run with other settings or data.
    """
    if not where.path.is_file():
        return None
    try:
        with safe_open(where.path, "pt") as file:
            about = json.loads((file.metadata() or {}).get("progress", "{}"))
            # cloned into memory of its own: where a tensor begins decides how products with it round
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, json.JSONDecodeError) as error:
        raise ValueError(f"{where.path} is damaged ({error}); remove it to train from the start.") from error
    if about.get("run") != where.run:
        raise ValueError(
            f"{where.path} was kept by a run with other settings or data; remove it to start anew, or give the same "
            "settings to go on."
        )
    best = None if about["best"] is None else tuple(about["best"])
    kept = _under(tensors, "best") or None
    return Progress(about["stage"], about["epoch"], about["step"], best, kept, about["told"]), tensors


def put_back(tensors: Mapping[str, Tensor], stages: Sequence[Task]) -> None:
    """Give the nets and tasks of all stages begun what a checkpoint holds."""
    for number, task in enumerate(stages):
        net = _under(tensors, f"net/{number}")
        if net:
            restore(task.net, net)
        if net and isinstance(task, Stateful):
            task.load_state(_under(tensors, f"task/{number}"))


def put_back_optimiser(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    """Give the optimiser of the stage under way its moments and counts."""
    state: dict[int, dict[str, Any]] = {}
    for name, tensor in _under(tensors, "optimizer").items():
        number, _, what = name.partition("/")
        state.setdefault(int(number), {})[what] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _under(tensors: Mapping[str, Tensor], root: str) -> dict[str, Tensor]:
    return {name[len(root) + 1 :]: tensor for name, tensor in tensors.items() if name.startswith(f"{root}/")}
