"""The paper's supervised and semi-supervised trainings as arguments of the classifier."""

from __future__ import annotations

from typing import Any

from modest.encoders.presets import preset

__all__ = ["of_preset"]


def of_preset(name: str) -> dict[str, Any]:
    """Keyword arguments of MultimodalClassifier that a preset stands for, e.g. "food101/supervised".

    The classifier is BMMAL's, which the paper's code follows: concatenation with a head per modality beside the joint
    one. A semi-supervised preset names no encoders: they are those of the pretraining, to be given as ``encoders``.

    Raises
    ------
    ValueError
        For an unknown preset, or one that pretrains.
    """
    told = preset(name)
    if told.stage == "pretraining":
        raise ValueError(f"preset {name!r} has no labels to train on; give it to modest represent.")
    rates = told.rates
    lr = rates.pop("heads")
    return {
        "method": "concat",
        "options": {"unimodal_heads": True},
        "encoders": told.encoders if told.start == "published" else None,
        "epochs": told.epochs,
        "warmup": told.warmup,
        "lr": lr,
        "rates": rates,
        "batch_size": told.batch,
        "weight_decay": told.weight_decay,
        "betas": told.betas,
        "optimizer": told.optimizer,
        "schedule": told.schedule,
        "width": told.width,
    }
