"""Nearest of a few parameters for every row, the k most similar rows for every parameter, and their matching.

Similarity of row i to parameter j is the mean cosine over the modalities row i has, w_i x_i . u_j with w_i = 1 / |p_i|
and u_j (D,) unit halves side by side. Cost n B D multiplications; memory one tile of rows x B.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.rows import Block, Rows
from modest.types import Bool, Int

# bf16 keeps eight bits: inputs and the stored result are each off by at most 2^-9 of their size, and the errors of
# the inputs average out over the sum; two similarities nearer than this are told apart in full precision
NEAR_TIE = 2.0**-8


def _similarity(block: Block, weight: Tensor, u: Tensor) -> Tensor:
    return (block.x @ u.T) * weight[:, None]


def _length(rows: Rows, columns: int) -> int:
    """Rows per tile when each row also needs ``columns`` similarities, held a few times over."""
    return int(max(1, min(rows.tile, rows.memory // 8 // (columns * 16))))


def nearest(rows: Rows, u: Tensor) -> tuple[Tensor, Tensor]:
    """Index (n,) of the most similar parameter of every row and that similarity (n,), lowest index on ties.

    u is (B, D). With fast bf16 the tiles are multiplied in bf16 and rows whose two best are nearer than 2^-8 are
    computed again in full precision; the similarity returned is always in full precision.
    """
    index = torch.empty(len(rows), dtype=torch.int64, device=rows.device)
    value = torch.empty(len(rows), dtype=rows.dtype, device=rows.device)
    low = u.to(torch.bfloat16).T if rows.fast else None
    for start, block in rows.tiles(_length(rows, len(u))):
        stop = start + len(block)
        weight = rows.weight[start:stop]
        if low is None:
            value[start:stop], index[start:stop] = _similarity(block, weight, u).max(dim=1)
            continue
        rough = rows.half(start, block) @ low
        best, at = rough.max(dim=1)
        if len(u) > 1:
            rough.scatter_(1, at[:, None], -torch.inf)
            close = (best.float() - rough.amax(dim=1).float()) * weight < NEAR_TIE
            at[close] = (block.x[close] @ u.T).argmax(dim=1)
        index[start:stop] = at
        value[start:stop] = (block.x * u[at]).sum(dim=1) * weight
    return index, value


def top_k(rows: Rows, u: Tensor, k: int, free: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k most similar free rows of every parameter: similarities (B, k) descending and rows (B, k).

    Computed in full precision and ordered by similarities summed in float64, so that tiles do not matter; equal ones
    by lowest row, though which of several equal to the last one are in the list is open. Entries beyond the free rows
    are -inf. A tile is only sorted for parameters of which it holds a row better than the last of their list.
    """
    best = torch.full((len(u), k), -torch.inf, dtype=rows.dtype, device=rows.device)
    at = torch.zeros((len(u), k), dtype=torch.int64, device=rows.device)
    for start, block in rows.tiles(_length(rows, len(u))):
        stop = start + len(block)
        open_rows = torch.arange(start, stop, device=rows.device)
        x = block.x
        if free is not None and not bool(free[start:stop].all()):
            open_rows = open_rows[free[start:stop]]
            x = x[open_rows - start]
        if not len(x):
            continue
        similarity = (u @ x.T).mul_(rows.weight[open_rows])
        better = torch.nonzero(similarity.amax(dim=1) > best[:, -1])[:, 0]
        if not len(better):
            continue
        values, found = similarity[better].topk(min(k, len(x)), dim=1)
        values, found = torch.cat([best[better], values], 1), torch.cat([at[better], open_rows[found]], 1)
        best[better], kept = values.topk(k, dim=1)
        at[better] = found.gather(1, kept)
    some = max(1, rows.memory // 8 // (k * rows.width * 24))
    for begin in range(0, len(u), some):
        part = slice(begin, begin + some)
        best[part], at[part] = _ordered(rows, u[part], best[part], at[part])
    return best, at


def softmax_sums(rows: Rows, u: Tensor, temperature: float, free: Tensor) -> tuple[Tensor, Tensor]:
    """Of the logits a = similarity / temperature of the free rows, for every parameter, in float64:

    log sum exp a (B,), and the mean of a under their softmax (B,). -inf and NaN where nothing is free.
    """
    top = torch.full((len(u),), -torch.inf, dtype=torch.float64, device=rows.device)
    total, first = torch.zeros_like(top), torch.zeros_like(top)
    for start, block in rows.tiles(_length(rows, len(u))):
        open_rows = torch.nonzero(free[start : start + len(block)])[:, 0]
        if not len(open_rows):
            continue
        logits = (u @ block.x[open_rows].T).mul_(rows.weight[open_rows + start]).div_(temperature)
        before, top = top, torch.maximum(top, logits.amax(dim=1).double())
        share = torch.exp(logits - top[:, None].to(logits.dtype))
        scale = torch.exp(before - top)
        total = total * scale + share.sum(dim=1, dtype=torch.float64)
        first = first * scale + share.mul_(logits).sum(dim=1, dtype=torch.float64)
    return top + total.log(), first / total


def _ordered(rows: Rows, u: Tensor, best: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    """Lists by similarities summed in float64, equal ones by lowest row."""
    x = rows.take(at.reshape(-1)).x.double().reshape(*at.shape, -1)
    exact = (x * u.double()[:, None]).sum(2) * rows.weight[at].double()
    exact[torch.isneginf(best)] = -torch.inf
    at, order = at.sort(dim=1)
    exact, order = exact.gather(1, order).sort(dim=1, descending=True, stable=True)
    return exact.to(best.dtype), at.gather(1, order)


def match(rows: Rows, u: Tensor, free: Bool, shortlist: int = 16) -> tuple[Int, Int]:
    """Give every parameter, in order, the most similar free row that no earlier one took.

    Returns the matched rows (B,) and the most similar free rows before duplicates are resolved (B,). The shortlist
    only saves work: where all of it is gone, or more rows than it holds may tie, that parameter is compared with
    every row.
    """
    open_rows = torch.as_tensor(free, device=rows.device).clone()
    values, at = top_k(rows, u, min(shortlist, len(rows)), open_rows)
    picked = np.empty(len(u), dtype=np.int64)
    first = at[:, 0].cpu().numpy()
    cut = at.shape[1] < len(rows)
    for j in range(len(u)):
        if cut and float(values[j, 0]) <= float(values[j, -1]):  # more may tie with the best than the list holds
            first[j] = _best_of_all(rows, u[j], torch.as_tensor(free, device=rows.device))
        usable = open_rows[at[j]] & ~torch.isneginf(values[j])
        place = int(usable.to(torch.int8).argmax()) if bool(usable.any()) else -1
        if place < 0 or (cut and float(values[j, place]) <= float(values[j, -1])):
            picked[j] = _best_of_all(rows, u[j], open_rows)
        else:
            picked[j] = int(at[j, place])
        open_rows[picked[j]] = False
    return picked, first


def _best_of_all(rows: Rows, u: Tensor, free: Tensor) -> int:
    """Most similar free row to one parameter, lowest row on ties, summed in float64."""
    best, at = -np.inf, -1
    for start, block in rows.tiles():
        stop = start + len(block)
        exact = (block.x.double() * u.double()).sum(1) * rows.weight[start:stop].double()
        exact[~free[start:stop]] = -torch.inf
        top = float(exact.max())
        if top > best:
            best, at = top, start + int((exact == top).to(torch.int8).argmax())
    return at
