"""The one training loop and what it needs: batches, schedules, checkpoints, runs.

``fit`` the function is :func:`modest.training.fit.fit`; ``modest.training.fit`` is always the module.
"""

from __future__ import annotations

from modest.training.batches import Batches, Column, Ready, drop_modalities, ready
from modest.training.checkpoints import read_config, read_model, restore, snapshot, weights_hash, write_model
from modest.training.plan import OPTIMIZERS, Plan
from modest.training.processes import World, world
from modest.training.resume import Kept
from modest.training.run import Run
from modest.training.schedules import SCHEDULES
from modest.training.task import Batch, Logits, Noting, Stateful, Task

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Batch",
    "Batches",
    "Column",
    "Kept",
    "Logits",
    "Noting",
    "Plan",
    "Ready",
    "Run",
    "Stateful",
    "Task",
    "World",
    "drop_modalities",
    "read_config",
    "read_model",
    "ready",
    "restore",
    "snapshot",
    "weights_hash",
    "world",
    "write_model",
]
