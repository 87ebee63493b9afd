r"""Central moment discrepancy: how far the distributions of two sets of rows lie apart, moment by moment.

Nothing to estimate, no kernel, no pairs: the two sets may be of different items, and of different numbers of them.
Reference: Zellinger, Grubinger, Lughofer, Natschlaeger, Saminger-Platz: Central Moment Discrepancy (CMD) for
Domain-Invariant Representation Learning, ICLR 2017.

Equation: CMD(X, Y) = |E X - E Y| + sum_{k=2..K} |E (X - E X)^k - E (Y - E Y)^k|, powers by coordinate, |.| Euclidean.

Departures: the paper divides the k-th term by the k-th power of the range of a coordinate, for bounded features; like
the code of those who use it between modalities we do not, for ours have no bounds. Where two moments agree exactly the
gradient of their distance is 0; a root of a sum of squares gives NaN there. Cost: O(K n s).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

__all__ = ["discrepancy", "spread"]

MOMENTS = 5


def discrepancy(x: Tensor, y: Tensor, moments: int = MOMENTS) -> Tensor:
    """CMD () of rows x (n, s) and y (k, s), n and k at least 1.

    Examples
    --------
    >>> discrepancy(torch.zeros(3, 2), torch.ones(5, 2) * torch.tensor([3.0, 4.0])).item()
    5.0
    """
    mean_x, mean_y = x.mean(dim=0), y.mean(dim=0)
    terms = [torch.linalg.vector_norm(mean_x - mean_y)]
    for k in range(2, moments + 1):
        apart = (x - mean_x).pow(k).mean(dim=0) - (y - mean_y).pow(k).mean(dim=0)
        terms.append(torch.linalg.vector_norm(apart))
    return torch.stack(terms).sum()


def spread(blocks: Sequence[Tensor] | Tensor, present: Tensor, moments: int = MOMENTS) -> Tensor:
    """Mean CMD () over the pairs of modalities, each by the rows that have it; 0 where fewer than two have any.

    ``blocks`` (M, n, s); ``present`` (n, M) bool.
    """
    rows = [block[there] for block, there in zip(blocks, present.T) if bool(there.any())]
    pairs = [discrepancy(x, y, moments) for x, y in combinations(rows, 2)]
    return torch.stack(pairs).mean() if pairs else blocks[0].new_zeros(())
