"""The linear probe: what a plain linear classifier makes of the bought labels, fused and per modality.

Features of modality m: (x - mean) / deviation, over the rows of the unlabelled pool that have m; an absent half is the
mean, which is 0 after standardising. Where the pool lacks m somewhere, a 0/1 column says whether it is there. The fused
probe sees all modalities side by side, the modality's own probe only its columns and only rows that have it. Each is
scikit-learn's multinomial logistic regression with a fixed C (small C: strong regularisation).

The fused probe is a concat classifier whose encoders do nothing, so :meth:`Probe.arrays` can hand warm selection what
such a classifier would: the features above, which are zero where a modality is absent, and one linear head over them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from modest.checks import known
from modest.data.presence import dense, observed
from modest.selection.arrays import ARRAYS
from modest.types import Bool, Float, Views


@dataclass(frozen=True, eq=False)
class Standard:
    """Per modality: ``mean`` and ``deviation`` (d_m,), and whether a presence column is ``flagged``."""

    mean: dict[str, Float]
    deviation: dict[str, Float]
    flagged: dict[str, bool]

    @classmethod
    def of(cls, views: Views) -> Standard:
        """Statistics of the present rows of each view; deviation 1 for a constant column, mean 0 without rows."""
        there = observed(views)
        mean, deviation, flagged = {}, {}, {}
        for m, (name, array) in enumerate(views.arrays.items()):
            rows = _numbers(array)[there[:, m]]
            mean[name] = rows.mean(axis=0) if len(rows) else np.zeros(array.shape[1])
            spread = rows.std(axis=0) if len(rows) else np.ones(array.shape[1])
            deviation[name] = np.where(spread > 1e-8 * (1 + np.abs(mean[name])), spread, 1.0)
            flagged[name] = bool((~there[:, m]).any())
        return cls(mean, deviation, flagged)

    def features(self, views: Views) -> tuple[dict[str, Float], Bool]:
        """(n, d_m [+ 1]) float64 features per modality, absent rows 0, and (n, M) presence."""
        there = observed(views)
        table = {}
        for m, (name, array) in enumerate(views.arrays.items()):
            x = (_numbers(array) - self.mean[name]) / self.deviation[name]
            x[~there[:, m]] = 0.0
            table[name] = np.column_stack([x, there[:, m]]) if self.flagged[name] else x
        return table, there


class Probe:
    """Linear probe on standardised features; ``standard`` are statistics of the unlabelled pool, ``c`` is fixed.

    After ``fit``: ``classes_`` (C,) sorted, ``names_`` the modalities.
    """

    def __init__(self, standard: Standard, c: float = 1.0) -> None:
        self.standard = standard
        self.c = c

    def fit(self, views: Views, y: Any) -> Probe:
        """Fit on (b,) labelled rows; a single class makes it answer that class always."""
        table, there = self.standard.features(views)
        labels = np.asarray(y).astype(np.str_)
        self.classes_, self.names_ = np.unique(labels), views.names
        self._fused = self._model(np.hstack(list(table.values())), labels)
        self._own = {
            name: self._model(x[there[:, m]], labels[there[:, m]]) if there[:, m].any() else None
            for m, (name, x) in enumerate(table.items())
        }
        return self

    def predict(self, views: Views) -> tuple[Float, Float]:
        """(n, C) fused and (M, n, C) own probabilities, NaN where a modality is absent or was never bought."""
        table, there = self.standard.features(views)
        own = np.full((len(table), len(views), len(self.classes_)), np.nan)
        for m, (name, x) in enumerate(table.items()):
            model = self._own[name]
            if model is not None and there[:, m].any():
                own[m, there[:, m]] = self._proba(model, x[there[:, m]])
        return self._proba(self._fused, np.hstack(list(table.values()))), own

    def arrays(self, views: Views, needs: Sequence[str], y: Any = None) -> dict[str, Any]:
        """Warm arrays of all n rows, as :mod:`modest.selection.arrays` defines them, in the order of ``needs``.

        Parameters
        ----------
        views : Views
        needs : names of arrays
        y : (n,) labels, None where unknown; for ``labels`` alone

        Raises
        ------
        ValueError
            For an unknown need, or after a fit to a single class.
        """
        wanted = [known(name, ARRAYS, "needs") for name in needs]
        if isinstance(self._fused, str):
            raise ValueError("a probe of one class has no head; fit it to two classes or more.")
        table, _ = self.standard.features(views)
        weights, bias = self._linear(self._fused, table)
        parts = {name: x @ weights[name].T for name, x in table.items()}

        def proba(members: Sequence[str]) -> Float:
            logits = bias + sum((parts[name] for name in members), np.zeros((len(views), len(bias))))
            return np.asarray(softmax(logits, axis=1))

        def coalitions() -> NDArray[np.float32]:
            within = [[name for m, name in enumerate(table) if s >> m & 1] for s in range(2 ** len(table))]
            return np.stack([proba(members).astype(np.float32) for members in within])

        made: Mapping[str, Callable[[], Any]] = {
            "proba": lambda: proba(list(table)),
            "features": lambda: {name: x.astype(np.float32) for name, x in table.items()},
            "coalition_proba": coalitions,
            "head": lambda: _head(weights, bias),
            "labels": lambda: self._numbers(y, len(views)),
        }
        return {name: made[name]() for name in wanted}

    def _linear(self, model: LogisticRegression, table: Mapping[str, Float]) -> tuple[dict[str, Float], Float]:
        """Weights (C, d_m) per modality and bias (C,) of the fused probe; with two classes the first has logit 0."""
        weight, bias = model.coef_, model.intercept_
        if len(bias) == 1:
            weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append(0.0, bias)
        ends = np.cumsum([x.shape[1] for x in table.values()])[:-1]
        return dict(zip(table, np.split(weight, ends, axis=1))), bias

    def _numbers(self, y: Any, n: int) -> NDArray[np.int64]:
        """(n,) places of labels among the classes, -1 where there is none."""
        if y is None or len(y) != n:
            raise ValueError(f"labels are needed; give y, one label for each of the {n} rows, None where unknown.")
        place = {name: number for number, name in enumerate(self.classes_.tolist())}
        return np.array([-1 if label is None else place.get(str(label), -1) for label in y], dtype=np.int64)

    def _model(self, x: Float, y: NDArray[np.str_]) -> LogisticRegression | str:
        if len(set(y.tolist())) == 1:
            return str(y[0])
        with warnings.catch_warnings():  # few labels of many classes are what a budget is; y are names, not numbers
            warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
            return LogisticRegression(C=self.c, max_iter=1000).fit(x, y)

    def _proba(self, model: LogisticRegression | str, x: Float) -> Float:
        proba = np.zeros((len(x), len(self.classes_)))
        if isinstance(model, str):
            proba[:, np.searchsorted(self.classes_, model)] = 1.0
        else:
            proba[:, np.searchsorted(self.classes_, model.classes_)] = model.predict_proba(x)
        return proba


def _head(weights: Mapping[str, Float], bias: Float) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The fused probe as a function {modality: (k, d_m) tensors} -> logits (k, C)."""
    fixed, shift = {name: torch.as_tensor(weight) for name, weight in weights.items()}, torch.as_tensor(bias)

    def head(features: Mapping[str, Tensor]) -> Tensor:
        parts = [features[name] @ weight.to(features[name]).T for name, weight in fixed.items()]
        return torch.stack(parts).sum(dim=0) + shift.to(parts[0])

    return head


def _numbers(array: Any) -> Float:
    """A view as float64 in memory."""
    return np.asarray(dense(array[:]), dtype=np.float64)
