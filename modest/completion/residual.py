r"""Cascades of small autoencoders that correct what the earlier ones left: the imagination of CRA, MMIN and IF-MMIN.

One autoencoder guesses what is absent from what is there; each further one sees the guess so far and adds to it.
References: Tran, Liu, Zhou, Jin: Missing Modalities Imputation via Cascaded Residual Autoencoder, CVPR 2017; Zhao, Li,
Jin: Missing Modality Imagination Network, ACL 2021; Zuo et al.: Exploiting Modality-Invariant Feature for Robust
Multimodal Emotion Recognition with Missing Modalities (IF-MMIN), ICASSP 2023.

=====  ===============  ===============  ==================================================================
paper  here             shape            meaning
=====  ===============  ===============  ==================================================================
h      ``embedding``    (n, e)           features of all modalities side by side, zero where absent
H      ``invariant``    (n, e)           what the modalities have in common (IF-MMIN), or none
c_k    \                (n, l)           code of block k, ``encoder_k`` of what it reads
D_k    \                (n, e)           output of block k, ``decoder_k`` of its code
h'     ``imagined``     (n, e)           ``transition``, Linear-ReLU-Linear, of the last sum or output
\      ``latent``       (n, B l)         codes of all B blocks side by side
=====  ===============  ===============  ==================================================================

Equations, residual: block k reads h + sum_{j<k} D_j; h' = transition(h + sum of all D_j). With an invariant: block 0
reads h + H, block k reads D_{k-1} + H; h' = transition(D_B). Between the layers of an encoder stands LeakyReLU(0.01),
between those of a decoder ReLU, after the last of either nothing.

First weights are those of all our linear layers (the releases: PyTorch's own, or normal of deviation 0.02). Cost:
2 B chains of linear layers and the transition, for all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from modest.encoders.towers import linear

__all__ = ["Cascade", "chain"]


def chain(
    sizes: Sequence[int],
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    between: type[nn.Module] = nn.ReLU,
    end: type[nn.Module] = nn.Identity,
) -> nn.Sequential:
    """Linear layers of ``sizes``, (n, sizes[0]) -> (n, sizes[-1]), places 0, 2, 4..., with activations in between.

    After the last one stands ``end``. With three layers and ReLU it is the fully connected net by which these papers
    classify and decode.

    Examples
    --------
    >>> [type(part).__name__ for part in chain((4, 3, 2), torch.Generator())]
    ['Linear', 'ReLU', 'Linear', 'Identity']
    """
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [linear(a, b, generator, dtype), between()]
    return nn.Sequential(*layers[:-1], end())


class Cascade(nn.Module):
    """The autoencoders of a cascade, (n, width) -> (n, width) and (n, blocks * layers[-1]).

    Parameters
    ----------
    width : of the embedding, e
    layers : sizes of the layers of an encoder, the last that of its code; decoders mirror them
    blocks : how many autoencoders, B >= 1
    generator : seeded; the only source of the first weights
    """

    def __init__(
        self,
        width: int,
        layers: Sequence[int],
        blocks: int,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.blocks = blocks
        sizes = [width, *layers]
        for k in range(blocks):
            self.add_module(f"encoder_{k}", chain(sizes, generator, dtype, nn.LeakyReLU))
            self.add_module(f"decoder_{k}", chain(sizes[::-1], generator, dtype))
        self.transition = chain((width, width, width), generator, dtype)

    def forward(self, embedding: Tensor, invariant: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Imagined embedding (n, e) and latent (n, B l); residual without an ``invariant`` (n, e), see the module."""
        state, codes = embedding, []
        for k in range(self.blocks):
            read = state if invariant is None else state + invariant
            codes.append(self.get_submodule(f"encoder_{k}")(read))
            output = self.get_submodule(f"decoder_{k}")(codes[-1])
            state = state + output if invariant is None else output
        return self.transition(state), torch.cat(codes, dim=1)
