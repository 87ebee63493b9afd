"""ResNet over images, or over one-channel spectrograms (He et al. 2016), by transformers' ``ResNetModel``.

The feature is the global average of the last stage. Published weights load under two naming schemes: transformers'
own and torchvision's. The stride of a bottleneck is in its 3x3 convolution, as in both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from modest.checks import known
from modest.encoders.initialise import built
from modest.encoders.norms import alone
from modest.encoders.weights import fill, located, read_settings, read_state, refuse_other

__all__ = ["DEPTHS", "FrameResNet", "ResNet", "one_channel", "renamed", "resnet"]

# name -> kind of block, blocks per stage
DEPTHS: Mapping[str, tuple[str, tuple[int, int, int, int]]] = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
}
CHANNELS = {"basic": (64, 128, 256, 512), "bottleneck": (256, 512, 1024, 2048)}
FIRST = "embedder.embedder.convolution.weight"
# what shapes do not show; transformers' defaults, and torchvision's
USUAL = {
    "model_type": "resnet",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}


class ResNet(nn.Module):
    """Images (k, channels, h, w) to features (k, width)."""

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Average over all places of the last stage."""
        with alone(self.body, x):
            pooled: Tensor = self.body(x).pooler_output
        return pooled.flatten(1)


class FrameResNet(nn.Module):
    """Clips (k, 3, frames, h, w) to features (k, width): every frame through one ResNet, the mean over frames.

    It sees no movement, and neither the order nor the number of frames: what it learns is what the frames show.
    """

    def __init__(self, frame: ResNet) -> None:
        super().__init__()
        self.frame = frame
        self.width = frame.width

    def forward(self, x: Tensor) -> Tensor:
        """Mean over frames; the norms count the frames of all clips as one batch."""
        k, _, frames = x.shape[:3]
        with alone(self, x):
            features: Tensor = self.frame(x.transpose(1, 2).flatten(0, 1))
        return features.reshape(k, frames, -1).mean(dim=1)


def resnet(
    depth: str | Sequence[int],
    *,
    generator: torch.Generator,
    block: str = "basic",
    width: float = 1.0,
    channels: int = 3,
    weights: str | Path | None = None,
) -> ResNet:
    """Build a ResNet.

    Parameters
    ----------
    depth : a name of ``DEPTHS``, or the number of blocks of each stage (any number of stages up to 4)
    generator : seeded; the only source of the first weights
    block : "basic" | "bottleneck", for a ``depth`` given as numbers
    width : factor of all channel counts; 0.25 makes about a sixteenth of the parameters
    channels : of the input
    weights : transformers folder, hub name, or file with transformers' or torchvision's names; a first convolution
        over three channels is summed for ``channels=1``

    Raises
    ------
    ValueError
        If depth or width is impossible, or the weights are of another architecture.
    """
    try:
        from transformers import ResNetConfig, ResNetModel
    except ImportError:
        raise ImportError("ResNet needs transformers; install it with: pip install 'modest[media]'") from None
    kind, blocks = DEPTHS[known(depth, DEPTHS, "depth")] if isinstance(depth, str) else (block, tuple(depth))
    if not 1 <= len(blocks) <= 4 or any(int(count) != count or count < 1 for count in blocks):
        raise ValueError(f"depth={list(blocks)} is no ResNet; give one to four positive numbers of blocks.")
    sizes = [scaled(size, width, multiple=4) for size in CHANNELS[known(kind, CHANNELS, "block")][: len(blocks)]]
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=scaled(64, width),
        hidden_sizes=sizes,
        depths=list(blocks),
        layer_type=kind,
    )
    body = built(lambda: ResNetModel(config), generator, draw=weights is None)
    if weights is not None:
        place = located(weights)
        refuse_other(read_settings(place), USUAL, weights)
        state = one_channel(renamed(read_state(place))) if channels == 1 else renamed(read_state(place))
        fill(body, state, weights, f"a {kind} ResNet of depth {list(blocks)}, width {width:g}")
    return ResNet(body, sizes[-1])


def scaled(size: int, width: float, multiple: int = 1) -> int:
    """``size * width`` rounded to a positive multiple.

    Raises
    ------
    ValueError
        If ``width`` is not positive.
    """
    if not width > 0:
        raise ValueError(f"width={width} is not positive; 1 is the published size, 0.25 a quarter of the channels.")
    return max(multiple, multiple * round(size * width / multiple))


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names of transformers' ``ResNetModel``; the classifier of either naming is left out."""
    if "conv1.weight" not in state:
        bare = {name.removeprefix("resnet."): tensor for name, tensor in state.items()}
        return {name: tensor for name, tensor in bare.items() if not name.startswith("classifier.")}
    return {_renamed(name): tensor for name, tensor in state.items() if not name.startswith("fc.")}


def _renamed(name: str) -> str:
    """One name of torchvision's ResNet, in transformers' words; an unknown name stays as it is."""
    parts = {"conv": "convolution", "bn": "normalization", "0": "convolution", "1": "normalization"}
    if match := re.fullmatch(r"(conv|bn)1\.(\w+)", name):
        return f"embedder.embedder.{parts[match[1]]}.{match[2]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.downsample\.([01])\.(\w+)", name):
        return f"encoder.stages.{int(match[1]) - 1}.layers.{match[2]}.shortcut.{parts[match[3]]}.{match[4]}"
    if match := re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn)(\d)\.(\w+)", name):
        layer = f"encoder.stages.{int(match[1]) - 1}.layers.{match[2]}.layer.{int(match[4]) - 1}"
        return f"{layer}.{parts[match[3]]}.{match[5]}"
    return name


def one_channel(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """First convolution over three channels summed to one.

    The sum, not the mean: on a grey picture repeated three times the published network computes exactly this, and the
    stored running mean and variance of the norm behind it stay right.
    """
    first = state.get(FIRST)
    if first is None or first.ndim != 4 or first.shape[1] != 3:
        return dict(state)
    return {**state, FIRST: first.sum(dim=1, keepdim=True)}
