"""Uncertainty: ask about the rows whose best partner is least ahead of the second best; good late, with a good model.

Reference: the baseline of this name in Zhang and Zhu, arXiv 2510.03247, whose exact form is not public.

    symbol   variable   meaning
    x_i      rows       unit row i of the side asked
    m_i      margin     max_j x_i . y_j - second largest of the same, j a free row of the target

    ask the B smallest m_i over every direction at once; a pair (row and its best partner) is taken once

What we decided: directions are merged by the plain margin. When i's best partner is j and j's is i, the second of the
two is passed over, and asked only when nothing else is left, so that the budget is met. A row is asked in one direction
only, that of its smallest margin. Rows without a second partner (infinity) come last; ties go to the direction listed
first, then to the lowest id. Cost f_a f_b d per direction; memory two tiles and a few numbers per row.
"""

from __future__ import annotations

import numpy as np

from modest.pairing.asking import Pick, gathered
from modest.pairing.margin import Uncertain
from modest.pairing.margin import margin as margin_of
from modest.pairing.sides import Asked, Setting
from modest.types import Float, Int


def uncertainty(setting: Setting, budget: int) -> list[Asked]:
    """Ask about the ``budget`` smallest margins; ``trace`` has ``evaluations``, similarities computed."""
    picks, count = by_margin(setting, budget)
    return gathered(picks, {"evaluations": count})


def by_margin(setting: Setting, count: int, *, largest: bool = False) -> tuple[list[Pick], int]:
    """At most ``count`` picks by ascending margin, or by descending one, and the similarities that were computed."""
    ways = setting.askable
    row = np.concatenate([setting.sides[way[0]].open for way in ways])
    number = np.repeat(np.arange(len(ways)), [len(setting.sides[way[0]].open) for way in ways])
    margin, partner, evaluations = margins(setting)
    key = np.where(np.isfinite(margin), np.round(-margin if largest else margin, 9), np.inf)
    picks: list[Pick] = []
    later: list[Pick] = []
    rows: set[tuple[str, int]] = set()
    pairs: set[frozenset[tuple[str, int]]] = set()
    for k in np.lexsort((row, number, key)).tolist():
        if len(picks) == count:
            break
        way, asked = ways[number[k]], (ways[number[k]][0], int(row[k]))
        pair = frozenset((asked, (way[1], int(partner[k]))))
        if asked in rows:
            continue
        if partner[k] >= 0 and pair in pairs:
            later.append((way, asked[1]))
            continue
        rows.add(asked)
        pairs.add(pair)
        picks.append((way, asked[1]))
    for way, at in later:
        if len(picks) < count and (way[0], at) not in rows:
            rows.add((way[0], at))
            picks.append((way, at))
    return picks, evaluations


def margins(setting: Setting) -> tuple[Float, Int, int]:
    """Margin (N,) and best partner (N,), -1 where none is free, of the open rows of all directions one after the other,
    and the similarities computed.
    """
    found = [margin_of(setting, way, setting.sides[way[0]].open, Uncertain()) for way in setting.askable]
    told = sum(one.evaluations for one in found)
    return np.concatenate([one.score for one in found]), np.concatenate([one.best for one in found]), told
