"""What ``benchmarks.represent`` measures on the views of one training: gap, losses, label-efficiency."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

METHODS = ("random", "activeft", "mmcsal")
BUDGETS = (0.01, 0.02, 0.05, 0.10)
TEMPERATURE = 0.07


def measured(name: str, views: Any, labels: Any, split: Any, batch: int, seed: int) -> dict[str, Any]:
    """Everything the tables need of the views of training and test rows."""
    train = split == "train"
    return {
        "still": {"train": still_losses(views[train], batch, seed), "rows": int(train.sum())},
        "gap": {"train": gap(views[train]), "test": gap(views[~train])},
        **label_efficiency(name, views, labels, split, seed),
    }


def gap(views: Any) -> dict[str, float]:
    from modest.representation import modality_gap

    found = modality_gap(views)
    uni = {f"uni_{m}": value for m, value in found.within.items()}
    return {"gap": found.gap, **uni, "cross": found.across, "paired": found.paired, "unpaired": found.unpaired}


def still_losses(views: Any, batch: int, seed: int) -> dict[str, float]:
    """L_cross and L_uni of the final features, unaugmented, over shuffled batches of the training's size.

    L_uni is measured with prototypes clustered on these very features for every variant, also the one without.
    """
    import torch

    from modest.representation.infonce import cross_modal
    from modest.representation.objective import Objective
    from modest.representation.prototypes import cluster, prototype_loss

    r = [torch.from_numpy(np.asarray(array)) for array in views.arrays.values()]
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(views)))
    found = [cluster(x, Objective().count(len(x)), seed, TEMPERATURE) for x in r]
    cross, uni = [], []
    for at in range(0, len(order) - batch + 1, batch):
        part = order[at : at + batch]
        pair = cross_modal([x[part] for x in r], torch.ones(len(part), len(r), dtype=torch.bool), TEMPERATURE)
        own = [prototype_loss(x[part], p.centroids, p.assignment[part], p.concentration) for x, p in zip(r, found)]
        cross.append(float(pair))
        uni.append(float(torch.stack(own).mean()))
    return {"cross": float(np.mean(cross)), "uni": float(np.mean(uni))}


def label_efficiency(name: str, views: Any, labels: Any, split: Any, seed: int) -> dict[str, Any]:
    """Budget protocol of the bench on these views: accuracy and macro accuracy of the linear probe, and the choices."""
    from modest.bench.cell import Arena
    from modest.bench.protocol import Protocol
    from modest.bench.sets import LabelledViews, prepare

    given = LabelledViews(views, labels, split)
    ground = prepare(name, given)
    protocol = Protocol(pool={name: given}, out="unused", methods=METHODS, budgets=BUDGETS)
    arena = Arena(ground, protocol, 0.0, seed)
    probe, choices = [], {}
    wanted = [(method, items, shares) for items, shares in protocol.items(ground).items() for method in METHODS]
    for method, items, shares in [*wanted, ("all", len(arena.rows), [1.0])]:
        bought = arena.rows if method == "all" else arena.choose(method, items)
        begin = time.perf_counter()
        scores = arena.score("probe", bought)
        taken = time.perf_counter() - begin
        probe.append({"method": method, "items": items, "shares": shares, **scores, "seconds": taken})
        if method != "all":
            choices[f"{method}~{items}"] = views.ids[bought].tolist()
    return {"probe": probe, "choices": choices}
