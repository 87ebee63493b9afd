"""Modality gap: how far apart the modalities of one space lie as wholes, whatever their pairs say.

Two encoders trained on pairs can put every image near its own text and still keep all images in one corner of the
sphere and all texts in another. A distance between items of two modalities then measures the corner first. The
figures here say how much of that there is.

Liang et al., Mind the Gap, NeurIPS 2022; Shen et al., MMCSAL, MMAsia 2024, Eq. 10 and Table 3 (the paper's symbols).

=============  =============  ==========================================================================
paper          here           what it is (numbers without unit)
=============  =============  ==========================================================================
r_i^m          row            row i of modality m divided by its norm, (d,)
Delta_gap      ``gap``        distance of the two means of rows, in [0, 2]
S_Uni^m        ``within[m]``  mean cosine of rows i and j of modality m over all i, j; i = j counts
S_Cross        ``across``     mean cosine of row i of one modality and row j of the other; i = j counts
-              ``paired``     mean cosine of the two halves of an item
-              ``unpaired``   mean cosine of the halves of two different items
=============  =============  ==========================================================================

Because i = j counts, a double mean of cosines is a product of means, with mu_m the mean of the n rows of modality m:

    S_Uni^m = |mu_m|^2,    S_Cross = <mu_1, mu_2>,    Delta_gap = |mu_1 - mu_2|,
    Delta_gap^2 = S_Uni^1 + S_Uni^2 - 2 S_Cross,      unpaired = (n S_Cross - paired) / (n - 1).

So nothing of size n x n is made: one pass in blocks of rows, time n d per pair of modalities, memory one block.

Departures: the paper's items all have both modalities. Here every figure of a pair counts the items that have both,
so that the two means are over the same items, the identity holds, and absence in one modality is not mistaken for
distance. Liang et al. also call the unit vector along mu_1 - mu_2 the gap; it is ``direction`` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.checks import as_views
from modest.data.features import rows_per_block
from modest.data.presence import nan_rows
from modest.types import Bool, Float, Views


@dataclass(frozen=True, eq=False)
class Gap:
    """Figures of the first two modalities of a table, and of every pair.

    ``gap``, ``within`` {name: S_Uni}, ``across``, ``paired`` and ``unpaired`` as at the top of the file, floats;
    ``unpaired`` is NaN where one item only has both. ``rows`` items counted; ``means`` {name: (d,) float64}. ``pairs``
    {(a, b): (gap, across)} in the order of the modalities, for every pair of one width that some item has.
    """

    gap: float
    within: Mapping[str, float]
    across: float
    paired: float
    unpaired: float
    rows: int
    means: Mapping[str, Float] = field(repr=False)
    pairs: Mapping[tuple[str, str], tuple[float, float]]

    @property
    def direction(self) -> Float:
        """(d,) unit vector from the mean of the second modality to that of the first.

        Raises
        ------
        ValueError
            If the means coincide.
        """
        first, second = self.means.values()
        if self.gap == 0.0:
            raise ValueError(f"the means of {' and '.join(self.means)} coincide, so their gap has no direction.")
        return np.asarray((first - second) / self.gap)


def modality_gap(views: Any) -> Gap:
    """Gap and similarities of the first two modalities, over the items that have both.

    Parameters
    ----------
    views : Views, or mapping name -> (n, d) array
        NumPy arrays, memory maps or torch tensors on any device; computed in float64. Rows need not be unit.

    Returns
    -------
    Gap, all floats.

    Raises
    ------
    ValueError
        Fewer than two modalities, two of different widths, no item that has both, NaN or infinity or norm zero in a
        present row.

    Examples
    --------
    >>> image = np.array([[1.0, 0.0], [0.0, 2.0]])
    >>> found = modality_gap({"image": image, "text": -image})
    >>> found.within["image"], found.across, found.paired, found.unpaired
    (0.5, -0.5, -1.0, 0.0)
    >>> round(found.gap**2, 12)
    2.0
    """
    table = _two(views)
    widths = {name: shape[1] for name, shape in table.shape.items()}
    sums = {pair: _Sums.zero(widths[pair[0]]) for pair in combinations(table.names, 2) if _same(widths, pair)}
    used = [name for name in table.names if any(name in pair for pair in sums)]
    step = rows_per_block(sum(widths[name] for name in used), 8)
    for start in range(0, len(table), step):
        block = {name: _unit(table, name, slice(start, start + step)) for name in used}
        for (a, b), held in sums.items():
            held.add(*block[a], *block[b])
    first, second = table.names[:2]
    main = sums[first, second]
    if not main.count:
        raise ValueError(f"no item has both {first} and {second}; a gap needs items with both.")
    mean, other = main.means
    across, paired = float(mean @ other), main.paired / main.count
    return Gap(
        gap=float(np.linalg.norm(mean - other)),
        within={first: float(mean @ mean), second: float(other @ other)},
        across=across,
        paired=paired,
        unpaired=(main.count * across - paired) / (main.count - 1) if main.count > 1 else float("nan"),
        rows=main.count,
        means={first: mean, second: other},
        pairs={pair: held.figures for pair, held in sums.items() if held.count},
    )


def shift(views: Any, delta: float) -> dict[str, Float]:
    """Unit rows of the first two modalities, those of the first moved by -delta times the gap's direction.

    Moved rows are divided by their norm again. At delta near the gap the two means come close; what then happens to a
    task is the experiment of Liang et al., section 5. Returns {name: (n, d) float64}, NaN rows where absent. Errors as
    :func:`modality_gap`; also ValueError if the means coincide or a moved row has norm zero.
    """
    table = _two(views)
    direction = modality_gap(table).direction
    moved = {}
    for name in table.names[:2]:
        rows, there = _unit(table, name, slice(0, len(table)))
        if name == table.names[0]:
            rows = rows - delta * direction
            norms = np.linalg.norm(rows, axis=1, keepdims=True)
            if not norms[there].all():
                raise ValueError(f"delta={delta} moves a row of {name} to zero, which has no direction; change it.")
            rows = rows / np.where(norms > 0, norms, 1.0)
        rows[~there] = np.nan
        moved[name] = rows
    return moved


@dataclass(eq=False)
class _Sums:
    """What one pair adds up over its common items: how many, both sums of unit rows, sum of paired cosines."""

    count: int
    first: Float
    second: Float
    paired: float

    @classmethod
    def zero(cls, width: int) -> _Sums:
        return cls(0, np.zeros(width), np.zeros(width), 0.0)

    def add(self, a: Float, a_there: Bool, b: Float, b_there: Bool) -> None:
        both = a_there & b_there
        self.count += int(both.sum())
        self.first += both.astype(np.float64) @ a
        self.second += both.astype(np.float64) @ b
        self.paired += float(np.einsum("nd,nd->", a, b))  # absent rows are zero

    @property
    def means(self) -> tuple[Float, Float]:
        return self.first / self.count, self.second / self.count

    @property
    def figures(self) -> tuple[float, float]:
        a, b = self.means
        return float(np.linalg.norm(a - b)), float(a @ b)


def _two(views: Any) -> Views:
    """Views whose first two modalities have one width."""
    table = as_views(views)
    if len(table.names) < 2:
        raise ValueError(f"views has one modality, {table.names[0]}; a gap needs two of one width.")
    widths = {name: shape[1] for name, shape in table.shape.items()}
    first, second = table.names[:2]
    if widths[first] != widths[second]:
        raise ValueError(
            f"views have different widths ({first} {widths[first]}, {second} {widths[second]}); "
            "a gap needs both modalities in one space, so give features of one width."
        )
    return table


def _same(widths: Mapping[str, int], pair: tuple[str, str]) -> bool:
    return widths[pair[0]] == widths[pair[1]]


def _unit(table: Views, name: str, where: slice) -> tuple[Float, Bool]:
    """Rows of one modality divided by their norm, (k, d) float64, zero where absent; and (k,) where they are there."""
    taken = table.arrays[name][where]
    block: NDArray[Any] = taken.detach().cpu().double().numpy() if hasattr(taken, "detach") else np.asarray(taken)
    there = ~nan_rows(block)
    if table.present is not None:
        there &= table.present[where, table.names.index(name)]
    rows = np.where(there[:, None], block, 0.0).astype(np.float64, copy=False)
    largest = np.abs(rows).max(axis=1, initial=0.0)
    for wrong, told in (
        (~np.isfinite(largest), "NaN or infinity"),
        (there & (largest == 0.0), "norm zero"),
    ):
        if wrong.any():
            raise ValueError(
                f"views[{name!r}] has {told} in present row {where.start + int(np.argmax(wrong))}; "
                "mend it, or make the whole row NaN if the modality is absent."
            )
    rows /= np.where(there, largest, 1.0)[:, None]  # so that squares neither overflow nor vanish
    rows /= np.where(there, np.linalg.norm(rows, axis=1), 1.0)[:, None]
    return rows, there
