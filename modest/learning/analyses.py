r"""Looking into a trained classifier: other fusions at test time, what its encoders emit, and how they began.

Reference: MLA (see ``mla.py``), Section 3.2 (fusion at test time), Table 3 and Figure 3 (features of two modalities).

Symbols: p_m (n, C) probabilities of modality m on its own; log p_m = z_m - k_m with logits z_m and k_m (n,) constant
over classes. Equation: sum_m lambda_m log p_m = sum_m lambda_m z_m - sum_m lambda_m k_m, so any fusion of logits whose
weights depend on p_m alone can be taken of log-probabilities, after the fact, of any recipe:

    fused = softmax(sum_m lambda_m log p_m),    lambda as in ``fusion.py``

Where it means little: of a recipe with one joint head (``concat``), what a modality says alone is a slice of that
head, never trained to say anything by itself; the mean of M slices gives the joint prediction's class and 1 / M of its
logits. Departures: none; probabilities below the smallest number of float64 count as that number. Cost: O(M n C).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import torch

from modest.checks import known
from modest.encoders.towers import Tower
from modest.learning.assembly import assemble, pretrained
from modest.learning.fusion import FUSIONS
from modest.learning.measure import softmax
from modest.learning.trained import Outputs, Trained, recipe_over
from modest.learning.warm import arrays
from modest.representation.gap import Gap, modality_gap
from modest.types import Float, Int, Views

__all__ = ["encoded", "feature_gaps", "fuse_proba", "heard", "untrained"]


def fuse_proba(modality_proba: Any, fusion: str = "entropy") -> tuple[Float, Float]:
    """Fused probabilities (n, C), and weights (n, M), from what each modality says on its own.

    Parameters
    ----------
    modality_proba : (M, n, C), a row of NaN where a modality is absent, as ``modality_proba`` of a classifier
        An absent modality has weight 0; a row without any gets equal probabilities.
    fusion : a name of ``modest.learning.FUSIONS``

    Raises
    ------
    ValueError
        For an unknown fusion or another shape.

    Examples
    --------
    >>> sure, unsure = [[0.99, 0.01]], [[0.4, 0.6]]
    >>> proba, weights = fuse_proba(np.array([sure, unsure]), "mean")
    >>> proba.round(2).tolist(), weights.tolist()
    ([[0.89, 0.11]], [[0.5, 0.5]])
    """
    known(fusion, FUSIONS, "fusion")
    p = np.asarray(modality_proba, dtype=np.float64)
    if p.ndim != 3:
        raise ValueError(f"modality_proba has shape {p.shape}; it must be (modalities, rows, classes).")
    present = ~np.isnan(p).any(axis=2).T
    log_p = torch.from_numpy(np.log(np.maximum(p, np.finfo(np.float64).tiny)))
    fused, weights = FUSIONS[fusion](log_p, torch.from_numpy(present))
    return softmax(fused.numpy()), weights.numpy()


def heard(model: Trained, X: Any, rows: Int | None = None, device: str | None = None) -> tuple[Outputs, Views]:
    """What a model says of X, or of some rows (k,) of it, and what its encoders emit there, see :func:`encoded`."""
    found = model.outputs(X, rows, device)
    some = np.asarray(found.present.any(axis=1))
    chosen = np.flatnonzero(some) if rows is None else np.asarray(rows)[some]
    features = {}
    for name, emitted in arrays(model, X, ["features"], chosen, device=device)["features"].items():
        features[name] = np.zeros((len(some), emitted.shape[1]), dtype=emitted.dtype)
        features[name][some] = emitted
    return found, Views(features, found.present)


def encoded(model: Trained, X: Any, rows: Int | None = None, device: str | None = None) -> Views:
    """Features of the encoders, (k, s) per modality, as a table of views, absent where they could not be read.

    Parameters
    ----------
    model : ``trained_`` of a fitted classifier, or :func:`untrained`
    X : as a classifier takes it
    rows : (k,) int, optional
    device : as in :class:`modest.MultimodalClassifier`

    Raises
    ------
    ValueError
        For what predictions refuse, and for a fill other than "feature".
    """
    return heard(model, X, rows, device)[1]


def untrained(clf: Any) -> Trained:
    """Return a fitted classifier's model as it was before its first step: first weights, inputs standardised.

    A classifier read from disk does not remember pretrained encoders that it started from; set its ``encoders`` again
    first, or this is a start from scratch.
    """
    generator = torch.Generator().manual_seed(int(clf.random_state))
    widths = {name: width for name, width in clf.trained_.made.widths.items() if width is not None}
    made = assemble(pretrained(clf.encoders), widths, clf.hidden, clf.width, generator)
    recipe = recipe_over(made, clf.trained_.method, len(clf.classes_), clf.fill, clf.options, generator)
    for first, last in zip(recipe.towers.modules(), clf.recipe_.towers.modules()):
        if isinstance(first, Tower) and isinstance(last, Tower) and last.standardised:
            first.standardise(last.shift, last.scale)
    return Trained(recipe, clf.trained_.method, clf.classes_, made, clf.trained_.reader)


def feature_gaps(features: Views) -> dict[tuple[str, str], Gap]:
    """Modality gap of every pair of modalities that some item has both of; see ``modest.representation.gap``.

    ``features``: views of one width, as :func:`encoded` gives them.
    """
    there = np.ones((len(features), len(features.names)), bool) if features.present is None else features.present
    gaps = {}
    for a, b in combinations(range(len(features.names)), 2):
        if (there[:, a] & there[:, b]).any():
            pair = (features.names[a], features.names[b])
            gaps[pair] = modality_gap(Views({m: features.arrays[m] for m in pair}, there[:, [a, b]]))
    return gaps
