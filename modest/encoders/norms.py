"""Batch norm where there is no batch: a row that comes alone has no mean and variance of its own to be divided by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["alone"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@contextmanager
def alone(net: nn.Module, x: Tensor) -> Iterator[None]:
    """Let the batch norms of ``net`` use their running mean and variance while one row (1, ...) alone is trained on.

    The last batch of an epoch may hold one row, or a batch one row that has the modality. Small pictures are one place
    in the last stage, where PyTorch refuses such a row. With more rows nothing is changed.
    """
    norms = [m for m in net.modules() if isinstance(m, NORMS) and m.training] if len(x) == 1 else []
    for norm in norms:
        norm.eval()
    try:
        yield
    finally:
        for norm in norms:
            norm.train()
