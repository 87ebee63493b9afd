"""The page of a pool: what it holds, what was chosen and learned so far, and what to do now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from modest.data.history import read_history
from modest.data.pairs import query_rounds, read_pairs
from modest.data.pool import Pool
from modest.data.tracked import Tracked
from modest.evaluation import class_balance
from modest.report import plots
from modest.report.agreeing import agreement_part
from modest.report.cartography import cartography_parts, pool_choices
from modest.report.chosen import choice_parts, earlier_rows, rows_of
from modest.report.gap import gap_parts
from modest.report.growth import history_parts
from modest.report.html import Note, Page, Part
from modest.report.people import people_parts
from modest.report.provenance import provenance_part
from modest.report.spread_parts import pool_duplicates, spread_parts
from modest.types import Views


def pool_page(
    pool: Pool,
    views: Mapping[str, str] | None = None,
    before: Mapping[str, str] | None = None,
    seed: int = 0,
    tracked: Tracked | None = None,
    *,
    answers: pd.DataFrame | None = None,
    advice: Note | None = None,
) -> Page:
    """Page of a pool: its learning curve, its latest round, near-duplicates, modalities, agreement, gap, annotators.

    ``views`` and ``before`` (modality -> encoder) and ``seed`` as in :func:`modest.report.gap.gap_parts`, with its
    errors; modalities not named in ``views`` are shown by their default encoder. ``tracked``: what a training noted of
    the pool's items, with the errors of :func:`modest.report.cartography.cartography_parts`. ``answers``: what people
    said, see :mod:`modest.report.people`; ``advice``: what to do now.
    """
    asked: Any = {**dict.fromkeys(pool.names), **(views or {})}
    opened = pool.views(asked) if pool.names else None
    history = read_history(pool.path)
    grown = history_parts(history)
    parts = [part for part, _ in grown]
    last = pool.rounds[-1] if pool.rounds else None
    if last is not None:
        chosen = rows_of(pool, last.choice.sort_values("order")["id"])
        method = str(last.manifest.get("method", ""))
        told = f"round {last.number}: {len(chosen)} items chosen by {method}"
        parts += choice_parts(pool, chosen, method, told, asked)
    elif any(label is not None for label in pool.labels):
        parts.append(Part("Classes", figure=plots.class_bars(class_balance(pool.labels, np.arange(len(pool))))))
    if opened is not None:
        parts += _lying(pool, opened, seed)
    parts.append(_modalities(pool, opened))
    parts += gap_parts(pool, views, before, seed)
    if tracked is not None:
        parts += cartography_parts(tracked, pool_choices(pool, tracked), "By number and method of the round. ")
    parts += people_parts(pool, answers) if answers is not None else []
    parts.append(provenance_part(pool, last, encoders=asked))
    notes = [_done(pool), _brought(pool, grown, history), *([] if advice is None else [advice])]
    return Page(f"Pool {pool.path.name}", _lead(pool), parts, _numbers(pool), notes)


def _lying(pool: Pool, opened: Views, seed: int) -> list[Part]:
    """Coverage and near-duplicates of the latest round, or near-duplicates of the pool, and agreement."""
    there = pool.split == "train"
    there &= True if opened.present is None else opened.present.any(axis=1)
    place = np.flatnonzero(there)
    if len(place) < 2:
        return []
    own = opened[place]
    last = pool.rounds[-1] if pool.rounds else None
    chosen = np.empty(0, np.int64) if last is None else rows_of(pool, last.choice.sort_values("order")["id"])
    chosen = chosen[there[chosen]]
    marked = np.isin(place, chosen)
    if last is not None and len(chosen):
        old = np.setdiff1d(earlier_rows(pool, last.number), chosen)
        at, old = np.searchsorted(place, chosen), np.searchsorted(place, old[there[old]])
        parts = spread_parts(pool, own, place, at, old, str(last.manifest.get("method", "")), seed)[0]
    else:
        parts = [pool_duplicates(pool, own, place, seed)]
    agreeing = agreement_part(pool, own, place, marked if marked.any() else None, seed)
    return parts if agreeing is None else [*parts, agreeing]


def _modalities(pool: Pool, opened: Views | None) -> Part:
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
    return Part("Modalities", "How many items have each modality.", table=held)


def _lead(pool: Pool) -> str:
    named = ", ".join(pool.names) or "no view yet"
    return f"{len(pool):,} items with {named}: what the pool holds and what was chosen from it."


def _numbers(pool: Pool) -> list[tuple[str, str]]:
    train = pool.split == "train"
    known = np.array([label is not None for label in pool.labels], dtype=bool)
    numbers = [(f"{len(pool):,}", "items"), (f"{int(train.sum()):,}", "of them for training")]
    numbers += [(f"{int((known & train).sum()):,}", "of these with a label"), (str(len(pool.classes)), "classes")]
    bought = read_pairs(pool.path)
    pairs = int((bought["status"] == "matched").sum())
    return [*numbers, (str(len(pool.rounds)), "rounds"), *([(f"{pairs:,}", "pairs bought")] if pairs else [])]


def _done(pool: Pool) -> Note:
    rounds, queries = pool.rounds, query_rounds(pool.path)
    if not rounds and not queries:
        return Note("What was done", "The items are in the pool; nothing has been chosen yet.")
    methods = sorted({str(one.manifest.get("method")) for one in rounds})
    items = sum(int(one.manifest.get("items", 0)) for one in rounds)
    told = (
        [f"{len(rounds)} {_many('round', rounds)} chose {items:,} items to label ({', '.join(methods)})."]
        if rounds
        else []
    )
    asked = sum(int(one.manifest.get("items", 0)) for one in queries)
    told += [f"{len(queries)} {_many('round', queries)} asked for {asked:,} partners."] if queries else []
    return Note("What was done", " ".join(told))


def _brought(pool: Pool, grown: list[tuple[Part, Any]], history: Sequence[Mapping[str, Any]]) -> Note:
    if not grown:
        known = sum(label is not None for label in pool.labels[pool.split == "train"])
        return Note("What it brought", f"{known:,} training items have a label. No model has been measured yet.")
    last, said = history[-1], grown[0][1]
    right = f"{last['method']} is right on {100 * last['accuracy']:.1f} % of the {last['split']} rows"
    text = f"{right} with {int(last['labelled']):,} labels."
    text += f" The next {said.to - int(last['labelled']):,.0f} would bring about {100 * said.gain:+.1f} points."
    return Note("What it brought", text)


def _many(word: str, things: Any) -> str:
    return word if len(things) == 1 else f"{word}s"
