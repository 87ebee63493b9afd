"""Which alignments to buy. One file per way; ``METHODS`` lists them; :func:`choose` is the one door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modest.pairing import random
from modest.pairing.buffer import BufferQuery, gather, parted
from modest.pairing.door import choose
from modest.pairing.ledger import Flag, Ledger
from modest.pairing.methods import METHODS, Method
from modest.pairing.oracle import Hidden, Oracle, SameKey, corrupt
from modest.pairing.stream import stream
from modest.types import Answer, Query

__all__ = [
    "METHODS",
    "Answer",
    "BufferQuery",
    "Flag",
    "Hidden",
    "Ledger",
    "Method",
    "Oracle",
    "Query",
    "SameKey",
    "choose",
    "corrupt",
    "gather",
    "parted",
    "random",
    "stream",
]


def acquire(
    sides: Mapping[str, Any],
    pairs: Any = None,
    budget: int | float = 0.05,
    candidates: int | None = None,
    modality_rule: str = "relative",
    uncertainty: str = "margin",
    *,
    free: Mapping[str, Any] | None = None,
    anchors: Mapping[str, Any] | None = None,
    seed: int = 0,
    **knobs: Any,
) -> Query:
    """Ask about rows of the worst covered side: of candidates that cover it, those whose partner is least sure.

    Parameters
    ----------
    sides, pairs, budget, free, anchors, seed
        As in :func:`choose`. Never more rows than the side chosen has free.
    candidates : int, optional
        Rows that cover the side, of which ``budget`` are asked; 4 times as many by default, at most the free ones.
    modality_rule : "relative", "radius" (the paper's), "mean_gap", "cost", "alternate", "random" or "fixed:NAME"
    uncertainty : "margin", "entropy", "least_confidence", "bidirectional", "csls", "hard_negative"
    **knobs
        The other arguments of :func:`choose` (ids, directions, costs, shortlist, round, memory, device), and

        - ``distance``: "cosine" (default), "euclidean", "angle" of unit rows, or "raw", Euclidean of rows as given;
        - ``partner_diversity`` (False): of rows with the same most similar row of the target, one first;
        - ``outlier_guard`` (False): leave out candidates whose tenth nearest row in a sample of the side is
          farther than that of 99 % of the sample;
        - ``temperature`` (0.07) of entropy and least_confidence; ``alpha`` (0.2) and ``top`` (all) of hard_negative.

    Returns
    -------
    Query, rows in the order of their uncertainty. ``trace`` has ``radius`` and ``scores`` by side, ``candidates``,
    ``left_out`` (outliers), ``filled`` (rows beyond the candidates, where copies end them early), ``evaluations``
    (distances and similarities of the three steps) and ``sample_evaluations`` (those that do not grow with the pool).

    Raises
    ------
    ValueError
        As :func:`choose`; candidates below the budget, an unknown rule, measure or distance.
    TypeError
        An unknown knob.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [-0.6, 0.8]])
    >>> text = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
    >>> query = acquire({"image": image, "text": text}, [[0, 0]], 1, candidates=2, modality_rule="radius")
    >>> query.modality, query.rows.tolist(), query.margins.round(2).tolist()
    ('image', [1], [0.04])
    """
    given = {"candidates": candidates, "modality_rule": modality_rule, "uncertainty": uncertainty, **knobs}
    return choose(sides, pairs, budget, "acquire", free=free, anchors=anchors, seed=seed, **given)[0]
