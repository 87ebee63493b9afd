"""M3AE over pictures or over texts (Geng et al. 2022): one vision transformer for both, here one modality at a time.

A picture is cut into patches, a text into word pieces; a learned [CLS] token stands before them, a learned vector tells
the modality, sines and cosines tell the place. MLA takes it for Food-101, MVSA and IEMOCAP.

=========  =============================================================================
z_0        (n, d) tokens: [CLS], then E x_i + type + place_i of the patches or words
there      which tokens are no padding; [CLS] and patches always are
=========  =============================================================================

    z_L = norm(block_L(... block_1(z_0)))                 blocks of modest.encoders.blocks, padding is not looked at
    f   = mean of z_L over all n tokens                   pooling="all", as MLA's code: [CLS] and padding count
    f   = mean of z_L over the tokens that are there      pooling="present"

A patch is flattened as M3AE was trained, row, column, channel (order="pixels"). MLA's code gives channel, row, column
(order="channels"), which published weights never saw. Norms have Flax's 1e-6 and GELU is Flax's, with a tanh, as the
weights were trained; MLA's port has 1e-5 and the exact GELU. Texts have no [CLS] and [SEP] of their own.

**Names.** Read: ``m3ae/model.py`` of young-geng/m3ae_public at 635d86e (Flax), and ``models/m3ae/model.py`` of MLA's
repository at 4735bbc (the port and its table from Flax's names). Both namings load, Flax's with its parts joined by
``.`` or ``/`` and its kernels transposed; a decoder and the other modality are left out. Not verified: no released
checkpoint was at hand, so its names are those of the code that wrote it. It is a pickle, which is never opened here:
where JAX is installed, unpickle it, flatten its ``["state"].params["params"]`` with the keys joined by ``.`` and write
that with ``safetensors.numpy.save_file``.

First weights: those of :mod:`modest.encoders.initialise`, but words with deviation 1, as M3AE has them: the sines are
as large. Type and [CLS] have deviation 0.02, as in M3AE; MLA's port draws them around 0.02 with deviation 1. Stochastic
depth, which M3AE has at 0, is left out (in ``models/m3ae.py`` of the port it returns nothing, so that file cannot run).

Cost: as ViT-base; 257 tokens for a picture of 256 x 256, 1 + length for a text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.encoders.blocks import Block, grid_positions, line_positions, refuse_uneven
from modest.encoders.initialise import DEVIATION, built
from modest.encoders.weights import fill, located, read_state

__all__ = ["M3AEImage", "M3AEText", "m3ae_image", "m3ae_text", "renamed"]

PAD = 0
DROPPED = ("decoder", "image_mask_embedding", "text_mask_embedding")
# a block's parts: the port's name, Flax's name -> ours
PARTS = {
    r"(layer_norm1|LayerNorm_0)": "norm1",
    r"(layer_norm2|LayerNorm_1)": "norm2",
    r"(attention\.qkv_linear|Attention_0\.Dense_0)": "attn.qkv",
    r"(attention\.fc|Attention_0\.Dense_1)": "attn.proj",
    r"(transformer_mlp|TransformerMLP_0)": "mlp",
}


class _M3AE(nn.Module):
    """What both have: [CLS], type, blocks, norm."""

    def __init__(self, layers: int, hidden: int, heads: int) -> None:
        super().__init__()
        self.width = hidden
        self.cls_token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.type_embedding = nn.Parameter(torch.zeros(1, 1, hidden))
        self.blocks = nn.ModuleList(Block(hidden, heads, eps=1e-6, tanh=True) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden, eps=1e-6)

    def draw(self, generator: torch.Generator) -> None:
        """First values of [CLS] and type."""
        for vector in (self.cls_token, self.type_embedding):
            vector.normal_(0.0, DEVIATION, generator=generator)

    def states(self, tokens: Tensor, places: Tensor, there: Tensor | None = None) -> Tensor:
        """z_L (k, 1 + n, d) of embedded tokens (k, n, d)."""
        x = torch.cat([self.cls_token.expand(len(tokens), 1, -1), tokens + places + self.type_embedding], dim=1)
        for block in self.blocks:
            x = block(x, there)
        out: Tensor = self.norm(x)
        return out


class M3AEImage(_M3AE):
    """Pictures (k, 3, size, size) to features (k, hidden)."""

    def __init__(self, layers: int, hidden: int, heads: int, size: int, patch: int, order: str) -> None:
        super().__init__(layers, hidden, heads)
        self.embedding = nn.Linear(3 * patch * patch, hidden)
        self._patch, self._order = patch, order
        self.register_buffer("places", grid_positions(size // patch, size // patch, hidden), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Mean over [CLS] and patches."""
        p = self._patch
        cut = x.reshape(len(x), 3, x.shape[2] // p, p, x.shape[3] // p, p)  # channel, row, its pixel, column, its pixel
        cut = cut.permute(0, 2, 4, 3, 5, 1) if self._order == "pixels" else cut.permute(0, 2, 4, 1, 3, 5)
        return self.states(self.embedding(cut.flatten(3).flatten(1, 2)), self.get_buffer("places")).mean(dim=1)


class M3AEText(_M3AE):
    """Tokens (k, length) int64, 0 = none, to features (k, hidden)."""

    def __init__(self, layers: int, hidden: int, heads: int, vocab: int, length: int, pooling: str) -> None:
        super().__init__(layers, hidden, heads)
        self.embedding = nn.Embedding(vocab, hidden)
        self._pooling = pooling
        self.register_buffer("places", line_positions(length, hidden), persistent=False)

    def draw(self, generator: torch.Generator) -> None:
        """First values of [CLS], type and words."""
        super().draw(generator)
        self.embedding.weight.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Mean over all tokens, or over those that are there; for the latter empty columns are not computed."""
        if self._pooling == "present":
            x = x[:, : max(1, int((x != PAD).sum(dim=1).max()))]
        there = torch.cat([torch.ones_like(x[:, :1], dtype=torch.bool), x != PAD], dim=1)
        z = self.states(self.embedding(x), self.get_buffer("places")[: x.shape[1]], there)
        if self._pooling == "all":
            return z.mean(dim=1)
        weight = there.unsqueeze(-1).to(z.dtype)
        return (z * weight).sum(dim=1) / weight.sum(dim=1)


def m3ae_image(
    *,
    generator: torch.Generator,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    size: int = 256,
    patch: int = 16,
    order: str = "pixels",
    weights: str | Path | None = None,
) -> M3AEImage:
    """Build an M3AE over pictures; the defaults are M3AE-base.

    Parameters
    ----------
    generator : seeded; the only source of the first weights
    layers, hidden, heads : sizes; the inner layers are 4 * hidden wide
    size, patch : sides of the picture and of a patch
    order : "pixels" | "channels", how a patch is flattened
    weights : file or folder under the port's or Flax's names

    Raises
    ------
    ValueError
        If the sizes do not go together, ``order`` is unknown, or the weights are of another architecture.
    """
    refuse_uneven(layers, hidden, heads, patch, (size,))
    known(order, ("pixels", "channels"), "order")
    net = built(lambda: M3AEImage(layers, hidden, heads, size, patch, order), generator, draw=weights is None)
    _filled(net, "image", weights, f"an M3AE of {layers} layers, hidden {hidden}, patch {patch}")
    return net


def m3ae_text(
    *,
    generator: torch.Generator,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    length: int = 256,
    pooling: str = "all",
    weights: str | Path | None = None,
) -> M3AEText:
    """Build an M3AE over texts; the defaults are M3AE-base and MLA's pooling.

    Parameters
    ----------
    vocab, length : rows of the table of words, and most tokens of a text
    pooling : "all" | "present", what the mean is taken over
    generator, layers, hidden, heads, weights : as in :func:`m3ae_image`

    Raises
    ------
    ValueError
        If the sizes do not go together, ``pooling`` is unknown, or the weights are of another architecture.
    """
    refuse_uneven(layers, hidden, heads, 1, (vocab, length))
    known(pooling, ("all", "present"), "pooling")
    net = built(lambda: M3AEText(layers, hidden, heads, vocab, length, pooling), generator, draw=weights is None)
    _filled(net, "text", weights, f"an M3AE of {layers} layers, hidden {hidden}, vocab {vocab}")
    return net


def _filled(net: nn.Module, side: str, weights: str | Path | None, told: str) -> None:
    if weights is not None:
        fill(net, renamed(read_state(located(weights)), side), weights, told)


def renamed(state: Mapping[str, Tensor], side: str) -> dict[str, Tensor]:
    """Tensors of one side, ``image`` or ``text``, under our names; Flax's kernels (in, out) become (out, in)."""
    other = {"image": "text", "text": "image"}[side]
    out = {}
    for name, tensor in state.items():
        bare = re.sub(r"^(module\.|params\.)+", "", name.replace("/", "."))
        if not bare.startswith((*DROPPED, f"{other}_embedding", f"encoder_{other}_type_embedding")):
            out[_renamed(bare, side)] = tensor.T.contiguous() if bare.endswith(".kernel") else tensor
    return out


def _renamed(name: str, side: str) -> str:
    """One name in our words; an unknown one stays as it is."""
    name = re.sub(r"\.(kernel|scale|embedding)$", ".weight", name)
    name = re.sub(rf"^{side}_embedding\.", "embedding.", name)
    name = re.sub(rf"^encoder_{side}_type_embedding$", "type_embedding", name)
    name = re.sub(r"^encoder\.(layer_norm|LayerNorm_0)\.", "norm.", name)
    if match := re.match(r"encoder\.(?:blocks\.|Block_)(\d+)\.", name):
        rest = name[match.end() :]
        for pattern, ours in PARTS.items():
            rest = re.sub(rf"^{pattern}\.", f"{ours}.", rest)
        return f"blocks.{match[1]}.{rest}"
    return name
