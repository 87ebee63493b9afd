r"""Self-attention over a short sequence, and attention that makes one vector of it: what TATE is built of.

References: Vaswani et al.: Attention Is All You Need, NeurIPS 2017; Zeng, Zhou, Liu (see ``tate.py``).

=============  ==========================  =================  ===================================
symbol         here                        shape              meaning
=============  ==========================  =================  ===================================
X              ``x``                       (n, T, d)          sequence; a step of zeros is absent
W_q, W_k, W_v  ``query``, ``key``,         (d, d)             projections, without bias
               ``value``
F_1, F_2       ``inner``, ``outer``        (4d, d), (d, 4d)   feed-forward layers, with bias
W_u, W_m, W_r  ``up``, ``gate``, ``rate``  (d, d), (1, d)     attention that pools, without bias
=============  ==========================  =================  ===================================

Equations, with the d columns cut into heads of d_h: A = softmax over present keys of Q K' / sqrt(d_h), zero in the
rows of absent queries; Y = LN(X + [A V of all heads]); block(X) = LN(Y + F_2 relu(F_1 Y)), LN with eps 1e-8. Pooled:
a = softmax over time of ((X W_u) * sigmoid(X W_m)) W_r; sum_t a_t x_t.

Departures from the released code: any d can be cut (the last heads are narrower); dropout, which falls on A, is off
at prediction (there it stays on); absent keys get -2^32, not -2^32 + 1, which comes to the same.
Cost: O(n T d^2 + n T^2 d).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, pad
from torch.nn.functional import linear as product

from modest.encoders.towers import linear

__all__ = ["Block", "Pool", "attended", "matrix"]


def matrix(inputs: int, outputs: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> nn.Parameter:
    """Weight (outputs, inputs) of a linear layer without bias, uniform in +-1 / sqrt(inputs)."""
    return nn.Parameter(linear(inputs, outputs, generator, dtype).weight.detach())


def attended(query: Tensor, key: Tensor, value: Tensor, there: Tensor, heads: int, share: float = 0.0) -> Tensor:
    """Attention of every head, side by side.

    Parameters
    ----------
    query, key, value : (n, T, d)
    there : (n, T) bool, steps that are present; the others are no keys, and get zero as queries
    heads : h, each of d / h columns rounded up, as long as they last
    share : dropout on the attention weights

    Returns
    -------
    (n, T, d)
    """
    n, T, d = query.shape
    size = -(-d // heads)
    parts = (pad(x, (0, heads * size - d)).reshape(n, T, heads, size).transpose(1, 2) for x in (query, key, value))
    q, k, v = parts
    score = (q @ k.transpose(2, 3) / math.sqrt(size)).masked_fill(~there[:, None, None, :], -(2.0**32))
    weight = torch.softmax(score, dim=-1) * there[:, None, :, None]
    heard = dropout(weight, share, training=share > 0).to(v) @ v
    return heard.transpose(1, 2).reshape(n, T, heads * size)[..., :d]


class Block(nn.Module):
    """Self-attention and a feed-forward net, each with residual and layer norm: (n, T, width) -> (n, T, width)."""

    def __init__(
        self,
        width: int,
        heads: int,
        share: float,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.heads, self.share = heads, share
        self.query, self.key, self.value = (matrix(width, width, generator, dtype) for _ in range(3))
        self.inner, self.outer = linear(width, 4 * width, generator, dtype), linear(4 * width, width, generator, dtype)
        self.norm, self.last = (nn.LayerNorm(width, eps=1e-8, dtype=dtype) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """See the module; a step of zeros is absent."""
        query, key, value = (product(x, weight) for weight in (self.query, self.key, self.value))
        share = self.share if self.training else 0.0
        heard = attended(query, key, value, (x != 0).any(dim=-1), self.heads, share)
        y = self.norm(x + heard)
        found: Tensor = self.last(y + self.outer(torch.relu(self.inner(y))))
        return found


class Pool(nn.Module):
    """Gated attention over time: (n, T, width) -> weights (n, T) and their mean of the steps (n, width)."""

    def __init__(self, width: int, generator: torch.Generator, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.up, self.gate = matrix(width, width, generator, dtype), matrix(width, width, generator, dtype)
        self.rate = matrix(width, 1, generator, dtype)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """See the module."""
        score = product(product(x, self.up) * torch.sigmoid(product(x, self.gate)), self.rate)
        weight = torch.softmax(score[:, :, 0], dim=1)
        return weight, torch.einsum("nt,ntd->nd", weight, x)
