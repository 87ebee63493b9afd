"""Blocks of a vision transformer (Dosovitskiy et al. 2021): attention and two layers, each behind a norm, each added.

=========  =============================================================================
X          tokens of one sample, (n, d)
h, e       heads, and their width e = d / h
Q, K, V    (n, d) each, one linear layer of X; Q_i ... are the columns of head i
=========  =============================================================================

    A_i    = softmax(Q_i K_i' / sqrt(e)) V_i                     over the tokens that are there
    X     <- X + concat(A_1 ... A_h) W + b                       of the normed X
    X     <- X + W_2 gelu(W_1 X + b_1) + b_2                     of the normed X, W_1 is (4 d, d)

Names are those of timm, which MAE and CAV-MAE keep: ``norm1``, ``attn.qkv``, ``attn.proj``, ``norm2``, ``mlp.fc1``,
``mlp.fc2``. ``positions`` are the fixed sines and cosines of MAE. Cost: n^2 d + n d^2 per block and sample.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Block", "grid_positions", "line_positions", "refuse_uneven"]


class Attention(nn.Module):
    """Every token looks at all tokens that are there."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.proj = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """(k, n, d) to (k, n, d); ``there`` (k, n) bool, False for tokens that nobody may look at."""
        k, n, d = x.shape
        q, key, v = self.qkv(x).reshape(k, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mask = None if there is None else there[:, None, None, :]
        seen = nn.functional.scaled_dot_product_attention(q, key, v, attn_mask=mask)
        out: Tensor = self.proj(seen.transpose(1, 2).reshape(k, n, d))
        return out


class Layers(nn.Module):
    """The two linear layers of a block."""

    def __init__(self, hidden: int, gelu: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1 = nn.Linear(hidden, 4 * hidden)
        self.fc2 = nn.Linear(4 * hidden, hidden)
        self._gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) to (..., d)."""
        out: Tensor = self.fc2(self._gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """One block.

    Parameters
    ----------
    hidden, heads : d and h; ``hidden`` is a multiple of ``heads``
    eps : of the norms; 1e-5 is PyTorch's, 1e-6 Flax's
    tanh : GELU by Flax's default formula with a tanh, else the exact one
    """

    def __init__(self, hidden: int, heads: int, eps: float = 1e-5, tanh: bool = False) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(hidden, eps=eps), nn.LayerNorm(hidden, eps=eps)
        self.attn = Attention(hidden, heads)
        self.mlp = Layers(hidden, nn.GELU(approximate="tanh" if tanh else "none"))

    def forward(self, x: Tensor, there: Tensor | None = None) -> Tensor:
        """(k, n, d) to (k, n, d); ``there`` as in the attention."""
        x = x + self.attn(self.norm1(x), there)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def line_positions(count: int, hidden: int) -> Tensor:
    """(count, hidden) float32: sines of p / 10000^(2 i / hidden), i = 0 ... hidden / 2 - 1, then the cosines.

    Examples
    --------
    >>> line_positions(2, 4)[0].tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    return _waves(torch.arange(count, dtype=torch.float64), hidden).float()


def grid_positions(rows: int, columns: int, hidden: int) -> Tensor:
    """(rows * columns, hidden) float32, row after row: the first half tells the column, the second the row."""
    row, column = torch.meshgrid(
        torch.arange(rows, dtype=torch.float64), torch.arange(columns, dtype=torch.float64), indexing="ij"
    )
    return torch.cat([_waves(column.flatten(), hidden // 2), _waves(row.flatten(), hidden // 2)], dim=1).float()


def _waves(places: Tensor, hidden: int) -> Tensor:
    speeds = 10000.0 ** -(torch.arange(hidden // 2, dtype=torch.float64) / (hidden / 2))
    angles = places[:, None] * speeds
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def refuse_uneven(layers: int, hidden: int, heads: int, patch: int, sides: tuple[int, ...]) -> None:
    """Check the sizes of a transformer over patches.

    Raises
    ------
    ValueError
        If they do not go together.
    """
    if min(layers, hidden, heads, patch, *sides) < 1 or hidden % heads or hidden % 4:
        raise ValueError(
            f"layers={layers}, hidden={hidden}, heads={heads}, patch={patch} make no transformer; "
            "give positive sizes, hidden a multiple of heads and of 4."
        )
    if any(side % patch for side in sides):
        raise ValueError(f"patch={patch} does not divide {' x '.join(map(str, sides))}; give a side that it divides.")
