"""Greedy kernel coverage, lazily: pick the candidate that raises the covered similarity of the targets most.

    gain(c) = sum_i w_i max(0, k(c, i) - best_i),   best_i = max over covered j of k(j, i)
    next    = argmax over open c of factor_c gain(c)

The gain of a candidate can only fall as others are picked (the objective is submodular), so an old gain is an upper
bound: the candidates with the best old gains are brought up to date until the best fresh one is above every old one
(gains.py says how). The picks are those of the plain greedy rule; gains that tie within rounding go to the lowest row.
Source: Minoux 1978 (lazy greedy); Bae et al. 2024.
Cost one pass candidates x targets x d, then a part of it, at worst about the harmonic number of the picks made until
pairs are held; memory both sides as far as they fit, a tile of both, and for the pairs at most half of ``memory``, in
parts of at most a fifth of candidates x budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.gains import Gains, Kernel
from modest.neighbours.rows import Rows
from modest.neighbours.side import Side
from modest.neighbours.standing import Standing, resume, stand
from modest.types import Bool, Float, Int

# two gains within this share of one target's full weight per target count as tied: what rounding can move them by
TIE = 1e-6
AHEAD = 64  # picks for which candidates are made ready at once


class Coverage(NamedTuple):
    """``picks`` (b,) rows in the frame of ids, ``gains`` (b,) as shares of the targets' weight, ``best`` (t,) covered
    similarity of the targets, ``standing`` what a later run can go on from.
    """

    picks: Int
    gains: Float
    best: Tensor
    standing: Standing


def greedy_coverage(
    rows: Rows,
    budget: int,
    candidates: Int,
    targets: Int,
    kernel: Kernel,
    *,
    covered: Int,
    weights: Float | None = None,
    factor: Float | None = None,
    open: Callable[[Int], Bool] | None = None,
    turns: Int | None = None,
    start: Standing | None = None,
    batch: int = 64,
) -> Coverage:
    """Pick ``budget`` candidates, fewer where none is open any more.

    Parameters
    ----------
    rows : Rows
    candidates, targets, covered : int
        Rows in the frame of ids, ascending: what may be picked, what is to be covered, what counts as picked already.
    kernel : function
        Squared distances -> similarities in [0, 1], decreasing.
    weights : (t,) float, optional
        Importance of the targets; equal if left out.
    factor : (c,) float above 0, optional
        Multiplies the gains where candidates are compared; the gains told are without it.
    open : function, optional
        Places of the candidates picked so far -> (c,) bool, which may still be picked.
    turns : (c,) int, optional
        Number of picks before which a candidate may not be picked, unless no other is open.
    start : Standing, optional
        End of an earlier run with the same kernel and weights; see :func:`modest.neighbours.standing.resume`.
    batch : int
        Gains that are brought up to date at first; changes nothing but the speed.
    """
    held = Side(rows, candidates)
    aims = held if np.array_equal(candidates, targets) else Side(rows, targets)
    w = None if weights is None else torch.as_tensor(weights, dtype=rows.dtype, device=rows.device)
    mass = float(len(targets) if weights is None else weights.sum())
    gains = Gains(held, aims, w, kernel, budget)
    if start is None:
        gains.best = gains.covered_by(covered, torch.arange(len(aims), device=rows.device))
        gains.levels = [gains.best.clone()]
    else:
        resume(gains, start, covered)
    field = _Field(gains, factor, open, turns, TIE * mass / max(1.0, float(len(aims)) ** 0.5))
    gained: list[float] = []
    while len(gained) < budget:
        open_rows = field.open_rows()
        if open_rows is None:
            break
        place = field.best(open_rows, batch)
        gained.append(max(0.0, float(gains.bound[place]) / mass))
        field.places.append(place)
        gains.cover(place)
    places = np.array(field.places, dtype=np.int64)
    return Coverage(candidates[places], np.array(gained), gains.best, stand(gains, covered, places))


class _Field:
    """Which candidates are open at each pick, and the best of them."""

    def __init__(
        self, gains: Gains, factor: Float | None, still_open: Callable[[Int], Bool] | None, turns: Int | None,
        slack: float,
    ) -> None:  # fmt: skip
        device, count = gains.best.device, len(gains.held)
        self.gains, self.still_open, self.slack = gains, still_open, slack
        self.factor = torch.ones(1, dtype=torch.float64, device=device) if factor is None else torch.as_tensor(
            factor, dtype=torch.float64, device=device
        )  # fmt: skip
        self.turns = None if turns is None else torch.as_tensor(turns, device=device)
        self.free = torch.ones(count, dtype=torch.bool, device=device)
        self.places: list[int] = []

    def open_rows(self) -> Tensor | None:
        """(c,) bool: candidates that may be picked next, their bounds known; None when there is none."""
        picked = len(self.places)
        if picked:
            self.free[self.places[-1]] = False
        allowed = self.free
        if self.still_open is not None:
            bought = np.array(self.places, dtype=np.int64)
            allowed = allowed & torch.as_tensor(self.still_open(bought), device=allowed.device)
        if not bool(allowed.any()):
            return None
        if self.turns is None:
            if not picked:
                self._admit(self.free)
            return allowed
        if picked % AHEAD == 0:
            self._admit(self.turns < picked + AHEAD)
        now = allowed & (self.turns <= picked)
        if bool(now.any()):
            return now
        self._admit(allowed)
        return allowed

    def _admit(self, wanted: Tensor) -> None:
        new = wanted & (self.gains.bound == -torch.inf)
        if bool(new.all()):
            self.gains.admit(None)
        elif bool(new.any()):
            self.gains.admit(torch.nonzero(new).flatten())

    def best(self, open_rows: Tensor, batch: int) -> int:
        """Place of the open candidate with the largest gain times factor, lowest on ties."""
        while True:
            bound = torch.where(open_rows, self.gains.bound, -torch.inf)
            if float(bound.max()) <= self.slack:  # nothing is left to gain: the lowest open row
                return int(open_rows.to(torch.int8).argmax())
            value, exact = bound * self.factor, self.gains.exact()
            top = torch.where(exact, value, -torch.inf).max()
            near = value >= top - self.slack * self.factor
            stale = open_rows & near & ~exact
            if not bool(stale.any()):
                return int((open_rows & near).to(torch.int8).argmax())
            at = torch.where(stale, value, -torch.inf).topk(min(batch, int(stale.sum()))).indices
            self.gains.refresh(at.sort().values)
            batch *= 4
