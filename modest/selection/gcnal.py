"""GCNAL: a small graph network learns to tell labelled rows from the others, and the choice follows what it has learnt.

Reference: Caramalau et al., CVPR 2021 ("Sequential graph convolutional network for active learning").

    symbol   variable    shape      meaning
    x_i      X           (s, D)     unit rows of the features, all modalities side by side
    c_j                  (s,)       sum of column j of X X^T - I
    A                    (s, s)     (X X^T - I) / c + I, columns divided by c_j; not symmetric
    H        hidden      (s, h)     relu(A X W1 + b1)
    z        logit       (s,)       A H w3 + b3;  sigma(z) near 1 for labelled rows

    loss = -mean log sigma(z) over labelled rows - 1.2 mean log(1 - sigma(z)) over the others
    "uncertain"  the rows of smallest |sigma(z) - 0.1|
    "core"       farthest-first over [H, z] from the labelled rows, the default as in the multimodal baselines

Departures: A is never formed (A v = X (X^T (v / c)) - v / c + v), so a step costs s D h, and the normalisation is a
division. Column sums are guarded: with signed features they can vanish or be negative, which amplifies and flips signs,
so c_j is at least the Euclidean norm of its column, which binds for no column without negative entries; a column of
zeros is left out. Logarithms are those of the logit, never of 0. All labelled rows and at most ``sample`` others (at
least 20 times the budget) take part, drawn by (seed, id), in one graph; the trace tells how many.
Cost s D^2 once, 4 s D h per step; memory 7 s D numbers. ``scores``: uncertain 1 - |sigma(z) - 0.1|, core the distance
to everything labelled or chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from modest.checks import budget_items, known, taken_mask
from modest.neighbours import Rows, farthest_first
from modest.neighbours.device import Precision
from modest.selection.answer import answer, free_rows, highest, inner_mask, members_and_free
from modest.selection.arrays import feature_rows, labelled_rows
from modest.types import Bool, Choice, Float, Int, Views

_PARTS = ("weight1", "bias1", "weight3", "bias3")


@dataclass(frozen=True, eq=False)
class Graph:
    """A of unit rows ``x`` (s, D), with ``share`` (s,) 1 / c_j, 0 for a row that is like no other."""

    x: Tensor
    share: Tensor
    guarded: int

    @classmethod
    def over(cls, x: Tensor) -> Graph:
        """Graph of rows (s, D) of norm 1, or 0 for a row without features."""
        total, norm = column_sums(x)
        safe = torch.maximum(total, norm)
        share = torch.where(safe > 1e-6, 1.0 / safe, 0.0)
        return cls(x, share.to(x.dtype), int((total < norm * (1.0 - 1e-6)).sum()))

    def apply(self, v: Tensor) -> Tensor:
        """A v for v (s, k)."""
        w = v * self.share[:, None]
        return self.x @ (self.x.T @ w) - w + v


def column_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Sum (s,) and Euclidean norm (s,) of every column of X X^T without its diagonal, for x (s, D)."""
    wide = x.double()
    own = wide.square().sum(dim=1)
    total = wide @ wide.sum(dim=0) - own
    norm = (((wide @ (wide.T @ wide)) * wide).sum(dim=1) - own.square()).clamp_min(0.0).sqrt()
    return total, norm


def network(graph: Graph, spread: Tensor, weights: Mapping[str, Tensor], mask: Tensor | None = None) -> Any:
    """H (s, h) and z (s,), for ``spread`` = A X and weights weight1 (D, h), bias1 (h,), weight3 (h, 1), bias3 (1,).

    ``mask`` (s, h) multiplies H: dropout.
    """
    hidden = torch.relu(spread @ weights["weight1"] + weights["bias1"])
    hidden = hidden if mask is None else hidden * mask
    return hidden, graph.apply(hidden @ weights["weight3"])[:, 0] + weights["bias3"]


def loss_of(logit: Tensor, labelled: Tensor, weight: float) -> Tensor:
    """Loss of the logits (s,), scalar; ``labelled`` (s,) bool. A side without rows counts nothing."""
    sides = ((logit[labelled], 1.0), (-logit[~labelled], weight))
    return sum((-w * logsigmoid(z).mean() for z, w in sides if len(z)), logit.new_zeros(()))


def train(
    graph: Graph, labelled: Tensor, start: Mapping[str, Tensor], steps: int, lr: float, weight: float, dropout: float,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, list[float]]:  # fmt: skip
    """H (s, h) and z (s,) after ``steps`` full-batch steps of Adam with decay 5e-4, and the loss before each step."""
    weights = {name: start[name].detach().clone().requires_grad_() for name in _PARTS}
    adam = torch.optim.Adam(weights.values(), lr=lr, weight_decay=5e-4)
    spread = graph.apply(graph.x)
    shape, losses = (len(graph.x), weights["weight1"].shape[1]), []
    with torch.enable_grad():
        for _ in range(steps):
            mask = None
            if dropout:
                kept = torch.rand(shape, generator=generator) >= dropout
                mask = kept.to(spread) / (1.0 - dropout)
            loss = loss_of(network(graph, spread, weights, mask)[1], labelled, weight)
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
            losses.append(float(loss.detach()))
    with torch.no_grad():
        hidden, logit = network(graph, spread, weights)
    return hidden, logit, losses


def drawn_weights(width: int, hidden: int, generator: torch.Generator) -> dict[str, Tensor]:
    """First weights, uniform in +-1 / sqrt(outputs)."""
    shapes = {"weight1": (width, hidden), "bias1": (hidden,), "weight3": (hidden, 1), "bias3": (1,)}
    return {
        name: (2.0 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1.0) / shape[-1] ** 0.5
        for name, shape in shapes.items()
    }


