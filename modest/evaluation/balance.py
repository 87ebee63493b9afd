"""Which classes a choice bought, beside what the pool holds: shares, gaps and how far apart the two are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from modest.types import Float, Ids, Int


@dataclass(frozen=True, eq=False)
class ClassBalance:
    """Per class (K,), most frequent in the pool first: ``classes``, ``pool`` and ``chosen`` counts.

    ``missed`` names the classes without a chosen row; ``distance`` is the total variation between the two class
    distributions, in [0, 1] (0: chosen exactly as the pool).
    """

    classes: Ids
    pool: Int
    chosen: Int
    missed: tuple[str, ...]
    distance: float

    @property
    def pool_share(self) -> Float:
        """(K,) shares in the pool, summing to 1."""
        return np.asarray(self.pool / self.pool.sum(), dtype=np.float64)

    @property
    def chosen_share(self) -> Float:
        """(K,) shares among the chosen rows, summing to 1 (all 0 when none of them has a label)."""
        return np.asarray(self.chosen / max(int(self.chosen.sum()), 1), dtype=np.float64)


def class_balance(labels: Any, rows: Any) -> ClassBalance:
    """Count the classes among the chosen rows and in the whole pool.

    Parameters
    ----------
    labels : (n,) int or str, None = unknown
        Labels of the pool; unknown ones are counted on neither side.
    rows : (b,) int
        Chosen rows of the pool.

    Raises
    ------
    ValueError
        If no label is known or a row is outside the pool.

    Examples
    --------
    >>> balance = class_balance(["cat", "cat", "dog", "owl"], [0, 2])
    >>> balance.classes.tolist(), balance.chosen.tolist(), balance.missed, balance.distance
    (['cat', 'dog', 'owl'], [1, 1, 0], ('owl',), 0.25)
    """
    table = np.asarray(labels, dtype=object)
    picked = np.asarray(rows, dtype=np.int64)
    if len(picked) and (picked.min() < 0 or picked.max() >= len(table)):
        raise ValueError(
            f"rows holds {int(picked.max())}, outside the pool of {len(table)} rows; give row numbers of the pool."
        )
    known = np.array([label is not None for label in table], dtype=bool)
    if not known.any():
        raise ValueError("labels are all unknown; a class balance needs at least one known label.")
    names, codes = np.unique(table[known].astype(np.str_), return_inverse=True)
    code = np.full(len(table), -1)
    code[known] = codes
    pool = np.bincount(codes, minlength=len(names))
    chosen = np.bincount(code[picked][known[picked]], minlength=len(names))
    order = np.argsort(-pool, kind="stable")
    names, pool, chosen = names[order], pool[order], chosen[order]
    distance = 0.5 * float(np.abs(pool / pool.sum() - chosen / max(int(chosen.sum()), 1)).sum())
    return ClassBalance(names, pool, chosen, tuple(names[chosen == 0].tolist()), distance)
