"""Representations trained on the pool itself (stage 1), and figures that say what space they make."""

from __future__ import annotations

from modest.representation.gap import Gap, modality_gap
from modest.representation.infonce import cross_modal, info_nce
from modest.representation.prototypes import Prototypes, cluster, concentration, prototype_loss

__all__ = [
    "Gap",
    "Prototypes",
    "cluster",
    "concentration",
    "cross_modal",
    "info_nce",
    "modality_gap",
    "prototype_loss",
]
