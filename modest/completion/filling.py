r"""Filling: an absent modality is given an input, zeros or the mean of the training rows, under one head for all.

The two baselines of every paper on missing modalities, and the ablation of those that imagine: whatever they imagine
has to be worth more than a constant. Reference: Little and Rubin, Statistical Analysis with Missing Data.

=====  ==================  ===========  =======================================================
symbol here                shape        meaning
=====  ==================  ===========  =======================================================
x_m                        (n, d_m)     ready view of modality m
mu_m   ``Tower.shift``     (d_m,)       its mean over training rows that have it
f_m    ``towers``          (n, s)       encoder, which standardises its input first
=====  ==================  ===========  =======================================================

Equations: x'_mi = x_mi where m is present in row i, else 0 (``zero``) or mu_m (``mean``); then ``concat`` of x'. Zero
is a point of the raw view, far from the data where its mean is far from zero; mu_m is zero to the encoder. With
``standardise=False`` there is no mean, and both are the same.

The mean is of training rows alone (published code takes the mean of train, validation and test rows: a leak). An absent
modality speaks, has a gradient and counts among the weights like any other. Needs ready views, any number of them; the
same is had of every recipe by ``fill="zero"`` or ``"mean"``. Cost: one pass per modality and row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from modest.encoders.towers import linear
from modest.learning import concat
from modest.learning.joint import Joint
from modest.learning.towers import Towers

__all__ = ["Options", "filled"]


@dataclass(frozen=True)
class Options:
    """Filling has no options."""


def filled(fill: str) -> Callable[..., Joint]:
    """Return the recipe that fills by ``fill``, "zero" or "mean", named after it."""

    def build(
        towers: Towers, names: Sequence[str], classes: int, generator: torch.Generator, options: Options
    ) -> Joint:
        """Untrained; ValueError if the towers already fill."""
        if towers.fill != "feature":
            raise ValueError(f"method={fill!r} fills by itself, and fill={towers.fill!r} is given; leave fill out.")
        full = Towers(list(towers.encoders), towers.width, fill)
        head = linear(full.width * len(full), classes, generator, full.dtype)
        return Joint(fill, full, head, concat.join, concat.alone)

    return build
