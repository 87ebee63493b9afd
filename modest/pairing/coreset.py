"""Coreset: farthest-first in one side, always the row farthest from what is covered; good where noise is small.

Reference: Sener and Savarese, ICLR 2018; the baseline of this name in Zhang and Zhu, arXiv 2510.03247.

    next = argmax over free rows i of the side asked of min over covered rows j of it of |x_i - x_j|

Covered are rows in pairs, rows that are not free, anchors, and the picks before. With nothing covered the first pick is
the row nearest the mean, so that it is no outlier. The side asked and the target are those of the ``modality_rule``, as
in ``modality_rule.py``: "relative", the side of the largest radius by its own scale, by default; "alternate";
"fixed:NAME" and others. Never more rows than that side has free: a larger budget comes back short. Where only copies of
what is covered or taken are left, the rest are those of lowest id. Ties within rounding go to the lowest id.
Cost f (s + B) d for f free and s covered rows, and f s for every other side; memory a few numbers per row.
"""

from __future__ import annotations

import numpy as np

from modest.pairing.candidates import Cover, farthest_candidates
from modest.pairing.modality_rule import one_way
from modest.pairing.sides import Asked, Setting
from modest.types import Int


def coreset(setting: Setting, budget: int, *, modality_rule: str = "relative") -> list[Asked]:
    """Ask about ``budget`` rows of one side; ``trace`` as :func:`one_way`'s, ``evaluations`` with those of the picks.

    Raises
    ------
    ValueError
        If the rule is unknown, or fixes a side that may not be asked.
    """
    way, start, trace = one_way(setting, modality_rule)
    picks, count = farthest(start, budget)
    return [Asked(*way, picks, {**trace, "evaluations": trace["evaluations"] + count})]


def farthest(start: Cover, budget: int) -> tuple[Int, int]:
    """At most ``budget`` free rows, farthest first, then those of lowest id where only copies are left; and the
    distances computed.
    """
    picks, count = farthest_candidates(start, budget)
    return np.append(picks, np.setdiff1d(start.open, picks)[: budget - len(picks)]), count
