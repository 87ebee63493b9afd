r"""CLIP loss: symmetric InfoNCE whose scale is learned; and ``Scale``, what is learned beside the towers.

References: Radford et al., *Learning Transferable Visual Models From Natural Language Supervision*, ICML 2021, section
2.5 and Figure 3; for SigLIP's scale and bias see ``siglip``.

Equation: ``infonce`` at tau = exp(-t). t starts at log(1 / 0.07) and is cut to log 100 after each step, so that logits
never grow by more than 100. SigLIP's t is not cut: the published models ended above log 100.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.representation.infonce import info_nce
from modest.representation.siglip import siglip_loss

__all__ = ["LOSSES", "Scale", "clip_loss"]

MOST = math.log(100.0)
# loss -> first logit scale, first bias
LOSSES: Mapping[str, tuple[float, float | None]] = {"clip": (math.log(1 / 0.07), None), "siglip": (math.log(10), -10.0)}


def clip_loss(a: Tensor, b: Tensor, logit_scale: Tensor | float) -> Tensor:
    """Mean of the cross entropies in both directions of k pairs, cosines multiplied by exp(``logit_scale``).

    Arguments and errors otherwise as :func:`modest.representation.info_nce`.

    Examples
    --------
    >>> round(float(clip_loss(torch.eye(3), torch.eye(3), 0.0)), 4)
    0.5514
    """
    return info_nce(a, b, torch.as_tensor(-logit_scale, dtype=a.dtype, device=a.device).exp())


class Scale(nn.Module):
    """A loss of ``LOSSES`` with what it learns.

    Parameters
    ----------
    loss : clip | siglip
    logit_scale, bias : to go on from; left out, those of the papers

    Raises
    ------
    ValueError
        For an unknown loss.
    """

    def __init__(self, loss: str, logit_scale: float | None = None, bias: float | None = None) -> None:
        super().__init__()
        first = LOSSES[known(loss, LOSSES, "loss")]
        self.loss = loss
        self.logit_scale = nn.Parameter(torch.tensor(first[0] if logit_scale is None else logit_scale))
        if first[1] is not None:
            self.bias = nn.Parameter(torch.tensor(first[1] if bias is None else bias))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Loss of k pairs, a and b (k, d)."""
        if self.loss == "clip":
            return clip_loss(a, b, self.logit_scale)
        return siglip_loss(a, b, self.logit_scale, self.bias)

    def clamp(self) -> None:
        """Cut CLIP's scale to 100; to be done after each step."""
        if self.loss == "clip":
            with torch.no_grad():
                self.logit_scale.clamp_(max=MOST)

    def told(self) -> dict[str, Any]:
        """Numbers for the record, from which ``Scale(**numbers)`` goes on to the same bits."""
        bias = float(self.bias.detach()) if self.loss == "siglip" else None
        return {"loss": self.loss, "logit_scale": float(self.logit_scale.detach()), "bias": bias}
