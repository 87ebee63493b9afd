"""Log-sum-exp of every row of one block against another, with its gradients, a tile at a time.

    L_j = log sum_k exp(scale x_j . y_k)
    dL_j/dx_j = scale sum_k p_jk y_k
    d(sum_j w_j L_j)/dy_k = scale sum_j w_j p_jk x_j

with p_j the softmax of the row. The one primitive behind repulsion and alignment of the parametric selectors.
Cost two (three with the second gradient) products of B x B x D; memory one tile of rows x B.
"""

from __future__ import annotations

import torch
from torch import Tensor

from modest.neighbours.device import product


def log_sum_exp(
    x: Tensor,
    y: Tensor,
    scale: float,
    *,
    own: bool = True,
    weights: Tensor | None = None,
    fast: bool = False,
    tile: int = 2048,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(L (B,), dL_j/dx_j (B, D), d(sum w L)/dy (K, D) or None without ``weights``).

    ``own=False`` leaves out k = j. x (B, D), y (K, D); ``fast`` multiplies in bf16.
    """
    value = torch.empty(len(x), dtype=x.dtype, device=x.device)
    towards_y = torch.empty_like(x)
    towards_x = None if weights is None else torch.zeros_like(y)
    columns = y.T.contiguous()
    for start in range(0, len(x), tile):
        stop = min(start + tile, len(x))
        logits = product(x[start:stop], columns, fast).mul_(scale)
        if not own:
            at = torch.arange(stop - start, device=x.device)
            logits[at, at + start] = -torch.inf
        value[start:stop] = torch.logsumexp(logits, dim=1)
        share = torch.softmax(logits, dim=1)
        towards_y[start:stop] = product(share, y, fast)
        if towards_x is not None and weights is not None:
            towards_x += product((share * weights[start:stop, None]).T, x[start:stop], fast)
    return value, towards_y.mul_(scale), None if towards_x is None else towards_x.mul_(scale)
