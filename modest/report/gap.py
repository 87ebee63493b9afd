"""The modality gap on a pool's page: figure, table, and where it stands beside the MMCSAL paper's Table 3."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from modest.data.pool import Pool
from modest.data.presence import observed
from modest.report.gap_plot import gap_figure
from modest.report.html import Part
from modest.report.spaces import Space, sample, space
from modest.representation.gap import Gap
from modest.types import Views

# Shen et al. 2024, Table 3: lowest and highest of Food101, Kinetics-Sounds and VGGSound
WITHOUT = {"gap": (0.1327, 0.2701), "within": (0.0044, 0.0256), "across": (-0.0134, 0.0012)}
WITH = {"gap": (0.0483, 0.1203), "within": (0.0052, 0.0283), "across": (0.0051, 0.0201)}


def gap_parts(
    pool: Pool, views: Mapping[str, str] | None = None, before: Mapping[str, str] | None = None, seed: int = 0
) -> list[Part]:
    """One part per pair of modalities of one width; a sentence instead where there is none; nothing for one modality.

    Parameters
    ----------
    pool : Pool
    views : mapping modality -> encoder, optional
        Two modalities or more to look at. Left out: those of ``before``, else all, each by its default encoder.
    before : mapping modality -> encoder, optional
        Views of the same modalities to put beside them, over the items that have both modalities in both.
    seed : int
        Of the items drawn, keyed by (seed, id).

    Raises
    ------
    ValueError
        If fewer than two modalities are named, or ``before`` names others; FileNotFoundError as ``pool.views``.
    """
    for told, given in (("views", views), ("before", before)):
        if given is not None and len(given) < 2:
            raise ValueError(f"{told} names {', '.join(given) or 'nothing'}; name at least two modalities for a gap.")
    if views is not None and before is not None and set(views) != set(before):
        raise ValueError(
            f"before names {', '.join(before)} and views {', '.join(views)}; name the same modalities in both."
        )
    names = list(views or before or pool.names)
    if len(names) < 2:
        return []
    opened = {} if before is None else {"before": pool.views({name: before[name] for name in names})}
    opened["after"] = pool.views(views or names)
    asked = {"before": dict(before or {}), "after": _encoders(pool, names, views)}
    pairs = [pair for pair in combinations(names, 2) if _one_width(opened["after"], pair)]
    if not pairs:
        return [Part("Modality gap", f"No gap is drawn: {_why_not(opened['after'], asked['after'])}")]
    of = {pair: f" of {pair[0]} and {pair[1]}" if len(names) > 2 else "" for pair in pairs}
    return [_pair(opened, asked, pair, f"Modality gap{of[pair]}", seed) for pair in pairs]


def regime(gap: Gap) -> str:
    """Sentence that says where a gap and the similarities within stand in the paper's Table 3."""
    (low, high), (bare_low, bare_high) = WITH["gap"], WITHOUT["gap"]
    if gap.gap > bare_high:
        place = f"is above every gap of Table 3 of the MMCSAL paper ({low:.3f} to {bare_high:.3f})"
    elif gap.gap >= bare_low:
        place = f"is among those of Table 3 of the MMCSAL paper without prototypes ({bare_low:.3f} to {bare_high:.3f})"
    elif gap.gap > high:
        place = (
            f"is between those of Table 3 of the MMCSAL paper with (to {high:.3f}) and without (from {bare_low:.3f})"
        )
        place += " prototypes"
    elif gap.gap >= low:
        place = f"is among those of Table 3 of the MMCSAL paper with prototypes ({low:.3f} to {high:.3f})"
    else:
        place = f"is below every gap of Table 3 of the MMCSAL paper ({low:.3f} to {bare_high:.3f})"
    most, name = max((value, name) for name, value in gap.within.items())
    limit = WITH["within"][1]
    narrow = f"; {name} lies in a cone (mean similarity within {most:.3f}, there at most {limit:.3f})"
    return f"The gap of {gap.gap:.3f} {place}{narrow if most > limit else ''}."


