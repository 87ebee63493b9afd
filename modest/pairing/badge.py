"""BADGE for pairs: k-means++ over gradients of the contrastive loss at the guessed partner; unsure rows that differ.

Reference: Ash et al., ICLR 2020 ("Deep batch active learning by diverse, uncertain gradient lower bounds"), brought to
pairs.

    symbol   variable      shape     meaning
    x_i                    (d,)      unit row of the side asked
    y_j                    (d,)      free unit rows of the target
    t        temperature             of the softmax, 0.07
    p_ij                             exp(x_i . y_j / t) / sum_k exp(x_i . y_k / t)
    g(i)                             argmax_j x_i . y_j, the guess; the lowest id on ties

    L_i = -log p_{i,g(i)},   g_i = dL_i / dx_i = (sum_j p_ij y_j - y_g(i)) / t
    first = argmax |g_i|,   next drawn with probability D_i^2 / sum D^2,   D_i = min over picks k of |g_i - g_k|

The gradient is that by the row itself; there is no last layer whose weights it could be taken by. It is long where the
softmax is spread, and points from the guess to the mean of its rivals. All directions lie in one space and are drawn
from together; a row that is picked in one direction is closed in all.
As published, bought rows do not count as picks. Draws are keyed by (seed, pick, direction, id); where all gradients are
equal rows are drawn evenly. Cost f_a f_b d per direction and n d per pick; memory the gradients, n d numbers.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modest.neighbours import Products, Rows, plus_plus
from modest.pairing.asking import gathered
from modest.pairing.sides import Asked, Setting, Side
from modest.types import Bool, Int, Views


def badge(setting: Setting, budget: int, *, temperature: float = 0.07) -> list[Asked]:
    """Ask about ``budget`` rows; ``trace`` has ``evaluations``: similarities, and a distance per gradient and pick.

    Raises
    ------
    ValueError
        If ``temperature`` is not above 0.
    """
    ways = setting.askable
    table = [gradients(setting.sides[a].rows, setting.sides[a].open, setting.sides[b], temperature) for a, b in ways]
    number = np.repeat(np.arange(len(ways)), [len(part) for part in table])
    row = np.concatenate([setting.sides[a].open for a, _ in ways])
    ids = np.concatenate([np.char.add(f"{a}>{b}/", setting.sides[a].rows.ids[setting.sides[a].open]) for a, b in ways])
    held = setting.sides[ways[0][0]].rows
    rows = Rows(Views({"gradient": torch.cat(table)}, ids=ids), unit=False, device=str(held.device), memory=held.memory)
    owner = np.array([list(setting.sides).index(a) for a, _ in ways])[number] * (row.max() + 1) + row
    owner = owner[rows.table_rows(np.arange(len(rows)))]

    def still(picks: Int) -> Bool:
        return ~np.isin(owner, owner[picks])

    ones = torch.ones((len(rows), 1), dtype=rows.dtype, device=rows.device)
    free = np.ones(len(rows), dtype=bool)
    found = plus_plus(Products(rows, ones), budget, free, seed=setting.seed, still=still)[0]
    at = rows.table_rows(found)
    count = sum(int(setting.sides[a].free.sum()) * int(setting.sides[b].free.sum()) for a, b in ways)
    return gathered([(ways[number[k]], row[k]) for k in at], {"evaluations": count + len(rows) * len(at)})


def gradients(rows: Rows, which: Int, target: Side, temperature: float) -> Tensor:
    """(k, d) gradient of the contrastive loss at the guess for ``which`` (k,) of the rows; zero without a target."""
    if not temperature > 0:
        raise ValueError(f"temperature={temperature} must be above 0.")
    step = int(max(1, min(1024, rows.memory // 16 // (rows.width * 16))))
    parts = [_gradients(rows.take(which[k : k + step]).x, target, temperature) for k in range(0, len(which), step)]
    return torch.cat(parts) if parts else torch.zeros((0, rows.width), dtype=rows.dtype, device=rows.device)


def _gradients(x: Tensor, target: Side, temperature: float) -> Tensor:
    """Gradients (k, d) for unit rows x (k, d), with the softmax summed a tile of the target at a time."""
    rows, others = target.rows, target.open
    top = x.new_full((len(x), 1), -torch.inf)
    total, mean, guess = torch.zeros_like(top), torch.zeros_like(x), torch.zeros_like(x)
    step = int(max(1, min(rows.tile, rows.memory // 16 // (16 * len(x)))))
    for start in range(0, len(others), step):
        y = rows.take(others[start : start + step]).x
        logits = (x @ y.T).div_(temperature)
        here, at = logits.max(dim=1, keepdim=True)
        guess = torch.where(here > top, y[at[:, 0]], guess)
        before, top = top, torch.maximum(top, here)
        shrink, share = (before - top).exp(), (logits - top).exp()
        total = total * shrink + share.sum(dim=1, keepdim=True)
        mean = mean * shrink + share @ y
    return (mean / total - guess) / temperature if len(others) else mean
