"""Acquire: asks about a few rows of one side that cover it and whose partner is least sure.

Reference: Zhang and Zhu, "Towards Multimodal Active Learning: Efficient Learning with Limited Paired Data", arXiv
2510.03247. No code is public; the form below is recovered from what is (docs tell what is fact and what our design).

    symbol    variable       meaning
    U_m       open           free rows of side m
    P_m       covered        rows of m in pairs or rejected, and anchors
    B, B_C    budget, candidates

    1   m = argmax_m score(rho_m), rho_m the largest distance of a free row to P_m        modality_rule.py
    2   C = farthest-first over U_m from P_m, B_C rows                                     candidates.py
    3   the B of C whose most similar free rows of the other side are hardest to tell apart     margin.py

B_C = B is the coreset of that side alone, B_C = |U_m| its uncertainty alone. ``paper`` is the rule ``radius``; the
default ``relative`` is ours. With B or fewer free rows in the side all are asked. Where copies end the coreset below B,
the least sure of the rest fill up. Ties go to the lowest id; nothing is drawn but the samples of the spread and of
the outliers' neighbours, and the rule ``random``.
Cost u |P| over all sides + u_m B_C + B_C u_other products of d numbers, linear in the pool; memory O(u) and a tile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from modest.checks import known
from modest.pairing.candidates import Cover, farthest_candidates, outlying
from modest.pairing.margin import UNCERTAINTY, Scored, Uncertain, margin
from modest.pairing.modality_rule import one_way
from modest.pairing.sides import Asked, Direction, Setting
from modest.types import Int

Measure = Callable[[Int], Scored]


def three_steps(
    setting: Setting,
    budget: int,
    *,
    candidates: int | None = None,
    modality_rule: str = "relative",
    uncertainty: str = "margin",
    distance: str = "cosine",
    partner_diversity: bool = False,
    outlier_guard: bool = False,
    temperature: float = 0.07,
    alpha: float = 0.2,
    top: int | None = None,
) -> list[Asked]:
    """Rows of one side, least sure first; knobs as in :func:`modest.pairing.acquire`.

    ``trace`` has ``radius`` and ``scores`` by side, ``candidates`` found, ``left_out`` outliers, ``filled`` rows beyond
    the candidates, ``evaluations`` (distances and similarities of the three steps, of farthest-first those that one
    pick at a time needs) and ``sample_evaluations`` (those of the spread and the outliers' neighbours, which do not
    grow with the pool).
    """
    count = _wanted(candidates, budget)
    unsure, knobs = UNCERTAINTY[known(uncertainty, UNCERTAINTY, "uncertainty")], _checked(temperature, alpha, top)
    way, start, trace = one_way(setting, modality_rule, distance)
    rows, spent = farthest_candidates(start, count)
    trace |= {"uncertainty": uncertainty, "distance": distance, "candidates": len(rows)}
    rows, left_out, more = _guarded(setting, way, rows, budget) if outlier_guard else (rows, 0, 0)
    asked, filled, similar = _least_sure(
        setting, way, start, rows, budget, lambda some: unsure(setting, way, some, knobs), partner_diversity
    )
    trace |= {
        "left_out": left_out, "filled": filled, "sample_evaluations": trace["sample_evaluations"] + more,
        "evaluations": trace["evaluations"] + spent + similar,
    }  # fmt: skip
    return [Asked(*way, asked, trace)]


def paper(setting: Setting, budget: int, *, candidates: int | None = None) -> list[Asked]:
    """The faithful reading: largest radius, farthest-first, smallest margins."""
    return three_steps(setting, budget, candidates=candidates, modality_rule="radius")


def _wanted(candidates: int | None, budget: int) -> int:
    if candidates is None:
        return 4 * budget
    if isinstance(candidates, bool) or not isinstance(candidates, (int, np.integer)):
        raise TypeError(f"candidates is {type(candidates).__name__}; give a whole number of rows.")
    if candidates < budget:
        raise ValueError(f"candidates={candidates} is below the budget of {budget} rows; give at least as many.")
    return int(candidates)


def _checked(temperature: float, alpha: float, top: int | None) -> Uncertain:
    if not (np.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature={temperature} must be a number above 0.")
    if not (np.isfinite(alpha) and alpha >= 0):
        raise ValueError(f"alpha={alpha} must not be negative.")
    if top is not None and top < 1:
        raise ValueError(f"top={top} must be at least 1, or None for all pairs.")
    return Uncertain(temperature, alpha, top)


def _guarded(setting: Setting, way: Direction, rows: Int, budget: int) -> tuple[Int, int, int]:
    """Candidates less the outliers, the mildest of which stay where fewer than the budget would be left."""
    far, odd, count = outlying(setting.sides[way[0]], rows, setting.seed)
    stay = np.argsort(far, kind="stable")[: max(budget, int((~odd).sum()))]
    return rows[np.sort(stay)], len(rows) - len(stay), count


def _least_sure(
    setting: Setting, way: Direction, start: Cover, rows: Int, budget: int, measure: Measure, apart: bool
) -> tuple[Int, int, int]:
    """The rows to ask about, least sure first; how many are no candidates; similarities computed."""
    found = _looked_up(setting, way, rows, measure, apart)
    picks = _lowest(rows, found, budget, apart)
    row, score, count = rows[picks], found.score[picks], found.evaluations
    rest = np.setdiff1d(start.open, rows)
    missing = min(budget - len(row), len(rest))
    if missing:
        found = _looked_up(setting, way, rest, measure, apart)
        picks = _lowest(rest, found, missing, apart)
        row, score = np.append(row, rest[picks]), np.append(score, found.score[picks])
        count += found.evaluations
    return row[np.lexsort((row, score))], missing, count


def _looked_up(setting: Setting, way: Direction, rows: Int, measure: Measure, apart: bool) -> Scored:
    """Scores, and most similar rows of the target also where a score does not need them but ``apart`` does."""
    found = measure(rows)
    if not apart or found.best is not None:
        return found
    seen = margin(setting, way, rows, Uncertain())
    return Scored(found.score, seen.best, found.evaluations + seen.evaluations)


def _lowest(rows: Int, found: Scored, budget: int, apart: bool) -> Int:
    """Places of the ``budget`` lowest scores, lowest id on ties.

    With ``apart`` a row whose most similar one is also that of a row before it waits until all others are in.
    """
    order = np.lexsort((rows, found.score))
    if apart and found.best is not None:
        again = np.ones(len(order), dtype=bool)
        again[np.unique(found.best[order], return_index=True)[1]] = False
        order = np.concatenate([order[~again], order[again]])
    return order[:budget]
