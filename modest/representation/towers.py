"""What fine-tuning starts from: untrained small towers over ready views, or a published two-tower model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from modest.checks import known
from modest.encoders.towers import Tower, identity
from modest.encoders.trainable import build
from modest.encoders.two_towers import ProjectedTower, family
from modest.representation.embedding import Embedding, Representation
from modest.representation.presets import MODELS

__all__ = ["towers", "two_towers"]


def towers(
    widths: Mapping[str, int],
    width: int = 128,
    hidden: Sequence[int] = (),
    seed: int = 0,
    first: str = "random",
) -> Representation:
    """Untrained towers over ready views, one linear or multi-layer network per side, into one space.

    Parameters
    ----------
    widths : side -> features of its view
    width : features of the common space
    hidden : sizes of hidden layers, ReLU after each; empty for linear towers
    seed : of the first weights
    first : ``random``, and :func:`finetune` then standardises the views by their own mean and deviation when it first
        trains; ``identity``, for views that lie in one space already (of one CLIP model): towers that change nothing
        until they are trained, and nothing is standardised

    Raises
    ------
    ValueError
        For fewer than two sides, sizes below 1, an unknown ``first``, or identity towers that would change the size.

    Examples
    --------
    >>> towers({"image": 6, "text": 4}, width=8).encode({"image": np.eye(6)}).arrays["image"].shape
    (6, 8)
    """
    known(first, ("random", "identity"), "first")
    if len(widths) < 2:
        raise ValueError(f"widths names {', '.join(widths) or 'no side'}; towers align at least two sides.")
    if min(width, *widths.values(), *hidden) < 1:
        raise ValueError("width, the sizes in widths and in hidden must all be positive; give at least 1.")
    if first == "identity" and (hidden or {*widths.values()} != {width}):
        told = ", ".join(f"{name} {size}" for name, size in widths.items())
        raise ValueError(f"first='identity' needs linear towers of one size ({told}, width {width}); leave out hidden.")
    generator = torch.Generator().manual_seed(seed)
    sizes: dict[str, Any] = {"hidden": list(hidden), "width": width}
    backbones = {name: build("mlp", generator=generator, inputs=int(d), **sizes) for name, d in widths.items()}
    if first == "identity":
        for backbone in backbones.values():
            assert isinstance(backbone.net, Tower)
            backbone.net.layers[0] = identity(width)
    net = Embedding(list(backbones.values()), width, generator, projected=True)
    return Representation(list(widths), backbones, net, {"first": first, "seed": seed})


def two_towers(place: str | Path, sides: Sequence[str] = ("image", "text")) -> Representation:
    """Image and text tower of a published CLIP or SigLIP model, as it was trained.

    Parameters
    ----------
    place : transformers folder, hub id, or a name of ``presets.MODELS``, which stands for its hub id
    sides : what the side of pictures and the side of texts are called

    Raises
    ------
    FileNotFoundError
        If there is no such folder or model.
    ValueError
        If the folder has no config.json, the model is of another type, or a file is damaged.
    ImportError
        If transformers is not installed.
    """
    where = MODELS[str(place)].hub if str(place) in MODELS else place
    kind, generator = family(where), torch.Generator().manual_seed(0)
    backbones = {
        side: build(f"{kind}_{reads}", generator=generator, weights=where)
        for side, reads in zip(sides, ("image", "text"), strict=True)
    }
    tower = backbones[sides[0]].net
    assert isinstance(tower, ProjectedTower)
    net = Embedding(list(backbones.values()), tower.width, generator, projected=True)
    return Representation(list(sides), backbones, net, {"model": str(place), "scale": tower.temper})
