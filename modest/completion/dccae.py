r"""Deep canonically correlated autoencoders: as ``dcca``, but what the encoders keep must also tell the views again.

Helps, over ``dcca``, where what views share is little: the decoders hold on to what is a view's own.
Reference: Wang, Arora, Livescu, Bilmes, *On Deep Multi-View Representation Learning*, ICML 2015.

======  ====================  ==========  ==============================================================
symbol  here                  shape       meaning
======  ====================  ==========  ==============================================================
x_m     ``towers.inputs``     (n, d_m)    standardised ready view
z_m     ``views``             (n, k)      encoder and projector of modality m, see ``dcca.py``
D_m     ``decoders[m]``       (n, d_m)    Linear-ReLU-Linear over z_m, as wide inside as the encoders emit
w       ``recon_weight``      number      weight of the reconstructions
======  ====================  ==========  ==============================================================

Equations: first stage: L = L_dcca + w sum_m mean over rows and entries of (D_m(z_m) - x_m)^2; all else as ``dcca``. The
mean is over the rows that have m (``rows="both"``) or over all, filled ones with their filling (``"filled"``, as
published); a modality that is in no row of a batch adds 0. cca_zoo has (1 - lambda) L + lambda sum MSE with squared
singular values: ``squared=True`` and w = lambda / (1 - lambda).

Departures: those of ``dcca``. The release (GCNet) sends the third view through the second encoder and the second
decoder, so that its third decoder learns nothing; here every view has its own. The decoders are smaller than the
encoders there mirrored. What a decoder makes of an absent view is what it makes of the filling, one point for all
rows: that is no imagination, so ``imagined`` is not offered. ``recon_weight`` is the release's, untuned. Cost: as
``dcca`` and the decoders, in the first stage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modest.completion import dcca
from modest.completion.residual import chain
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["DCCAE", "DecodedOptions", "reconstruction"]


@dataclass(frozen=True)
class DecodedOptions(dcca.Options):
    """Those of ``dcca``, and ``recon_weight`` >= 0: w."""

    recon_weight: float = 1e-3

    def __post_init__(self) -> None:
        """Check the numbers."""
        super().__post_init__()
        if not 0 <= self.recon_weight < math.inf:
            raise ValueError(f"options['recon_weight']={self.recon_weight} is not a number of at least 0; try 0.001.")


def reconstruction(decoded: Sequence[Tensor], inputs: Sequence[Tensor], counts: Tensor) -> Tensor:
    """() sum over views of the mean squared error over the entries of the rows that count.

    ``decoded``, ``inputs``: (n, d_m) each; ``counts`` (n, M) bool; a view without any such row adds 0.

    Examples
    --------
    >>> x, there = torch.zeros(2, 3), torch.tensor([[True], [False]])
    >>> float(reconstruction([x + 2.0], [x], there))
    4.0
    """
    loss = decoded[0].new_zeros(())
    for m, (said, true) in enumerate(zip(decoded, inputs)):
        rows = counts[:, m]
        if bool(rows.any()):
            loss = loss + ((said[rows] - true[rows]) ** 2).mean()
    return loss


class DCCAE(dcca.DCCA):
    """The recipe; see the module."""

    name = "dccae"

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: DecodedOptions
    ) -> None:
        super().__init__(towers, names, classes, generator, options)
        self.recon_weight = options.recon_weight
        sizes = [(self.k, towers.width, d) for d in self.widths]
        self.decoders = nn.ModuleList(chain(size, generator, towers.dtype) for size in sizes)
        self.net = nn.ModuleDict({**dict(self.net.named_children()), "decoders": self.decoders})

    def beside(self, batch: Batch, views: Sequence[Tensor]) -> Tensor:
        """() the weighted reconstruction of the inputs."""
        decoded = [decoder(view) for decoder, view in zip(self.decoders, views)]
        inputs = [self.towers.inputs(batch, m) for m in range(len(self.towers))]
        return self.recon_weight * reconstruction(decoded, inputs, self.speaks(batch))
