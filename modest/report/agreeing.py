"""How well the modalities of an item agree, and the items, or bought pairs, that agree most and least.

Agreement is what ``auto`` sees (``selection/shared.py``): the share of random pairings whose halves fit less well, in
[0, 1]. Where too few items have two modalities for that, and both views have one width, it is the cosine of the halves,
which means something in a common space only. Cost and memory those of at most ``MOST`` rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modest.data.pool import Pool
from modest.neighbours import Rows
from modest.report import plots
from modest.report.html import Part
from modest.report.items import pair_card
from modest.report.spread import sampled
from modest.selection import shared
from modest.types import Bool, Float, Int, Views

MOST = 20_000  # items that agreement is computed of
SHOWN = 6  # of either end

LEARNED = (
    "Agreement is the share of random pairings whose halves fit less well, by what the modalities of this table have "
    "in common; halves of strangers would lie at 0.5 in the mean."
)
COSINE = "Agreement is the cosine of the halves, in [-1, 1]; it means something where both views share a space."


@dataclass(frozen=True, eq=False)
class Agreeing:
    """``value`` (n,) agreement of every row, NaN where it has one modality; ``fit`` (n,) raw cosines that break ties;
    ``learned``: whether it is a share of strangers, or the cosine itself; ``strangers`` (q,) cosines of theirs.
    """

    value: Float
    fit: Float
    learned: bool
    strangers: Float

    def ordered(self) -> Int:
        """(k,) rows that have an agreement, the least agreeing first."""
        rows = np.flatnonzero(~np.isnan(self.value))
        return np.asarray(rows[np.lexsort((self.fit[rows], self.value[rows]))], dtype=np.int64)


def agreeing(views: Views, seed: int = 0) -> Agreeing | None:
    """Agreement of the modalities of every row; None where it cannot be had."""
    if len(views.names) < 2:
        return None
    rows = Rows(views, memory="1GB", centre=True)
    back = rows.inner_rows(np.arange(len(views)))
    maps = shared.fit(rows, seed)
    if maps is not None:
        value, fit = shared.apply(rows, maps)[1], _cosines(rows, [maps.maps[name] for name in views.names])
        return Agreeing(value[back], fit[back], True, maps.strangers.ravel())
    if len({width for _, width in views.shape.values()}) > 1 or not (rows.present.sum(axis=1) > 1).any():
        return None
    plain = Rows(views, memory="1GB")
    width = plain.dims[0]
    fit = _cosines(plain, [np.vstack([np.eye(width), np.zeros(width)])] * len(views.names))[back]
    return Agreeing(fit, fit, False, np.empty(0))


def agreement_part(pool: Pool, views: Views, place: Int, chosen: Bool | None = None, seed: int = 0) -> Part | None:
    """Section on the items of ``views``, (n,) rows of the pool in ``place``; ``chosen`` (n,) are drawn apart.

    None with one modality, or where agreement cannot be had.
    """
    rows = sampled(views.ids, np.ones(len(views), dtype=bool), seed, MOST)
    rows = rows if chosen is None else np.union1d(rows, np.flatnonzero(chosen)[:MOST])
    found = agreeing(views[rows], seed)
    if found is None:
        return None
    at = place[rows]
    pairs = [[(name, int(row)) for name in views.names] for row in at]
    over = f"{len(rows):,} items" + (f" drawn of {len(views):,}" if len(rows) < len(views) else "")
    return _part(pool, found, pairs, None if chosen is None else chosen[rows], f"Of {over}. ", "items")


def pairs_part(pool: Pool, sides: Sequence[str], pairs: Int, seed: int = 0) -> Part | None:
    """Section on pairs that were bought: ``pairs`` (k, 2) rows of the pool, each half of its side; None as above."""
    pairs = pairs[sampled(pairs.astype(np.str_)[:, 0], np.ones(len(pairs), dtype=bool), seed, MOST)]
    views = pool.views({name: pool.encoder(name, None) for name in sides})
    halves = {name: views.arrays[name][pairs[:, m]] for m, name in enumerate(sides)}
    found = agreeing(Views(halves), seed)
    if found is None:
        return None
    told = [[(name, int(row)) for name, row in zip(sides, two)] for two in pairs.tolist()]
    return _part(pool, found, told, None, f"Of {len(pairs):,} pairs. ", "pairs")


def agreement_figure(found: Agreeing, chosen: Bool | None = None) -> Figure:
    """Histogram of the cosines of halves: of every item, of strangers, and of ``chosen`` (n,) ones; all as shares."""
    figure, grid = plots.panels(7.6, 3.0)
    axes, there = grid[0, 0], ~np.isnan(found.fit)
    groups: list[tuple[str, Float, str, bool]] = [("own halves", found.fit[there], "#3b82f6", True)]
    if len(found.strangers):
        groups.insert(0, ("halves of strangers", found.strangers, "#94a3b8", True))
    if chosen is not None and (there & chosen).any():
        groups.append(("own halves, chosen items", found.fit[there & chosen], "#0f172a", False))
    low = min(float(values.min()) for _, values, _, _ in groups)
    edges = np.linspace(np.floor(10 * low) / 10, 1.0, 41)
    for name, values, tone, filled in groups:
        share = np.histogram(values, edges)[0] / len(values)
        axes.stairs(share, edges, fill=filled, color=tone, alpha=0.5 if filled else 1.0, linewidth=1.3, label=name)
    axes.set_xlabel("cosine of two halves in what the modalities share" if found.learned else "cosine of two halves")
    axes.set_ylabel("share")
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    axes.grid(axis="x", visible=False)
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return figure


def _part(
    pool: Pool, found: Agreeing, pairs: Sequence[Sequence[tuple[str, int]]], chosen: Bool | None, over: str, what: str
) -> Part:
    order = found.ordered()
    ends = {"Least agreeing": order[: min(SHOWN, len(order) // 2)]}
    ends["Most agreeing"] = order[::-1][: min(SHOWN, len(order) // 2)]
    cards = {
        head: [pair_card(pool, pairs[row], f"agreement {found.value[row]:.2f}") for row in rows.tolist()]
        for head, rows in ends.items()
    }
    text = f"{over}{LEARNED if found.learned else COSINE} Median: {np.nanmedian(found.value):.2f}"
    if found.learned:
        strange = float(np.mean(found.value[order] < 0.25))
        text += f"; {100 * strange:.1f} % of the {what} agree less well than three quarters of strangers do"
    ids = [[str(pool.ids[row]) for _, row in pairs[k]] for k in order.tolist()]
    data = pd.DataFrame({"id": [one[0] for one in ids], "agreement": found.value[order], "cosine": found.fit[order]})
    if what == "pairs":
        data.insert(1, "partner", [one[1] for one in ids])
    figure = agreement_figure(found, chosen)
    caption = "The further right of the strangers a half lies, the better it fits its own other half."
    return Part(f"{what.capitalize()} that agree most and least", text + ".", figure, caption, cards=cards, data=data)


def _cosines(rows: Rows, maps: Sequence[Float]) -> Float:
    """(n,) mean over pairs of shared modalities of the cosine after maps (d_m + 1, r); NaN for one modality."""
    found = np.full(len(rows), np.nan)
    for start, block in rows.tiles():
        at, begin, images = slice(start, start + len(block)), 0, []
        for width, a in zip(rows.dims, maps):
            image = block.x[:, begin : begin + width].double().cpu().numpy() @ a[:-1] + a[-1]
            size = np.linalg.norm(image, axis=1, keepdims=True)
            images.append(np.where(size > 0, image / np.where(size > 0, size, 1.0), 0.0))
            begin += width
        unit, there = np.stack(images), rows.present[at].T.astype(np.float64)
        total, count = (unit * there[:, :, None]).sum(axis=0), there.sum(axis=0)
        pairs = count * (count - 1)
        # |sum of unit vectors|^2 = their number + twice the sum of their cosines
        length = (unit**2).sum(axis=2) * there
        inner = (total**2).sum(axis=1) - length.sum(axis=0)
        found[at] = np.where(pairs > 0, inner / np.where(pairs > 0, pairs, 1.0), np.nan)
    return found