def _pair(
    opened: Mapping[str, Views], asked: Mapping[str, Mapping[str, str]], pair: tuple[str, str], title: str, seed: int
) -> Part:
    """Part of one pair; ``before`` is left out, with the reason, where its widths differ."""
    held = {when: _only(views, pair) for when, views in opened.items() if _one_width(views, pair)}
    ids = opened["after"].ids
    both = np.logical_and.reduce([observed(views).all(axis=1) for views in held.values()])
    if both.sum() < 2:
        told = f"items that have both {pair[0]} and {pair[1]}: {int(both.sum())}; two are needed."
        return Part(title, f"No gap is drawn: {told}")
    rows = sample(ids, both, seed)
    spaces = [space(views, both, rows, when if len(held) > 1 else "") for when, views in held.items()]
    text = regime(spaces[-1].gap) + " It means something where both encoders speak of one space."
    if len(held) < len(opened):
        text += f" Nothing is drawn of before: {_why_not(opened['before'], asked['before'])}"
    named = "; ".join(
        (f"{when}: " if len(held) > 1 else "") + ", ".join(f"{name} by {asked[when][name]}" for name in pair)
        for when in held
    )
    caption = (
        f"{named[:1].upper()}{named[1:]}. Cosines of {len(rows):,} items with their own and with another item's other "
        "half (dashed: means over all items); rows divided by their norm, projected on the two principal directions of "
        "both modalities together, lines join the halves of one item, large marks are "
        "means, which may lie closer in this plane than they do in the space."
    )
    return Part(title, text, gap_figure(spaces), caption, _table(spaces, pair))


def _table(spaces: list[Space], pair: tuple[str, str]) -> pd.DataFrame:
    """Figures of one or two spaces, their difference, and the paper's ranges."""
    columns = {one.name or "here": _figures(one.gap, pair) for one in spaces}
    table = pd.DataFrame({"measure": list(columns[spaces[0].name or "here"])})
    for name, figures in columns.items():
        table[name] = [f"{value:.4f}" for value in figures.values()]
    if len(spaces) > 1:
        old, new = (list(figures.values()) for figures in columns.values())
        table["difference"] = [f"{b - a:+.4f}" for a, b in zip(old, new)]
    kinds = ["gap", "within", "within", "across", "", ""]
    for told, ranges in (("Table 3, without prototypes", WITHOUT), ("Table 3, with prototypes", WITH)):
        table[told] = [f"{ranges[k][0]:.4f} to {ranges[k][1]:.4f}" if k else "-" for k in kinds]
    counted = ["items with both", *(f"{one.gap.rows:,}" for one in spaces)]
    table.loc[len(table)] = counted + [""] * (table.shape[1] - len(counted))
    return table


def _figures(gap: Gap, pair: tuple[str, str]) -> dict[str, float]:
    within = {f"S_uni {name}: mean cosine within": gap.within[name] for name in pair}
    return {
        "gap: distance of the means": gap.gap,
        **within,
        "S_cross: mean cosine across": gap.across,
        "paired: mean cosine of an item's halves": gap.paired,
        "unpaired: mean cosine of two items' halves": gap.unpaired,
    }


def _encoders(pool: Pool, names: list[str], asked: Mapping[str, str] | None) -> dict[str, str]:
    """Encoder of each modality: as asked, else the pool's default or only one."""
    if asked is not None:
        return dict(asked)
    found = {name: pool.encoders(name) for name in names}
    default = pool.config["modalities"]
    return {name: default[name] if default.get(name) in had else had[0] for name, had in found.items()}


def _one_width(views: Views, pair: tuple[str, str]) -> bool:
    return views.shape[pair[0]][1] == views.shape[pair[1]][1]


def _only(views: Views, pair: tuple[str, str]) -> Views:
    """Views of two modalities alone."""
    columns = [views.names.index(name) for name in pair]
    present = None if views.present is None else views.present[:, columns]
    return Views({name: views.arrays[name] for name in pair}, present, views.ids)


def _why_not(views: Views, encoders: Mapping[str, str]) -> str:
    """Sentence about widths that differ."""
    told = [f"{name} by {encoders[name]} has {shape[1]}" for name, shape in views.shape.items()]
    return (
        f"{', '.join(told)} features, and a gap needs two modalities in one space of one width, "
        "such as those of one CLIP-like model or of modest represent."
    )
