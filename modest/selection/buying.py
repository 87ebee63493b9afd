r"""Buying a missing modality: for which items would having it change what a trained model says, and for the better.

A third kind of acquisition beside labels and pairs. It helps where a modality costs money per item (a scan, a
transcript) and the model predicts without it meanwhile. After the active feature acquisition of Melville et al. (ICDM
2004) and Saar-Tsechansky et al. (Management Science 2009), whose expected utility this is with nearest items in place
of a model of the missing value.

    symbol   variable   shape      meaning
    S_i                            modalities that item i has; it lacks m
    N_i      donors     (k, K)     the K items most like i in S_i among those that have S_i and m; where there is none,
                                   among those that have m and share some of S_i
    w_ij     weight     (k, K)     exp(-d_ij / d_iK), sum over j = 1; d = 1 - mean cosine over the modalities shared
    p_i      p          (k, C)     prediction without m
    q_ij     q          (k, K, C)  prediction for i with the value of m of item j in N_i
    c_i                            argmax p_i, what is answered without m

    gain         sum_j w_ij [max_c q_ij(c) - q_ij(c_i)]       what answering after a look adds to the chance to be right
    flip         sum_j w_ij [argmax q_ij != c_i]              chance that the answer changes
    divergence   sum_j w_ij KL(q_ij || p_i)                   nats
    variation    sum_j w_ij 1/2 |q_ij - p_i|_1
    information  H(sum_j w_ij q_ij) - sum_j w_ij H(q_ij)      nats; what the value tells of the class
    uncertainty  H(p_i)                                       nats; asks nobody what m might say
    random                                                    key of (seed, id)

``gain`` with 20 neighbours was best on validation rows of two sets (docs/what_if.md). Every item is judged by itself,
so a prefix is a smaller choice. Selection sees no model: ``predict`` is handed over.
Cost: K + 1 predictions per item that lacks m, and n k d for the neighbours; memory a block of rows times K.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from modest.checks import as_views, budget_items, known, memory_bytes, taken_mask
from modest.data.keys import keys
from modest.data.presence import dense, observed
from modest.neighbours import Rows, top_k
from modest.selection.changes import CHANGES, nats
from modest.types import Bool, Choice, Float, Int, Views

__all__ = ["SCORES", "buy", "plausible"]

Predict = Callable[[Views], Any]


SCORES = (*CHANGES, "uncertainty", "random")


def buy(
    views: Views | Mapping[str, Any], budget: int | float, modality: str, predict: Predict, score: str = "gain",
    seed: int = 0, taken: Any = None, *, among: Any = None, donors: Any = None, near: Views | None = None,
    neighbours: int = 20, memory: str | int = "2GB", device: str | None = None,
) -> Choice:  # fmt: skip
    """Choose the items to buy a modality for.

    Parameters
    ----------
    views : Views or mapping name -> (n, d_m) array
        Items, those that lack the modality and those that have it. All-NaN rows, or ``present=False``, are absent.
    budget : int or float
        Items, or a share in (0, 1] of those that lack the modality, max(1, floor(share * their number)).
    modality : name of the view to buy
    predict : function
        Views (k rows) -> (k, C) probabilities, such as ``clf.predict_proba``.
    score : name in ``SCORES``, equations at the top
    seed : of "random"; nothing else is drawn
    taken : (n,) bool, optional
        Rows for which it is bought already, though not there yet.
    among : (n,) bool, optional
        Rows to choose among; all that lack the modality if left out.
    donors : (n,) bool, optional
        Rows whose value may stand for one that is bought; all that have it if left out.
    near : Views, optional
        The same rows in another space, where likeness is measured, as a classifier's features; ``views`` if left out.
    neighbours : K, at least 1
    memory, device : as in :func:`modest.select`

    Returns
    -------
    Choice, highest score first, ties to the lowest id; ``trace`` has score, modality, budget, how many lack it, and
    ``strangers``, items that no donor shares a modality with: what m would say of them is unknown, and they score 0.

    Raises
    ------
    ValueError
        For an unknown name, rows in ``among`` that have the modality already, a budget above what is free, no item that
        has the modality and another, or probabilities of another shape.

    Examples
    --------
    >>> sound = np.array([[1.0], [-1.0], [1.0], [-1.0], [np.nan], [np.nan]])
    >>> views = {"image": np.array([[1, 0.1], [1, 0.1], [0, 1], [0, 1.1], [1, 0.1], [0.1, 0]]), "sound": sound}
    >>> def predict(v):  # the sound decides; without it, the image a little
    ...     x = np.where(v.present[:, 1], v.arrays["sound"][:, 0], 0.1 * v.arrays["image"][:, 0])
    ...     return np.stack([0.5 + 0.5 * x, 0.5 - 0.5 * x], axis=1)
    >>> buy(views, 1, "sound", predict, neighbours=2).ids.tolist()
    ['4']
    """
    begin, table = time.perf_counter(), as_views(views)
    known(modality, table.names, "modality")
    known(score, SCORES, "score")
    present, n = observed(table, memory), len(table)
    table, m = Views(table.arrays, present, table.ids), table.names.index(modality)
    lacking = ~present[:, m] & present.any(axis=1)
    chosen = lacking if among is None else taken_mask(among, n, "among")
    _refuse(chosen, present, table, modality)
    free = chosen & ~taken_mask(taken, n)
    count = budget_items(budget, int(chosen.sum()), int(free.sum()))
    rows = np.flatnonzero(free)
    able = present[:, m] & (present.sum(axis=1) > 1) & (taken_mask(donors, n, "donors") if donors is not None else True)
    values, reasons, strangers = np.empty(0), [""] * len(rows), 0
    if score == "random":
        values = 1.0 - keys(table.ids[rows], seed).astype(np.float64) / 2.0**64
        reasons = ["drawn at random"] * len(rows)
    else:
        p = _asked(predict, table[rows], None)
        if score == "uncertainty":
            values, most = nats(p), float(np.log(p.shape[1]))
            reasons = [f"entropy {value:.3f} of at most {most:.3f} nats without {modality}" for value in values]
        else:
            at, weight = plausible(near or table, present, rows, m, able, neighbours, memory, device)
            values, flips = _scored(predict, table, rows, modality, at, weight, p, score, memory)
            strangers = int((at[:, 0] < 0).sum())
            reasons = [
                _reason(score, modality, value, flip, w, table.ids[j[0]] if j[0] >= 0 else None)
                for value, flip, w, j in zip(values, flips, weight, at)
            ]
    order = np.lexsort((table.ids[rows], -values))[:count]
    trace = {"score": score, "modality": modality, "budget": count, "lacking": int(chosen.sum()), "seed": seed}
    trace |= {"strangers": strangers, "neighbours": neighbours, "seconds": time.perf_counter() - begin}
    ids, told = table.ids[rows[order]], tuple(reasons[k] for k in order)
    return Choice(rows[order].astype(np.int64), values[order], ids, f"buy/{score}", told, trace)


def plausible(
    near: Views, present: Bool, rows: Int, m: int, able: Bool, neighbours: int = 20, memory: str | int = "2GB",
    device: str | None = None,
) -> tuple[Int, Float]:  # fmt: skip
    """Items whose value of modality m may stand for that of ``rows`` (k,): numbers (k, K) and weights (k, K).

    The most alike come first; which of equals ends the list is open. Beyond the donors there are, and for a stranger,
    the number is -1 and the weight 0.
    ``present`` (n, M) as of ``near``; ``able`` (n,) bool: rows that have m and may be asked.

    Raises
    ------
    ValueError
        If no row is able, or ``neighbours`` is below 1.
    """
    if neighbours < 1:
        raise ValueError(f"neighbours={neighbours} is below 1; 20 is usual.")
    if not able.any():
        raise ValueError("no item has this modality and another, so what it might hold is unknown; use score='random'.")
    at, weight = np.full((len(rows), neighbours), -1, dtype=np.int64), np.zeros((len(rows), neighbours))
    patterns, code = np.unique(present[rows], axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        mine = np.flatnonzero(code.reshape(-1) == number)
        whole, some = able & (present | ~pattern).all(axis=1), able & (present & pattern).any(axis=1)
        givers = np.flatnonzero(whole if whole.any() else some)
        if len(givers):
            names = [name for name, has in zip(near.names, pattern) if has]
            part = Views({name: near.arrays[name] for name in names}, present[:, pattern], near.ids)
            left, right = (Rows(part[some], device=device, memory=memory) for some in (givers, rows[mine]))
            k = min(neighbours, len(givers))
            for start, block in right.tiles():
                cosine, found = top_k(left, block.x, k)
                here = mine[right.table_rows(np.arange(start, start + len(block)))]
                at[here, :k] = givers[left.table_rows(found.reshape(-1)).reshape(found.shape)]
                d = np.maximum(1.0 - cosine.double().cpu().numpy(), 0.0)
                w = np.exp(-d / np.maximum(d[:, -1:], 1e-9))
                weight[here, :k] = w / w.sum(axis=1, keepdims=True)
    return at, weight


def _scored(
    predict: Predict, table: Views, rows: Int, modality: str, at: Int, weight: Float, p: Float, score: str,
    memory: str | int,
) -> tuple[Float, Float]:  # fmt: skip
    """Score (k,) and chance of another answer (k,), a block of rows at a time."""
    width = sum(d for _, d in table.shape.values())
    step = max(1, memory_bytes(memory) // (32 * width * at.shape[1]))
    values, flips = np.zeros(len(rows)), np.zeros(len(rows))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        known_here = np.flatnonzero(at[part, 0] >= 0) + start
        if len(known_here):
            giver = np.where(at[known_here] < 0, at[known_here, :1], at[known_here])
            k, fan = giver.shape
            some = table[np.repeat(rows[known_here], fan)]
            q = _asked(predict, some, (modality, table.arrays[modality], giver.reshape(-1))).reshape(k, fan, -1)
            values[known_here] = CHANGES[score](p[known_here], q, weight[known_here])
            flips[known_here] = CHANGES["flip"](p[known_here], q, weight[known_here])
    return values, flips


def _asked(predict: Predict, some: Views, borrowed: tuple[str, Any, Int] | None) -> Float:
    """(k, C) predictions of some rows, with the values of a modality borrowed from other rows."""
    arrays, present = dict(some.arrays), np.array(some.present)
    if borrowed is not None:
        name, array, giver = borrowed
        arrays[name] = dense(array[giver])
        present[:, some.names.index(name)] = True
    proba = np.asarray(predict(Views(arrays, present)), dtype=np.float64)
    if proba.ndim != 2 or len(proba) != len(some) or proba.shape[1] < 2:
        raise ValueError(f"predict gave shape {proba.shape} for {len(some)} rows; it must be (rows, classes).")
    return proba


def _refuse(chosen: Bool, present: Bool, table: Views, modality: str) -> None:
    has = np.flatnonzero(chosen & present[:, table.names.index(modality)])
    if len(has):
        raise ValueError(f"among names item {str(table.ids[has[0]])!r}, which has {modality} already; leave it out.")
    empty = np.flatnonzero(chosen & ~present.any(axis=1))
    if len(empty):
        raise ValueError(f"among names item {str(table.ids[empty[0]])!r}, which has no modality at all; leave it out.")
    if not chosen.any():
        raise ValueError(f"no item lacks {modality}, so there is nothing to buy.")


def _reason(score: str, modality: str, value: float, flip: float, weight: Float, nearest: str | None) -> str:
    if nearest is None:
        return f"no item with {modality} shares a modality with it"
    told = f"{score} {value:.3f} by {modality} of {int((weight > 0).sum())} items like it, the nearest {nearest}"
    return f"{told}; the answer changes with {flip:.0%}"
