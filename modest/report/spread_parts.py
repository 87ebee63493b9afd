"""Sections on how a choice lies in its pool: coverage and redundancy beside random choices, near-duplicates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modest.data.pool import Pool
from modest.report import plots
from modest.report.html import Card, Part
from modest.report.items import card
from modest.report.spread import DRAWS, Spread, Twin, near_duplicates, sampled, spread
from modest.types import Int, Views

MOST, CHOSEN = 6_000, 2_000  # rows that distances are taken over, chosen ones that are looked at
PAIRS = 8  # near-duplicates shown


def spread_figure(found: Spread, method: str) -> Figure:
    """Mean distance of an item to the nearest chosen one against the items chosen, with random choices as a band."""
    figure, grid = plots.panels(7.6, 3.6)
    axes, other = grid[0, 0], found.of_random("cover")
    axes.fill_between(found.counts, other.min(axis=0), other.max(axis=0), color="#94a3b8", alpha=0.3, linewidth=0)
    axes.plot(found.counts, other.mean(axis=0), color="#64748b", linewidth=1.4, label=f"random, {DRAWS} draws")
    axes.plot(found.counts, found.choice.cover, color=plots.colour(method), linewidth=2.2, label=method)
    if found.worth is not None:
        goal = float(other[:, -1].mean())
        axes.plot([found.worth, found.counts[-1]], [goal, goal], color=plots.INK, linewidth=1, linestyle="--")
        axes.plot(found.worth, goal, "o", color=plots.INK, markersize=5)
        words = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 9}
        axes.annotate(f"{found.worth:,.0f} items", (found.worth, goal), (-5, -5), **words)
    axes.set_xlim(0, None)
    axes.set_xlabel("items chosen, in their order")
    axes.set_ylabel("distance to the nearest chosen item")
    axes.legend(frameon=False, loc="lower left")
    return figure


def spread_parts(
    pool: Pool, views: Views, place: Int, chosen: Int, before: Int, method: str, seed: int = 0
) -> tuple[list[Part], Spread]:
    """Sections on coverage and near-duplicates of a choice, and the numbers themselves.

    Parameters
    ----------
    pool : Pool, for the pictures
    views : (n,) rows the choice was made from
    place : (n,) their rows in the pool
    chosen, before : rows of ``views``: the choice in its order, and what was chosen or labelled earlier
    method : its name
    seed : of samples and random choices
    """
    every, kept = np.ones(len(views), dtype=bool), chosen[:CHOSEN]
    seen = sampled(views.ids, every, seed, MOST)
    earlier = before[np.isin(before, sampled(views.ids, np.isin(np.arange(len(views)), before), seed, MOST))]
    rows = np.unique(np.concatenate([seen, kept, earlier]))
    own = views[rows]
    kept_at, old_at, seen_at = (np.searchsorted(rows, one) for one in (kept, earlier, seen))
    found = spread(own, kept_at, old_at, seen_at, seed)
    least = f" Of {len(chosen):,} chosen items the first {CHOSEN:,} are looked at." if len(chosen) > CHOSEN else ""
    over = f"{len(seen):,} items" + (f" drawn at random of {len(views):,}" if len(seen) < len(views) else "")
    caption = (
        f"Mean distance of {over} to the nearest chosen one (band: lowest and highest of {DRAWS} random choices of the "
        "same size). Distance: unit rows of the default views, 0 equal, 2 opposite."
    )
    part = Part("Coverage and redundancy", _told(found, method) + least, spread_figure(found, method), caption,
                _table(found, method), data=found.table())  # fmt: skip
    back = place[rows]
    twins = [(int(back[i]), int(back[j]), gap) for i, j, gap in found.twins]
    return [part, _duplicates(pool, found, twins, len(seen) < len(views))], found


def pool_duplicates(pool: Pool, views: Views, place: Int, seed: int = 0) -> Part:
    """Section on near-duplicates in a pool that nothing was chosen from; arguments as in :func:`spread_parts`."""
    rows = sampled(views.ids, np.ones(len(views), dtype=bool), seed, MOST)
    twins, count, usual = near_duplicates(views[rows])
    over = f"a sample of {len(rows):,}" if len(rows) < len(views) else f"{len(rows):,}"
    text = f"{count:,} of {over} items have a near-duplicate: {_meaning(usual)}"
    shown = [(int(place[rows[i]]), int(place[rows[j]]), gap) for i, j, gap in twins]
    return Part("Near-duplicates", text, cards=_shown(pool, shown), data=_listed(pool, shown))


def _duplicates(pool: Pool, found: Spread, twins: Sequence[Twin], sample: bool) -> Part:
    other = found.of_random("twinned")
    text = (
        f"{found.choice.twinned:,} of the chosen items have a near-duplicate among the chosen (random choices: "
        f"{other.mean():.1f} in the mean). {found.copies:,} of {found.rest:,} "
        f"other items{' in the sample' if sample else ''} are near-duplicates of a chosen one, so that its label says "
        f"much about theirs. Near-duplicates are {_meaning(found.usual)}"
    )
    return Part("Near-duplicates", text, cards=_shown(pool, twins), data=_listed(pool, twins))


def _meaning(usual: float) -> str:
    return f"two items nearer than a quarter of the usual distance to the nearest other item ({usual:.3f})."


def _shown(pool: Pool, twins: Sequence[Twin]) -> dict[str, list[Card]]:
    cards = []
    for i, j, gap in twins[:PAIRS]:
        one, other = card(pool, i), card(pool, j)
        title = f"{one.title} \N{LEFT RIGHT ARROW} {other.title}"
        cards.append(Card(title, [*one.shown, *other.shown], f"distance {gap:.3f}"))
    return {"The nearest": cards} if cards else {}


def _listed(pool: Pool, twins: Sequence[Twin]) -> pd.DataFrame:
    told = [(str(pool.ids[i]), str(pool.ids[j]), gap) for i, j, gap in twins]
    return pd.DataFrame(told, columns=["id", "other", "distance"])


def _told(found: Spread, method: str) -> str:
    budget = int(found.counts[-1])
    mine, other = found.choice.cover[-1], found.of_random("cover")[:, -1]
    told = f"An item of the pool is {mine:.3f} away from the nearest one chosen by {method}; after a random choice of "
    told += f"{budget:,} it is {other.mean():.3f}"
    if found.worth is None:
        return f"{told}: this choice covers less than a random one."
    return f"{told}. The first {found.worth:,.0f} chosen items cover as well as a whole random choice of {budget:,}."


def _table(found: Spread, method: str) -> pd.DataFrame:
    rows = {
        "mean distance of an item to the nearest chosen one": ("cover", ".3f"),
        "largest such distance": ("farthest", ".3f"),
        "mean distance of a chosen item to the nearest other chosen one": ("apart", ".3f"),
        "chosen items with a near-duplicate among the chosen": ("twinned", ".0f"),
    }
    table = []
    for words, (name, form) in rows.items():
        mine, other = getattr(found.choice, name), found.of_random(name)
        if name == "cover":
            mine, other = mine[-1], other[:, -1]
        told = f"{other.mean():.3g} [{other.min():.3g}, {other.max():.3g}]"
        table.append({"measure": words, method: f"{mine:{form}}", f"random, mean and range of {DRAWS}": told})
    return pd.DataFrame(table)
