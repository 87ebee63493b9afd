"""The page of a bench: curves and where they say enough, missing rates, modalities, what was chosen, its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modest.bench.store import Store, about_bench, results
from modest.bench.tables import grid, summarise
from modest.data.pool import Pool
from modest.data.tracked import Tracked
from modest.evaluation import area, curve, saving
from modest.evaluation.enough import enough
from modest.report import plots
from modest.report.cartography import bench_choices, cartography_parts
from modest.report.chosen import choice_parts
from modest.report.growth import growth_part
from modest.report.html import Note, Page, Part
from modest.report.patterns import missing_parts
from modest.report.provenance import provenance_part
from modest.report.spread_parts import spread_parts


def bench_page(
    folder: str | Path, pool: Pool | None = None, title: str = "Was it worth it?", tracked: Tracked | None = None
) -> Page:
    """Page of one bench; errors as :func:`modest.bench.results` and :func:`bench_parts`."""
    about = about_bench(folder)
    protocol, sets = about["protocol"], about["sets"]
    lead = (
        f"{len(protocol['methods'])} ways of choosing what to label on {', '.join(sets)}, "
        f"{protocol['seeds']} seeds each, scored on rows that were never bought."
    )
    first = next(iter(sets.values()))
    numbers = [
        (f"{first['pool']:,}", "items in the training pool"),
        (f"{first['test']:,}", "test rows"),
        (str(len(first["classes"])), "classes"),
        (str(len(first["modalities"])), "modalities"),
        (f"{len(results(folder)):,}", "cells finished"),
    ]
    parts = bench_parts(folder, pool, tracked)
    return Page(title, lead, parts, numbers, [_done(about), *_brought(results(folder), about, pool)])


def bench_parts(folder: str | Path, pool: Pool | None = None, tracked: Tracked | None = None) -> list[Part]:
    """Sections of a bench, per set: curves and table over budgets, over missing rates, modalities, choice, protocol.

    ``pool`` is the pool it ran on: with it, the choice is drawn in the pool and its classes are compared. ``tracked``
    is what a training noted of the pool's items: with it, the page says which of them every method prefers; ValueError
    if it is of other items.
    """
    frame, about = results(folder), about_bench(folder)
    parts: list[Part] = []
    for name, told in about["sets"].items():
        own = frame[frame["set"] == name]
        if not len(own):
            continue
        of = f" on {name}" if len(about["sets"]) > 1 else ""
        if own["items"].nunique() > 1:
            parts += _budgets(own, told, about["protocol"], of)
            parts.append(_growth(own, of))
        if own["missing"].nunique() > 1:
            parts += missing_parts(own, of)
        parts.append(_modalities(own, told, of))
        if pool is not None:
            parts += _choice(Path(folder), own, pool)
        if tracked is not None:
            choices, items = bench_choices(folder, own, told["budget_share"], about["protocol"]["methods"])
            parts += cartography_parts(tracked, choices, f"{items:,} items per choice. ")
    return [*parts, _protocol(about), provenance_part(pool)]


def _done(about: dict[str, Any]) -> Note:
    protocol = about["protocol"]
    learners = protocol.get("learners") or protocol.get("learner")
    named = ", ".join(learners) if isinstance(learners, list) else str(learners)
    text = f"{', '.join(protocol['methods'])} chose what to label; {named} learned from it, {protocol['seeds']} times"
    return Note("What was done", f"{text} with another subsample and seed.")


def _brought(frame: pd.DataFrame, about: dict[str, Any], pool: Pool | None) -> list[Note]:
    """What the best way of choosing saves against random, on the first set, and what to do with it."""
    name = next(iter(about["sets"]))
    own = frame[(frame["set"] == name) & (frame["missing"] == frame["missing"].min())]
    own = own[own["learner"] == own["learner"].iloc[0]]
    curves = _curves(own)
    if not curves or len(next(iter(curves.values()))[0]) < 2:
        return []
    best = max(curves, key=lambda method: area(curves[method][0], curves[method][1].mean(axis=0)))
    n, values = curves[best]
    text = f"{best} is best over all budgets: {100 * values.mean(axis=0)[0]:.1f} % with {n[0]:,.0f} labels"
    if "random" in curves and best != "random":
        other_n, other = curves["random"]
        text += f", random {100 * other.mean(axis=0)[0]:.1f} %"
        saved = saving(n, values.mean(axis=0), other_n, other.mean(axis=0))
        if saved == saved:
            text += f". It reaches what random reaches with {other_n[-1]:,.0f} labels on {100 * saved:.0f} % fewer"
    found = enough(n, values)
    more = "" if found.at is None else f"; on this curve, enough is at about {found.at:,.0f} labels"
    place = "POOL" if pool is None else pool.path
    command = f"modest select {place} --method {best} --budget {int(n[0])}"
    return [Note("What it brought", text + "."), Note("What to do", f"Choose with {best}{more}.", command)]


def _curves(own: pd.DataFrame) -> dict[str, tuple[Any, Any]]:
    """method -> (T,) budgets and (S, T) accuracies, of the seeds that have every budget."""
    found = {}
    for method, cells in own.groupby("method", sort=False):
        wide = cells.pivot_table(index="seed", columns="items", values="accuracy").dropna()
        if len(wide):
            found[str(method)] = (wide.columns.to_numpy(dtype=float), wide.to_numpy(dtype=float))
    return found


def _growth(own: pd.DataFrame, of: str) -> Part:
    """The curve of the method and learner that are best at the largest budget, continued."""
    cells = own[own["missing"] == own["missing"].min()]
    top = cells[cells["items"] == cells["items"].max()].groupby(["method", "learner"], sort=True)["accuracy"].mean()
    method, learner = top.idxmax()
    n, values = _curves(cells[(cells["learner"] == learner) & (cells["method"] == method)])[method]
    return growth_part(n, values, f"{method} with {learner}", "accuracy on the test rows", f"Is it enough?{of}")[0]


def _budgets(own: pd.DataFrame, told: dict[str, Any], protocol: dict[str, Any], of: str) -> list[Part]:
    parts = []
    for (learner, rate), cells in own.groupby(["learner", "missing"], sort=False):
        plain = own[["learner", "missing"]].drop_duplicates()
        more = f", {learner}, {rate:.0%} missing" if len(plain) > 1 else ""
        figure = plots.learning_curves(_ordered(summarise(cells), protocol["methods"]), told["pool"])
        heads = {k: f"{k} ({100 * k / told['pool']:.2g} %)" for k in sorted(cells["items"].unique())}
        table = grid(cells, order=protocol["methods"]).rename(columns=heads)
        text = f"Accuracy of the learner ({learner}) after buying the labels each method asked for."
        caption = "Mean over seeds with 95 % bootstrap interval. In the table: percent; marked = best or tied with it."
        parts.append(Part(f"Accuracy against budget{of}{more}", text, figure, caption, table))
    return parts


def _modalities(own: pd.DataFrame, told: dict[str, Any], of: str) -> Part:
    """Bars of the best method at the largest budget and the lowest missing rate."""
    cells = own[(own["items"] == own["items"].max()) & (own["missing"] == own["missing"].min())]
    means = cells.groupby(["method", "learner"], sort=True)["accuracy"].mean()
    method, learner = means.idxmax()
    cells = cells[(cells["method"] == method) & (cells["learner"] == learner)]
    values = {}
    for name, column in {"fused": "accuracy", **{m: f"{m}:accuracy" for m in told["modalities"]}}.items():
        counted = cells[column].dropna() if column in cells else cells["accuracy"][:0]
        if len(counted):
            got = curve(counted.to_numpy())
            values[name] = (float(got.mean), float(got.low), float(got.high))
    bought = int(cells["items"].iloc[0])
    text = f"{learner} on {bought:,} labels chosen by {method}; a modality counts where it is present."
    return Part(f"Each modality alone{of}", text, plots.modality_bars(values), "Mean and 95 % interval over seeds.")


def _choice(folder: Path, own: pd.DataFrame, pool: Pool) -> list[Part]:
    """Seed 0 of the method that is best at the second-smallest budget."""
    counts = sorted(own["items"].unique())
    items = counts[min(1, len(counts) - 1)]
    cells = own[(own["items"] == items) & (own["missing"] == own["missing"].min())]
    method = str(cells.groupby("method", sort=True)["accuracy"].mean().idxmax())
    row = cells[(cells["method"] == method) & (cells["seed"] == cells["seed"].min())].iloc[0]
    key = f"{row['set']}~missing-{row['missing']:g}~seed-{row['seed']}~{method}~{items}"
    position = dict(zip(pool.ids.tolist(), range(len(pool))))
    ids = Store(folder).read("choices", key)["ids"]
    if any(name not in position for name in ids):
        raise ValueError(f"{pool.path} is not the pool this bench ran on (id {ids[0]!r} is not in it); name that one.")
    if items >= 0.5 * len(pool):
        return []
    chosen = np.array([position[name] for name in ids], dtype=np.int64)
    told = f"{items} items chosen by {method}, seed {row['seed']}"
    return [*choice_parts(pool, chosen, method, told), *_lying(pool, chosen, method)]


def _lying(pool: Pool, chosen: Any, method: str) -> list[Part]:
    opened = pool.views()
    there = pool.split == "train"
    there &= True if opened.present is None else opened.present.any(axis=1)
    place, chosen = np.flatnonzero(there), chosen[there[chosen]]
    if not len(chosen):
        return []
    nothing = np.empty(0, dtype=np.int64)
    return spread_parts(pool, opened[place], place, np.searchsorted(place, chosen), nothing, method)[0]


def _protocol(about: dict[str, Any]) -> Part:
    protocol = about["protocol"]
    facts: list[tuple[str, Any]] = [
        (name, ", ".join(map(str, value)) if isinstance(value, list) else value)
        for name, value in protocol.items()
        if value not in ({}, [])
    ]
    for name, told in about["sets"].items():
        parts = f"{told['pool']:,} pool, {told['val']:,} validation (not used under a budget), {told['test']:,} test"
        facts += [(f"{name}: rows", parts + (" (carved)" if told["test_carved"] else ""))]
        facts += [(f"{name}: split hash", told["split_hash"]), (f"{name}: content hash", told["content_hash"])]
    text = (
        "A seed redraws a subsample of the training pool, the selection's seed and the learner's seed; the test rows "
        "stay. The probe is logistic regression with a fixed C on standardised features, absent halves at the mean, "
        "with a column that says whether they are there."
    )
    return Part("Protocol", text, facts=facts)


def _ordered(summary: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    rank = {name: k for k, name in enumerate(names)}
    return summary.sort_values("method", key=lambda column: column.map(rank), kind="stable")
