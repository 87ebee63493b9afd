"""What is trained on the pairs bought: a ridge map in closed form, and towers with a contrastive loss.

A learner is fitted on pairs and then embeds rows of the sides into one space. Columns are centred, and scaled to
deviation 1 where the sides have no common space, by the rows of the pool, bought or not: nothing of a pair is in that.

Ridge, from scratch, of the first side x towards the second y:

    W  =  argmin ||X W - Y||^2 + l ||W||^2,      e(x) = x W,   e(y) = y

and from sides that share a space, with W = I + D, only D shrunk, so that without a pair the space is as it was, but
centred. The strength l = g trace(X X^T) / k, g from a fixed grid, has the least squared error left out one by one among
the bought pairs, in closed form: (residual of i) / (1 - h_ii). Cost k^2 d + k d per round for k pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from modest.representation.finetune import finetune
from modest.representation.presets import PRESETS
from modest.representation.towers import towers
from modest.types import Float, Int

GRID = tuple(10.0**e for e in np.arange(-3.0, 3.5, 0.5))


class Learner(Protocol):
    """``start(sides, common)`` sees the pool's rows once; ``fit(pairs)`` trains on all pairs bought so far."""

    def start(self, sides: Mapping[str, Any], common: bool) -> None:
        """Get to know the rows of the pool, without any pair."""

    def fit(self, pairs: Int) -> None:
        """Train on (k, 2) pairs of rows of the pool."""

    @property
    def ready(self) -> bool:
        """Whether there is a common space yet."""

    def embed(self, sides: Mapping[str, Any]) -> dict[str, Float]:
        """Rows of the sides in the common space."""


class Ridge:
    """The yardstick of the file's head. It has no knob, and going on from before and beginning anew are one."""

    def __init__(self, seed: int = 0, retrain: str = "continue") -> None:
        self._map: Float | None = None

    def start(self, sides: Mapping[str, Any], common: bool) -> None:
        """Take centres and, without a common space, deviations from the rows of the pool."""
        self._common = common
        self._names = tuple(sides)
        self._centre = {name: np.mean(x, axis=0, dtype=np.float64) for name, x in sides.items()}
        self._scale = {name: _deviation(x) if not common else np.ones(x.shape[1]) for name, x in sides.items()}
        self._rows = {name: self._plain(name, x) for name, x in sides.items()}

    @property
    def ready(self) -> bool:
        """Whether there is a common space yet."""
        return self._common or self._map is not None

    def fit(self, pairs: Int) -> None:
        """Solve for the map; without a pair nothing changes."""
        if len(pairs):
            a, b = self._names
            x, y = self._rows[a][pairs[:, 0]], self._rows[b][pairs[:, 1]]
            self._map = ridge(x, y - x if self._common else y)

    def embed(self, sides: Mapping[str, Any]) -> dict[str, Float]:
        """Rows of the first side mapped, those of the second as they are, centred."""
        found = {name: self._plain(name, x) for name, x in sides.items()}
        first = self._names[0]
        if first in found and self._map is not None:
            x = found[first]
            found[first] = x @ self._map + (x if self._common else 0.0)
        return found

    def _plain(self, name: str, x: Any) -> Float:
        return np.asarray((np.asarray(x, dtype=np.float64) - self._centre[name]) / self._scale[name])


def ridge(x: Float, y: Float) -> Float:
    """(d, e) map of (k, d) rows to (k, e) rows, its strength chosen by leaving out one by one; see above."""
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    strengths = [g * float((s**2).sum()) / len(x) for g in GRID]
    own = u.T @ y
    if len(x) == 1:
        best = strengths[-1]
    else:
        best = min(strengths, key=lambda strength: _left_out(u, s, own, y, strength))
    return np.asarray(vt.T @ ((s / (s**2 + best))[:, None] * own))


def _left_out(u: Float, s: Float, own: Float, y: Float, strength: float) -> float:
    """Sum of squared errors of every row, predicted by the others."""
    shrink = s**2 / (s**2 + strength)
    residual = y - u @ (shrink[:, None] * own)
    leverage = (u**2) @ shrink
    return float(((residual / np.maximum(1.0 - leverage, 1e-12)[:, None]) ** 2).sum())


def _deviation(x: Any) -> Float:
    deviation = np.std(x, axis=0, dtype=np.float64)
    return np.where(deviation > 1e-8 * (1 + np.abs(np.mean(x, axis=0))), deviation, 1.0)


class Towers:
    """Linear or multi-layer towers over the views with the CLIP loss: ``modest.representation.towers``, ``finetune``.

    ``width``, ``hidden`` and ``first`` as there, "identity" being the default in a common space; ``continue`` trains on
    all pairs from the last round's towers, ``restart`` from the first ones. ``loss``, ``batch_size``, ``epochs`` and
    ``lr`` go to the fine-tuning, those left out by its own defaults.
    """

    def __init__(
        self,
        seed: int = 0,
        retrain: str = "continue",
        width: int = 128,
        hidden: tuple[int, ...] = (),
        epochs: int | None = None,
        lr: float | None = None,
        **knobs: Any,
    ) -> None:
        self.seed, self.retrain, self.width, self.hidden, self.knobs = seed, retrain, width, tuple(hidden), knobs
        given = (("epochs", epochs), ("lr", lr))
        self.numbers: dict[str, Any] = {name: value for name, value in given if value is not None}

    def start(self, sides: Mapping[str, Any], common: bool) -> None:
        """Make the first towers; sides of a common space keep it."""
        widths = {name: int(x.shape[1]) for name, x in sides.items()}
        width = next(iter(widths.values())) if common else self.width
        first = "identity" if common else "random"
        self._first = self._now = towers(widths, width, () if common else self.hidden, self.seed, first)
        self._sides, self.ready = dict(sides), common

    def fit(self, pairs: Int) -> None:
        """Train on all pairs; fewer than two train nothing."""
        if len(pairs) < 2:
            return
        start = self._first if self.retrain == "restart" else self._now
        usual = PRESETS["adapt" if self._first.about["first"] == "identity" else "small"]
        plan = replace(usual.plan(len(pairs)), **self.numbers)
        knobs = {"batch_size": usual.batch_size, **self.knobs}
        self._now = finetune(start, self._sides, pairs, plan=plan, seed=self.seed, device="cpu", **knobs).result
        self.ready = True

    def embed(self, sides: Mapping[str, Any]) -> dict[str, Float]:
        """Rows of the sides, each through its tower."""
        return {name: self._now.encode({name: x}, device="cpu").arrays[name] for name, x in sides.items()}


LEARNERS: dict[str, Callable[..., Learner]] = {"ridge": Ridge, "towers": Towers}
