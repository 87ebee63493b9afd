r"""Laws by which modalities go missing: at rates that differ by split, whole blocks, and patterns with probabilities.

A result under missing modalities means what its mask means, so every law here is a closed form, every draw is keyed by
(seed, id), and a row is never left without any modality. The cells at a rate are ``presence.missing_mask``.

=====  =================  =======  ===================================================================
symbol here               shape    meaning
=====  =================  =======  ===================================================================
M      ``modalities``     -        modalities
eta    ``rate``           -        expected share of missing cells
S_j    ``patterns``       (k, M)   which modalities a row of pattern j has
w_j    ``weights``        (k,)     how often, in any unit
p      ``share``          -        modality dropout: probability with which a present cell is dropped
=====  =================  =======  ===================================================================

    block     r_im = 0 for m absent, else 1
    pattern   P(r_i = S_j) = w_j / sum_l w_l
    dropout   eta = p - p^M / M                     (cells dropped, less the one a row keeps that would lose all)

Redrawn masks: the one loop drops modalities anew in every epoch (``modality_dropout``), which is a mask of training
rows redrawn each time; :func:`dropout_share` gives the share for a rate. For two modalities its law is that of
``missing_mask`` exactly, (1 - p)^2 = q; for more the rate is equal and patterns differ a little: at M = 3 and eta = 0.3
a row has 1, 2, 3 modalities with probability 0.23, 0.44, 0.33 in place of 0.20, 0.50, 0.30. A fixed mask is one drawn
before the training; those of validation and test are always fixed.

References: Zhang et al., CPM-Nets, NeurIPS 2019, and Lian et al., GCNet, TPAMI 2023 (cells at a rate); Zhao, Li, Jin:
Missing Modality Imagination Network, ACL 2021 (one of the incomplete patterns per row, uniformly). Departures: GCNet
draws new masks for every batch, in validation and test too, so that its figures change from look to look. Cost: O(n M).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.keys import uniform
from modest.data.presence import missing_mask
from modest.types import Bool

__all__ = ["block_mask", "dropout_share", "incomplete_patterns", "kept_one", "pattern_mask", "split_mask"]

Names = Sequence[str] | NDArray[np.str_]


def split_mask(ids: Names, split: Any, modalities: int, rates: float | Mapping[str, float], seed: int) -> Bool:
    """Mask (n, M) at a rate of its own in every split: trained on whole rows, say, and tested on torn ones.

    Parameters
    ----------
    ids : (n,) strings
    split : (n,) strings, such as "train", "val", "test"
    modalities : M
    rates : of all rows, or split -> rate; rows of a split that is not named keep everything
    seed : draws are keyed by (seed, id), as those of ``missing_mask``, which a single rate gives

    Raises
    ------
    ValueError
        If lengths differ, no row is of a split that is named, or a rate is out of range.

    Examples
    --------
    >>> mask = split_mask(["a", "b", "c"], ["train", "train", "test"], 2, {"test": 0.5}, seed=0)
    >>> mask.sum(axis=1).tolist()
    [2, 2, 1]
    """
    names, of = np.asarray(ids, dtype=np.str_), np.asarray(split, dtype=np.str_)
    if names.ndim != 1 or names.shape != of.shape:
        raise ValueError(f"ids has shape {names.shape} and split {of.shape}; give one of each per row.")
    if not isinstance(rates, Mapping):
        return missing_mask(len(names), modalities, rates, seed, names)
    mask = np.ones((len(names), modalities), dtype=bool)
    for name, rate in rates.items():
        at = np.flatnonzero(of == name)
        if not len(at):
            raise ValueError(f"rates names {name!r}, and no row is of it; splits are {', '.join(np.unique(of))}.")
        mask[at] = missing_mask(len(at), modalities, rate, seed, names[at])
    return mask


def block_mask(n: int, modalities: int, absent: Sequence[int], rows: Any = None) -> Bool:
    """Mask (n, M) in which the modalities ``absent`` (numbers) are wholly missing from ``rows``, by default from all.

    Raises
    ------
    ValueError
        If a number is out of range, or no modality would be left.

    Examples
    --------
    >>> block_mask(3, 2, [1], rows=[2]).tolist()
    [[True, True], [True, True], [True, False]]
    """
    gone = sorted(set(absent))
    if gone and not 0 <= gone[0] <= gone[-1] < modalities:
        raise ValueError(f"absent={list(absent)} must hold numbers from 0 to {modalities - 1}.")
    if len(gone) >= modalities:
        raise ValueError(f"absent={list(absent)} leaves no modality of {modalities}; leave one at least.")
    mask = np.ones((n, modalities), dtype=bool)
    at = np.arange(n)[slice(None) if rows is None else np.asarray(rows)]
    mask[np.ix_(at, np.array(gone, dtype=np.int64))] = False
    return mask


def pattern_mask(n: int, patterns: Any, weights: Any = None, seed: int = 0, ids: Names | None = None) -> Bool:
    """Mask (n, M) in which every row has one of some ``patterns``, drawn with probabilities as ``weights``.

    Parameters
    ----------
    n : rows
    patterns : (k, M) bool; of given data by ``evaluation.found_patterns``, of MMIN by :func:`incomplete_patterns`
    weights : (k,) not negative; left out, all are alike
    seed, ids : as in ``missing_mask``

    Raises
    ------
    ValueError
        If there is no pattern, one has no modality, weights do not fit, or ``ids`` has another length.

    Examples
    --------
    >>> mask = pattern_mask(1000, [[True, True], [False, True]], [4, 1], seed=0)
    >>> bool(mask[:, 1].all()), round(float(mask[:, 0].mean()), 1)
    (True, 0.8)
    """
    table = np.asarray(patterns, dtype=bool)
    if table.ndim != 2 or not len(table) or not table.any(axis=1).all():
        raise ValueError(f"patterns has shape {table.shape}; give (k, M), a row at least and a modality in each.")
    own = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
    if own.shape != (len(table),) or not np.isfinite(own).all() or (own < 0).any() or not own.sum() > 0:
        raise ValueError(f"weights must be {len(table)} numbers, none negative and not all zero; got {own.tolist()}.")
    names = np.arange(n).astype(np.str_) if ids is None else np.asarray(ids, dtype=np.str_)
    if names.shape != (n,):
        raise ValueError(f"ids has shape {names.shape}; it must hold one id per row, ({n},).")
    possible = np.flatnonzero(own)  # rounding of the sum must not draw a pattern without weight
    ends = np.cumsum(own[possible]) / own.sum()
    drawn = np.searchsorted(ends[:-1], uniform(names, seed, "mask/pattern"), side="right")
    return np.asarray(table[possible[drawn]])


def incomplete_patterns(modalities: int) -> Bool:
    """Every pattern (2^M - 2, M) that has a modality and lacks one: MMIN's, of which each row gets one.

    Raises
    ------
    ValueError
        If there are fewer than two modalities.

    Examples
    --------
    >>> incomplete_patterns(2).tolist()
    [[True, False], [False, True]]
    """
    if modalities < 2:
        raise ValueError(f"modalities={modalities} has no incomplete pattern; it takes two modalities.")
    bits = np.arange(1, 2**modalities - 1)[:, None] >> np.arange(modalities)
    return (bits & 1).astype(bool)


def dropout_share(rate: float, modalities: int) -> float:
    """Share of ``modality_dropout`` under which complete training rows lack a share ``rate`` of cells in every epoch.

    Raises
    ------
    ValueError
        If the rate is negative or above (M - 1) / M.

    Examples
    --------
    >>> round(dropout_share(0.375, 2), 6), round(dropout_share(2 / 3, 3), 6)
    (0.5, 1.0)
    """
    most = (modalities - 1) / modalities
    if modalities < 1 or not 0 <= rate <= most + 1e-9:
        raise ValueError(f"rate={rate} must be in [0, {most:.4g}]: one of {modalities} modalities stays in each row.")
    low, high = 0.0, 1.0
    for _ in range(60):  # p - p^M / M rises with p
        middle = (low + high) / 2
        low, high = (middle, high) if middle - middle**modalities / modalities < rate else (low, middle)
    return high


def kept_one(own: Any, mask: Any, seed: int, ids: Names) -> Bool:
    """Presence (n, M) when ``mask`` is laid upon what rows have of their ``own``.

    A row that would be left with nothing keeps one of the modalities it had, drawn by (seed, id); so where rows lack
    cells of their own, slightly fewer go than the mask hides.

    Examples
    --------
    >>> kept_one([[True, False], [True, True]], [[False, True], [False, True]], 0, ["a", "b"]).tolist()
    [[True, False], [False, True]]
    """
    has, names = np.asarray(own, dtype=bool), np.asarray(ids, dtype=np.str_)
    left: Bool = has & np.asarray(mask, dtype=bool)
    empty = np.flatnonzero(~left.any(axis=1) & has.any(axis=1))
    if len(empty):
        draws = np.stack([uniform(names[empty], seed, f"keep/{m}") for m in range(has.shape[1])], axis=1)
        left[empty, np.where(has[empty], draws, -1.0).argmax(axis=1)] = True
    return left
