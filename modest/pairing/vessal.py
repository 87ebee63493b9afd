"""VeSSAL for pairs: one pass over the rows, each taken by a chance that grows with the volume it adds; for streams.

Reference: Saran et al., ICML 2023 ("Streaming active learning with deep neural networks"), brought to pairs.

    symbol   variable   shape    meaning
    g_t                 (d,)     gradient of row t at its guessed partner, of ``badge.py``
    A        matrix     (d, d)   ridge I + sum over what is bought or taken of g g'; its inverse is kept
    C        seen       (d, d)   sum over rows seen of g g'
    b, r                         rows still to take, rows still to come, row t with them

    p_t = min(1, b / r  g_t' A^-1 g_t / mean over rows seen s <= t of g_s' A^-1 g_s);   take row t if u_t < p_t

log det A grows by log(1 + g' A^-1 g), so the gain in volume is what p is proportional to; the mean makes the rate b / r
on average. What is ours: the rate follows what is still missing, the pass ends at B, and once as many rows are left as
are missing all of them are taken, so that they are B exactly. Rows of all sides are one stream: in a drawn order, keyed
by (seed, round, side, id), or with ``order="ids"`` as they arrive, when ids ascend with arrival. Buffer by buffer
nothing is carried over but what the setting shows anyway: covered rows and anchors stand in A with their gradients
under the current model, so that a buffer knows what earlier ones bought; C begins anew.
A side with several targets shares its rows out as Random does. Cost f_a f_b d, and d^2 per row; memory the gradients.
"""

from __future__ import annotations

import numpy as np
import torch

from modest.checks import known
from modest.data.keys import order as drawn
from modest.data.keys import uniform
from modest.pairing.asking import Pick, gathered, open_sides, towards
from modest.pairing.badge import gradients
from modest.pairing.sides import Asked, Setting, Side
from modest.types import Float, Int


def vessal(
    setting: Setting, budget: int, *, temperature: float = 0.07, ridge: float = 0.01, order: str = "drawn"
) -> list[Asked]:
    """Ask about ``budget`` rows, taken in one pass; ``trace`` has ``evaluations``, similarities computed.

    Raises
    ------
    ValueError
        If ``temperature`` or ``ridge`` is not above 0, or ``order`` is neither "drawn" nor "ids".
    """
    known(order, ("drawn", "ids"), "order")
    if not ridge > 0:
        raise ValueError(f"ridge={ridge} must be above 0.")
    picks: list[Pick] = []
    parts, count = [], 0
    matrix = ridge * np.eye(next(iter(setting.sides.values())).rows.width)
    for name in open_sides(setting):
        side = setting.sides[name]
        ways = towards(setting, name, side.open)
        for way in dict.fromkeys(ways):
            target, rows = setting.sides[way[1]], side.open[[other == way for other in ways]]
            picks += [(way, int(row)) for row in rows]
            parts.append(gradients(side.rows, rows, target, temperature).double().cpu().numpy())
            bought = _bought(side, target, temperature)
            matrix += bought.T @ bought
            count += (len(rows) + len(bought)) * int(target.free.sum())
    ids, stream = [setting.sides[way[0]].rows.ids[row] for way, row in picks], f"vessal/{setting.round}"
    names = [f"{way[0]}/{told}" for (way, _), told in zip(picks, ids)]
    at = np.lexsort((names, ids)) if order == "ids" else drawn(names, setting.seed, stream)
    luck = uniform(np.array(names)[at], setting.seed, f"{stream}/take")
    taken = at[one_pass(np.concatenate(parts)[at], luck, budget, matrix)]
    return gathered([picks[k] for k in taken], {"evaluations": count})


def _bought(side: Side, target: Side, temperature: float) -> Float:
    """(c, d) gradients of the side's covered rows and anchors."""
    held = [gradients(side.rows, side.covered, target, temperature)]
    if side.anchors is not None:
        held.append(gradients(side.anchors, np.arange(len(side.anchors)), target, temperature))
    return torch.cat(held).double().cpu().numpy()


def one_pass(g: Float, luck: Float, budget: int, matrix: Float) -> Int:
    """Places (budget,) of the rows taken of g (n, d) in one pass, by numbers ``luck`` (n,) in [0, 1).

    ``matrix`` (d, d) is A before the first row.
    """
    n, inverse = len(g), np.asarray(np.linalg.inv(matrix), dtype=np.float64)
    step = int(np.clip(2 * n // budget, 16, 4096))  # rows looked at together; changes nothing but the time
    seen, total, at = np.zeros_like(inverse), 0.0, 0
    picks: list[int] = []
    while len(picks) < budget:
        part = g[at : at + step]
        gain = np.einsum("nd,nd->n", part @ inverse, part).clip(0.0)
        place = at + np.arange(len(part))
        mean = (total + gain.cumsum()) / (place + 1)
        left, missing = n - place, budget - len(picks)
        chance = missing / left * np.where(mean > 0, gain / np.where(mean > 0, mean, 1.0), 1.0)
        take = (luck[place] < chance) | (missing >= left)
        hit = bool(take.any())
        stop = int(take.argmax()) + 1 if hit else len(part)
        seen += part[:stop].T @ part[:stop]
        total += float(gain[:stop].sum())
        at += stop
        if hit:
            picks.append(at - 1)
            v = inverse @ g[at - 1]
            scale = 1.0 + float(g[at - 1] @ v)
            inverse -= np.outer(v, v) / scale
            total -= float(v @ seen @ v) / scale
    return np.array(picks, dtype=np.int64)
