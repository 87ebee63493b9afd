r"""The network of TATE and its losses: tags of what is absent, shared projections, encoder, decoder, pooling.

Equations, symbols, reference and departures stand in ``tate.py``. Sequences have any length here; towers give one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.functional import linear as product

from modest.completion.attention import Block, Pool, matrix
from modest.encoders.towers import linear

__all__ = ["Encoded", "Network", "common", "divergence", "losses", "tags"]


class Encoded(NamedTuple):
    """Of a batch S, H, G (n, T, D), weights (n, T) that pool H, u (n, D) and logits (n, C)."""

    tagged: Tensor
    encoded: Tensor
    decoded: Tensor
    attention: Tensor
    pooled: Tensor
    logits: Tensor


def tags(present: Tensor) -> Tensor:
    """Tags (n, M + 1) of presence patterns (n, M) bool: whether all is there, then what is not.

    Examples
    --------
    >>> tags(torch.tensor([[True, True, True], [True, False, False]])).int().tolist()
    [[1, 0, 0, 0], [0, 0, 1, 1]]
    """
    return torch.cat([present.all(dim=1, keepdim=True), ~present], dim=1).float()


def common(encoded: Sequence[Tensor], pairs: Sequence[Tensor]) -> list[Tensor]:
    """Each modality (n, T_m, s) as every other one is told of it, side by side (n, T_m, (M - 1) p).

    ``pairs`` holds the shared projections (p, s) in the order 01, 02, ..., 12, ...
    """
    M = len(encoded)
    weight = dict(zip(combinations(range(M), 2), pairs))
    return [
        torch.cat([product(x, weight[min(m, o), max(m, o)]) for o in range(M) if o != m], dim=-1)
        for m, x in enumerate(encoded)
    ]


def divergence(first: Tensor, second: Tensor, reduction: str = "mean") -> Tensor:
    """Both Kullback-Leibler divergences between softmaxes of (n, T, D), added: a mean over steps, () of all rows.

    ``reduction`` "mean" over rows, or "sum" as released.
    """
    p, q = (torch.softmax(x, dim=-1).clamp(1e-7, 1.0) for x in (first, second))
    rows = ((p - q) * (p.log() - q.log())).sum(dim=-1).mean(dim=1)
    return rows.sum() if reduction == "sum" else rows.mean()


class Network(nn.Module):
    """What reads M modalities of ``width`` features; ``dropout`` on attention weights."""

    def __init__(
        self,
        M: int,
        width: int,
        classes: int,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        p = -(-width // (M - 1))
        full = (M - 1) * p + M + 1
        made = (heads, dropout, generator, dtype)
        self.own = nn.ModuleList(Block(width, *made) for _ in range(M))
        self.pairs = nn.ParameterList(matrix(width, p, generator, dtype) for _ in combinations(range(M), 2))
        self.encoder, self.decoder = Block(full, *made), Block(full, *made)
        self.pool = Pool(full, generator, dtype)
        self.dense = matrix(full, width, generator, dtype)
        self.head = linear(width, classes, generator, dtype)

    def forward(self, sequences: Sequence[Tensor], tag: Tensor) -> Encoded:
        """Of sequences (n, T_m, s), zeros where absent, and their tags (n, M + 1)."""
        steps = torch.cat(common([block(x) for block, x in zip(self.own, sequences)], list(self.pairs)), dim=1)
        tagged = torch.cat([steps, tag.to(steps)[:, None].expand(-1, steps.shape[1], -1)], dim=-1)
        encoded = self.encoder(tagged)
        attention, pooled = self.pool(encoded)
        logits = self.head(product(pooled, self.dense))
        return Encoded(tagged, encoded, self.decoder(encoded), attention, pooled, logits)


def losses(
    found: Encoded, tag: Tensor, labels: Tensor, head: nn.Linear, first: Tensor | None, reduction: str = "mean"
) -> dict[str, Tensor]:
    """Parts of the loss, unweighted: "ce" and those that options weigh; "kl" where ``first`` is H* (n, T, D).

    ``reduction`` of the classes and divergences is over rows; that of tags is always a mean.
    """
    guess = torch.sigmoid(found.pooled[:, -tag.shape[1] :])
    parts = {
        "ce": cross_entropy(found.logits, labels, reduction=reduction),
        "decoder": divergence(found.decoded, found.tagged, reduction),
        "tag": (tag.to(guess) - guess).abs().mean(),
        "l2": 5e-5 * (head.weight.square().sum() + head.bias.square().sum()),
    }
    return parts if first is None else {**parts, "kl": divergence(found.encoded, first, reduction)}
