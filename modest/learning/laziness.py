r"""Is a modality lazy? Its encoder after joint training, beside the same encoder trained on that modality alone.

A modality is lazy if training beside others leaves its encoder worse than training by itself would have, because the
others lowered the loss first. It is not lazy because it is weak: what counts is the difference to its own best.
Reference: MLA (see ``mla.py``), Figure 2 and the single-modality columns of Table 1, where training rows lack the other
modality; here they lack all others.

==========  ================  ===========================================================================
symbol      here              meaning
==========  ================  ===========================================================================
f_m         joint encoder     encoder of modality m in the classifier looked at
f'_m        alone encoder     the same architecture, trained on rows of m only, with one linear head
acc(f)      ``*_probe``       test accuracy of a linear probe: a logistic regression fitted on f's training features
-           ``alone``         test accuracy of the head f'_m was trained with
-           ``joint``         test accuracy of m's own logits in the classifier
==========  ================  ===========================================================================

    laziness of the encoder = acc(f'_m) - acc(f_m),    of what it says = alone - joint

All accuracies of a modality are over the test rows that have it, so both differences are paired by row. The first
says whether m is lazy: probe against probe compares encoders only. The second also counts a head that never learned to
speak for one modality alone, as a slice of a joint head does not; with a sound encoder such a modality is *unheard*.

Departures: the paper compares accuracies of whole models only, without intervals. "Alone" is recipe ``late`` of one
modality, plain cross-entropy, whatever the classifier's recipe, with its numbers of epochs, rates and sizes. Probes
see the training rows their encoder has seen, so one that knows these by heart is measured low, alone as jointly.
Intervals are over test rows; another seed of training adds a spread of its own. Cost: a training per modality, and
two passes over training and test rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from modest.data.pool import Pool
from modest.data.presence import observed
from modest.evaluation import Difference, compare_rows
from modest.evaluation.curves import POINT
from modest.learning.analyses import heard
from modest.learning.assembly import Projected, pretrained
from modest.learning.inputs import encode_labels, table
from modest.learning.methods import METHODS
from modest.representation.embedding import Embedding, Representation
from modest.types import Bool, Float, Int, Views

__all__ = ["Laziness", "laziness", "trained_alone", "verdict"]

REMEDIES = ("auto", "mla", "late", "unimodal")  # recipes in which no modality can hide behind another


@dataclass(frozen=True)
class Laziness:
    """One modality: four accuracies on ``rows`` test rows and two differences with intervals, see the module."""

    rows: int
    alone: float
    joint: float
    alone_probe: float
    joint_probe: float
    encoder: Difference
    said: Difference

    @property
    def lazy(self) -> bool:
        """Whether the encoder lost more than a point, and the interval of the loss lies above 0."""
        return _lost(self.encoder)

    @property
    def unheard(self) -> bool:
        """Whether its encoder is not lazy, and what it says lost that much all the same."""
        return _lost(self.said) and not self.lazy


@dataclass(frozen=True, eq=False)
class _Rows:
    """Labelled rows of a table: ``X``, ``rows`` (k,) of it, ``y`` (k,) their labels."""

    X: Any
    rows: Int
    y: Any

    def only(self, name: str, there: Bool) -> _Rows:
        """Those of the rows marked in (k,), with one modality."""
        return _Rows(_only(self.X, name), self.rows[there], self.y[there])


@dataclass(frozen=True, eq=False)
class _Said:
    """One modality where it is there: ``features`` (k, s), class numbers ``y`` (k,), own word ``right`` (k,) bool."""

    features: Float
    y: Int
    right: Bool


def laziness(clf: Any, train: Any, test: Any = "test", alone: Mapping[str, Any] | None = None) -> dict[str, Laziness]:
    """Laziness of every modality of a fitted classifier.

    Parameters
    ----------
    clf : MultimodalClassifier, fitted on ``train``
    train : Pool, or (X, y) of ready views, as for ``fit``
    test : (X, y), or of a Pool the name of a split, whose labelled rows are taken
    alone : modality -> classifier, optional
        What :func:`trained_alone` gave, so that several recipes can be compared with one set of trainings.

    Raises
    ------
    ValueError
        If there are no labelled rows of a split, or none with some modality; for a fill other than "feature", and what
        ``fit`` and predictions refuse.
    """
    if isinstance(test, str) and not isinstance(train, Pool):
        raise ValueError(f"test={test!r} names a split, and train is no Pool; give (X, y).")
    learned, judged = _rows(train, "train"), _rows(train, test) if isinstance(test, str) else _rows(test, "test")
    alone = trained_alone(clf, train) if alone is None else alone
    there, before = _heard(clf, learned)
    there_test, after = _heard(clf, judged)
    found = {}
    for name in clf.names_:
        if not there_test[name].any() or not there[name].any():
            short = "test" if there[name].any() else "train"
            raise ValueError(f"{short} has no labelled row with {name}; leave that modality out of the classifier.")
        one = _heard(alone[name], learned.only(name, there[name]))[1][name]
        other = _heard(alone[name], judged.only(name, there_test[name]))[1][name]
        apart, joint = _probed(one, other), _probed(before[name], after[name])
        right, said = other.right, after[name].right
        found[name] = Laziness(
            len(said), float(right.mean()), float(said.mean()), float(apart.mean()), float(joint.mean()),
            compare_rows(apart, joint), compare_rows(right, said),
        )  # fmt: skip
    return found


def trained_alone(clf: Any, train: Any) -> dict[str, Any]:
    """One classifier per modality, trained on it alone with the settings of ``clf``; ``train`` as for ``laziness``.

    The recipe is ``late``, which with one modality is an encoder and a linear head. Pretrained encoders are started
    from alone too; a classifier read from disk does not remember them, so set its ``encoders`` again first.
    """
    given = pretrained(clf.encoders)
    models = {}
    for name in clf.names_:
        projected = isinstance(clf.trained_.made.modules[name], Projected)
        rated = (name, "projectors") if projected else (name,)
        settings = {
            "method": "late",
            "options": None,
            "encoders": None if given is None else _lone(given, name),
            "rates": {key: rate for key, rate in (clf.rates or {}).items() if key in rated},
        }
        if isinstance(train, Pool):
            made_by = clf.trained_.reader.views.get(name)
            on_view = given is None or clf.trained_.reader.readings[name] is None
            settings["views"] = {name: made_by or train.encoder(name)} if on_view else None
            models[name] = clone(clf).set_params(**settings).fit(train)
        else:
            views = _only(table(train[0]), name)
            there = observed(views)[:, 0]
            models[name] = clone(clf).set_params(**settings).fit(views[there], np.asarray(train[1])[there])
    return models


def verdict(found: Mapping[str, Laziness], method: str) -> str:
    """Return one plain sentence: which modalities are lazy or unheard under recipe ``method``, and what to try."""
    lazy = {name: one.encoder for name, one in found.items() if one.lazy}
    unheard = {name: one.said for name, one in found.items() if one.unheard}
    if not lazy and not unheard:
        least = "; ".join(f"{name} {_points(one.encoder)}" for name, one in found.items())
        return f"No modality is shown to be lazy under {method} (points lost by the encoder: {least}): no mend is due."
    told = [
        f"{name} is lazy, its encoder is {_points(lost)} points worse than trained alone"
        for name, lost in lazy.items()
    ]
    told += [
        f"{name} is unheard, its encoder is sound but its own word is {_points(lost)} points worse than trained alone, "
        "which costs where the others are absent"
        for name, lost in unheard.items()
    ]
    other = [f"--method {name}" for name in REMEDIES if name in METHODS and name != method]
    return f"Under {method} {'; '.join(told)}: try {' or '.join(other)}."


def _lost(difference: Difference) -> bool:
    return difference.low > 0 and difference.mean > POINT


def _points(lost: Difference) -> str:
    return f"{100 * lost.mean:.1f} [{100 * lost.low:.1f}, {100 * lost.high:.1f}]"


def _lone(encoders: Any, name: str) -> Any:
    """Encoders of a classifier, those of one modality alone."""
    if isinstance(encoders, Mapping):
        return {name: encoders[name]}
    m, net, backbones = encoders.names.index(name), encoders.net, {name: encoders.backbones[name]}
    one = Embedding(list(backbones.values()), net.width, torch.Generator().manual_seed(0), net.projected)
    one.encoders, one.projectors = net.encoders[m : m + 1], net.projectors[m : m + 1]
    return Representation([name], backbones, one, encoders.about, encoders.sources)


def _rows(given: Any, split: str) -> _Rows:
    if isinstance(given, Pool):
        rows = np.flatnonzero((given.split == split) & np.array([label is not None for label in given.labels]))
        if not len(rows):
            raise ValueError(f"{given.path} has no labelled rows of split {split!r}; name another.")
        return _Rows(given, rows, given.labels[rows])
    X, y = given
    views = table(X)
    return _Rows(views, np.arange(len(views)), np.asarray(y))


def _only(X: Any, name: str) -> Any:
    """Views of one modality alone; a pool stays as it is, its classifier reads what it knows."""
    if isinstance(X, Pool):
        return X
    present = None if X.present is None else X.present[:, [X.names.index(name)]]
    return Views({name: X.arrays[name]}, present, X.ids)


def _heard(clf: Any, side: _Rows) -> tuple[dict[str, Bool], dict[str, _Said]]:
    """Where each modality is there, (k,) bool of the side's rows, and what it says and emits there."""
    found, features = heard(clf.trained_, side.X, side.rows, clf.device)
    numbers = encode_labels(side.y, len(side.rows), clf.classes_)[1]
    there, said = {}, {}
    for m, name in enumerate(clf.names_):
        at = there[name] = found.present[:, m]
        right = found.modality[m, at].argmax(axis=1) == numbers[at]
        said[name] = _Said(features.arrays[name][at], numbers[at], right)
    return there, said


def _probed(train: _Said, test: _Said) -> Bool:
    """(k,) which test rows a linear probe gets right that was fitted on the training rows of known class."""
    seen = train.y >= 0
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    guess = model.fit(train.features[seen], train.y[seen]).predict(test.features)
    return np.asarray(guess == test.y)
