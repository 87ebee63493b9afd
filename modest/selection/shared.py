"""What the modalities of an item have in common: a space shared by all of them, and how well they agree in it.

Reference: Kettenring, Biometrika 1971 (generalised canonical correlation, the MAXVAR criterion).

    symbol    variable   shape       meaning
    X_m                  (s, d_m)    centred unit rows of modality m in a sample, 0 where absent
    V_m, l_m             (d_m, k)    its first k principal directions and their variances
    Z_m                  (s, k)      scores, whitened as far as they are above the mean variance
    A_m       maps       (d_m, r)    from a modality into the shared space
    e_i       vectors    (n, r)      item i in the shared space
    a_i                  (n,)        cosine of its modalities there
    p_i       agreement  (n,)        share of random pairings that agree less, in [0, 1]; a_i in ``auto.py``

    Z_m = X_m V_m (l_m + 0.1 mean(l_m))^(-1/2),   [Z_1 ... Z_M] = U S [W_1; ...; W_M]^T,   A_m = V_m (..)^(-1/2) W_m
    e_i = sum over present m of x_im A_m,   a_i^mn = c(x_im A_m, x_in A_n),   p_i = mean over pairs of F_mn(a_i^mn)

F_mn is the distribution of that cosine when halves of different items are put together, so 0.5 says that the halves fit
no better than strangers' do. Nothing is assumed of the views' dimensions or of a common encoder. The maps are fitted
on the rows they are applied to: in a pool of few hundred rows unrelated modalities look somewhat related.
x_im is taken less its mean in the sample (the last row of ``maps``). r is at most 20, and no more than two modalities
have directions for: one that is rare, absent or a single number wide narrows nothing for the others.
Cost s d k once and n d r; memory the sample of at most 4,096 rows in float64, whatever ``memory`` says, and n (r + M)
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.extmath import randomized_svd
from torch import Tensor

from modest.neighbours import Rows
from modest.selection.answer import keyed_rows
from modest.types import Float, Int

SAMPLE = 4096  # rows that the maps are fitted on
DIRECTIONS = 100  # principal directions of a modality, at most
WIDTH = 20  # dimensions of the shared space, at most
RIDGE = 0.1  # of the mean variance, added to each
LEAST = 40  # rows with two modalities, below which nothing is fitted


@dataclass(frozen=True, eq=False)
class Shared:
    """``maps`` modality -> (d_m + 1, r), last row an offset; ``strangers`` (pairs, q) cosines, ascending."""

    maps: Mapping[str, Float]
    strangers: Float

    def state(self) -> dict[str, Any]:
        """Plain arrays by name."""
        return {"strangers": self.strangers} | {f"map:{name}": array for name, array in self.maps.items()}

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Shared | None:
        """The same again from :meth:`state`, None where that holds no maps."""
        maps = {name.removeprefix("map:"): state[name] for name in state if name.startswith("map:")}
        return cls(maps, state["strangers"]) if maps else None


def fit(rows: Rows, seed: int) -> Shared | None:
    """Maps into the shared space of centred ``rows``; None with one modality or too few rows that have two."""
    several = rows.present.sum(axis=1) > 1
    if int(several.sum()) < LEAST:
        return None
    drawn = keyed_rows(rows, seed, SAMPLE, several)
    block = rows.take(drawn)
    there = rows.present[drawn]
    parts, scores = [], []
    for m, x in enumerate(torch.split(block.x.double(), list(rows.dims), dim=1)):
        mean, directions = _principal(x.cpu().numpy(), there[:, m], seed)
        parts.append((mean, directions))
        scores.append(np.where(there[:, m : m + 1], (x.cpu().numpy() - mean) @ directions, 0.0))
    whole = np.concatenate(scores, axis=1)
    w = np.linalg.svd(whole, full_matrices=False)[2][: min(WIDTH, sorted(s.shape[1] for s in scores)[-2])].T
    maps, begin = {}, 0
    for name, (mean, directions) in zip(rows.names, parts):
        part = directions @ w[begin : begin + directions.shape[1]]
        maps[name], begin = np.vstack([part, -mean @ part]), begin + directions.shape[1]
    projected = _projected(rows, Shared(maps, np.empty(0)), drawn)
    strange = [_cosine(projected[a], np.roll(projected[b], 1, axis=0)) for a, b in combinations(range(len(maps)), 2)]
    both = [there[:, a] & np.roll(there[:, b], 1) for a, b in combinations(range(len(maps)), 2)]
    share = np.linspace(0.0, 1.0, 513)
    return Shared(maps, np.stack([np.quantile(s[b], share) if b.any() else share for s, b in zip(strange, both)]))


def apply(rows: Rows, shared: Shared) -> tuple[NDArray[np.float32], Float]:
    """Vectors (n, r) float32 in the frame of ids, and agreement (n,), NaN for an item of one modality."""
    pairs = list(combinations(range(len(rows.names)), 2))
    width = next(iter(shared.maps.values())).shape[1]
    vectors, agreement = np.empty((len(rows), width), dtype=np.float32), np.full(len(rows), np.nan)
    for start in range(0, len(rows), rows.tile):
        at = np.arange(start, min(start + rows.tile, len(rows)))
        there, parts = rows.present[at], _projected(rows, shared, at)
        vectors[at] = sum(parts)
        total, count = np.zeros(len(at)), np.zeros(len(at))
        for (a, b), strangers in zip(pairs, shared.strangers):
            both = there[:, a] & there[:, b]
            total += np.where(both, _below(_cosine(parts[a], parts[b]), strangers), 0.0)
            count += both
        agreement[at] = np.where(count > 0, np.round(total / np.maximum(count, 1.0), 6), np.nan)
    return vectors, agreement


def _principal(x: Float, there: Any, seed: int) -> tuple[Float, Float]:
    """Mean (d,) and whitening principal directions (d, k) of the present rows of x (s, d)."""
    own = x[there]
    if len(own) < 2:
        return np.zeros(x.shape[1]), np.zeros((x.shape[1], 1))
    mean = own.mean(axis=0)
    k = max(1, min(DIRECTIONS, x.shape[1], len(own) // 5))
    _, s, v = randomized_svd(own - mean, k, n_iter=4, power_iteration_normalizer="QR", random_state=seed)
    variance = s**2 / len(own)
    floor = max(float(variance.mean()), 1e-30)
    return mean, v.T / np.sqrt(variance + RIDGE * floor)


def _projected(rows: Rows, shared: Shared, at: Int) -> list[Float]:
    """(k, r) float64 per modality, 0 where it is absent."""
    found = []
    for m, x in enumerate(torch.split(rows.take(at).x, list(rows.dims), dim=1)):
        a: Tensor = torch.as_tensor(shared.maps[rows.names[m]], device=x.device)
        image = (x.double() @ a[:-1] + a[-1]).cpu().numpy()
        found.append(np.where(rows.present[at, m : m + 1], image, 0.0))
    return found


def _below(value: Float, strangers: Float) -> Float:
    """(k,) share of strangers below each value, half of those that are equal to it."""
    share = np.linspace(0.0, 1.0, len(strangers))
    at_most, at_least = np.interp(value, strangers, share), np.interp(-value, -strangers[::-1], share)
    return np.asarray((at_most + 1.0 - at_least) / 2.0)


def _cosine(a: Float, b: Float) -> Float:
    """(k,) cosine of rows, 0 where one of them is zero."""
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(size > 0, np.einsum("nr,nr->n", a, b) / np.where(size > 0, size, 1.0), 0.0)
