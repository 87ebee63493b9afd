"""Representations trained on the pool itself (stage 1), and figures that say what space they make."""

from __future__ import annotations

from modest.representation.clip import LOSSES, Scale, clip_loss
from modest.representation.embedding import Embedding, Representation
from modest.representation.finetune import finetune
from modest.representation.gap import Gap, modality_gap
from modest.representation.infonce import cross_modal, info_nce
from modest.representation.objective import Objective, Pretraining
from modest.representation.presets import MODELS, PRESETS
from modest.representation.pretrain import pretrain
from modest.representation.prototypes import Prototypes, cluster, concentration, prototype_loss
from modest.representation.siglip import siglip_loss
from modest.representation.towers import towers, two_towers

__all__ = [
    "LOSSES",
    "MODELS",
    "PRESETS",
    "Embedding",
    "Gap",
    "Objective",
    "Pretraining",
    "Prototypes",
    "Representation",
    "Scale",
    "clip_loss",
    "cluster",
    "concentration",
    "cross_modal",
    "finetune",
    "info_nce",
    "modality_gap",
    "pretrain",
    "prototype_loss",
    "siglip_loss",
    "towers",
    "two_towers",
]
