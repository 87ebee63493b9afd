"""What stands on a report: the sections of a bench, and the page of a pool."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from modest.bench.store import Store, about_bench, results
from modest.bench.tables import grid, summarise
from modest.data.pool import Pool
from modest.data.tracked import Tracked
from modest.evaluation import class_balance, curve
from modest.report import plots
from modest.report.cartography import bench_choices, cartography_parts, pool_choices
from modest.report.gap import gap_parts
from modest.report.html import Page, Part
from modest.report.patterns import missing_parts, model_parts
from modest.report.plane import plane

_MOST_POINTS = 20_000  # dots on a map


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
    return Page(title, lead, bench_parts(folder, pool, tracked), numbers)


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
        if own["missing"].nunique() > 1:
            parts += missing_parts(own, of)
        parts.append(_modalities(own, told, of))
        if pool is not None:
            parts += _choice(Path(folder), own, pool)
        if tracked is not None:
            choices, items = bench_choices(folder, own, told["budget_share"], about["protocol"]["methods"])
            parts += cartography_parts(tracked, choices, f"{items:,} items per choice. ")
    return [*parts, _protocol(about)]


def pool_page(
    pool: Pool,
    views: Mapping[str, str] | None = None,
    before: Mapping[str, str] | None = None,
    seed: int = 0,
    tracked: Tracked | None = None,
    model: tuple[str, Mapping[str, Any]] | None = None,
) -> Page:
    """Page of a pool: its modalities, its classes, what its latest round chose, its cartography and modality gap.

    ``views`` and ``before`` (modality -> encoder) and ``seed`` as in :func:`modest.report.gap.gap_parts`, with its
    errors; modalities not named in ``views`` are shown by their default encoder. ``tracked``: what a training noted of
    the pool's items, with the errors of :func:`modest.report.cartography.cartography_parts`. ``model``: a model's name
    and the evaluation in its metrics.json, with the errors of :func:`modest.report.patterns.model_parts`.
    """
    labels = pool.labels
    asked: Any = {**dict.fromkeys(pool.names), **(views or {})}
    known = sum(label is not None for label in labels)
    numbers = [
        (f"{len(pool):,}", "items"),
        (f"{known:,}", "with a label"),
        (str(len(pool.classes)), "classes"),
        (str(len(pool.rounds)), "rounds"),
    ]
    opened = pool.views(asked) if pool.names else None
    widths = {} if opened is None else opened.shape
    present = (
        np.ones((len(pool), len(widths)), dtype=bool) if opened is None or opened.present is None else opened.present
    )
    held = pd.DataFrame(
        {
            "modality": list(widths),
            "features": [width for _, width in widths.values()],
            "items that have it": [f"{int(k):,}" for k in present.sum(axis=0)],
            "share": [f"{100 * k:.1f} %" for k in present.mean(axis=0)],
        }
    )
    parts = [Part("Modalities", "How many items have each modality.", table=held)]
    if pool.rounds:
        last = pool.rounds[-1]
        ids = last.choice.sort_values("order")["id"].astype(str).to_numpy()
        row = dict(zip(pool.ids.tolist(), range(len(pool))))
        chosen = np.array([row[name] for name in ids], dtype=np.int64)
        method = str(last.manifest.get("method", ""))
        told = f"round {last.number}: {len(chosen)} items chosen by {method}"
        parts += choice_parts(pool, chosen, method, told, asked)
    elif known:
        parts.append(Part("Classes", figure=plots.class_bars(class_balance(labels, np.arange(len(pool))))))
    if tracked is not None:
        parts += cartography_parts(tracked, pool_choices(pool, tracked), "By number and method of the round. ")
    if model is not None:
        parts += model_parts(model[1], model[0])
    parts += gap_parts(pool, views, before, seed)
    return Page(f"Pool {pool.path.name}", "What the pool holds and what was chosen from it.", parts, numbers)


def choice_parts(
    pool: Pool, chosen: Any, method: str, told: str, encoders: Mapping[str, str] | None = None
) -> list[Part]:
    """Chosen rows (in the frame of the pool) on a map, and their classes beside the training pool's, if labelled.

    ``encoders`` (modality -> encoder) name the views drawn, as in ``pool.views``.
    """
    labels, train = pool.labels, pool.split == "train"
    rows = np.flatnonzero(train)
    if len(rows) > _MOST_POINTS:
        rows = np.union1d(rows[:: -(-len(rows) // _MOST_POINTS)], chosen)
    rows = np.union1d(rows, chosen)
    place = np.searchsorted(rows, chosen)
    figure = plots.choice_map(plane(pool.views(encoders, rows=rows)), place, labels[rows].tolist(), method)
    caption = "Each dot is an item, standardised views side by side, projected on their two principal directions."
    parts = [Part("What was chosen", told[:1].upper() + told[1:] + ".", figure, caption)]
    inside = chosen[train[chosen]]  # `--split all` may choose others, which the training pool's classes do not count
    if any(labels[row] is not None for row in inside):
        balance = class_balance(labels[train], np.searchsorted(np.flatnonzero(train), inside))
        missed = f"; {len(balance.missed)} without any chosen item" if balance.missed else "; every class has one"
        text = (
            f"{len(balance.classes)} classes{missed}. Distance between the two distributions: {balance.distance:.2f}."
        )
        parts.append(Part("Classes bought", text, plots.class_bars(balance)))
    return parts


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
    return choice_parts(pool, chosen, method, f"{items} items chosen by {method}, seed {row['seed']}")


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
