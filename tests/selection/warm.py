"""What a classifier with fixed random weights says of any table: the arrays that warm strategies are handed."""

import numpy as np
import torch

from modest.checks import as_views
from modest.data.presence import dense, observed
from modest.selection import METHODS

WIDTH, CLASSES = 5, 4
WARM = [name for name, method in METHODS.items() if method.needs]
LABELLED = [name for name in ("gcnal", "alfamix") if name in METHODS]  # they start from labelled rows


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def head_weights(m):
    return np.random.default_rng([17, m]).normal(size=(WIDTH, CLASSES)) * 2.0


def features_of(views):
    """{modality: (n, 5)} float32, tanh of a fixed projection of unit rows; zero where the modality is absent."""
    there, made = observed(views), {}
    for m, (name, array) in enumerate(views.arrays.items()):
        x = np.nan_to_num(dense(array).astype(np.float64), posinf=0.0, neginf=0.0)
        x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)
        lift = np.random.default_rng([5, m]).normal(size=(x.shape[1], WIDTH)) * 1.5
        # rounded, so that the last bits of a product over shuffled rows do not matter
        made[name] = np.where(there[:, m, None], np.tanh(x @ lift).round(6), 0.0).astype(np.float32)
    return made


def logits_of(features, members=None):
    parts = [f.astype(np.float64) @ head_weights(m) for m, f in enumerate(features.values())]
    kept = [part for m, part in enumerate(parts) if members is None or members >> m & 1]
    return sum(kept, np.zeros((len(parts[0]), CLASSES))) + np.array([0.3, 0.0, -0.2, 0.1])


def head(features):
    parts = [f @ torch.as_tensor(head_weights(m), dtype=f.dtype) for m, f in enumerate(features.values())]
    return sum(parts) + torch.tensor([0.3, 0.0, -0.2, 0.1], dtype=parts[0].dtype)


def some_taken(views):
    """Every twelfth row in the order of ids."""
    taken = np.zeros(len(views), dtype=bool)
    taken[np.argsort(views.ids)[::12]] = True
    return taken


def arrays(method, views, taken=None):
    """Exactly what ``method`` needs, for this table; labels are known for the taken rows alone."""
    needs, table = METHODS[method].needs, as_views(views)
    features = features_of(table)
    proba = softmax(logits_of(features))
    known = np.zeros(len(table), dtype=bool)
    if isinstance(taken, np.ndarray) and taken.dtype == bool and taken.shape == known.shape:
        known = taken
    made = {
        "proba": proba,
        "features": features,
        "coalition_proba": np.stack([softmax(logits_of(features, s)) for s in range(2 ** len(features))]),
        "head": head,
        "labels": np.where(known, proba.argmax(axis=1), -1),
    }
    return {name: made[name] for name in needs}
