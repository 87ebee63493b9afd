"""Auto: asks about the rows that teach a linear map most, or, where a space is ready, about its doubts. Ours.

Coverage by distance buys outliers, and the doubts of a model of few pairs are mostly noise. What a linear map from a
side does not know yet needs neither: it follows from which rows were bought. This is greedy transductive experimental
design (Yu, Bi and Tresp, ICML 2006), of each side alone, given the pairs so far.

    symbol     variable    shape      meaning
    x_i                    (d,)       row i of a side, less the side's mean, divided by its norm
    S          spread      (d, d)     (I + sum over covered rows c of x_c x_c^T / noise)^-1
    M          moment      (d, d)     mean over the side of x x^T
    k_i        own         (n,)       x_i^T S x_i, the variance that is left in the prediction at row i

    asked next   argmax over free i of   x_i^T S M S x_i / (k_i + noise)    the variance it takes from the whole side
    side         the larger of           mean_i k_i / tr(M M)               directions not learned yet

1 / tr(M M) is the effective number of directions of a side's rows. Every pick updates S, S M S and both quadratic forms
by rank one. What a side has left counts per unit of what asking it costs. No similarity between the sides is needed, so
this runs before any pair is bought, and on sides of different width. ``views`` are the rows to look at: what the towers
see, where these are learned from scratch. Without them, sides that share a space are taken for a ready model's: its map
is there already, and its doubts say more than what a new map would have to learn, so ``badge`` chooses.

``noise`` 3, fixed on two sets, fell short on the two others, the design on a ready space too; noise 0.3 and the choice
of rule were made with all four seen (docs/results).
Cost n d^2 + 2 n B d, memory n d, of a sample of at least 20 rows for every pick; with ``badge``, as there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.keys import order
from modest.neighbours import Rows
from modest.pairing.badge import badge
from modest.pairing.modality_rule import direction
from modest.pairing.sides import Asked, Setting, Side
from modest.types import Bool, Float, Int, Views

SAMPLE = 20_000
TIE = 1e-9  # two gains within this share count as tied
_CHUNK = 4096


def auto(
    setting: Setting, budget: int, *, views: Mapping[str, Any] | None = None, noise: float = 0.3, sample: int = SAMPLE
) -> list[Asked]:
    """Rows of one side, those that teach most first; of both, as ``badge``, in a ready space.

    Parameters
    ----------
    views : {side: (n, d_m)}, optional
        Rows to look at instead of ``sides``, in the same order; sides left out are looked at as they are. Hand in what
        the towers see while these are learned from scratch.
    noise : variance of an observation, in units of a row's squared length
    sample : rows of a side looked at, drawn by (seed, id); at least 20 for each to be asked about

    ``trace`` has ``rule``, "design" or "badge"; of a design ``left`` {side: directions not learned yet}, ``sample``
    rows looked at of the side asked, ``unlearned`` (mean variance left after these picks) and ``evaluations``, 0: no
    two rows are compared.

    Raises
    ------
    ValueError
        If ``views`` names no side or has other rows, or ``noise`` or ``sample`` is not positive.
    """
    if not (np.isfinite(noise) and noise > 0):
        raise ValueError(f"noise={noise} must be a number above 0.")
    if sample < 1:
        raise ValueError(f"sample={sample} must be at least 1.")
    if views is None and setting.common:
        return [replace(asked, trace={**asked.trace, "rule": "badge"}) for asked in badge(setting, budget)]
    seen = {name: _seen(side, (views or {}).get(name)) for name, side in setting.sides.items()}
    odd = [name for name in views or {} if name not in seen]
    if odd:
        raise ValueError(f"views names {odd[0]!r}, which is no side; sides has {', '.join(seen)}.")
    kept = {name: _sampled(side, max(sample, 20 * budget), setting.seed) for name, side in setting.sides.items()}
    designs = {name: Design.of(seen[name], kept[name], setting.sides[name], noise) for name in seen}
    left = {name: one.left for name, one in designs.items()}
    way = direction("cost", setting, {name: left[name] if setting.sides[name].free.any() else -np.inf for name in left})
    one, rows = designs[way[0]], kept[way[0]]
    free = setting.sides[way[0]].free[rows]
    picks = one.picked(min(budget, int(free.sum())), free, noise)
    trace = {"rule": "design", "left": left, "sample": len(rows), "unlearned": float(one.own.mean()), "evaluations": 0}
    return [Asked(*way, rows[picks], trace)]


@dataclass(eq=False)
class Design:
    """State of one side's design, changed by every pick; symbols as above, ``gain`` (n,) x_i^T S M S x_i."""

    x: Float
    spread: Float
    turned: Float
    own: Float
    gain: Float
    directions: float

    @classmethod
    def of(cls, rows: Rows, kept: Int, side: Side, noise: float) -> Design:
        """Design of the rows ``kept`` given what the side has covered."""
        chunks = [kept[k : k + _CHUNK] for k in range(0, len(kept), _CHUNK)]
        mean = np.sum([_block(rows, some).sum(axis=0) for some in chunks], axis=0) / len(kept)
        x: Float = np.concatenate([_centred(rows, some, mean) for some in chunks])
        known = np.eye(x.shape[1])
        # anchors lie in the space of the sides; under ``views`` they cannot be placed
        anchors = side.anchors if rows is side.rows else None
        for source, at in ((rows, side.covered), (anchors, np.arange(0 if anchors is None else len(anchors)))):
            for k in range(0, len(at), _CHUNK):
                part = _centred(source, at[k : k + _CHUNK], mean)
                known += part.T @ part / noise
        spread: Float = np.linalg.inv(known).astype(np.float64)
        moment = x.T @ x / len(x)
        turned = spread @ moment @ spread
        own, gain = (np.asarray(((x @ matrix) * x).sum(axis=1)) for matrix in (spread, turned))
        return cls(x, spread, turned, own, gain, 1.0 / max(float((moment * moment).sum()), 1e-300))

    @property
    def left(self) -> float:
        """Directions that the covered rows have not taught."""
        return float(self.own.mean()) * self.directions

    def picked(self, count: int, free: Bool, noise: float) -> Int:
        """Places of ``count`` free rows in the order of the greedy design."""
        open_rows, picks = free.copy(), []
        for _ in range(count):
            worth = np.where(open_rows, self.gain / (self.own + noise), -np.inf)
            top = worth.max()
            place = int((worth >= top - TIE * abs(top)).argmax())
            picks.append(place)
            open_rows[place] = False
            self._learn(place, noise)
        return np.array(picks, dtype=np.int64)

    def _learn(self, place: int, noise: float) -> None:
        """S and S M S after one more row, and what follows from them."""
        row, scale = self.x[place], self.own[place] + noise
        u, w = self.spread @ row, self.turned @ row
        g, h, a = self.x @ u, self.x @ w, float(row @ w)
        self.own = self.own - g * g / scale
        self.gain = self.gain - 2.0 * g * h / scale + g * g * (a / scale**2)
        self.spread = self.spread - np.outer(u, u) / scale
        both = np.outer(u, w)
        self.turned = self.turned - (both + both.T) / scale + np.outer(u, u) * (a / scale**2)


