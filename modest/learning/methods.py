"""The table of recipes: how each is built, its options, one line of what it does, and its paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Protocol

import torch

from modest.checks import known
from modest.learning import concat, late, mla
from modest.learning.towers import Towers
from modest.training.task import Batch, Logits, Task

__all__ = ["METHODS", "Method", "Recipe"]


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
    }
)
