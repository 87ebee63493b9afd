"""A recipe trained from its first weights to its last word: the loop, validation after each epoch, calibration."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from modest.learning.calibration import Calibrated, spoken
from modest.learning.crossfit import crossfit
from modest.learning.holdout import Labelled
from modest.learning.measure import Dynamics, measure
from modest.learning.methods import Recipe, Surveying
from modest.training import Batches, Kept, Plan, World
from modest.training.fit import fit
from modest.types import Bool, Float, Int, Record

__all__ = ["FOLDS", "Course"]

FOLDS = 5  # of the training rows, for the calibration of a recipe without validation rows


@dataclass(frozen=True, eq=False)
class Course:
    """How a recipe is trained.

    ``data`` and ``check``: rows that train and rows that validate (maybe none); ``batches`` (rows, training?) -> their
    Batches; ``dynamics`` notes what is said of every training row after each epoch; ``kept`` and ``world`` as in the
    loop. ``history``: the Records of the epochs so far.
    """

    recipe: Recipe
    data: Labelled
    check: Labelled
    batches: Callable[[Labelled, bool], Batches]
    plan: Plan
    dynamics: Dynamics | None = None
    kept: Kept | None = None
    world: World = field(default_factory=World)
    history: list[Record] = field(default_factory=list)

    def records(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Record]:
        """Train, yielding the Records of the loop; a recipe that can be calibrated is, on rows that did not train."""
        recipe = self.recipe
        untrained = copy.deepcopy(recipe) if isinstance(recipe, Calibrated) else None
        self.recipe.towers.world = self.world
        if isinstance(recipe, Surveying):
            recipe.survey(self.batches(self.data, False).epoch())
        validate = (lambda task: measure(task, self.batches(self.check, False))) if len(self.check.rows) else None
        batches = self.batches(self.data, True)
        for record in fit(
            self.recipe.stages(), batches, self.plan, validate, progress, self.kept, self.world, whole=True
        ):
            if "losses" in record.values:
                self.history.append(record)
                if self.dynamics is not None:
                    self.dynamics.note(self.recipe, self.batches(self.data, False))
            yield record
        if isinstance(recipe, Calibrated) and untrained is not None:
            held = self._held_out(recipe, untrained)
            if held is not None:
                recipe.calibrate(*held)

    def _held_out(self, recipe: Calibrated, untrained: Calibrated) -> tuple[Float, Bool, Int] | None:
        """What is said of rows that did not train, and their classes: those that validate, else folds of the others."""
        rows = self.check.rows[self.check.y[self.check.rows] >= 0]
        if not len(rows):
            return crossfit(untrained, self.data, self.batches, self.plan, self.world, FOLDS)
        held = Labelled(self.check.table, self.check.y, rows)
        return *spoken(recipe, self.batches(held, False)), self.check.y[rows]
