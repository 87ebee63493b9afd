"""Several processes as one: who we are, rows gathered with their gradient, gradients and running means averaged.

With R processes every one computes the loss of the whole batch from rows gathered of all. The backward pass of the
gather sums the R equal losses' gradients, so a process's share of a parameter's gradient is R times its part, and the
mean over processes is the gradient that one process would have had with the whole batch. Batch norms are the exception:
each takes its mean and variance over the rows of its own process.

``torchrun --nproc-per-node R -m modest.cli ...`` starts them; Accelerate reads what it set and joins them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from modest.training.task import Batch

__all__ = ["World", "world"]


class _Gather(torch.autograd.Function):
    """Concatenate the rows of all processes; backward sums over them and takes the own rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, lengths: list[int], rank: int) -> Tensor:
        ctx.lengths, ctx.rank = lengths, rank
        padded = x.new_zeros((max(lengths), *x.shape[1:]))
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in lengths]
        dist.all_gather(parts, padded)
        return torch.cat([part[:k] for part, k in zip(parts, lengths)])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        start = sum(ctx.lengths[: ctx.rank])
        return total[start : start + ctx.lengths[ctx.rank]], None, None


@dataclass(frozen=True)
class World:
    """``rank`` of ``size`` processes; alone, every method gives back what it was given."""

    rank: int = 0
    size: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and tells progress."""
        return self.rank == 0

    def gather(self, x: Tensor) -> Tensor:
        """(sum of k_r, ...) rows of all processes in the order of ranks, from (k_r, ...) of each; differentiable."""
        if self.size == 1:
            return x
        counts = [torch.zeros(1, dtype=torch.int64, device=x.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(x)], device=x.device))
        if x.is_floating_point() and torch.is_grad_enabled() and not x.requires_grad:
            x = x.detach().requires_grad_()  # all processes must meet in the backward pass, also one without such rows
        as_numbers = x.to(torch.uint8) if x.dtype == torch.bool else x
        whole: Tensor = _Gather.apply(as_numbers, [int(k) for k in counts], self.rank)  # type: ignore[no-untyped-call]
        return whole.to(x.dtype)

    def whole(self, batch: Batch) -> Batch:
        """The batch of all processes in the order one process would have it; ``x`` stays this process's part of it."""
        if self.size == 1:
            return batch
        present = self.gather(batch.present)
        order = self.interleaved(torch.ones(len(present), dtype=torch.bool, device=present.device))
        y, rows = (None if t is None else self.gather(t)[order] for t in (batch.y, batch.rows))
        return replace(batch, present=present[order], y=y, rows=rows, part=(self.rank, self.size))

    def interleaved(self, rows: Tensor) -> Tensor:
        """(k,) order in which gathered rows stand as in the whole batch, of which ``rows`` (n,) bool were gathered."""
        places = torch.arange(len(rows), device=rows.device)
        return torch.cat([places[r :: self.size][rows[r :: self.size]] for r in range(self.size)]).argsort()

    def share(self, x: Tensor) -> Tensor:
        """``x`` of process 0, for all; shapes must agree."""
        if self.size > 1:
            x = x.contiguous()
            dist.broadcast(x, 0)
        return x

    def average_gradients(self, net: nn.Module) -> None:
        """Mean over processes of every gradient; one that a process lacks counts as zero, unless all lack it."""
        if self.size == 1:
            return
        parameters = [p for p in net.parameters() if p.requires_grad]
        device = parameters[0].device
        has = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
        dist.all_reduce(has)
        mine = [p for p, k in zip(parameters, has.tolist()) if k > 0]
        for p in mine:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            dist.all_reduce(p.grad)
            p.grad /= self.size

    def average(self, x: Tensor) -> Tensor:
        """Mean over processes of a tensor that all have, of one shape; for gradients a task takes by itself."""
        if self.size > 1:
            x = x.contiguous().clone()
            dist.all_reduce(x)
            x /= self.size
        return x

    def average_buffers(self, net: nn.Module) -> None:
        """Mean over processes of what a net notes while it trains, the running means and variances of batch norms.

        Each process sees its own rows only, and all are to be the same net when it is evaluated and kept.
        """
        if self.size == 1:
            return
        for buffer in net.buffers():
            if buffer.is_floating_point():
                dist.all_reduce(buffer)
                buffer /= self.size

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()


def world() -> World:
    """Return the processes that ``torchrun`` started, joined through Accelerate; one process without it.

    Raises
    ------
    ImportError
        If torchrun started several and Accelerate is not installed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return World()
    try:
        from accelerate import PartialState
    except ImportError as error:
        raise ImportError(
            "training on several processes needs accelerate; install it with: pip install 'modest[train]'"
        ) from error
    state = PartialState(cpu=not torch.cuda.is_available())
    return World(state.process_index, state.num_processes)
