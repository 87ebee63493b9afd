r"""SigLIP loss: every pair of a batch is a yes-or-no question of its own, so no softmax over the batch is needed.

Reference: Zhai et al., *Sigmoid Loss for Language Image Pre-Training*, ICCV 2023, section 3.2 and Algorithm 1.

======  ===============  ========  ==========================================================
paper   here             shape     meaning
======  ===============  ========  ==========================================================
x_i     ``a``            (k, d)    features of one side, divided by their norm
y_j     ``b``            (k, d)    features of the other, row i of the same pair
t       ``logit_scale``  scalar    logarithm of the scale, learned, log 10 at first
b       ``bias``         scalar    learned, -10 at first: most pairs of a batch are negatives
======  ===============  ========  ==========================================================

Equation, z_ii = 1 and z_ij = -1 elsewhere:

    L = -1/k sum_i sum_j log sigmoid(z_ij (exp(t) x_i . y_j + b))

Cost: k^2 d.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

__all__ = ["siglip_loss"]


def siglip_loss(a: Tensor, b: Tensor, logit_scale: Tensor | float, bias: Tensor | float) -> Tensor:
    """SigLIP loss of k pairs: a scalar in the dtype of the features.

    Parameters
    ----------
    a, b : (k, d) tensors, row i of both is one pair; normalised inside
    logit_scale : logarithm of what cosines are multiplied by
    bias : added to every logit

    Raises
    ------
    ValueError
        If the shapes differ, or there is no pair.

    Examples
    --------
    >>> round(float(siglip_loss(torch.eye(2), torch.eye(2), 0.0, 0.0)), 4)  # log(1 + 1/e) + log 2
    1.0064
    """
    if a.shape != b.shape or a.ndim != 2:
        raise ValueError(f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}; both must be (pairs, features) alike.")
    if not len(a):
        raise ValueError("a and b hold no pair; the SigLIP loss needs at least one.")
    scale = torch.as_tensor(logit_scale, dtype=a.dtype, device=a.device).exp()
    logits = scale * (normalize(a, dim=1) @ normalize(b, dim=1).T) + bias
    z = 2 * torch.eye(len(a), dtype=a.dtype, device=a.device) - 1
    return -logsigmoid(z * logits).sum() / len(a)
