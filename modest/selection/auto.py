"""Auto, the default: covers the pool in what its modalities say alone and together; with labels, what is unsure.

Ours. Greedy coverage (facility location: Nemhauser, Wolsey and Fisher 1978) over two similarities at once, those of
each modality and those in the space the modalities share (``shared.py``). Items whose modalities disagree count less
and, once labels carry over to their neighbours, items that a classifier is unsure of count more.

    symbol   variable    shape   meaning
    d                            distance: d2 = half the mean over shared modalities of |x_im - x_jm|^2, half
                                 |e_i - e_j|^2; x unit rows, centred on the pool, e unit rows of the shared space
    a_i      agreement   (n,)    share of random pairings of halves that agree less than item i's, in [0, 1]
    u_i      unsure      (n,)    1 - the largest class probability; 1 in a cold choice
    f_i      factor      (n,)    min(1, a_i / 0.25), never below 0.05: what choosing i is worth
    w_i      weights     (n,)    f_i u_i, what covering i is worth
    D_i                  (n,)    squared distance to the nearest chosen or taken row, 4 before there is one

    next = argmax_c f_c sum_i w_i max(0, D_i - d2(c, i))

There is no bandwidth to set: the reach of a choice around item i is D_i, the distance to what covers i already. The
first pick is the pool's medoid, and the reach shrinks as picks are made, at its own pace in dense and in sparse places.
Agreement enters twice: through e, and by taking weight from items whose halves fit worse than those of three strangers
in four. Of three modalities two that fit outvote the third.
An item of one modality has no agreement and counts in full; one modality alone, or under 40 items that have two, leave
out e and a. Absent modalities count as in every method.
Cold or warm: with ``proba`` and ``labels`` it is asked whether labels carry over: how many labelled items have their
nearest other labelled item in their own class. Where that is above chance by two standard deviations, uncertainty
counts (``trace["mode"]`` is warm), else it is coverage alone (cold); ``trace["why"]`` gives the numbers.
What was tried and left out stands in ``docs/results/``. Cost as maxherding, and n d 100 for the shared space; memory as
maxherding. ``scores``: gain in weighted mean similarity 1 - d2 / 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from modest.checks import budget_items, taken_mask
from modest.neighbours import Rows, closest
from modest.selection.answer import answer, free_rows, inner_limits, inner_mask
from modest.selection.arrays import class_numbers, distributions, labelled_rows, score_rows
from modest.selection.herding import herd
from modest.selection.limits import Limits
from modest.selection.space import Space, look, misfit
from modest.types import Bool, Choice, Float, Int, Views


def auto(
    views: Views,
    budget: int | float,
    *,
    taken: Any = None,
    closed: Any = None,
    limits: Limits | None = None,
    since: Mapping[str, Any] | None = None,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    proba: Any = None,
    labels: Any = None,
    together: bool = True,
    agree: bool = True,
    candidates: int = 35_000,
    targets: int = 35_000,
) -> Choice:
    """Choose ``budget`` rows, with reasons.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken, closed, limits
        As in maxherding.
    since : mapping, optional
        ``state`` of an earlier cold choice of which these rows are a grown pool: centre and shared space stay as they
        were, and only products of new rows with all are computed. A pool that has more than doubled since its space
        was fitted is looked at anew.
    seed, memory, device
        As in :func:`modest.select`; the seed draws the sample of the shared space, and candidates and targets of a
        pool that exceeds them.
    proba : (n, C), optional
        Class probabilities of a classifier; asks for labels too.
    labels : (n,) int, optional
        Class numbers, -1 where unknown; rows that have one count as taken.
    together, agree : bool
        Use the shared space, and the agreement in it.
    candidates, targets : int
        As in maxherding.

    Raises
    ------
    ValueError
        If the arrays do not fit the table or each other, or proba comes without labels.

    Examples
    --------
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0], [-1.0, 0.1]])})
    >>> auto(views, 2).rows.tolist()
    [1, 3]
    """
    refused = "" if since is None else _refused(views, since, together, proba)
    past = None if refused else since
    space = look(views, seed, memory=memory, device=device, together=together, since=past)
    rows = space.rows
    covered = labelled_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), labels)
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    factor = space.weights if agree else None
    unsure, why = _unsure(rows, proba, labels)
    weights = factor if unsure is None else unsure * (1.0 if factor is None else factor)
    found = herd(
        rows, count, covered, kernel="linear", bandwidth=1.0, seed=seed, candidates=candidates, targets=targets,
        weights=weights, factor=factor, closed=~free, start=past,
        limits=None if limits is None else inner_limits(rows, limits),
    )  # fmt: skip
    if past is not None and not found.trace["reused"]:  # then its space has no claim either
        options = {"proba": proba, "labels": labels, "together": together, "agree": agree}
        again = auto(
            views, budget, taken=taken, closed=closed, limits=limits, seed=seed, memory=memory, device=device,
            candidates=candidates, targets=targets, **options,
        )  # fmt: skip
        return replace(again, trace={**again.trace, "reused": 0.0, "reuse_refused": found.trace.get("reuse_refused")})
    trace = {**found.trace, "mode": "cold" if unsure is None else "warm", "why": why}
    if refused:
        trace |= {"reused": 0.0, "reuse_refused": refused}
    if space.agreement is not None:
        told = space.agreement[found.picks]
        trace["agreement"] = None if np.isnan(told).all() else float(np.nanmean(told))
    reasons = _reasons(space, found.picks, covered, targets, unsure)
    return answer(rows, found.picks, found.gains, "auto", reasons, trace, {**found.state, **space.state})


def _refused(views: Views, since: Mapping[str, Any], together: bool, proba: Any) -> str:
    if proba is not None:
        return "with probabilities every item counts for something else"
    grown = "the pool has more than doubled since its space was fitted"
    return misfit(views, since, together) or (grown if len(views) > 2 * int(since["items"]) else "")


def _unsure(rows: Rows, proba: Any, labels: Any) -> tuple[Float | None, str]:
    """(n,) uncertainty where labels carry over, else None; and why."""
    if proba is None:
        return None, "no class probabilities were handed in: coverage alone"
    if labels is None:
        raise ValueError("proba comes without labels; hand in labels too, -1 where unknown, or leave both out.")
    p, number = distributions(rows, proba), class_numbers(rows, labels)
    at = np.flatnonzero(number >= 0)
    hits, chance = carried(rows, at, number[at])
    expected, deviation = len(at) * chance, float(np.sqrt(len(at) * chance * (1.0 - chance)))
    told = f"{hits} of {len(at)} labelled items have their nearest labelled neighbour in their own class"
    told += f", {expected:.1f} would by chance"
    if hits <= expected + 2.0 * deviation:
        return None, f"{told}: too few labels to trust a classifier's doubts, coverage alone"
    return score_rows(rows, p, lambda block: 1.0 - block.max(axis=1)), f"{told}: coverage of what is unsure"


def carried(rows: Rows, labelled: Int, number: Int) -> tuple[int, float]:
    """Labelled rows whose nearest other labelled row is of their class, and the chance that a random other one is."""
    if len(labelled) < 2:
        return 0, 1.0
    nearest = closest(rows, labelled, labelled, others=True)[0]
    size = np.bincount(number).astype(np.float64)
    chance = float((size * (size - 1.0)).sum() / (len(number) * (len(number) - 1.0)))
    return int((number[nearest] == number).sum()), chance


def _reasons(space: Space, picks: Int, covered: Bool, targets: int, unsure: Float | None) -> list[str]:
    """What each pick covers of the pool, how its halves agree, and what is nearest to it of what was there before."""
    rows = space.rows
    before = np.flatnonzero(covered)
    step = max(1, len(rows) // targets)
    sample = np.arange(0, len(rows), step)
    place, _ = closest(rows, sample, np.append(picks, before))
    count = np.bincount(place, minlength=len(picks))[: len(picks)] * step
    near, distance = closest(rows, picks, picks, earlier=True)
    ids = rows.ids[picks[near]]
    if len(before):
        other, away = closest(rows, picks, before)
        ids, distance = np.where(away < distance, rows.ids[before[other]], ids), np.minimum(away, distance)
    told = []
    for k, row in enumerate(picks):
        about = "about " if step > 1 else ""
        parts = [f"covers {about}{count[k]:,} item{'' if count[k] == 1 else 's'} like it"]
        if space.agreement is not None and not np.isnan(space.agreement[row]):
            parts.append(f"agreement {space.agreement[row]:.2f}")
        if unsure is not None:
            parts.append(f"uncertainty {unsure[row]:.2f}")
        if np.isfinite(distance[k]):
            parts.append(f"nearest chosen before {ids[k]} at {distance[k]:.2f}")
        told.append("; ".join(parts))
    return told
