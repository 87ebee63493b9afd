"""UHerding: maxherding that cares most for rows a classifier is unsure of; from the first label to many.

Reference: Bae, Oliveira, Sutherland, ICLR 2025 ("Uncertainty herding: one active learning method for all label
budgets").

    symbol   variable      shape    meaning
    p        proba         (n, C)   class probabilities of a trained classifier
    T        temperature            p_T = p^(1/T) / sum p^(1/T), which is softmax(logits / T)
    u_i      weights       (n,)     uncertainty: margin 1 - p_T(first) + p_T(second); entropy -sum p_T log(p_T + 1e-8);
                                    confidence 1 - p_T(first); 0 for labelled rows
    h        bandwidth              of the rbf kernel, in distance of unit rows

    next = argmax_c mean_i u_i max(0, k(c, i) - best_i)

h is the smallest distance between two labelled rows, so that it shrinks as labels fill the space and the method moves
from coverage to uncertainty; T makes the probabilities honest. Without ``proba`` this is maxherding, pick for pick.
Departures: the paper trains again on a part of the labels and sets T by the calibration error on the rest. Training is
the caller's business here: T minimises the negative log-likelihood of the known labels under ``proba`` (Guo et al.,
ICML 2017), in [1, 20], never below 1, since a classifier is right about the rows it was trained on. Probabilities of
labelled rows that come from folds without them give a better T. Without ``labels`` T is 1. Copies, labelled rows less
than 0.001 apart, do not count for h; below two labelled rows h is 1, as in maxherding.
Cost as maxherding, and one pass over ``proba``. ``scores``: gain in mean weighted coverage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np

from modest.checks import budget_items, known, taken_mask
from modest.neighbours import Rows, closest_pair
from modest.selection.answer import answer, free_rows, inner_limits, inner_mask
from modest.selection.arrays import class_numbers, distributions, labelled_rows, score_rows
from modest.selection.herding import Kernel, herd
from modest.selection.limits import Limits
from modest.types import Bool, Choice, Float, Views

COPIES = 1e-3  # labelled rows nearer than this are taken for copies
HOTTEST = 20.0


def _margin(p: Float) -> Float:
    top = np.partition(p, -2, axis=1)
    return np.asarray(1.0 - top[:, -1] + top[:, -2])


# calibrated probabilities (k, C) -> uncertainty (k,)
UNCERTAINTIES: Mapping[str, Callable[[Float], Float]] = {
    "margin": _margin,
    "entropy": lambda p: -(p * np.log(p + 1e-8)).sum(axis=1),
    "confidence": lambda p: 1.0 - p.max(axis=1),
}


def uherding(
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
    temperature: float | None = None,
    uncertainty: Literal["margin", "entropy", "confidence"] = "margin",
    bandwidth: float | None = None,
    kernel: Kernel = "rbf",
    candidates: int = 35_000,
    targets: int = 35_000,
) -> Choice:
    """Choose rows that cover the uncertain part of the pool best, greedily.

    Parameters
    ----------
    views : Views
        (n, d_m) per modality.
    budget : int or float
        Items, or a share of the rows.
    taken : (n,) bool, optional
        Rows that count as covered and as labelled, and may not be chosen.
    closed, limits, since
        As in maxherding; ``since`` only helps where neither weights nor bandwidth have changed, that is without
        ``proba``.
    seed, memory, device
        As in :func:`modest.select`; the seed only matters when the pool exceeds ``candidates`` or ``targets``.
    proba : (n, C), optional
        Class probabilities; without them every row counts the same.
    labels : (n,) int, optional
        Class numbers, -1 where unknown; rows that have one count as taken.
    temperature, uncertainty
        T and u above; T is found on the labelled rows if left out.
    bandwidth, kernel
        h and k above; h is found from the labelled rows if left out.
    candidates, targets : int
        Most rows that may be picked (or 20 for each pick made so far) and that are to be covered.

    Raises
    ------
    ValueError
        If the arrays do not fit the table or each other, or a knob is out of its range.

    Examples
    --------
    >>> views = Views({"x": np.array([[1.0, 0.0], [1.0, 0.1], [-1.0, 0.0], [-1.0, 0.1], [-1.0, 0.2]])})
    >>> sure, unsure = [0.95, 0.05], [0.55, 0.45]
    >>> uherding(views, 1).rows.tolist()
    [3]
    >>> uherding(views, 1, proba=np.array([unsure, unsure, sure, sure, sure])).rows.tolist()
    [1]
    """
    known(uncertainty, UNCERTAINTIES, "uncertainty")
    if temperature is not None and not 0.0 < temperature < np.inf:
        raise ValueError(f"temperature={temperature} must be above 0; 1 leaves the probabilities as they are.")
    rows = Rows(views, device=device, memory=memory)
    covered = labelled_rows(rows, inner_mask(rows, taken_mask(taken, len(rows))), labels)
    free = free_rows(rows, covered, closed)
    count = budget_items(budget, len(rows), int(free.sum()))
    weights, told = None, {}
    if proba is not None:
        p = distributions(rows, proba)
        heat = _calibrated(rows, p, labels) if temperature is None else float(temperature)
        weights = score_rows(rows, p, lambda block: UNCERTAINTIES[uncertainty](heated(block, heat)))
        weights = np.where(covered, 0.0, np.maximum(weights, 0.0))
        told = {"temperature": heat, "mean_uncertainty": float(weights[~covered].mean())}
        if bandwidth is None:
            bandwidth = _spacing(rows, covered)
    reach = 1.0 if bandwidth is None else bandwidth
    found = herd(
        rows, count, covered, kernel=kernel, bandwidth=reach, seed=seed, candidates=candidates, targets=targets,
        weights=weights, closed=~free, limits=None if limits is None else inner_limits(rows, limits), start=since,
    )  # fmt: skip
    name = "mean coverage" if weights is None else "coverage of what is uncertain"
    reasons = [f"raises {name} by {gain:.4f}" for gain in found.gains]
    if weights is not None:
        reasons = [f"{told}; uncertainty {weights[row]:.2f}" for told, row in zip(reasons, found.picks)]
    trace = {**found.trace, **told, "bandwidth": reach}
    return answer(rows, found.picks, found.gains, "uherding", reasons, trace, found.state)


def heated(p: Float, temperature: float) -> Float:
    """Probabilities (k, C) at a temperature: p^(1/T), divided by the sum of the row; zeros stay zero at T = 1 alone."""
    if temperature == 1.0:
        return np.asarray(p / p.sum(axis=1, keepdims=True))
    logits = np.log(np.maximum(p, 1e-30)) / temperature
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _calibrated(rows: Rows, proba: Any, labels: Any) -> float:
    """Temperature in [1, 20] of the largest likelihood of the known labels; 1 when there are none."""
    from scipy.optimize import minimize_scalar

    if labels is None:
        return 1.0
    number = class_numbers(rows, labels)
    at = np.flatnonzero(number >= 0)
    if not len(at):
        return 1.0
    if number.max() >= proba.shape[1]:
        raise ValueError(f"labels holds class {number.max()} but proba has only {proba.shape[1]} columns.")
    p = np.asarray(proba[rows.table_rows(at)], dtype=np.float64)
    place = np.arange(len(at)), number[at]

    def loss(log_heat: float) -> float:
        return -float(np.log(np.maximum(heated(p, float(np.exp(log_heat)))[place], 1e-300)).mean())

    best = float(np.exp(minimize_scalar(loss, bounds=(0.0, np.log(HOTTEST)), method="bounded").x))
    return best if loss(np.log(best)) < loss(0.0) else 1.0


def _spacing(rows: Rows, labelled: Bool) -> float:
    """Smallest distance between two labelled rows that are no copies; 1 if there are no two."""
    distance = closest_pair(rows, np.flatnonzero(labelled), COPIES) if int(labelled.sum()) > 1 else np.inf
    return float(distance) if np.isfinite(distance) else 1.0
