"""First weights of a trainable encoder, drawn from one generator and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

__all__ = ["built", "initialise"]

N = TypeVar("N", bound=nn.Module)

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)
DEVIATION = 0.02  # of linear layers and embeddings, cut at two deviations (Devlin et al. 2019)


def initialise(net: nn.Module, generator: torch.Generator) -> None:
    """Draw all weights of ``net`` anew, in place, in the order of its modules.

    Convolutions: normal, variance 2 / (fan out) (He et al. 2015). Linear layers and embeddings: normal with deviation
    0.02, cut at two deviations; the padding row of an embedding is zero. Norms: one and zero, running mean 0 and
    variance 1. Biases: zero. Last, every module with a method ``draw(generator)`` draws what it wants otherwise, and
    parameters that are its own.

    Raises
    ------
    TypeError
        If a module with weights of its own is none of these: it would keep weights that the generator did not draw.
    """
    with torch.no_grad():
        for name, module in net.named_modules():
            if isinstance(module, NORMS):
                module.reset_parameters()  # ones and zeros, nothing is drawn
            elif isinstance(module, CONVOLUTIONS):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, (nn.Linear, nn.Embedding)):
                cut = 2 * DEVIATION
                nn.init.trunc_normal_(module.weight, 0.0, DEVIATION, -cut, cut, generator=generator)
                if isinstance(module, nn.Linear) and module.bias is not None:
                    module.bias.zero_()
                if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                    module.weight[module.padding_idx].zero_()
            elif next(module.parameters(recurse=False), None) is not None and not hasattr(module, "draw"):
                raise TypeError(
                    f"net holds {type(module).__name__} at {name or 'its root'}, which initialise() cannot draw; "
                    "build it from convolutions, linear layers, embeddings and norms."
                )
        for module in net.modules():
            if hasattr(module, "draw"):
                module.draw(generator)  # type: ignore[operator]


def built(make: Callable[[], N], generator: torch.Generator, draw: bool = True) -> N:
    """Return ``make()`` with weights from ``generator``; the global random state is as it was before.

    PyTorch and transformers draw from the global state while they build; those draws are undone and replaced. Without
    ``draw`` they are not replaced: for a network that published weights will fill, every one of them.
    """
    with torch.random.fork_rng(devices=[]):
        net = make()
    if draw:
        initialise(net, generator)
    return net
