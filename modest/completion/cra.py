r"""Cascaded residual autoencoder: as ``ae``, but several autoencoders in a row each correct what is still wrong.

Helps as ``ae`` does; what is there passes the cascade unharmed, since every block adds to it, while ``ae`` must press
it through one code. Reference: Tran, Liu, Zhou, Jin: Missing Modalities Imputation via Cascaded Residual Autoencoder,
CVPR 2017, in the form in which GCNet (TPAMI 2023) and MLA (CVPR 2024) compare with it.

Symbols and loss as in ``ae.py``; the blocks, c_k, D_k and the transition as in ``residual.py``; B ``blocks``.

Equations: h' = transition(h + D_1 + ... + D_B), D_k = dec_k(enc_k(h + sum_{j<k} D_j));
loss = mean_i CE(head(h'_i), y_i) + w / n sum_i sum_{m in T_i} |x'_mi - x_mi|^2 / d_m.

Where we depart. The paper completes the data, growing the cascade block by block, and then trains a classifier; the
comparisons and we train everything at once, and classify h'. Absent views, targets, the error's mean over rows (their
0.8 of a sum over 256 rows is 205 per row) and zero features: as in ``ae.py``.

Needs ready views, at least two. Cost: as ``concat`` and M + 2 B + 2 chains of linear layers for all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from modest.completion import ae
from modest.completion.residual import Cascade
from modest.learning.towers import Towers

__all__ = ["Options", "cra"]


@dataclass(frozen=True)
class Options(ae.Options):
    """As in ``ae``, and ``blocks``: autoencoders of the cascade."""

    blocks: int = 2

    def __post_init__(self) -> None:
        """Check the ranges."""
        super().__post_init__()
        if self.blocks < 1:
            raise ValueError(f"options['blocks']={self.blocks} must be at least 1.")


def cra(
    towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
) -> ae.Reconstructing:
    """The recipe, untrained."""
    s = towers.width
    body = Cascade(s * len(towers), ae.sizes(options.layers, s), options.blocks, generator, towers.dtype)
    return ae.Reconstructing("cra", towers, names, classes, body, generator, options)
