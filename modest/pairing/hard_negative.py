"""Hard negatives: ask about the rows that known partners of others would be mistaken for.

Reference: Jo, Lee, Chung and Choi, arXiv 2405.16301, in the form of our notes: the conditions of the triplet ranking
loss, summed over the pairs that were bought.

    symbol       variable   meaning
    x                       unit row of the side asked
    (v_i, l_i)   pairs      unit rows of the pairs bought, v on the side asked and l on the target
    alpha        alpha      margin of the triplet loss, 0.2
    k            top        largest terms that count; None, the default, is all of them

    score(x) = sum over the k largest i of max(0, alpha + x . l_i - v_i . l_i),   ask the B highest

It looks at what was bought, not at the free rows of the target. What we decided: all directions are merged by the
score; a row is asked in the direction where it is highest, the one listed first on ties; then the lowest id. Of a row
whose score is zero nothing is known: those come last, in an order drawn by (seed, round, side, id), and with no pairs
at all the answer is drawn altogether. Cost n s d for s pairs; memory a tile of rows x s.
"""

from __future__ import annotations

import numpy as np

from modest.data.keys import uniform
from modest.pairing.asking import gathered
from modest.pairing.margin import Uncertain
from modest.pairing.margin import hard_negative as triplet
from modest.pairing.sides import Asked, Setting


def hard_negative(setting: Setting, budget: int, *, alpha: float = 0.2, top: int | None = None) -> list[Asked]:
    """Ask about the ``budget`` highest scores; ``trace`` has ``evaluations`` (similarities) and ``drawn``, scores of 0.

    Raises
    ------
    ValueError
        If ``alpha`` is negative or ``top`` below 1.
    """
    if not alpha >= 0:
        raise ValueError(f"alpha={alpha} must not be negative.")
    if top is not None and top < 1:
        raise ValueError(f"top={top} must be at least 1, or None for all pairs.")
    ways, names = setting.askable, list(setting.sides)
    knobs = Uncertain(alpha=alpha, top=top)
    found = [triplet(setting, way, setting.sides[way[0]].open, knobs) for way in ways]
    score = -np.round(np.concatenate([one.score for one in found]), 6)
    row = np.concatenate([setting.sides[a].open for a, _ in ways])
    number = np.repeat(np.arange(len(ways)), [len(one.score) for one in found])
    luck = np.concatenate(
        [
            uniform(setting.sides[a].rows.ids[setting.sides[a].open], setting.seed, f"target/{setting.round}/{a}/{b}")
            for a, b in ways
        ]
    )
    order = np.lexsort((row, number, np.where(score > 0, 0.0, luck), -score))
    owner = np.array([names.index(a) for a, _ in ways])[number] * (row.max() + 1) + row
    first = np.sort(np.unique(owner[order], return_index=True)[1])  # a row's best direction
    picks = order[first][:budget]
    trace = {"evaluations": sum(one.evaluations for one in found), "drawn": int((score[picks] == 0).sum())}
    return gathered([(ways[number[k]], row[k]) for k in picks], trace)
