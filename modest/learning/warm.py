"""What a trained classifier says of a table, as the arrays that warm selection methods take.

    proba            (k, C) float64       fused probabilities
    features         {modality: (k, s)}   what the encoders emit, float32; zero where the modality is absent
    coalition_proba  (2^M, k, C) float32  probabilities of the head when the features of all but the coalition's members
                                          are zero; bit m of the index is modality m; an absent one is zero throughout
    head             function             {modality: (k, s) tensors} -> logits (k, C), differentiable by the features
    labels           (k,) int64           place of the label in ``classes_``, -1 where unknown or not among them

The definitions are those of ``modest.selection.arrays``. Coalitions and the head are those of one linear layer over all
features side by side, so they need ``method="concat"``; features are zero where absent only with ``fill="feature"``.
Cost one pass over the rows, and 2^M k C numbers for the coalitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modest.checks import known, row_numbers
from modest.data.pool import Pool
from modest.learning.inputs import whole
from modest.learning.measure import softmax
from modest.learning.trained import Trained, rows_at_once
from modest.neighbours.device import decide
from modest.training import Batches
from modest.types import Int

__all__ = ["NEEDS", "arrays"]

NEEDS = ("proba", "features", "coalition_proba", "head", "labels")
_MOST = 5


def arrays(
    trained: Trained, X: Any, needs: Sequence[str], rows: Any = None, y: Any = None, device: str | None = None
) -> dict[str, Any]:
    """Arrays of X, or of some rows (k,) of it, in the order of the rows.

    Parameters
    ----------
    X : as a classifier takes it
    needs : names among the above, as ``modest.selection.METHODS[method].needs`` has them
    rows : (k,) int, optional
    y : (n,) labels of X, None, NaN or -1 where unknown; those of a Pool if left out
    device : as in :class:`modest.MultimodalClassifier`

    Raises
    ------
    ValueError
        For an unknown need, labels that are not there, a recipe other than concat or a fill other than "feature" where
        the array needs it, coalitions of more than five modalities, and whatever predictions refuse.
    """
    wanted = [known(name, NEEDS, "needs") for name in ([needs] if isinstance(needs, str) else needs)]
    _refuse(trained, wanted)
    found = trained.reader.read(X)
    chosen = np.arange(len(found)) if rows is None else row_numbers(rows, len(found))
    made: dict[str, Any] = {}
    if {"proba", "features", "coalition_proba"} & set(wanted):
        whole(found, chosen)
        where = decide(device)
        batches = Batches(
            found.columns, found.present, chosen, size=rows_at_once(found), shuffle=False, device=where, augment=False
        )
        made = _passed(trained, batches, wanted)
    if "head" in wanted:
        made["head"] = _head(trained)
    if "labels" in wanted:
        made["labels"] = _numbers(X, y, trained.classes, len(found))[chosen]
    return {name: made[name] for name in wanted}


def _refuse(trained: Trained, wanted: Sequence[str]) -> None:
    recipe, joint = trained.recipe, {"coalition_proba", "head"} & set(wanted)
    if joint and recipe.name != "concat":
        raise ValueError(
            f"{' and '.join(sorted(joint))} must come from a classifier with one head over all features, and this one "
            f"is {recipe.name!r}; train one with method='concat'."
        )
    fill = recipe.towers.fill
    if fill != "feature" and set(wanted) - {"proba", "labels"}:
        raise ValueError(
            f"with fill={fill!r} an absent modality has features, and selection takes them to be zero; train the "
            "classifier with fill='feature'."
        )
    if "coalition_proba" in wanted and len(recipe.towers) > _MOST:
        raise ValueError(
            f"coalition_proba of {len(recipe.towers)} modalities has {2 ** len(recipe.towers)} coalitions; it is made "
            f"for up to {_MOST} modalities."
        )


def _passed(trained: Trained, batches: Batches, wanted: Sequence[str]) -> dict[str, Any]:
    """proba, features and coalition_proba, as far as wanted, from one pass over the encoders where it can be one."""
    recipe, names = trained.recipe, tuple(trained.made.modules)
    recipe.net.to(batches.device).eval()
    inner = bool({"features", "coalition_proba"} & set(wanted))
    head = _head(trained) if inner and recipe.name == "concat" else None
    proba, features, coalitions = [], [], []
    with torch.no_grad():
        for batch in batches.epoch():
            blocks = dict(zip(names, recipe.towers.blocks(batch))) if inner else {}
            if "features" in wanted:
                features.append({name: block.float().cpu().numpy() for name, block in blocks.items()})
            if "proba" in wanted:
                logits = recipe.logits(batch).fused if head is None else head(blocks)
                proba.append(softmax(logits.double().cpu().numpy()))
            if "coalition_proba" in wanted and head is not None:
                coalitions.append(_coalitions(head, blocks))
    return {
        "proba": np.concatenate(proba) if proba else None,
        "features": {name: np.concatenate([part[name] for part in features]) for name in names} if features else None,
        "coalition_proba": np.concatenate(coalitions, axis=1) if coalitions else None,
    }


def _coalitions(head: Callable[[Mapping[str, Tensor]], Tensor], blocks: Mapping[str, Tensor]) -> Any:
    """(2^M, k, C) float32 probabilities of a batch for every coalition."""
    logits = [
        head({name: block if S >> m & 1 else torch.zeros_like(block) for m, (name, block) in enumerate(blocks.items())})
        for S in range(2 ** len(blocks))
    ]
    return softmax(torch.stack(logits).double().cpu().numpy()).astype(np.float32)


def _head(trained: Trained) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """The head of a concat classifier as a function of its features; the weights are constants in it."""
    layer, names = trained.recipe.net["head"], tuple(trained.made.modules)  # type: ignore[index]
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()

    def head(features: Mapping[str, Tensor]) -> Tensor:
        z = torch.cat([features[name] for name in names], dim=1)
        logits: Tensor = z @ weight.to(z).T + bias.to(z)
        return logits

    return head


def _numbers(X: Any, y: Any, classes: Any, n: int) -> Int:
    """(n,) places of the labels among ``classes``, -1 where there is none."""
    if y is None and not isinstance(X, Pool):
        raise ValueError("labels are needed, and X is no Pool; give y, with None or -1 where a label is unknown.")
    labels = np.asarray(X.labels if y is None else y, dtype=object)
    if labels.shape != (n,):
        raise ValueError(f"y has shape {labels.shape}; it must hold a label per row of X, ({n},), None where unknown.")
    where = {label: number for number, label in enumerate(classes.tolist())}
    return np.array([where.get(label, -1) for label in labels.tolist()], dtype=np.int64)
