"""Cartography on a page: what a training learned of the items, and which of them each choice preferred."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modest.bench.cell import Task
from modest.bench.store import Store
from modest.data.pool import Pool
from modest.data.tracked import Tracked
from modest.evaluation import confidence_bins, curve, data_map, preference
from modest.evaluation.cartography import NEVER
from modest.report.cartography_plot import map_figure, preference_bars
from modest.report.html import Part

SHARE = 0.05  # of the pool, the budget of the paper's Figures 3 to 5
PARTS = ("least confident", "second", "middle", "fourth", "most confident")
Choices = Mapping[str, Iterable[Any]]  # name -> per seed the chosen ids


def cartography_parts(tracked: Tracked, choices: Choices, told: str = "") -> list[Part]:
    """The map of the items, and the preference of each choice for its five parts, if there are choices.

    Parameters
    ----------
    tracked : Tracked
        Of a model trained on many labels, best on all of the pool's.
    choices : name -> per seed the chosen ids
        Ids that the training did not see are left out, and the page says how many.
    told : str
        What the choices are, for the caption.

    Raises
    ------
    ValueError
        If choices are given and the training saw none of their items.
    """
    chart = data_map(tracked.confidence, tracked.correct)
    never, forgot = chart.forgetfulness == NEVER, (chart.forgetfulness > 0) & (chart.forgetfulness < NEVER)
    text = (
        f"{len(tracked.ids):,} items over {len(chart.loss)} epochs of training: {_percent(never)} were never right, "
        f"{_percent(forgot)} were right and then wrong again at least once."
    )
    caption = (
        "Confidence: mean over the epochs of the probability of the item's own label. Variability: its standard "
        "deviation. Items at the bottom are hard for the model, or mislabelled."
    )
    parts = [Part("What the model learned", text, map_figure(chart), caption)]
    if choices:
        parts.append(_preferences(tracked, chart.confidence, choices, told))
    return parts


def pool_choices(pool: Pool, tracked: Tracked) -> dict[str, list[Any]]:
    """Chosen ids of every round of a pool, by the round's number and method; rounds still without labels left out."""
    ids = {f"{r.number}: {r.manifest.get('method', 'choice')}": r.choice["id"].astype(str) for r in pool.rounds}
    return {name: [chosen] for name, chosen in ids.items() if chosen.isin(tracked.ids.tolist()).any()}


def bench_choices(
    folder: str | Path, own: pd.DataFrame, shares: Mapping[str, float], order: Sequence[str]
) -> tuple[dict[str, list[Any]], int]:
    """Chosen ids of a bench per method and seed, at the budget nearest 5 %, and that budget in items.

    ``own``: results of one set; ``shares``: items (as text) -> share of the pool, ``order`` of the methods, both of
    ``protocol.json``.
    """
    items = min(sorted(own["items"].unique()), key=lambda count: abs(shares[str(count)] - SHARE))
    cells = own[(own["items"] == items) & (own["missing"] == own["missing"].min())]
    found: dict[str, list[Any]] = {}
    for row in cells.drop_duplicates(["method", "seed"]).sort_values("seed", kind="stable").itertuples():
        task = Task(str(row.set), float(row.missing), int(row.seed), str(row.method), int(items))
        found.setdefault(str(row.method), []).append(Store(Path(folder)).read("choices", task.key)["ids"])
    return {name: found[name] for name in order if name in found}, int(items)


def _preferences(tracked: Tracked, confidence: Any, choices: Choices, told: str) -> Part:
    where, place = confidence_bins(confidence), {name: k for k, name in enumerate(tracked.ids.tolist())}
    found: dict[str, Any] = {}
    chosen = unseen = 0
    for name, seeds in choices.items():
        rows = []
        for ids in seeds:
            seen = [place[one] for one in ids if one in place]
            chosen, unseen = chosen + len(ids), unseen + len(ids) - len(seen)
            rows += [preference(seen, where)] if seen else []
        if rows:
            found[name] = np.stack(rows)
    if not found:
        raise ValueError("the model tracked none of the chosen items; train it with --track-items on this pool.")
    table = pd.DataFrame({"choice": list(found)})
    for k, part in enumerate(PARTS):
        table[part] = [_cell(values[:, k]) for values in found.values()]
    left = f" {unseen:,} of {chosen:,} chosen items were not in that training and are left out." if unseen else ""
    text = (
        "The training's items in five equal parts by confidence. A random choice takes as much of each (1); below 1 "
        f"a choice avoids the part, above 1 it prefers it.{left}"
    )
    caption = f"{told}Share of the choice in each part, times five; with several seeds mean and 95 % interval."
    return Part("Which items a choice prefers", text, preference_bars(found), caption, table)


def _cell(values: Any) -> str:
    got = curve(values)
    mean, low, high = (float(x) for x in (got.mean, got.low, got.high))
    return f"{mean:.2f}" if len(values) == 1 else f"{mean:.2f} [{low:.2f}, {high:.2f}]"


def _percent(mask: Any) -> str:
    return f"{100 * float(np.mean(mask)):.1f} %"
