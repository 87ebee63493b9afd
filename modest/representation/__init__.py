"""Representations trained on the pool itself (stage 1), and figures that say what space they make."""

from __future__ import annotations

from modest.representation.embedding import Embedding, Representation
from modest.representation.gap import Gap, modality_gap
from modest.representation.infonce import cross_modal, info_nce
from modest.representation.objective import Objective, Pretraining
from modest.representation.pretrain import pretrain
from modest.representation.prototypes import Prototypes, cluster, concentration, prototype_loss

__all__ = [
    "Embedding",
    "Gap",
    "Objective",
    "Pretraining",
    "Prototypes",
    "Representation",
    "cluster",
    "concentration",
    "cross_modal",
    "info_nce",
    "modality_gap",
    "pretrain",
    "prototype_loss",
]
