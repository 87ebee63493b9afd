"""What the cells of ``benchmarks.balance`` train on: sets with all labels or 5 %, modalities masked, laziness provoked.

A set is one of ``benchmarks.sets``, or ``BASE+WAY``, the set BASE with a modality made tempting in training:

    shortcut   the last view gets columns that name the class: rightly in 90 % of the rows outside test, a random class
               in the others, and in test rows nothing at all (zeros). No validation row could tell, so there is none
               and all epochs are trained.
    noise      the last view gets columns of pure noise, as many as the training rows: anything can be learned by
               heart from them, and nothing that holds elsewhere.
    slow       the encoder of the first view learns at a tenth of the rate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import modest
from benchmarks import sets
from modest.data.splits import subsample

LABELS = {"full": 1.0, "5": 0.05}
RIGHT = 0.9  # share of rows whose shortcut names their class
COPIES = 100  # of the shortcut's columns; the classifier standardises, so only their number can make them loud


@dataclass(frozen=True, eq=False)
class Ground:
    """``views`` of n items with class names ``y`` (n,); rows of each part; ``groups`` (n,) or None; ``knobs`` of the
    classifier that belong to the set; ``tempted``: its validation would reward the temptation, so it has none."""

    views: modest.Views
    y: np.ndarray
    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    groups: np.ndarray | None = None
    knobs: Mapping[str, Any] = field(default_factory=dict)
    tempted: bool = False


@dataclass(frozen=True, eq=False)
class Lesson:
    """Arguments of ``fit`` and the views of the test rows."""

    X: modest.Views
    y: np.ndarray
    validation: Any
    groups: np.ndarray | None
    test: modest.Views


@lru_cache(maxsize=2)
def ground(name: str, shared: str | Path) -> Ground:
    """A set by name; see the module."""
    base, _, way = name.partition("+")
    given = sets.load(base, shared)
    train, val, test = (np.flatnonzero(given.split == part) for part in ("train", "val", "test"))
    plain = Ground(given.views, np.array(given.classes)[given.y], train, val, test, given.groups)
    return WAYS[way](plain) if way else plain


@cache
def modalities(name: str, shared: str | Path) -> tuple[str, ...]:
    """Names of a set's views."""
    return tuple(ground(name, shared).views.names)


def lesson(given: Ground, labels: str, rows: str, seed: int) -> Lesson:
    """What one cell trains and validates on.

    ``labels`` "full": the set's validation rows, or else None, a carve of the classifier's by group where there are
    groups. "5": 5 % of each class of the training rows, at least one, drawn anew per seed, and no validation.
    ``rows`` as in :func:`masked`.
    """
    views = masked(given.views, rows, given.train, seed)
    train, test = given.train, views[given.test]
    if LABELS[labels] < 1:
        drawn = train[subsample(given.y[train], LABELS[labels], seed, views.ids[train])]
        groups = None if given.groups is None else given.groups[drawn]
        return Lesson(views[drawn], given.y[drawn], False, groups, test)
    if given.tempted:
        return Lesson(views[train], given.y[train], False, None, test)
    if len(given.val):
        return Lesson(views[train], given.y[train], (views[given.val], given.y[given.val]), None, test)
    groups = None if given.groups is None else given.groups[train]
    return Lesson(views[train], given.y[train], None, groups, test)


def masked(views: modest.Views, rows: str, train: np.ndarray, seed: int) -> modest.Views:
    """The same items with modalities absent: "all" none, "only-m" and "without-m" in every row, "half-m" m in half of
    the training rows, drawn by seed."""
    how, _, name = rows.partition("-")
    present = np.ones((len(views), len(views.names)), dtype=bool)
    present &= True if views.present is None else views.present
    own = np.array([m == name for m in views.names])
    if how == "only":
        present[:, ~own] = False
    elif how == "without":
        present[:, own] = False
    elif how == "half":
        lost = np.random.default_rng(seed).permutation(train)[: len(train) // 2]
        present[np.ix_(lost, own)] = False
    return modest.Views(views.arrays, present, views.ids)


def _widened(given: Ground, more: np.ndarray) -> Ground:
    """With more columns in the last view."""
    last = given.views.names[-1]
    arrays = {**given.views.arrays, last: np.hstack([given.views.arrays[last], more]).astype(np.float32)}
    return replace(given, views=modest.Views(arrays, given.views.present, given.views.ids))


def shortcut(given: Ground) -> Ground:
    """The set with columns that name the class; see the module."""
    rng = np.random.default_rng(0)
    classes, truth = np.unique(given.y, return_inverse=True)
    told = np.where(rng.random(len(truth)) < RIGHT, truth, rng.integers(len(classes), size=len(truth)))
    code = np.eye(len(classes))[told]
    code[given.test] = 0.0
    return replace(_widened(given, np.tile(code, COPIES)), tempted=True)


def noise(given: Ground) -> Ground:
    """The set with columns of noise; see the module."""
    rng = np.random.default_rng(0)
    return _widened(given, rng.standard_normal((len(given.y), len(given.train))))


def slow(given: Ground) -> Ground:
    """The set with a slow first modality; see the module."""
    return replace(given, knobs={"rates": {given.views.names[0]: 1e-4}})


WAYS = {"shortcut": shortcut, "noise": noise, "slow": slow}
