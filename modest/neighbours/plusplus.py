"""k-means++ seeding over rows that are outer products, without ever forming them.

Row i is g_i = q_i (x) v_i, so <g_i, g_j> = <q_i, q_j> <v_i, v_j> and

    d2(i, j) = |q_i|^2 |v_i|^2 + |q_j|^2 |v_j|^2 - 2 <q_i, q_j> <v_i, v_j>
    next row i drawn with probability D_i / sum D,   D_i = min over picks j of d2(i, j)

A draw is a race: with e_i exponential, i wins (has the largest D_i / e_i) with exactly that probability. The e_i of
pick t are keyed by (seed, t, id), so that the answer follows the ids and a longer one begins with a shorter one. A race
also lets several picks share one product: D only falls, so a value D_i / e_i from before is an upper bound, the few
best runners of the next picks are known beforehand, and a pick stands when its true value beats the bound of all who
are not among them. The picks are those of one draw at a time.
Source: Arthur and Vassilvitskii 2007; Ash et al., ICLR 2020 for the products.
Cost about n (C + D) per pick; memory n (C + batch) numbers besides the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from modest.data.keys import keys
from modest.neighbours.rows import Rows
from modest.types import Bool, Float, Int

_RUNNERS = 4  # of each pick to come, how many are looked at before all rows are again


@dataclass(frozen=True, eq=False)
class Products:
    """Rows g_i = q_i (x) v_i: ``q`` (n, C), v_i the row of ``rows``, with block m times ``scale`` (n, M) if given."""

    rows: Rows
    q: Tensor
    scale: Tensor | None = None

    def _v(self, x: Tensor, at: Tensor | slice) -> Tensor:
        if self.scale is None:
            return x
        widths = torch.tensor(self.rows.dims, device=x.device)
        return x * self.scale[at].repeat_interleave(widths, dim=1)

    def take(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """q (k, C) and v (k, D) of some rows (frame of ids)."""
        return self.q[at], self._v(self.rows.take(at).x, at)

    def squared_norms(self) -> Tensor:
        """(n,) |g_i|^2 = |q_i|^2 |v_i|^2."""
        v = [self._v(b.x, slice(s, s + len(b))).square().sum(dim=1) for s, b in self.rows.tiles(self._length(1))]
        return self.q.square().sum(dim=1) * torch.cat(v)

    def squared_distances(self, at: Tensor, norms: Tensor) -> Tensor:
        """(n, k) squared distances of every row to the rows ``at``."""
        found = torch.empty((len(self.q), len(at)), dtype=self.q.dtype, device=self.q.device)
        q, v = self.take(at)
        for start, block in self.rows.tiles(self._length(len(at))):
            tile = slice(start, start + len(block))
            found[tile] = self.between(self.q[tile], self._v(block.x, tile), norms[tile], q, v, norms[at])
        return found

    @staticmethod
    def between(q: Tensor, v: Tensor, a: Tensor, p: Tensor, w: Tensor, b: Tensor) -> Tensor:
        """(k, l) squared distances of rows (q, v) of squared norm a to rows (p, w) of squared norm b.

        What rounding alone can make of two equal rows is zero.
        """
        inner = (v @ w.T).mul_(q @ p.T)
        size = a[:, None] + b[None, :]
        small = 1e-5 if size.dtype == torch.float32 else 1e-11
        d2 = inner.mul_(-2.0).add_(size)
        return d2.masked_fill_(d2 <= size.mul_(small), 0.0)

    def _length(self, columns: int) -> int:
        """Rows per tile when each also has a scaled copy and three numbers per column."""
        width = 8 * (self.rows.width + 3 * columns)
        return int(max(1, min(self.rows.tile, self.rows.memory // 8 // width)))


def plus_plus(
    products: Products,
    budget: int,
    free: Bool,
    *,
    seed: int = 0,
    uniforms: Float | None = None,
    covered: Int | None = None,
    still: Callable[[Int], Bool] | None = None,
    batch: int = 64,
) -> tuple[Int, Float, Tensor]:
    """Picks (budget,), the distance of each to the picks before it (budget,), final squared distances (n,).

    There are fewer picks where ``still`` leaves no row.

    Parameters
    ----------
    products : Products
    budget : int
    free : (n,) bool
        Rows (frame of ids) that may be picked.
    seed : int
        Of the draws, keyed by (seed, pick, id).
    uniforms : (budget - 1,) float, optional
        One number in [0, 1) per draw instead (one less where the first pick is no draw): the first free row with
        cumsum(D) / sum(D) >= u.
    covered : (c,) int, optional
        Rows that count as picks already. Without any, the first pick is the free row of largest norm, the lowest on
        ties, and its distance is that norm.
    still : function, optional
        Picks so far -> (n,) bool, the rows that may yet be picked; a row that is closed once stays closed.
    batch : int
        Picks that share one product; changes nothing but the speed.

    When every free row has distance zero, the next one is drawn evenly from them.
    """
    norms, before = products.squared_norms(), np.empty(0, dtype=np.int64) if covered is None else covered
    batch = int(max(1, min(batch, products.rows.memory // 4 // (48 * len(norms)))))
    closest = torch.full_like(norms, torch.inf)
    for begin in range(0, len(before), batch):
        at = torch.as_tensor(before[begin : begin + batch], device=norms.device)
        closest = torch.minimum(closest, products.squared_distances(at, norms).amin(dim=1))
    picks: list[int] = []
    distances: list[float] = []

    def open_after(more: list[int]) -> Bool:
        return free if still is None else free & still(np.array(picks + more, dtype=np.int64))

    open_rows = torch.as_tensor(open_after([]), device=norms.device).clone()

    def count(rows: list[int], found: list[float]) -> Tensor:
        at = torch.tensor(rows, device=norms.device)
        open_rows.logical_and_(torch.as_tensor(open_after(rows), device=norms.device))[at] = False
        picks.extend(rows)
        distances.extend(value**0.5 for value in found)
        return torch.minimum(closest, products.squared_distances(at, norms).amin(dim=1))

    if not len(before):
        first = _largest(norms, open_rows)
        closest = count([first], [float(norms[first])])
    base = torch.as_tensor(keys(products.rows.ids, seed, "plus_plus").astype(np.int64), device=norms.device)
    while len(picks) < budget and bool(open_rows.any()):
        weight = torch.where(open_rows, closest, 0.0).double()
        weight = weight if bool((weight > 0).any()) else open_rows.double()
        if uniforms is not None:
            pick = _at(weight, float(uniforms[len(picks) - (not len(before))]))
            closest = count([pick], [float(closest[pick])])
            continue
        runs = _exponentials(base, len(picks), min(batch, budget - len(picks)))
        closest = count(*_race(products, norms, weight, closest, runs, None if still is None else open_after))
    return np.array(picks, dtype=np.int64), np.array(distances), closest


def _largest(norms: Tensor, open_rows: Tensor) -> int:
    """Lowest open row whose norm ties with the largest."""
    value = torch.where(open_rows, norms, -1.0)
    return int((value >= value.max() * (1.0 - 2e-6)).to(torch.int8).argmax())


def _at(weight: Tensor, u: float) -> int:
    """First row whose share of the cumulated weights reaches u, among those with a weight."""
    usable = torch.nonzero(weight > 0).flatten()
    cumulated = weight[usable].cumsum(0)
    place = int(torch.searchsorted(cumulated / cumulated[-1], cumulated.new_tensor(u)))
    return int(usable[min(place, len(usable) - 1)])


def _exponentials(base: Tensor, first: int, count: int) -> Tensor:
    """(count, n) exponential numbers of picks ``first``, ``first`` + 1, ...: SplitMix64 of each row's key and the pick.

    In int64, whose products wrap as those of uint64 do; shifts are masked to bring in zeros.
    """
    steps = torch.arange(first, first + count, dtype=torch.int64, device=base.device)
    x = base[None, :] + (steps * -7046029254386353131)[:, None]  # 0x9E3779B97F4A7C15
    x.bitwise_xor_((x >> 30).bitwise_and_((1 << 34) - 1)).mul_(-4658895280553007687)  # 0xBF58476D1CE4E5B9
    x.bitwise_xor_((x >> 27).bitwise_and_((1 << 37) - 1)).mul_(-7723592293110705685)  # 0x94D049BB133111EB
    x.bitwise_xor_((x >> 31).bitwise_and_((1 << 33) - 1))
    top = (x >> 11).bitwise_and_((1 << 53) - 1)
    return top.double().add_(0.5).mul_(2.0**-53).log_().neg_()


def _race(
    products: Products, norms: Tensor, weight: Tensor, closest: Tensor, runs: Tensor,
    open_after: Callable[[list[int]], Bool] | None,
) -> tuple[list[int], list[float]]:  # fmt: skip
    """Winners of the next races, as many as can be told from their best runners, and the squared distance of each.

    ``open_after`` the winners: (n,) bool, who may still win.
    """
    even = bool((closest[weight > 0] == 0).all())
    top = (weight[None, :] / runs).topk(min(_RUNNERS, len(weight)), dim=1)
    runners, place = torch.unique(top.indices, return_inverse=True)
    q, v = products.take(runners)
    apart = products.between(q, v, norms[runners], q, v, norms[runners]).double().cpu().numpy()
    exponential = torch.gather(runs, 1, top.indices).cpu().numpy()
    now, bound = weight[runners].cpu().numpy(), top.values[:, -1].cpu().numpy()
    at, everyone = place.cpu().numpy(), top.indices.shape[1] == len(weight)
    rows = runners.cpu().numpy()
    winners: list[int] = []
    found: list[float] = []
    for j in range(len(runs)):
        value = now[at[j]] / exponential[j]
        best = int(value.argmax())
        if winners and not (value[best] > 0 and (everyone or value[best] >= bound[j])):
            break
        k = at[j, best]
        winners.append(int(rows[k]))
        found.append(0.0 if even else float(now[k]))
        now = np.where(now > 0, now, 0.0) if even else np.minimum(now, apart[k])
        now[k] = 0.0
        if open_after is not None:
            now[~open_after(winners)[rows]] = 0.0
    return winners, found
