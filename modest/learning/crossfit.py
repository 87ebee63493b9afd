"""What a recipe says of rows it was not trained on, when there are no rows to spare: folds of the training rows.

Every fold of ``count`` is left out once; the recipe is trained from the same first weights on the others, as long as
the real one, and asked about the fold. Groups are not torn, classes are kept in proportion where they allow it. A row
whose class the other folds do not have says nothing about confidence and is left out of the answer.

Cost: ``count`` trainings on (count - 1) / count of the rows.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from modest.learning.calibration import Calibrated, spoken
from modest.learning.holdout import Labelled
from modest.training import Batches, Plan, World
from modest.training.fit import fit
from modest.types import Bool, Float, Int

__all__ = ["crossfit", "folds"]


def folds(y: Int, count: int, seed: int, groups: Any = None) -> Iterator[Int]:
    """Positions (k,) of every fold among rows of classes ``y`` (n,); fewer folds than ``count`` where rows are few.

    Examples
    --------
    >>> [len(fold) for fold in folds(np.array([0, 0, 0, 1, 1, 1]), 3, seed=0)]
    [2, 2, 2]
    """
    units = len(y) if groups is None else len(np.unique(groups))
    count = min(count, units)
    if count < 2:
        return
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes of fewer rows than folds are expected here
        if groups is None and np.bincount(y).max() < count:  # no class could be in every fold: any folds will do
            y = np.zeros_like(y)
        for _, out in kind(count, shuffle=True, random_state=seed).split(np.zeros(len(y)), y, groups):
            if len(out):
                yield out


def crossfit(
    untrained: Calibrated,
    data: Labelled,
    batches: Callable[[Labelled, bool], Batches],
    plan: Plan,
    world: World,
    count: int,
) -> tuple[Float, Bool, Int] | None:
    """Experts' logits (K, k, C), there (k, K) and classes (k,) of all held-out rows; None if there are none.

    ``untrained``: a recipe at its first weights, left as it is; the rest as in ``course.Course``.
    """
    y, parts = data.y[data.rows], []
    for out in folds(y, count, plan.seed, data.groups):
        inside = np.setdiff1d(np.arange(len(y)), out)
        known = out[np.isin(y[out], y[inside])]
        if not len(known):
            continue
        recipe: Any = copy.deepcopy(untrained)
        recipe.towers.world = world
        inner = replace(data, rows=data.rows[inside], groups=None)
        for _ in fit(recipe.stages(), batches(inner, True), plan, world=world, whole=True):
            pass
        said, there = spoken(recipe, batches(replace(data, rows=data.rows[known], groups=None), False))
        parts.append((said, there, y[known]))
    if not parts:
        return None
    logits, there, classes = (np.concatenate([part[k] for part in parts], axis=a) for k, a in enumerate((1, 0, 0)))
    return logits, there, classes
