"""Warm arrays from any trained classifier with ``predict_proba``, over one array whose columns are the modalities.

    proba            predict_proba(X)
    features         the columns of every modality; or the embeddings that ``predict_proba`` gives beside probabilities
    coalition_proba  predict_proba(X with the columns of all modalities outside the coalition set to zero)
    head             features -> features @ coef_.T + intercept_ of a linear model; for two classes (0, that)
    labels           place among the classifier's classes, -1 where unknown

Definitions are those of ``modest.selection.arrays``: what is absent is zero for the classifier too. Columns should
therefore have mean zero. Cost a prediction of every row, and of 2^M times as many for coalitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modest.selection import bmmal
from modest.types import Bool, Int, Views


def cut(X: NDArray[np.floating], blocks: Mapping[str, Int]) -> dict[str, Any]:
    """Columns ``blocks[name]`` of X (n, d) for every name."""
    return {name: X[:, columns] for name, columns in blocks.items()}


def warm_arrays(
    clf: Any,
    wanted: Sequence[str],
    X: NDArray[np.floating],
    blocks: Mapping[str, Int],
    taken: Bool,
    known: NDArray[Any],
    flag: str | Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Arrays named in ``wanted`` for the rows of X.

    Parameters
    ----------
    clf : trained classifier, or None where only the features are wanted
    X : (n, d), NaN where a modality is absent
    blocks : name -> columns of X
    taken, known : (n,) bool of labelled rows, and (t,) their labels
    flag : keyword that makes ``predict_proba`` give (proba, embeddings), or a mapping of keywords

    Raises
    ------
    TypeError
        If there is no classifier and one is needed, or it has no ``predict_proba``.
    ValueError
        If it cannot give the array: more than five modalities, no linear head, embeddings in place of modalities.
    """
    if clf is None and set(wanted) - {"features"}:
        raise TypeError(f"clf is needed for {', '.join(wanted)}; hand over a classifier with predict_proba.")
    if clf is not None and not hasattr(clf, "predict_proba"):
        raise TypeError(f"clf is {type(clf).__name__}, which has no predict_proba; hand over a probabilistic one.")
    if hasattr(clf, "arrays"):
        labels = np.full(len(X), None, dtype=object)
        labels[taken] = known
        told: dict[str, Any] = clf.arrays(Views(cut(X, blocks)), wanted, y=labels)
        return told
    filled = np.nan_to_num(X)
    made: dict[str, Any] = {"features": cut(filled, blocks)}
    embedded = None
    if clf is not None and {"proba", "features"} & set(wanted):
        made["proba"], embedded = _said(clf, filled, flag)
    if embedded is not None:
        made["features"] = embedded if isinstance(embedded, Mapping) else {"embedding": np.asarray(embedded)}
        if {"coalition_proba", "head"} & set(wanted) and (set(made["features"]) != set(blocks) or "head" in wanted):
            raise ValueError(
                f"clf gives embeddings of {', '.join(made['features'])}, and {' and '.join(wanted)} must be of the "
                f"views {', '.join(blocks)}; leave clf_embedding_flag_name out."
            )
    if "coalition_proba" in wanted:
        made["coalition_proba"] = _coalitions(clf, filled, blocks, tuple(made["features"]), flag)
    if "head" in wanted:
        made["head"] = _head(clf, blocks)
    if "labels" in wanted:
        # a wrapper may know of classes that the linear model inside has never seen
        inner = getattr(clf, "estimator_", clf) if "head" in wanted else clf
        number = {label: k for k, label in enumerate(inner.classes_.tolist())}
        made["labels"] = np.full(len(X), -1, dtype=np.int64)
        made["labels"][taken] = [number.get(label, -1) for label in known.tolist()]
    return {name: made[name] for name in wanted}


def _said(clf: Any, X: NDArray[np.floating], flag: str | Mapping[str, Any] | None) -> tuple[Any, Any]:
    """(n, C) float64 probabilities, and embeddings or None."""
    keywords = {} if flag is None else {flag: True} if isinstance(flag, str) else dict(flag)
    found = clf.predict_proba(X, **keywords)
    proba, embedded = found if isinstance(found, tuple) else (found, None)
    return np.asarray(proba, dtype=np.float64), embedded


def _coalitions(clf: Any, X: Any, blocks: Mapping[str, Int], names: Sequence[str], flag: Any) -> Any:
    """(2^M, n, C); bit m of the index is modality ``names[m]``."""
    if len(names) > bmmal.MOST:
        raise ValueError(f"views names {len(names)} modalities, and coalitions are made of up to {bmmal.MOST}.")
    made = []
    for coalition in range(2 ** len(names)):
        some = X.copy()
        for m, name in enumerate(names):
            if not coalition >> m & 1:
                some[:, blocks[name]] = 0.0
        made.append(_said(clf, some, flag)[0])
    return np.stack(made)


def _head(clf: Any, blocks: Mapping[str, Int]) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """Logits of a linear model as a function of its columns."""
    weight, bias = getattr(clf, "coef_", None), getattr(clf, "intercept_", None)
    if weight is None or bias is None:
        raise ValueError(
            f"clf is {type(clf).__name__} without coef_, and head needs a linear one; hand over LogisticRegression, or "
            "take a method that asks for no head."
        )
    weight, bias = np.asarray(weight), np.asarray(bias).reshape(-1)
    if len(weight) == 1:
        weight, bias = np.concatenate([0 * weight, weight]), np.concatenate([0 * bias, bias])
    order = np.concatenate(list(blocks.values()))
    lift, shift = torch.as_tensor(weight[:, order]), torch.as_tensor(bias)

    def head(features: Mapping[str, Tensor]) -> Tensor:
        z = torch.cat([features[name] for name in blocks], dim=1)
        return z @ lift.to(z).T + shift.to(z)

    return head
