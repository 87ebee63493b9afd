"""R(2+1)D over clips (Tran et al. 2018, "A closer look at spatiotemporal convolutions for action recognition").

Each 3-D convolution is a spatial one, a norm and a ReLU, and a temporal one. Names of parameters are those of
torchvision's ``r2plus1d_18``, so that its checkpoints load.

M = floor(t d^2 a b / (d^2 a + t b)) spatial filters stand between a input and b output channels, t = d = 3, so that the
pair has about the parameters of the 3-D convolution (section 3.5). Two departures, both of the published weights: M of
a block is computed once, from the block's input and output, and serves both of its convolutions; the stem has 45
filters (the formula with t = 3, d = 7 gives 83).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from modest.encoders.initialise import built
from modest.encoders.norms import alone
from modest.encoders.resnet import scaled
from modest.encoders.weights import fill, located, read_state

__all__ = ["R2Plus1D", "middle", "r2plus1d"]

STEM, CHANNELS = 45, (64, 128, 256, 512)


def middle(inputs: int, outputs: int) -> int:
    """Spatial filters between ``inputs`` and ``outputs`` channels, for a 3x3x3 convolution.

    Examples
    --------
    >>> middle(64, 64), middle(64, 128)
    (144, 230)
    """
    return max(1, (27 * inputs * outputs) // (9 * inputs + 3 * outputs))


def spatial(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Conv3d:
    """Convolution over height and width."""
    pad = (0, size // 2, size // 2)
    return nn.Conv3d(inputs, outputs, (1, size, size), (1, stride, stride), pad, bias=False)


def temporal(inputs: int, outputs: int, stride: int = 1) -> nn.Conv3d:
    """Convolution over three frames."""
    return nn.Conv3d(inputs, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False)


def separated(inputs: int, between: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Spatial convolution, norm, ReLU, temporal convolution."""
    first = [spatial(inputs, between, stride=stride), nn.BatchNorm3d(between), nn.ReLU(inplace=True)]
    return nn.Sequential(*first, temporal(between, outputs, stride))


class Block(nn.Module):
    """Two separated convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        between = middle(inputs, outputs)
        self.conv1 = nn.Sequential(
            separated(inputs, between, outputs, stride), nn.BatchNorm3d(outputs), nn.ReLU(inplace=True)
        )
        self.conv2 = nn.Sequential(separated(outputs, between, outputs), nn.BatchNorm3d(outputs))
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            reduce = nn.Conv3d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(reduce, nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(k, inputs, t, h, w) to (k, outputs, t', h', w')."""
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.conv2(self.conv1(x)) + shortcut)


class R2Plus1D(nn.Module):
    """Clips (k, 3, frames, h, w) to features (k, width): the global average of the last stage."""

    def __init__(self, depth: Sequence[int], width: float) -> None:
        super().__init__()
        between, first = scaled(STEM, width), scaled(CHANNELS[0], width)
        self.stem = nn.Sequential(
            spatial(3, between, size=7, stride=2),
            nn.BatchNorm3d(between),
            nn.ReLU(inplace=True),
            temporal(between, first),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
        )
        self.stages: list[str] = []
        inputs = first
        for number, count in enumerate(depth):
            outputs = scaled(CHANNELS[number], width)
            blocks = [
                Block(inputs if i == 0 else outputs, outputs, 2 if i == 0 and number > 0 else 1) for i in range(count)
            ]
            self.stages.append(f"layer{number + 1}")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
            inputs = outputs
        self.width = inputs

    def forward(self, x: Tensor) -> Tensor:
        """Average over frames and places."""
        with alone(self, x):
            x = self.stem(x)
            for name in self.stages:
                x = self.get_submodule(name)(x)
        return x.mean(dim=(2, 3, 4))


def r2plus1d(
    depth: Sequence[int] = (2, 2, 2, 2),
    *,
    generator: torch.Generator,
    width: float = 1.0,
    weights: str | Path | None = None,
) -> R2Plus1D:
    """Build an R(2+1)D.

    Parameters
    ----------
    depth : blocks per stage, one to four stages; (2, 2, 2, 2) is R(2+1)D-18
    generator : seeded; the only source of the first weights
    width : factor of all channel counts
    weights : file (or folder) with torchvision's names; the classifier ``fc`` is left out

    Raises
    ------
    ValueError
        If depth or width is impossible, or the weights are of another architecture.
    """
    blocks = tuple(depth)
    if not 1 <= len(blocks) <= 4 or any(int(count) != count or count < 1 for count in blocks):
        raise ValueError(f"depth={list(blocks)} is no R(2+1)D; give one to four positive numbers of blocks.")
    net = built(lambda: R2Plus1D(blocks, width), generator, draw=weights is None)
    if weights is not None:
        state = {name: t for name, t in read_state(located(weights)).items() if not name.startswith("fc.")}
        fill(net, state, weights, f"an R(2+1)D of depth {list(blocks)}, width {width:g}")
    return net
