"""The one training loop and what it needs: batches, schedules, checkpoints, runs.

``fit`` the function is :func:`modest.training.fit.fit`; ``modest.training.fit`` is always the module.
"""

from __future__ import annotations

from modest.training.batches import Batches, drop_modalities
from modest.training.checkpoints import read_config, read_model, restore, snapshot, write_model
from modest.training.fit import OPTIMIZERS, Plan
from modest.training.run import Run
from modest.training.schedules import SCHEDULES
from modest.training.task import Batch, Logits, Task

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Batch",
    "Batches",
    "Logits",
    "Plan",
    "Run",
    "Task",
    "drop_modalities",
    "read_config",
    "read_model",
    "restore",
    "snapshot",
    "write_model",
]
