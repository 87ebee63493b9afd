"""Groups of images and captions that only the right pairing tells apart: Winoground, ColorSwap.

Reference: Thrush et al., CVPR 2022 (text, image and group score); group match after Zhu et al. 2025.

    S_ab      similarity of image a to caption b of one group; image a and caption a belong together

    text(image a)     S_aa > S_ab for every b != a       image(caption b)   S_bb > S_ab for every a != b
    text, image       all of a group's images, all of its captions;      group   both
    match             the diagonal's sum is above that of every other pairing of the group

All strict: a tie is no preference and counts as wrong. Chance of two by two: 1/4, 1/4, 1/6, and 1/2 for match.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from modest.types import Bool


@dataclass(frozen=True, eq=False)
class GroupScores:
    """Shares of groups in [0, 1] that are right: ``text``, ``image``, ``group``, ``match``; ``right`` the same names ->
    (g,) bool.
    """

    text: float
    image: float
    group: float
    match: float
    right: dict[str, Bool]


def group_scores(S: Any) -> GroupScores:
    """Scores of (g, k, k) similarities S[group, image, caption], the right pairs on the diagonals, k of at least 2.

    Raises
    ------
    ValueError
        If the shape is another, there is no group, or a similarity is NaN.

    Examples
    --------
    >>> scores = group_scores([[[0.9, 0.1], [0.2, 0.8]], [[0.5, 0.5], [0.1, 0.9]]])
    >>> scores.text, scores.image, scores.group, scores.match
    (0.5, 1.0, 0.5, 1.0)
    """
    s = np.asarray(S, dtype=np.float64)
    if s.ndim != 3 or s.shape[1] != s.shape[2] or s.shape[1] < 2 or not len(s):
        raise ValueError(f"S has shape {s.shape}; it must hold square groups of images by captions: (g, k, k), k >= 2.")
    if np.isnan(s).any():
        raise ValueError(f"S holds NaN in group {int(np.argwhere(np.isnan(s))[0, 0])}; give a number for every pair.")
    k = s.shape[1]
    own = np.diagonal(s, axis1=1, axis2=2)
    others = np.where(np.eye(k, dtype=bool), -np.inf, s)
    right = {"text": (own > others.max(axis=2)).all(axis=1), "image": (own > others.max(axis=1)).all(axis=1)}
    right["group"] = right["text"] & right["image"]
    right["match"] = np.array([_matched(one) for one in s])
    return GroupScores(**{name: float(flags.mean()) for name, flags in right.items()}, right=right)


def _matched(s: Any) -> bool:
    """Whether every pairing but the diagonal sums to less: the best one without the pair (a, a), for every a."""
    total = float(np.trace(s))
    for a in range(len(s)):
        other = s.copy()
        other[a, a] = s.min() - 2.0 * len(s) * (np.ptp(s) + 1.0)
        if s[linear_sum_assignment(other, maximize=True)].sum() >= total:
            return False
    return True
