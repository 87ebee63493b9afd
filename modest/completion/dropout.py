r"""Modality dropout: every step hides some modalities that are there, so that the joint head learns to do without.

The cheapest remedy, and often hard to beat. Reference: Neverova, Wolf, Taylor, Nebout: ModDrop: Adaptive Multi-modal
Gesture Recognition, TPAMI 2016.

Symbols: f_m features (n, s), zero where m is absent or hidden; r_im in {0, 1} what is left of row i (``hiding.draw``);
W_m, b as in ``concat.py``; p ``share``, the probability with which a modality is hidden.

Equation: loss = mean_i CE(sum_m r_im W_m f_mi + b, y_i); prediction with everything that is there.

Departures: the paper drops a modality's input together with pretraining of each path and a fusion layer that starts
block-wise; here nothing is pretrained, and one modality of a row always stays (the paper may drop all). Features are
not scaled up by 1 / (1 - p), for what is absent at prediction is absent. Cost: as ``concat``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modest.completion.hiding import draw, hidden
from modest.encoders.towers import linear
from modest.learning import concat
from modest.learning.joint import Joint
from modest.learning.towers import Towers
from modest.training.task import Batch

__all__ = ["Dropout", "Options"]


@dataclass(frozen=True)
class Options:
    """``share``: probability that a modality is hidden in a step."""

    share: float = 0.5

    def __post_init__(self) -> None:
        """Check the range."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"options['share']={self.share} is not a share in [0, 1]; try 0.5.")


class Dropout(Joint):
    """The recipe; see the module."""

    def __init__(
        self, towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> None:
        head = linear(towers.width * len(towers), classes, generator, towers.dtype)
        super().__init__("dropout", towers, head, concat.join, concat.alone)
        self.share = options.share

    def turns(self, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        """One turn: the joint loss of what is left of every row."""
        yield from super().turns(hidden(batch, draw(batch.present, self.share)))
