"""Which items to label first. One file per strategy; ``METHODS`` lists them; :func:`select` is the one door."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from modest.checks import as_views, budget_items, known, taken_mask
from modest.selection import (
    activeft,
    alfamix,
    badge,
    bmmal,
    entropy,
    gcnal,
    kcenter,
    kmeans,
    margin,
    maxherding,
    mmcsal,
    probcover,
    random,
    typiclust,
    uherding,
)
from modest.selection.arrays import ARRAYS, handed
from modest.types import Choice, Views

__all__ = [
    "METHODS",
    "Method",
    "activeft",
    "alfamix",
    "badge",
    "bmmal",
    "entropy",
    "gcnal",
    "kcenter",
    "kmeans",
    "margin",
    "maxherding",
    "mmcsal",
    "probcover",
    "random",
    "select",
    "typiclust",
    "uherding",
]


@dataclass(frozen=True)
class Method:
    """One strategy: its function, whether it runs without labels, the warm arrays it needs, its cost and its paper.

    ``uses`` names arrays it can do without.
    """

    function: Callable[..., Choice]
    cold: bool
    needs: tuple[str, ...]
    cost: str
    paper: str
    uses: tuple[str, ...] = ()


METHODS: Mapping[str, Method] = {
    "random": Method(random.random, True, (), "n", "-"),
    "kmeans": Method(kmeans.kmeans, True, (), "100 n b d", "Lloyd 1982"),
    "kcenter": Method(kcenter.kcenter, True, (), "n b d", "Sener & Savarese, ICLR 2018"),
    "activeft": Method(activeft.activeft, True, (), "steps (n/refresh + b) b d", "Xie et al., CVPR 2023"),
    "mmcsal": Method(mmcsal.mmcsal, True, (), "steps (n/refresh + 3b) b d", "Shen et al., MMAsia 2024"),
    "maxherding": Method(maxherding.maxherding, True, (), "n n d, n <= 35,000", "Bae et al., ECCV 2024"),
    "typiclust": Method(typiclust.typiclust, True, (), "k-means, n n d / clusters", "Hacohen et al., ICML 2022"),
    "probcover": Method(probcover.probcover, True, (), "n n d, n <= 35,000", "Yehuda et al., NeurIPS 2022"),
    "uherding": Method(
        uherding.uherding, True, (), "n n d, n <= 35,000", "Bae et al., ICLR 2025", uses=("proba", "labels")
    ),
    "entropy": Method(entropy.entropy, False, ("proba",), "n C", "Shannon 1948; Settles 2009"),
    "margin": Method(margin.margin, False, ("proba",), "n C", "Scheffer et al., IDA 2001"),
    "badge": Method(badge.badge, False, ("proba", "features"), "n b (C + d)", "Ash et al., ICLR 2020"),
    "bmmal": Method(bmmal.bmmal, False, ("features", "coalition_proba"), "n b (C + d)", "Shen et al., ACM MM 2023"),
    "gcnal": Method(
        gcnal.gcnal, False, ("features",), "steps s d h, s <= 10,000", "Caramalau et al., CVPR 2021", uses=("labels",)
    ),
    "alfamix": Method(
        alfamix.alfamix, False, ("features", "head", "labels"), "caps n C heads", "Parvaneh et al., CVPR 2022"
    ),
}


def select(
    views: Views | Mapping[str, Any] | Any,
    budget: int | float,
    method: str = "maxherding",
    seed: int = 0,
    taken: Any = None,
    *,
    memory: str | int = "2GB",
    device: str | None = None,
    proba: Any = None,
    features: Mapping[str, Any] | None = None,
    coalition_proba: Any = None,
    head: Callable[..., Any] | None = None,
    labels: Any = None,
    **knobs: Any,
) -> Choice:
    """Choose which items to label.

    Parameters
    ----------
    views : Views, mapping name -> (n, d_m) array, or one (n, d) array
        Each present row is divided by its norm, never standardised. All-NaN rows, or ``present=False``, are absent.
    budget : int or float
        Items, or a share in (0, 1] of the table, max(1, floor(share * n)).
    method : str
        A name in ``METHODS``.
    seed : int
        Every draw is keyed by (seed, id), so that shuffling the table shuffles the answer.
    taken : (n,) bool, optional
        Rows that are labelled already: they count as covered and are never chosen.
    memory : str or int
        Budget for arrays, such as ``"2GB"``.
    device : str, optional
        ``"cpu"`` or ``"cuda"``; CUDA if there by default.
    proba, features, coalition_proba, head, labels
        Warm arrays, of the rows of ``views``, for the methods that need them (``METHODS[method].needs``);
        :meth:`modest.MultimodalClassifier.arrays` makes them. See ``modest.selection.arrays``.
    **knobs
        Parameters of the method alone; see its function in ``METHODS``.

    Returns
    -------
    Choice with rows of the table given, most important first. ``trace`` adds method, budget, seed, knobs and seconds.

    Raises
    ------
    ValueError
        Unknown method, a budget below 1 or above the free rows, NaN or infinity in a present row, a zero row, an item
        without any modality, duplicate ids, an array that the method needs and is missing or has another shape.
    TypeError
        A knob the method does not know, an array it has no use for.

    Examples
    --------
    >>> import numpy as np
    >>> points = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])
    >>> select({"image": points}, 2).rows.tolist()
    [1, 3]
    """
    table = as_views(views)
    entry = METHODS[known(method, METHODS, "method")]
    given = (proba, features, coalition_proba, head, labels)
    arrays = handed(method, entry.needs, entry.uses, dict(zip(ARRAYS, given)))
    mask = taken_mask(taken, len(table))
    count = budget_items(budget, len(table), int((~mask).sum()))
    begin = time.perf_counter()
    try:
        choice = entry.function(table, count, taken=mask, seed=seed, memory=memory, device=device, **arrays, **knobs)
    except TypeError as error:
        if "unexpected keyword argument" in str(error):
            raise TypeError(f"method {method!r} has no such knob: {str(error).split('argument ')[-1]}.") from error
        raise
    told = {"method": method, "budget": count, "seed": seed, "knobs": knobs}
    return replace(choice, trace={**told, **choice.trace, "seconds": time.perf_counter() - begin})
