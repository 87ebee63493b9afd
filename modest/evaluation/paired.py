r"""Two models on the same rows: the difference of their accuracies, and how sure we are of it.

The bootstrap resamples the n rows, the same ones for both models. A row's difference is a_i - b_i, one of -1, 0 and 1,
so a resample is a draw of three counts and the n x draws table of rows need not be made:

    (wins, losses, rest) ~ Multinomial(n, their shares),    mean difference = (wins - losses) / n

This is the uncertainty of the rows tested. That of the training, another seed, is not in it; for that train with
several seeds and take ``curves.compare``. Cost: ``draws`` times three numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from modest.evaluation.curves import DRAWS, LEVEL, POINT, Difference


def compare_rows(a: Any, b: Any, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Accuracy of a minus that of b, with its percentile interval over rows; ``tied`` as in ``compare``.

    Parameters
    ----------
    a, b : (n,) bool
        Whether each row was right, the same rows in the same order.
    level, draws, seed : as in ``curve``

    Raises
    ------
    ValueError
        If the two are not boolean of one length, there is no row, or ``level`` or ``draws`` is out of range.

    Examples
    --------
    >>> gap = compare_rows(np.arange(100) < 80, np.arange(100) < 60)
    >>> round(gap.mean, 3), gap.low > 0.1, gap.high < 0.3, gap.tied
    (0.2, True, True, False)
    """
    left, right = np.asarray(a), np.asarray(b)
    if left.dtype != bool or right.dtype != bool or left.ndim != 1 or left.shape != right.shape or not len(left):
        raise ValueError(
            f"a is {left.dtype} {left.shape} and b {right.dtype} {right.shape}; give one bool per row in both, and a "
            "row at least."
        )
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level={level} and draws={draws} must lie in (0, 1) and be at least 1; 0.95, 4000 are usual.")
    n, wins, losses = len(left), int((left & ~right).sum()), int((right & ~left).sum())
    drawn = np.random.default_rng(seed).multinomial(n, np.array([wins, losses, n - wins - losses]) / n, size=draws)
    low, high = np.quantile((drawn[:, 0] - drawn[:, 1]) / n, [(1 - level) / 2, (1 + level) / 2])
    mean = (wins - losses) / n
    return Difference(mean, float(low), float(high), bool(low <= 0 <= high and abs(mean) <= POINT + 1e-12))
