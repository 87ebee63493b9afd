r"""Latents of items, decoded into every view: what CPM minimises, and how the latent of a new item is found.

Symbols and equations stand in ``cpm.py``. Everything here is a function of tensors: latents h (n, s), decoders
s -> d_v, inputs x_v (n, d_v) with anything finite where v is absent, ``present`` (n, V) bool.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from modest.encoders.towers import linear
from modest.training import Batches, Plan, Ready
from modest.training.fit import fit
from modest.training.task import Batch

__all__ = ["class_loss", "class_means", "decoder", "errors", "exact", "searched", "similarity", "vote"]

FORMS = ("text", "printed")


def decoder(
    size: int, hidden: Sequence[int], width: int, nonlinear: bool, generator: torch.Generator, dtype: torch.dtype
) -> nn.Sequential:
    """Layers from latents (k, size) to a view (k, width); between them nothing, or a LeakyReLU if ``nonlinear``."""
    layers: list[nn.Module] = []
    for a, b in pairwise([size, *hidden, width]):
        layers += ([nn.LeakyReLU()] if nonlinear and layers else []) + [linear(a, b, generator, dtype)]
    return nn.Sequential(*layers)


def errors(decoders: Iterable[nn.Module], latents: Tensor, inputs: Sequence[Tensor], present: Tensor) -> Tensor:
    """(n,) squared error of what is decoded, summed over the features of the views each row has."""
    total = latents.new_zeros(len(latents))
    for v, (decode, x) in enumerate(zip(decoders, inputs)):
        total = total + torch.where(present[:, v], (decode(latents) - x).square().sum(dim=1), total.new_zeros(()))
    return total


def class_means(latents: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(C, s) mean latent of every class; zero for a class without rows."""
    members = one_hot(labels, classes).to(latents)
    means: Tensor = members.T @ latents / members.sum(dim=0).clamp(min=1)[:, None]
    return means


def similarity(latents: Tensor, labels: Tensor, table: Tensor, table_labels: Tensor, classes: int) -> Tensor:
    """(n, C) mean inner product of each row, itself a row of ``table``, with the latents of every class but its own.

    A class in which nobody else is has 0.

    Examples
    --------
    >>> h = torch.tensor([[1.0], [2.0], [3.0]])
    >>> y = torch.tensor([0, 0, 1])
    >>> similarity(h, y, h, y, 2).tolist()
    [[2.0, 3.0], [2.0, 6.0], [4.5, 0.0]]
    """
    members, own = one_hot(table_labels, classes).to(table), one_hot(labels, classes).to(table)
    sums = latents @ (members.T @ table).T - own * latents.square().sum(dim=1, keepdim=True)
    found: Tensor = sums / (members.sum(dim=0) - own).clamp(min=1)
    return found


def class_loss(similar: Tensor, labels: Tensor, form: str = "text") -> Tensor:
    """(n,) loss of similarities (n, C): of the paper's ``text`` and code, or of its Eq. 7 as it is ``printed``.

    Examples
    --------
    >>> F = torch.tensor([[2.0, 1.5], [2.0, 1.5]])
    >>> class_loss(F, torch.tensor([0, 1])).tolist(), class_loss(F, torch.tensor([0, 1]), "printed").tolist()
    ([0.0, 1.5], [0.5, 1.5])
    """
    own = similar.gather(1, labels[:, None])[:, 0]
    other = 1 - one_hot(labels, similar.shape[1]).to(similar)
    if form == "printed":
        return (other + similar - own[:, None]).amax(dim=1).relu()
    best, which = similar.max(dim=1)
    return ((which != labels).to(similar) + best - own).relu()


def exact(decoders: Iterable[nn.Module], inputs: Sequence[Tensor], present: Tensor, ridge: float) -> Tensor:
    """(n, s) latents that minimise error + ridge |h|^2, where every decoder is linear, in however many layers.

    One system of s equations per presence pattern, in float64. A row without views is 0.
    """
    maps = [_affine(decode) for decode in decoders]
    grams = torch.stack([A @ A.T for A, _ in maps])
    right = torch.stack([(x.double() - c) @ A.T for x, (A, c) in zip(inputs, maps)], dim=1)  # (n, V, s)
    right = torch.where(present[:, :, None], right, torch.zeros_like(right)).sum(dim=1)
    found = torch.zeros_like(right)
    patterns, which = torch.unique(present, dim=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        system = grams[pattern].sum(dim=0) + ridge * torch.eye(grams.shape[1]).to(grams)
        found[which == k] = torch.linalg.solve(system, right[which == k].T).T
    return found.to(inputs[0].dtype)


def _affine(decode: nn.Module) -> tuple[Tensor, Tensor]:
    """A (s, d) and c (d,) of a chain of linear layers, decode(h) = h A + c, in float64."""
    first, *others = (layer for layer in decode.modules() if isinstance(layer, nn.Linear))
    A, c = first.weight.T.double(), first.bias.double()
    for layer in others:
        weight = layer.weight.T.double()
        A, c = A @ weight, c @ weight + layer.bias.double()
    return A, c


class _Search:
    """Latents of some rows, and maybe the decoders with them, as the one loop's task."""

    name = "latents"

    def __init__(self, decoders: nn.Module, start: Tensor, steps: int, retune: bool) -> None:
        self.latents = nn.ParameterList([nn.Parameter(start.clone())])
        self.net: nn.Module = nn.ModuleDict({"decoders": decoders, "latents": self.latents})
        self.decoders, self.steps, self.retune = decoders, steps, retune

    def modules(self) -> Mapping[str, nn.Module]:
        return {"decoders": self.decoders, "latents": self.latents}

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """Steps on what the rows sum to: a mean would make a row's step depend on how many are asked about."""
        for _ in range(self.steps):
            if self.retune:
                yield "decoders", self._loss(batch)
            yield "latents", self._loss(batch)

    def _loss(self, batch: Batch) -> Tensor:
        return errors(self.decoders.children(), self.latents[0], batch.x, batch.present).sum()

    def before_step(self, group: str) -> None:
        pass


def searched(
    decoders: nn.Module, start: Tensor, inputs: Sequence[Tensor], present: Tensor, steps: int, rate: float,
    retune: bool = False,
) -> Tensor:  # fmt: skip
    """(n, s) latents after ``steps`` steps of Adam from ``start`` down the squared error, by the one loop.

    Decoders stay as they are. With ``retune`` a copy of them takes a step before every step of the latents: then, and
    only then, a row's latent depends on the others asked about.
    """
    task = _Search(copy.deepcopy(decoders).requires_grad_(retune), start.detach(), steps, retune)
    n, columns = len(start), [Ready(x, start.dtype) for x in inputs]
    rows = Batches(columns, present.cpu().numpy(), np.arange(n), size=n, shuffle=False, device=start.device)
    with torch.enable_grad():
        for _ in fit([task], rows, Plan(epochs=1, lr=rate)):
            pass
    found: Tensor = task.latents[0].detach()
    return found


def vote(latents: Tensor, table: Tensor, labels: Tensor, count: int, classes: int) -> Tensor:
    """(n,) the class that most of the ``count`` largest inner products with ``table`` have; the lowest among equals.

    The released code's other way of deciding; it needs the training latents, which a model does not keep.
    """
    nearest = labels[(latents @ table.T).topk(count, dim=1).indices]
    most: Tensor = one_hot(nearest, classes).sum(dim=1).argmax(dim=1)
    return most
