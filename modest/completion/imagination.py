r"""How well absent modalities are imagined: modalities that are there are hidden, and what is imagined is compared.

Whether a completion classifies well says nothing of whether it imagines well, and the reverse. Here every modality m of
the rows that have it is hidden, together with all but some others S, and imagined from S.

=====  ===================  ==========  ==========================================================
symbol here                 shape       meaning
=====  ===================  ==========  ==========================================================
t_i    ``truth``            (n, e_m)    modality m of row i, in the method's own space
g_i    ``imagined``         (n, e_m)    what the method takes it to be, from S alone
S      ``seen``             -           modalities left to row i, not m and at least one
R      ``rows``             -           rows that have m and all of S (what else they have is hidden)
=====  ===================  ==========  ==========================================================

    error(m, S) = sum_{i in R} |g_i - t_i|^2  /  sum_{i in R} |t_i - mean_{j in R} t_j|^2        in [0, inf)

0 is perfect and 1 no better than always imagining the mean; 1 - error is the share of the variance that is explained.
The mean is that of the rows compared, so the constant it is held against is the best there is, chosen in hindsight.
Spaces differ: a method of inputs imagines standardised inputs, one of features what its own encoders emit, and features
may be small or easy to foretell. So errors of one method compare over m and S, those of two methods only where they
share a space. Cost: a pass per pair of m and S, M (2^(M-1) - 1) in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from modest.checks import row_numbers
from modest.completion.hiding import hidden
from modest.completion.methods import Imagining
from modest.learning.trained import Trained, rows_at_once
from modest.neighbours.device import decide
from modest.training.batches import Batches
from modest.training.task import Batch
from modest.types import Int

__all__ = ["Imagined", "imagination", "imagination_errors", "relative_error"]


@dataclass(frozen=True)
class Imagined:
    """``error`` of ``modality`` imagined from ``seen``, over ``rows`` rows; NaN below two rows."""

    modality: str
    seen: tuple[str, ...]
    rows: int
    error: float


def relative_error(imagined: Tensor, truth: Tensor) -> float:
    """Squared error (n, e) relative to that of the mean of ``truth``; NaN where the truth does not vary.

    Examples
    --------
    >>> truth = torch.tensor([[0.0], [2.0]])
    >>> relative_error(torch.tensor([[1.0], [1.0]]), truth), relative_error(torch.tensor([[0.0], [1.0]]), truth)
    (1.0, 0.5)
    """
    if len(truth) < 2:
        return float("nan")
    g, t = imagined.double(), truth.double()
    spread = float(((t - t.mean(dim=0)) ** 2).sum())
    return float(((g - t) ** 2).sum()) / spread if spread > 0 else float("nan")


def imagination(model: Trained, X: Any, rows: Int | None = None, device: str | None = None) -> list[Imagined]:
    """Errors of every modality and every set of others it is imagined from, on X or some rows (k,) of it.

    Parameters
    ----------
    model : ``trained_`` of a classifier whose method imagines
    X : as for ``predict``; what it lacks is left out of the comparison
    rows, device : as for ``outputs``

    Raises
    ------
    ValueError
        If the method does not imagine; as ``outputs`` for X.
    """
    recipe = model.recipe
    if not isinstance(recipe, Imagining):
        raise ValueError(f"method {recipe.name!r} imagines nothing to compare; ae, cra, mmin, ifmmin and cpm do.")
    found = model.reader.read(X)
    chosen = np.arange(len(found)) if rows is None else row_numbers(rows, len(found))
    chosen = chosen[found.present[chosen].any(axis=1)]
    size, where = rows_at_once(found), decide(device)
    batches = Batches(found.columns, found.present, chosen, size=size, shuffle=False, device=where, augment=False)
    recipe.net.to(where).eval()
    return imagination_errors(recipe, batches.epoch(), found.names)


def imagination_errors(recipe: Imagining, batches: Iterable[Batch], names: Sequence[str]) -> list[Imagined]:
    """The same of batches that are at hand: by modality, and for each the smaller sets of others first."""
    count = len(names)
    some = [s for size in range(1, count) for s in combinations(range(count), size)]
    sets = [(m, s) for m in range(count) for s in some if m not in s]
    parts: dict[tuple[int, tuple[int, ...]], list[tuple[Tensor, Tensor]]] = {one: [] for one in sets}
    for batch in batches:  # each is read once: pictures are large
        for m, seen in sets:
            parts[m, seen].append(_pair(recipe, batch, m, seen))
    found = []
    for (m, seen), pairs in parts.items():
        g, t = (torch.cat(part) for part in zip(*pairs))
        found.append(Imagined(names[m], tuple(names[k] for k in seen), len(t), relative_error(g, t)))
    return found


def _pair(recipe: Imagining, batch: Batch, m: int, seen: Sequence[int]) -> tuple[Tensor, Tensor]:
    """What is imagined, and the truth, of the rows that have m and all of ``seen``."""
    kept = torch.zeros_like(batch.present)
    kept[:, list(seen)] = True
    at = batch.present[:, [m, *seen]].all(dim=1)
    with torch.no_grad():
        return recipe.imagined(hidden(batch, kept), m)[at].cpu(), recipe.truth(batch, m)[at].cpu()