def _seen(side: Side, given: Any) -> Rows:
    """Rows to look at: the side's own, or ``given`` in the same order."""
    if given is None:
        return side.rows
    array = given if hasattr(given, "shape") else np.asarray(given)
    if len(array.shape) != 2 or len(array) != len(side):
        told = f"views[{side.name!r}] has shape {tuple(array.shape)}"
        raise ValueError(f"{told}; it must hold a row for each of the side's {len(side)}.")
    ids = np.empty(len(side), dtype=side.rows.ids.dtype)
    ids[side.rows.table_rows(np.arange(len(side)))] = side.rows.ids
    rows = side.rows
    return Rows(Views({side.name: array}, None, ids), memory=rows.memory, device=str(rows.device), called="views")


def _sampled(side: Side, most: int, seed: int) -> Int:
    """Rows looked at, ascending: all, or ``most`` drawn by (seed, id), free ones first."""
    if len(side) <= most:
        return np.arange(len(side))
    drawn = order(side.rows.ids, seed, f"design/{side.name}")
    drawn = drawn[np.argsort(~side.free[drawn], kind="stable")]
    return np.sort(drawn[:most])


def _block(rows: Rows, at: Int) -> NDArray[np.float64]:
    return np.asarray(rows.take(at).x.double().cpu().numpy())


def _centred(rows: Any, at: Int, mean: Float) -> Float:
    """(k, d) rows less the mean, divided by their norm; a row at the mean itself stays zero."""
    moved = _block(rows, at) - mean
    norm = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(np.where(norm > 1e-6, moved / np.where(norm > 1e-6, norm, 1.0), 0.0))
