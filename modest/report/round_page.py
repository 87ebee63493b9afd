"""The page of a round: what it chose and why, how that lies in the pool, what came of it, where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from modest.data.pool import Pool
from modest.data.purchases import KIND as BUY
from modest.data.rounds import Round, find_rounds
from modest.report.agreeing import agreement_part
from modest.report.asked import query_page
from modest.report.chosen import choice_parts, earlier_rows, first_part, rows_of
from modest.report.html import Note, Page, Part
from modest.report.people import people_parts
from modest.report.provenance import provenance_part
from modest.report.spread_parts import spread_parts
from modest.types import Bool, Int


def find_round(pool: Pool, number: int) -> Round:
    """A round of a pool by its number; ValueError that names those there are."""
    every = [one for kind in ("round", "query", BUY) for one in find_rounds(pool.path, kind)]
    found = [one for one in every if one.number == number]
    if not found:
        there = ", ".join(map(str, sorted(one.number for one in every)))
        told = f"its rounds are {there}" if there else "it has none yet, run modest select"
        raise ValueError(f"round={number} is no round of {pool.path}; {told}.")
    return found[0]


def round_page(
    pool: Pool,
    number: int,
    views: Mapping[str, str] | None = None,
    seed: int = 0,
    answers: pd.DataFrame | None = None,
    advice: Note | None = None,
) -> Page:
    """Page of one round, whether it chose items to label, to buy a modality for, or to ask a partner for.

    Parameters
    ----------
    pool : Pool
    number : of the round
    views : modality -> encoder of the views that distances are taken in; the default ones
    seed : of samples and of the random choices it is compared with
    answers : what people said to its questions, see :mod:`modest.report.people`
    advice : what to do now

    Raises
    ------
    ValueError
        If there is no such round, or an item of it is not in the pool.
    """
    one = find_round(pool, number)
    if one.manifest["kind"] == "query":
        return query_page(pool, one, seed, answers, advice)
    chosen = rows_of(pool, one.choice.sort_values("order")["id"])
    method, inside = str(one.manifest.get("method", "")), _offered(pool, one, chosen)
    before = earlier_rows(pool, number)
    before = before[inside[before]]
    place = np.flatnonzero(inside)
    parts: list[Part] = [first_part(pool, one, chosen)]
    parts += choice_parts(pool, chosen, method, f"{len(chosen):,} items chosen by {method}", views)
    brought = ""
    if pool.names:
        opened = pool.views(views)
        there = place if opened.present is None else place[opened.present[place].any(axis=1)]
        own = opened[there]
        at = np.searchsorted(there, chosen[np.isin(chosen, there)])
        old = np.searchsorted(there, before[np.isin(before, there) & ~np.isin(before, chosen)])
        lying, found = spread_parts(pool, own, there, at, old, method, seed)
        parts[2:2] = lying
        marked = np.isin(np.arange(len(there)), at)
        parts += [part] if (part := agreement_part(pool, own, there, marked, seed)) is not None else []
        brought = lying[0].text.split(". ")[-1] if found.worth is not None else ""
    parts += people_parts(pool, answers) if answers is not None else []
    parts.append(provenance_part(pool, one, encoders=views))
    notes = [_done(one, chosen, before, inside), Note("What it brought", " ".join([_labelled(pool, chosen), brought]))]
    lead = f"{len(chosen):,} items of {pool.path.name}, {_what(one)} by {method}."
    return Page(f"Round {number}", lead, parts, _numbers(pool, one, chosen, before, inside), [*notes, *_known(advice)])


def _offered(pool: Pool, one: Round, more: Int) -> Bool:
    """(n,) rows the round chose from: its split, and whatever was chosen."""
    split = one.manifest.get("trace", {}).get("split", "train")
    inside = np.ones(len(pool), dtype=bool) if split == "all" else pool.split == split
    inside[more] = True
    return np.asarray(inside)


def _what(one: Round) -> str:
    return f"chosen to buy {one.manifest['modality']} for" if one.manifest["kind"] == BUY else "chosen to be labelled"


def _done(one: Round, chosen: Int, before: Int, inside: Bool) -> Note:
    trace: Mapping[str, Any] = one.manifest.get("trace", {})
    free = int(inside.sum()) - len(np.setdiff1d(before, chosen))
    text = f"{one.manifest.get('method')} chose {len(chosen):,} of {free:,} free items"
    text += f"; {len(before):,} were chosen or labelled before." if len(before) else ", the first of this pool."
    mode, why = (str(trace.get(key) or "") for key in ("mode", "why"))
    return Note("What was done", f"{text} {mode.capitalize()}: {why}." if mode and why else text)


def _labelled(pool: Pool, chosen: Int) -> str:
    known = [label for label in pool.labels[chosen] if label is not None]
    if not known:
        return "None of the chosen items has a label yet."
    told = (
        f"{len(known):,} of the {len(chosen):,} have a label" if len(known) < len(chosen) else "All of them have labels"
    )
    return f"{told}, of {len(set(known))} classes."


def _numbers(pool: Pool, one: Round, chosen: Int, before: Int, inside: Bool) -> list[tuple[str, str]]:
    known = sum(label is not None for label in pool.labels[chosen])
    numbers = [(f"{len(chosen):,}", "items chosen"), (f"{known:,}", "of them with a label")]
    numbers += [(f"{len(before):,}", "chosen or labelled before"), (f"{int(inside.sum()):,}", "items to choose from")]
    seconds = one.manifest.get("trace", {}).get("seconds")
    return [*numbers, (f"{seconds:.1f} s", "to choose")] if seconds is not None else numbers


def _known(advice: Note | None) -> list[Note]:
    return [] if advice is None else [advice]
