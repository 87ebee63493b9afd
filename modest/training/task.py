"""What the one loop asks of whatever it trains: a batch in, turns out, gradients edited before the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True)
class Batch:
    """Some rows of the table, on the device.

    ``x``: one (n, d_m) tensor per modality, absent rows hold zeros; ``present`` (n, M) bool; ``y`` (n,) int64 class
    numbers or None; ``index`` of ``count`` batches of this ``epoch``, all from 0; ``rows`` (n,) int64 of the table.
    A modality's x may have more dimensions than two (pictures, spectrograms, frames) or hold tokens (int64).
    ``part`` (r, R): ``x`` holds only each R-th row from row r on, what one of R processes has of the batch; all else
    is told of the whole batch.
    """

    x: tuple[Tensor, ...]
    present: Tensor
    y: Tensor | None = None
    index: int = 0
    count: int = 1
    epoch: int = 0
    rows: Tensor | None = None
    part: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.present)

    @property
    def labels(self) -> Tensor:
        """``y`` of a training batch.

        Raises
        ------
        ValueError
            If the batch carries no labels.
        """
        if self.y is None:
            raise ValueError("batch has no labels y; losses need them, logits(batch) does not.")
        return self.y


class Logits(NamedTuple):
    """``fused`` (n, C); ``modality`` (M, n, C), zero where nothing was computed; ``weights`` (n, M) of the fusion."""

    fused: Tensor
    modality: Tensor
    weights: Tensor


class Task(Protocol):
    """A stage of training.

    ``name`` stands in the Records; ``net`` holds all parameters and buffers (it is what is saved, moved and restored).
    """

    name: str
    net: nn.Module

    def modules(self) -> Mapping[str, nn.Module]:
        """Parameter groups by name; a module may belong to several groups (a shared head does)."""
        ...

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Yield (group, scalar loss) in order.

        A generator: the loss of turn k + 1 is computed after the step of turn k, and what follows a ``yield`` runs
        right after that step. A turn whose modality is wholly absent from the batch is not yielded.
        """
        ...

    def before_step(self, group: str) -> None:
        """Edit the gradients of ``group`` in place, between the backward pass and the step."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A task that holds more than its net: what a checkpoint needs besides weights and optimiser to go on."""

    def state(self) -> Mapping[str, Tensor]:
        """Tensors by name."""
        ...

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take back what ``state`` gave."""
        ...


@runtime_checkable
class Noting(Protocol):
    """A task that has numbers of its own to tell."""

    def notes(self) -> Mapping[str, float]:
        """Of the epoch that has just ended; they stand in its Record under ``notes``."""
        ...
