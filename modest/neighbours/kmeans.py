"""k-means in the house's distance, and the member nearest each centre.

    minimise sum_i d2(x_i, centre of i),   centre_m = sum_i w_i x_im / sum_i w_i over its rows that have modality m

with w_i = 1 / modalities of row i, the minimiser of a sum of means over modalities; the plain mean for complete rows.

Complete rows go to faiss (20 rounds, 5 restarts, at most 256 rows a centre unless told otherwise); with absent
modalities Lloyd's two steps run here on the same distance, from a k-means++ start drawn by the rows' keys. An empty
cluster is moved to the row farthest from its centre. Source: Lloyd 1982; Arthur and Vassilvitskii 2007.
Cost rounds x n k d; memory the sampled rows once, and one tile of rows x k.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from modest.neighbours.device import tile_length
from modest.neighbours.rows import Block, Rows, squared_distances
from modest.types import Bool, Int


def kmeans(
    rows: Rows,
    k: int,
    sample: Int,
    *,
    seed: int = 0,
    init: Int | None = None,
    rounds: int = 20,
    restarts: int = 5,
) -> Block:
    """Return the centres (k, D) as a Block.

    Parameters
    ----------
    rows : Rows
    k : int
        Number of centres, at most ``len(sample)``.
    sample : (s,) int
        Rows (frame of ids) to cluster, in an order that does not depend on the table's; it is also the order that
        random starts are drawn from.
    init : (k,) int, optional
        Rows to start the centres from; then there is one run and no draw.
    """
    data = rows.take(sample)
    if bool((data.p == 1).all()):
        centres = _faiss(data.x, k, seed, None if init is None else rows.take(init).x, rounds, restarts)
        whole = torch.ones((k, data.p.shape[1]), dtype=data.p.dtype, device=data.p.device)
        return Block(centres, whole, _squares(centres, rows.dims))
    if init is not None:
        return _lloyd(rows, data, rows.take(init), rounds)[0]
    rng = np.random.default_rng(seed)
    runs = [_lloyd(rows, data, data[_plus_plus(data, k, rng)], rounds) for _ in range(restarts)]
    return min(runs, key=lambda run: run[1])[0]


def _faiss(x: Tensor, k: int, seed: int, init: Tensor | None, rounds: int, restarts: int) -> Tensor:
    import faiss

    engine: Any = faiss.Kmeans(
        x.shape[1],
        k,
        niter=rounds,
        nredo=1 if init is not None else restarts,
        seed=seed % 2**31,
        min_points_per_centroid=1,
        max_points_per_centroid=max(1, -(-len(x) // k)),
    )
    start = None if init is None else init.float().cpu().numpy()
    engine.train(np.ascontiguousarray(x.float().cpu().numpy()), init_centroids=start)
    return torch.as_tensor(engine.centroids.reshape(k, -1), dtype=x.dtype, device=x.device)


def _length(rows: Rows, k: int) -> int:
    """Rows per tile when each row also needs its distance to k centres, held a few times over."""
    return tile_length(rows.memory, k * 16, rows.tile)


def _squares(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    return torch.stack([part.square().sum(1) for part in torch.split(x, list(dims), dim=1)], dim=1)


def _plus_plus(data: Block, k: int, rng: np.random.Generator) -> Tensor:
    """k-means++ start: each next row drawn in proportion to its squared distance to the nearest one drawn."""
    drawn = [int(rng.integers(len(data)))]
    closest = squared_distances(data, data[torch.tensor(drawn)])[:, 0].double()
    for _ in range(k - 1):
        closest[drawn] = 0.0
        total = float(closest.sum())
        if total == 0.0:  # only copies of what is drawn are left
            drawn.append(int(np.setdiff1d(np.arange(len(data)), drawn)[0]))
            continue
        place = torch.searchsorted(closest.cumsum(0), closest.new_tensor(float(rng.random()) * total))
        drawn.append(min(int(place), len(data) - 1))
        closest = torch.minimum(closest, squared_distances(data, data[torch.tensor(drawn[-1:])])[:, 0].double())
    return torch.tensor(drawn)


def _lloyd(rows: Rows, data: Block, centres: Block, rounds: int) -> tuple[Block, float]:
    """Lloyd's steps on rows with absent modalities: centres and the mean squared distance."""
    columns = torch.repeat_interleave(torch.arange(len(rows.dims)), torch.tensor(rows.dims))
    share, tiny = 1.0 / data.p.sum(1, keepdim=True), 0.5 / data.p.shape[1]
    previous: Tensor | None = None
    cost = np.inf
    for _ in range(rounds):
        label, distance = assign(data, centres, _length(rows, len(centres)))
        cost = float(distance.mean())
        if previous is not None and bool((label == previous).all()):
            break
        previous = label
        total = torch.zeros_like(centres.x).index_add_(0, label, data.x * share)
        seen = torch.zeros_like(centres.p).index_add_(0, label, data.p * share)
        x = torch.where(seen[:, columns] > 0, total / seen[:, columns].clamp_min(tiny), centres.x)
        empty = torch.bincount(label, minlength=len(centres)) == 0
        p = torch.where(seen > 0, torch.ones_like(seen), centres.p)
        far = distance.topk(int(empty.sum())).indices
        x[empty], p[empty] = data.x[far], data.p[far]
        centres = Block(x, p, _squares(x, rows.dims))
    return centres, cost


def assign(data: Block, centres: Block, tile: int) -> tuple[Tensor, Tensor]:
    """Nearest centre (n,) of every row and the squared distance to it (n,), lowest centre on ties."""
    found = [squared_distances(data[slice(a, a + tile)], centres).min(dim=1) for a in range(0, len(data), tile)]
    return torch.cat([f.indices for f in found]), torch.cat([f.values for f in found])


def nearest_members(rows: Rows, centres: Block, free: Bool) -> tuple[Int, Int, Tensor]:
    """One free member nearest each centre, and how many rows each cluster holds.

    Returns (k,) rows, -1 where a cluster has no free member; (n,) cluster of every row; (n,) squared distance to its
    centre. Lowest row on ties within rounding.
    """
    found = [(squared_distances(block, centres).min(dim=1)) for _, block in rows.tiles(_length(rows, len(centres)))]
    label = torch.cat([f.indices for f in found]).cpu().numpy()
    distance = torch.cat([f.values for f in found])
    value = np.where(free, np.round(distance.double().cpu().numpy(), 6), np.inf)
    order = np.lexsort((np.arange(len(rows)), value, label))
    picks = np.full(len(centres), -1, dtype=np.int64)
    clusters, begin = np.unique(label[order], return_index=True)
    head = order[begin]
    usable = np.isfinite(value[head])
    picks[clusters[usable]] = head[usable]
    return picks, label, distance
