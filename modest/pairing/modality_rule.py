"""Which side to ask about: the worst covered one, by one of several scores.

Step 1 of "Towards Multimodal Active Learning" (arXiv 2510.03247) in our reading: the side whose worst covered free row
lies farthest from what is covered.

    symbol     variable   meaning
    delta_i    gaps       distance of free row i to what is covered (candidates.py)
    rho        radius     max_i delta_i
    spread                median distance between 400 rows of the side, drawn by (seed, id)
    c                     cost of a query in a direction

    rule         score of a side
    relative     rho / spread, the default: ours, since towers differ in how wide a cone their rows fill
    radius       rho, the paper's
    mean_gap     mean_i delta_i
    cost         as relative, per unit of the cost of the cheapest direction that asks the side
    alternate    sides in turn by the round, one without free rows passed over
    random       a number drawn by (seed, round, side)
    fixed:NAME   that side

The side asked is the one of the largest score that has a free row; its target that of the largest score among the
directions that ask it, under ``cost`` per unit of that direction's. Equal scores go to the side named first. A side
without free rows scores -inf, and is a target only where there is no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from modest.checks import known
from modest.data.keys import uniform
from modest.neighbours.rows import squared_distances
from modest.pairing.candidates import Cover, converted, cover, sampled
from modest.pairing.sides import Direction, Setting, Side

RULES = ("relative", "radius", "mean_gap", "cost", "alternate", "random")
SAMPLE = 400


def one_way(setting: Setting, rule: str, distance: str = "cosine") -> tuple[Direction, Cover, dict[str, Any]]:
    """The one direction to ask in, how its side is covered, and a trace.

    The trace has ``radius`` and ``scores`` by side, ``evaluations`` of distances to what is covered in all sides, and
    ``sample_evaluations`` of those within samples, which do not grow with the pool.
    """
    covers = {name: cover(side, distance) for name, side in setting.sides.items()}
    scores, sampled = side_scores(rule, setting, covers)
    way = direction(rule, setting, scores)
    radius = {name: one.radius for name, one in covers.items()}
    count = sum(one.evaluations for one in covers.values())
    told = {"modality_rule": rule, "radius": radius, "scores": scores, "sample_evaluations": sampled}
    return way, covers[way[0]], {**told, "evaluations": count}


def side_scores(rule: str, setting: Setting, covers: Mapping[str, Cover]) -> tuple[dict[str, float], int]:
    """Score of every side, and the distances computed for the spreads.

    Raises
    ------
    ValueError
        Unknown rule, or a fixed side that cannot be asked.
    """
    names, count = list(setting.sides), 0
    known(rule, (*RULES, *(f"fixed:{name}" for name in names)), "modality_rule")
    if rule.startswith("fixed:"):
        return _fixed(rule.removeprefix("fixed:"), setting), count
    if rule == "alternate":
        return {name: -float((k - setting.round) % len(names)) for k, name in enumerate(names)}, count
    if rule == "random":
        return dict(zip(names, uniform(names, setting.seed, f"modality/{setting.round}").tolist())), count
    scores = {}
    for name, one in covers.items():
        if not len(one.open):
            scores[name] = -np.inf
        elif rule == "mean_gap":
            scores[name] = float(one.gaps.mean())
        else:
            scores[name] = one.radius
            if rule != "radius":
                middle, some = spread(setting.sides[name], one, setting.seed)
                scores[name] /= middle
                count += some
    return scores, count


def spread(side: Side, start: Cover, seed: int) -> tuple[float, int]:
    """Median distance between rows of a sample of the side, 1 where that is zero, and how many were computed."""
    rows = sampled(side, np.arange(len(side)), SAMPLE, seed, "spread")
    block = start.rows.take(rows)
    upper = np.triu_indices(len(rows), 1)
    between = converted(squared_distances(block, block)[upper], start.distance)
    middle = float(np.median(between)) if len(between) else 0.0
    return middle or 1.0, len(between)


def direction(rule: str, setting: Setting, scores: Mapping[str, float]) -> Direction:
    """Whom to ask about and on which side to seek the partner."""

    def worth(side: str, way: Direction) -> float:
        return scores[side] / setting.costs[way] if rule == "cost" else scores[side]

    names = list(setting.sides)
    asked = max(setting.askable, key=lambda way: (worth(way[0], way), -names.index(way[0])))[0]
    ways = [way for way in setting.askable if way[0] == asked]
    return max(ways, key=lambda way: (worth(way[1], way), -names.index(way[1])))


def _fixed(name: str, setting: Setting) -> dict[str, float]:
    asked = list(dict.fromkeys(way[0] for way in setting.askable))
    if name not in asked:
        told = ", ".join(asked)
        raise ValueError(f"modality_rule='fixed:{name}' but nothing of {name} may be asked about; free are {told}.")
    return {side: float(side == name) for side in setting.sides}
