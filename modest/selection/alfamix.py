"""ALFA-Mix: items whose prediction flips when their features move a little towards labelled ones; for small rounds.

Reference: Parvaneh et al., CVPR 2022 ("Active learning by feature mixing").

    symbol   variable    shape    meaning
    z_i      z           (n, D)   features of row i, all modalities side by side
    f        head                 features -> logits
    a_c      anchor      (C, D)   mean features of the rows labelled c; of all labelled rows if there is none
    y_i      predicted   (n,)     argmax f(z_i)
    g_i      gradient    (n, D)   d CE(f(z_i), y_i) / d z_i
    eps      cap                  1, 2, ... times alpha_cap, until more than ``budget`` rows are candidates or it is 1

    mixture (1 - alpha) z_i + alpha a_c, elementwise;  i is a candidate if argmax f(mixture) != y_i for some c
    closed form  alpha = eps / sqrt(D) |a_c - z_i| / |g_i| g_i / (a_c - z_i), so that the mixture is
                 z_i + eps / sqrt(D) |a_c - z_i| g_i / |g_i|: the anchor matters by its distance alone
    learned      alpha from N(eps / 2, eps / 2) in [1e-8, eps], five steps down -CE(f(mixture), y_i) + 0.01 |alpha|,
                 each the first step of a new Adam, rate 0.1; flips are looked for before each step
    picks        the candidate nearest each of ``budget`` centres of k-means over unit z

Departures: what candidates leave open is drawn without replacement, by (seed, id), from the other candidates and then
from all free rows (published: with replacement, or a crash); the mixture is formed without dividing by a_c - z_i; rows
that flipped are not looked at again at larger caps, which cannot change the candidates. An absent modality is not
moved: its features stay zero, and D counts the others.
Cost C passes of the head per cap and row that has not flipped (five times that and their gradients if learned); memory
a few tiles, and the candidates' features. ``scores``: share of the candidates that the pick stands for, 0 for a draw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, nearest_members
from modest.neighbours import kmeans as cluster
from modest.neighbours.device import Precision
from modest.selection.answer import answer, free_rows, given_rows, inner_mask, keyed_order
from modest.selection.arrays import class_numbers, feature_rows
from modest.selection.mixing import Space, candidates
from modest.types import Choice, Float, Int, Views


def alfamix(
    views: Views,
    budget: int | float,
    *,
    features: Any,
    head: Callable[[Mapping[str, Tensor]], Tensor],
    labels: Any,
    taken: Any = None,
    closed: Any = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    alpha_cap: float = 0.2,
    learned: bool = False,
    noise: Any = None,
    init: Any = None,
    rounds: int = 20,
    restarts: int = 5,
    precision: Precision = "auto",
) -> Choice:
    """Choose ``budget`` rows among those whose prediction flips under mixing with labelled features.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality; only ids and presence matter.
    budget : int or float
        Items, or a share of the rows.
    features : {modality: (n, d)}
        What the head takes.
    head : function
        {modality: (k, d) tensors} -> logits (k, C), differentiable.
    labels : (n,) int
        Class numbers, -1 where unknown; at least one is known, and such rows count as taken.
    taken, seed, memory, device
        As in :func:`modest.select`.
    closed : (n,) bool, optional
        Rows that may not be chosen; only free rows are mixed.
    alpha_cap : float
        First cap and step of the caps, in (0, 1].
    learned : bool
        Learn alpha instead of the closed form.
    noise : (caps, C, free rows, D), optional
        Starts of alpha as multiples of the cap, in the order of ids.
    init : (budget,) int, optional
        Candidates (rows of the table) that k-means starts from.
    rounds, restarts : int
        Of k-means.
    precision : {"auto", "float32", "float64"}
        Of features handed to the head.

    Examples
    --------
    >>> x = np.array([[2.0, 0.0], [0.0, 2.0], [0.4, 0.5], [3.0, 0.0]])
    >>> given = {"features": {"x": x}, "head": lambda features: features["x"], "labels": np.array([0, 1, -1, -1])}
    >>> alfamix(Views({"x": x}), 1, **given).rows.tolist()
    [2]
    """
    if not 0 < alpha_cap <= 1:
        raise ValueError(f"alpha_cap={alpha_cap} must lie in (0, 1]; alpha is the share of the way to an anchor.")
    rows = Rows(views, device=device, memory=memory)
    known = class_numbers(rows, labels)
    covered = inner_mask(rows, taken_mask(taken, len(rows))) | (known >= 0)
    free = np.flatnonzero(free_rows(rows, covered, closed))
    count = budget_items(budget, len(rows), len(free))
    if not (known >= 0).any():
        raise ValueError("labels has no known class, and alfamix mixes with labelled rows; label some first.")
    space = Space(feature_rows(rows, views, features, memory, precision), head)
    classes = space.logits(space.rows.take(free[:1]).x).shape[1]
    if known.max() >= classes:
        raise ValueError(f"labels goes up to {known.max()}, but head has {classes} classes; number them from 0.")
    anchors = space.anchors(known, classes)
    cap_of, target = candidates(space, free, anchors, count, alpha_cap, seed, learned, noise)
    return _answer(space, rows, free, cap_of, target, count, seed, (init, rounds, restarts))


def _answer(
    space: Space, rows: Rows, free: Int, cap_of: Float, target: Int, count: int, seed: int, knobs: tuple[Any, int, int]
) -> Choice:
    """Choice of ``count`` free rows: one candidate for each of as many clusters, then draws."""
    found = np.flatnonzero(np.isfinite(cap_of))
    rank = np.argsort(keyed_order(rows, seed))[free]
    if len(found) <= count:
        chosen, stands = found[np.argsort(cap_of[found], kind="stable")], np.ones(len(found), dtype=np.int64)
    else:
        chosen, stands = _spread(space, rows, free[found], np.argsort(rank[found]), count, seed, knobs)
        chosen = found[chosen]
    rest = np.setdiff1d(np.arange(len(free)), chosen)
    rest = rest[np.lexsort((rank[rest], ~np.isfinite(cap_of[rest])))][: count - len(chosen)]
    reasons = [
        f"flips towards class {target[row]} within {cap_of[row]:.2g} of the way; stands for {k} of {len(found)} such"
        for row, k in zip(chosen, stands)
    ]
    reasons += ["drawn at random to make up the number"] * len(rest)
    scores = np.append(stands / max(1, len(found)), np.zeros(len(rest)))
    trace = {"candidates": len(found), "cap": float(cap_of[found].max(initial=0.0)), "drawn": len(rest)}
    return answer(rows, free[np.append(chosen, rest)], scores, "alfamix", reasons, trace)


def _spread(
    space: Space, rows: Rows, at: Int, order: Int, count: int, seed: int, knobs: tuple[Any, int, int]
) -> tuple[Int, Int]:
    """Of the candidates ``at``: one nearest each of ``count`` centres, largest cluster first, and the clusters' sizes.

    ``order`` is the candidates' random order, from which k-means samples.
    """
    unit = Views({"z": normalize(space.rows.take(at).x, dim=1)})
    inner = Rows(unit, unit=False, device=str(space.rows.device), memory=rows.memory)
    given, rounds, restarts = knobs
    start = None
    if given is not None:
        named = given_rows(rows, given, "init", count, np.ones(len(rows), dtype=bool))
        if not np.isin(named, at).all():
            raise ValueError("init names a row whose prediction does not flip; start from candidates.")
        start = np.searchsorted(at, named)
    centres = cluster(inner, count, order[: 256 * count], seed=seed, init=start, rounds=rounds, restarts=restarts)
    members, label, _ = nearest_members(inner, centres, np.ones(len(at), dtype=bool))
    size = np.bincount(label, minlength=count)
    by_size = np.lexsort((members, -size))
    by_size = by_size[members[by_size] >= 0]
    return members[by_size], size[by_size]
