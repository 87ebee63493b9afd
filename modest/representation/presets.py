"""Settings of fine-tuning by name, and the five models of the paper's Figures 1 to 3.

The paper (Zhang and Zhu, arXiv 2510.03247) is not known to say how it trains. ``ttm``: the same authors' code of the
same month (Test-Time Matching), with the same models and data. ``s-clip``: the scripts of S-CLIP (arXiv 2305.14095), a
tenth of all pairs. ``open_clip``: defaults of OpenCLIP, made for training from scratch and too hot for fine-tuning.
``small`` and ``adapt``: ours, found on generated data (docs/finetune.md): small towers over ready views, from random
first weights, and from the identity in a space that is common already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from modest.checks import known
from modest.training import Plan

__all__ = ["MODELS", "PRESETS", "Model", "Tuning", "model", "tuning"]


@dataclass(frozen=True)
class Tuning:
    """One way of fine-tuning.

    ``warmup`` in steps; a run too short for it warms up for a fifth of itself. ``restart``: factor of the rate at each
    round that starts anew from the first weights.
    """

    epochs: int
    lr: float
    batch_size: int
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    schedule: str = "cosine"
    warmup: int = 0
    autocast: bool = False
    restart: float = 1.0

    def plan(self, pairs: int, round: int = 0) -> Plan:
        """Numbers of the loop for so many pairs, at the ``round``-th restart counted from 0.

        Examples
        --------
        >>> plan = PRESETS["s-clip"].plan(pairs=2560)
        >>> plan.warmup, plan.lr
        (1.0, 5e-05)
        """
        warmup = self.warmup * self.batch_size / max(pairs, self.batch_size)
        return Plan(
            epochs=self.epochs,
            lr=self.lr * self.restart**round,
            weight_decay=self.weight_decay,
            betas=self.betas,
            eps=self.eps,
            schedule=self.schedule,
            warmup=warmup if warmup < self.epochs else self.epochs / 5,
            autocast=self.autocast,
        )


PRESETS: Mapping[str, Tuning] = MappingProxyType(
    {
        # lr 1e-5 is their script's, 4e-5 their argument's default; 20 to 30 epochs an iteration; batches of 50 groups
        "ttm": Tuning(20, 1e-5, 100, 0.05, schedule="cosine_to_tenth", restart=0.95),
        "s-clip": Tuning(25, 5e-5, 256, 0.2, warmup=10, autocast=True),  # 64 on each of 4 devices
        # epochs and batch: defaults of its arguments; ViT's betas and eps
        "open_clip": Tuning(32, 5e-4, 64, 0.2, betas=(0.9, 0.98), eps=1e-6, warmup=10_000),
        "small": Tuning(20, 3e-3, 50, 0.05, schedule="cosine_to_tenth"),
        "adapt": Tuning(20, 3e-4, 50, 0.05, schedule="cosine_to_tenth"),
    }
)


@dataclass(frozen=True)
class Model:
    """A published two-tower model: ``hub`` id, the ``loss`` it was trained with, the side that stays locked, if any."""

    hub: str
    loss: str
    lock: str | None = None


MODELS: Mapping[str, Model] = MappingProxyType(
    {
        "CLIP-B32": Model("openai/clip-vit-base-patch32", "clip"),
        "CLIP-L14": Model("openai/clip-vit-large-patch14", "clip"),
        # which checkpoint the paper means is not known, and no public one by that name: CLIP-L14 tuned as LiT tunes
        "LiT-L14": Model("openai/clip-vit-large-patch14", "clip", lock="image"),
        "SigLIP-B16": Model("google/siglip-base-patch16-224", "siglip"),
        "SigLIP-L16": Model("google/siglip-large-patch16-256", "siglip"),
    }
)


def tuning(name: str) -> Tuning:
    """Preset by name. ValueError, listing the names, if it is unknown."""
    return PRESETS[known(name, PRESETS, "preset")]


def model(name: str) -> Model:
    """Model by name. ValueError, listing the names, if it is unknown."""
    return MODELS[known(name, MODELS, "model")]
