"""The table of recipes: how each is built, its options, one line of what it does, and its paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

import torch

from modest.checks import known
from modest.learning import (
    auto,
    bigated,
    concat,
    dgl,
    film,
    late,
    lfm,
    mla,
    mmpareto,
    ogm_ge,
    qmf,
    reconboost,
    unimodal,
)
from modest.learning import sum as added
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["METHODS", "Method", "Recipe", "Surveying"]


class Recipe(Protocol):
    """What the classifier calls: tasks to train and logits to predict with."""

    name: str
    net: torch.nn.Module
    towers: Towers

    def stages(self) -> list[Task]:
        """Tasks, run in order by the loop."""
        ...

    def logits(self, batch: Batch) -> Logits:
        """Predictions."""
        ...


@runtime_checkable
class Surveying(Protocol):
    """A recipe that looks at all training rows before its first step."""

    def survey(self, batches: Iterable[Batch]) -> None:
        """Of every training row once, whole on each process; what is taken from them is part of ``net``."""
        ...


@dataclass(frozen=True)
class Method:
    """A recipe: its class, the dataclass of its options, one line of what it does, and the paper."""

    recipe: Callable[..., Recipe]
    options: type[Any]
    summary: str
    paper: str

    def build(
        self,
        towers: Towers,
        names: Sequence[str],
        classes: int,
        generator: torch.Generator,
        options: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """Return the recipe, untrained.

        Raises
        ------
        ValueError
            For an option the recipe does not know (lists those it knows).
        """
        given = dict(options or {})
        for name in given:
            table = [field.name for field in fields(self.options)]
            if not table:
                raise ValueError(f"options has {name!r}, but this method takes no options; leave them out.")
            known(name, table, "options key")
        return self.recipe(towers, names, classes, generator, self.options(**given))


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        "mla": Method(
            mla.MLA,
            mla.Options,
            "modalities take turns on a shared head with projected gradients; entropy fusion",
            "Zhang et al., Multimodal Representation Learning by Alternating Unimodal Adaptation, CVPR 2024",
        ),
        "concat": Method(
            concat.concat, concat.Options, "one head over all features side by side, trained jointly", "baseline"
        ),
        "late": Method(late.Late, late.Options, "a head per modality, logits averaged", "baseline"),
        "sum": Method(added.summed, added.Options, "a head per modality, logits added, trained jointly", "baseline"),
        "film": Method(
            film.film,
            film.Options,
            "one modality scales and shifts the features of every other, then one head",
            "Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, AAAI 2018",
        ),
        "bigated": Method(
            bigated.bigated,
            bigated.Options,
            "one modality gates the features of every other, then one head",
            "Kiela et al., Efficient Large-Scale Multi-Modal Classification, AAAI 2018",
        ),
        "ogm_ge": Method(
            ogm_ge.OGMGE,
            ogm_ge.Options,
            "joint training in which the gradient of the encoder that is ahead is damped, and noise added to all",
            "Peng et al., Balanced Multimodal Learning via On-the-fly Gradient Modulation, CVPR 2022",
        ),
        "qmf": Method(
            qmf.QMF,
            qmf.Options,
            "late fusion weighed by energy; confidences ranked by how easy rows have been",
            "Zhang et al., Provable Dynamic Fusion for Low-Quality Multimodal Data, ICML 2023",
        ),
        "mmpareto": Method(
            mmpareto.MMPareto,
            mmpareto.Options,
            "joint and own losses; an encoder they pull apart goes where both fall",
            "Wei and Hu, MMPareto: Boosting Multimodal Learning with Innocent Unimodal Assistance, ICML 2024",
        ),
        "reconboost": Method(
            reconboost.ReconBoost,
            reconboost.Options,
            "modalities take turns of some epochs, each fitting what the others leave over; then all are rectified",
            "Hua et al., ReconBoost: Boosting Can Achieve Modality Reconcilement, ICML 2024",
        ),
        "lfm": Method(
            lfm.LFM,
            lfm.Options,
            "one loss on the mean of the logits, one on how far the modalities' predictions lie apart",
            "Yang et al., Facilitating Multimodal Classification via Dynamically Learning Modality Gap, NeurIPS 2024",
        ),
        "dgl": Method(
            dgl.DGL,
            dgl.Options,
            "encoders learn from their own losses only, the joint head from the joint loss only",
            "Disentangled Gradient Learning (DGL), ICCV 2025",
        ),
        "unimodal": Method(
            unimodal.Unimodal,
            unimodal.Options,
            "every modality trained wholly on its own, with its own best epoch; logits averaged",
            "control",
        ),
        "auto": Method(
            auto.Auto,
            auto.Options,
            "own heads and a joint one, at temperatures of rows that did not train, which also decide how they vote",
            "modest's own",
        ),
    }
)