def gcnal(
    views: Views,
    budget: int | float,
    *,
    features: Any,
    taken: Any = None,
    closed: Any = None,
    labels: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    variant: Literal["core", "uncertain"] = "core",
    hidden: int = 128,
    steps: int = 200,
    lr: float = 1e-3,
    dropout: float = 0.3,
    margin: float = 0.1,
    unlabelled_weight: float = 1.2,
    sample: int = 10_000,
    start: Mapping[str, Any] | None = None,
    precision: Precision = "auto",
) -> Choice:
    """Choose ``budget`` rows that a graph network finds unlike the labelled ones, or cannot tell.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; only ids and presence matter.
    budget : int or float
        Items, or a share of the rows.
    features : {modality: (n, d)}
        Features to build the graph on.
    taken : (n,) bool, optional
        Rows that count as labelled and may not be chosen.
    closed : (n,) bool, optional
        Rows that may not be chosen and still belong to the graph, as unlabelled ones.
    labels : (n,) int, optional
        Class numbers, -1 where unknown; rows that have one count as taken. One row at least must be labelled.
    seed, memory, device
        As in :func:`modest.select`.
    variant : {"core", "uncertain"}
        See above; ``margin`` is the 0.1 there.
    hidden, steps, lr, dropout, unlabelled_weight
        h, steps of Adam and their rate, share of H dropped in training, the 1.2 above.
    sample : int
        Most unlabelled rows in the graph.
    start : mapping, optional
        First weights weight1 (D, h), bias1 (h,), weight3 (h, 1), bias3 (1,) instead of drawn ones.
    precision : {"auto", "float32", "float64"}
        Of the network.

    Examples
    --------
    >>> x = np.repeat(np.eye(3), 4, axis=0)
    >>> taken = np.arange(12) < 4
    >>> sorted(row // 4 for row in gcnal(Views({"x": x}), 2, features={"x": x}, taken=taken).rows.tolist())
    [1, 2]
    """
    known(variant, ("core", "uncertain"), "variant")
    if steps < 0 or hidden < 1 or sample < 1 or not 0 <= dropout < 1 or not lr > 0:
        raise ValueError(
            "gcnal needs steps of 0 or more, hidden and sample of 1 or more, dropout in [0, 1), lr above 0."
        )
    rows = Rows(views, device=device, memory=memory)
    covered = labelled_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), labels)
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    if not covered.any():
        raise ValueError("gcnal learns what is labelled, and no row is; mark labelled rows by taken or labels.")
    drawn = members_and_free(rows, seed, max(sample, 20 * count), ~covered, free)
    at = np.sort(np.append(np.flatnonzero(covered), drawn))
    inputs = feature_rows(rows, views, features, memory, precision)
    graph = Graph.over(normalize(inputs.take(at).x, dim=1))
    generator = torch.Generator().manual_seed(seed % 2**63)
    first = drawn_weights(inputs.width, hidden, generator) if start is None else _given(start, inputs.width)
    first = {name: value.to(graph.x) for name, value in first.items()}
    labelled = torch.as_tensor(covered[at], device=graph.x.device)
    H, z, losses = train(graph, labelled, first, steps, lr, unlabelled_weight, dropout, generator)
    picks, scores, reasons = _picks(variant, H, z, covered[at], free[at], count, margin, rows)
    trace = {
        "variant": variant,
        "rows": len(at),
        "sampled": len(drawn) < int((~covered).sum()),
        "guarded_columns": graph.guarded,
        "loss": [losses[0], losses[-1]] if losses else [],
    }
    return answer(rows, at[picks], scores, "gcnal", reasons, trace)


def _given(start: Mapping[str, Any], width: int) -> dict[str, Tensor]:
    """First weights handed over, as tensors of the right shapes."""
    found = {name: torch.as_tensor(np.asarray(start[name])) for name in _PARTS if name in start}
    h = found["bias1"].shape[0] if "bias1" in found and found["bias1"].ndim == 1 else 0
    if {name: tuple(a.shape) for name, a in found.items()} != dict(zip(_PARTS, ((width, h), (h,), (h, 1), (1,)))):
        raise ValueError(f"start must hold weight1 ({width}, h), bias1 (h,), weight3 (h, 1) and bias3 (1,).")
    return found


def _picks(
    variant: str, hidden: Tensor, logit: Tensor, covered: Bool, free: Bool, count: int, margin: float, rows: Rows
) -> tuple[Int, Float, list[str]]:
    """Places of the picks in the graph, their scores and reasons."""
    if variant == "uncertain":
        share = torch.sigmoid(logit.double()).cpu().numpy()
        score = 1.0 - np.abs(share - margin)
        picks = highest(score, free)[:count]
        return picks, score[picks], [f"looks labelled by {share[row]:.3f}; sought is {margin:g}" for row in picks]
    table = Views({"graph": torch.cat([hidden, logit[:, None]], dim=1)})
    inner = Rows(table, unit=False, device=str(rows.device), memory=rows.memory, precision=_precision(hidden))
    picks, distances, _ = farthest_first(inner, count, free, covered=np.flatnonzero(covered))
    return picks, distances, [f"distance {d:.3f} in the graph from all labelled and chosen before" for d in distances]


def _precision(values: Tensor) -> Precision:
    return "float64" if values.dtype == torch.float64 else "float32"
