"""The audio branch of CAV-MAE (Gong et al. 2023): a vision transformer over patches of a log mel filterbank.

=========  =============================================================================
x          (128, 1024) filterbank of :mod:`modest.encoders.fbank`, bands by frames
z_0        (512, d) tokens: a convolution of 16 x 16 patches, row of bands after row, + place + modality
shared     blocks at the end that sound and pictures share in CAV-MAE; they have norms of their own for sound
=========  =============================================================================

    z_L = norm_a(block_L(... block_1(z_0)))                  12 blocks of modest.encoders.blocks, the last one shared
    f   = mean of z_L over all tokens                        there is no [CLS]

MLA takes it for the sound of IEMOCAP, CAV-MAE itself for fine-tuning on sound alone; both use exactly this path. The
places start as sines and cosines and are trained, as in CAV-MAE's fine-tuning (its pretraining keeps them).

**Names.** Read: ``src/models/cav_mae.py`` of YuanGongND/cav-mae at 01f73aa, classes CAVMAE and CAVMAEFT, and the copy
of the latter in MLA's repository at 4735bbc. ``blocks_a`` are the first blocks, ``blocks_u`` the shared ones, of which
``norm1_a`` and ``norm2_a`` are taken; pictures, decoder and classifier are left out, as is ``module.`` before a name.
Not verified: no released checkpoint was at hand (MLA's "cavmae-audio.pth" is named in its code only).

First weights: those of :mod:`modest.encoders.initialise`, the patches as a linear layer by Glorot's uniform rule, as
CAV-MAE has it.

Cost: as ViT-base with 512 tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from modest.encoders.blocks import Block, grid_positions, refuse_uneven
from modest.encoders.initialise import DEVIATION, built
from modest.encoders.weights import fill, located, read_state

__all__ = ["CavMaeAudio", "cavmae_audio", "renamed"]

DROPPED = r"((patch_embed|modality|pos_embed|blocks|norm)_v|norm|decoder\w*|mask_token|mlp_head|cls_token\w*)(\.|$)"
NAMES = {
    r"patch_embed_a\.proj\.": "patches.",
    "pos_embed_a$": "positions",
    "modality_a$": "modality",
    r"norm_a\.": "norm.",
}
UNUSED = {"blocks_a": r"norm[12]_[av]\.", "blocks_u": r"norm[12](_v)?\."}  # norms of the other paths through a block


class CavMaeAudio(nn.Module):
    """Filterbanks (k, 1, mels, frames) to features (k, hidden)."""

    def __init__(self, layers: int, hidden: int, heads: int, patch: int, mels: int, frames: int) -> None:
        super().__init__()
        self.width = hidden
        self._grid = mels // patch, frames // patch
        self.patches = nn.Conv2d(1, hidden, patch, patch)
        self.positions = nn.Parameter(torch.zeros(1, self._grid[0] * self._grid[1], hidden))
        self.modality = nn.Parameter(torch.zeros(1, 1, hidden))
        self.blocks = nn.ModuleList(Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def draw(self, generator: torch.Generator) -> None:
        """First values of patches, places and modality."""
        nn.init.xavier_uniform_(self.patches.weight.view(self.width, -1), generator=generator)
        self.positions.copy_(grid_positions(*self._grid, self.width))
        self.modality.normal_(0.0, DEVIATION, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Mean over all patches."""
        z = self.patches(x).flatten(2).transpose(1, 2) + self.positions + self.modality
        for block in self.blocks:
            z = block(z)
        mean: Tensor = self.norm(z).mean(dim=1)
        return mean


def cavmae_audio(
    *,
    generator: torch.Generator,
    layers: int = 12,
    shared: int = 1,
    hidden: int = 768,
    heads: int = 12,
    patch: int = 16,
    mels: int = 128,
    frames: int = 1024,
    weights: str | Path | None = None,
) -> CavMaeAudio:
    """Build the audio branch; the defaults are the released size.

    Parameters
    ----------
    generator : seeded; the only source of the first weights
    layers, hidden, heads : sizes; the inner layers are 4 * hidden wide
    shared : of the ``layers``, how many at the end are ``blocks_u`` of the weights
    patch, mels, frames : sides of a patch and of the filterbank
    weights : file or folder under CAV-MAE's names

    Raises
    ------
    ValueError
        If the sizes do not go together, or the weights are of another architecture.
    """
    refuse_uneven(layers, hidden, heads, patch, (mels, frames))
    if not 0 <= shared <= layers:
        raise ValueError(f"shared={shared} is not in 0 ... layers={layers}; CAV-MAE shares 1 of 12.")
    net = built(lambda: CavMaeAudio(layers, hidden, heads, patch, mels, frames), generator, draw=weights is None)
    if weights is not None:
        told = f"a CAV-MAE of {layers} layers, {shared} of them shared, hidden {hidden}, {mels} x {frames} by {patch}"
        fill(net, renamed(read_state(located(weights)), layers - shared), weights, told)
    return net


def renamed(state: Mapping[str, Tensor], own: int) -> dict[str, Tensor]:
    """Tensors of the audio path under our names; ``own`` blocks come before the shared ones."""
    out = {}
    for name, tensor in state.items():
        bare = name.removeprefix("module.")
        if re.match(DROPPED, bare):
            continue
        if match := re.match(r"(blocks_[au])\.(\d+)\.", bare):
            rest = bare[match.end() :]
            if re.match(UNUSED[match[1]], rest):
                continue
            number = int(match[2]) + (own if match[1] == "blocks_u" else 0)
            bare = f"blocks.{number}." + re.sub(r"^(norm[12])_a\.", r"\1.", rest)
        for old, ours in NAMES.items():
            bare = re.sub(rf"^{old}", ours, bare)
        out[bare] = tensor
    return out
