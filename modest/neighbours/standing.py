"""What a greedy coverage knew at its end, and how the next one goes on from it where rows have joined.

    best_i  of targets that were there stands; of new ones it is found from what is covered
    gain(c) = gain(c) over the targets that were there + gain(c) over the new ones
    gain(c) of new candidates is found over all targets

so that the products are new rows x all rows and no more, while the answer is that of a run from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.gains import Gains
from modest.neighbours.pairs import Pairs
from modest.types import Float, Int

KEPT = 16  # pairs kept per candidate and target; more are found again when needed


@dataclass(frozen=True, eq=False)
class Standing:
    """Exact gains at known levels; rows in the frame of ids.

    ``candidates`` (c,), ``targets`` (t,), ``covered`` (k,) rows; ``base`` (c,) float64, the gain of each candidate
    against row ``level`` (c,) of ``levels`` (g, t), what covered the targets then; ``best`` (t,) what covers them now.
    Since gains only fall, ``base`` is an upper bound on the gain now, and exact where the level is ``best``. ``pairs``
    (3, p) float64: candidate and target (places) and similarity of every pair above ``best``, or None.
    """

    candidates: Int
    targets: Int
    covered: Int
    base: Float
    level: Int
    levels: Float
    best: Float
    pairs: Float | None = None


def stand(gains: Gains, covered: Int, picks: Int) -> Standing:
    """What is known at the end of a run over ``covered`` rows that picked the places ``picks``."""
    known = gains.bound > -torch.inf
    at = torch.nonzero(known).flatten()
    pairs = None
    base, level, levels = gains.base, gains.level, torch.stack(gains.levels)
    if gains.pairs is not None:
        base, level, levels = gains.bound, torch.zeros_like(gains.level), gains.best[None]
        c, i, value = (torch.cat(part) for part in zip(*gains.pairs.above(gains.best)))
        keep = known[c.long()]
        if int(keep.sum()) <= KEPT * (len(at) + len(gains.best)):
            place = known.cumsum(0) - 1
            pairs = torch.stack([place[c[keep].long()].double(), i[keep].double(), value[keep].double()])
    which = gains.held.which
    return Standing(
        which[at.cpu().numpy()], gains.aims.which, np.union1d(covered, which[picks]), _numpy(base[at]),
        _numpy(level[at]).astype(np.int64), _numpy(levels), _numpy(gains.best),
        None if pairs is None else _numpy(pairs),
    )  # fmt: skip


def resume(gains: Gains, start: Standing, covered: Int) -> None:
    """Fill ``gains``, whose ``best`` is zero, from what was known; new rows, and rows covered since, are computed.

    All ``start.targets`` must be among the targets, all ``start.covered`` among ``covered``.
    """
    device, dtype = gains.best.device, gains.best.dtype
    which, aims = gains.held.which, gains.aims.which
    still = np.isin(start.candidates, which)
    old = torch.as_tensor(np.searchsorted(which, start.candidates[still]), device=device)
    there = torch.as_tensor(np.searchsorted(aims, start.targets), device=device)
    new = torch.as_tensor(np.flatnonzero(~np.isin(aims, start.targets)), device=device)
    gains.best[there] = torch.as_tensor(start.best, dtype=dtype, device=device)
    gains.best[new] = gains.covered_by(covered, new)
    levels = torch.as_tensor(start.levels, dtype=dtype, device=device)
    gains.levels = [gains.best.index_copy(0, there, level) for level in levels]
    gains.level[old] = torch.as_tensor(start.level[still], device=device)
    base, more = torch.as_tensor(start.base[still], device=device), None
    if start.pairs is not None:
        place = np.full(len(still), -1)
        place[still] = np.searchsorted(which, start.candidates[still])
        c, i = place[start.pairs[0].astype(np.int64)], start.pairs[1].astype(np.int64)
        gains.pairs = Pairs(len(which), len(aims), gains.part, gains.best.device)
        value = torch.as_tensor(start.pairs[2][c >= 0], dtype=dtype, device=device)
        gains.pairs.put([(torch.as_tensor(c[c >= 0], device=device).int(), there[i[c >= 0]].int(), value)])
        more = gains.gather(old, new)
    if more is None:
        gains.pairs = None
        more = gains.exceeding(old, new, gains.best[new])
    gains.base[old] = gains.bound[old] = base + more
    since = np.setdiff1d(covered, start.covered)
    if len(since):
        gains.raise_to(gains.covered_by(since, torch.arange(len(aims), device=device)))


def _numpy(values: Tensor) -> Float:
    return values.cpu().numpy()
