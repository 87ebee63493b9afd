"""The page of a round that asked for partners: whom it asked about, what came back, how well the bought pairs agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from modest.data.pairs import read_pairs, read_queries
from modest.data.pool import Pool
from modest.data.rounds import Round
from modest.report import plots
from modest.report.agreeing import pairs_part
from modest.report.chosen import rows_of
from modest.report.html import Card, Note, Page, Part
from modest.report.items import side
from modest.report.people import people_parts
from modest.report.provenance import provenance_part
from modest.report.spread_parts import spread_parts
from modest.types import Int, Views

FIRST, PARTNERS = 8, 2  # questions shown, likely partners of each


def query_page(
    pool: Pool, one: Round, seed: int = 0, answers: pd.DataFrame | None = None, advice: Note | None = None
) -> Page:
    """Page of a round of pairs; arguments as of :func:`modest.report.round_page`."""
    asked, said = read_queries(one), read_pairs(pool.path)
    said = said[said["round"] == one.number]
    method = str(one.manifest.get("method", ""))
    parts: list[Part] = [_first(pool, asked)]
    for (modality, target), own in asked.groupby(["modality", "target"], sort=False):
        parts += _direction(pool, str(modality), str(target), own, method, seed)
    parts.sort(key=lambda part: part.wide and part.figure is not None)  # narrow ones side by side
    matched = said[said["status"] == "matched"]
    for couple, pairs in _bought(pool, matched).items():
        part = pairs_part(pool, couple, pairs, seed) if set(couple) <= set(pool.names) else None
        parts += [] if part is None else [part]
    parts += people_parts(pool, answers) if answers is not None else []
    parts.append(provenance_part(pool, one))
    answered, status = said["answer"].nunique(), said.drop_duplicates("answer")["status"].value_counts()
    counts = {word: int(status.get(word, 0)) for word in ("matched", "no_match", "skipped")}
    ways = [f"{m} (for its {t})" for m, t in asked[["modality", "target"]].drop_duplicates().itertuples(index=False)]
    done = Note("What was done", f"{method} asked about {len(asked):,} items, {', '.join(ways)}.")
    brought = f"{answered:,} are answered: {counts['matched']:,} with a partner, {counts['no_match']:,} without one, "
    brought += f"{counts['skipped']:,} skipped, at a cost of {said.drop_duplicates('answer')['cost'].sum():g}."
    notes = [done, Note("What it brought", brought if answered else "No question is answered yet.")]
    numbers = [(f"{len(asked):,}", "questions"), (f"{answered:,}", "answered"), (f"{len(matched):,}", "pairs bought")]
    lead = f"{len(asked):,} questions about partners in {pool.path.name}, chosen by {method}."
    return Page(f"Round {one.number}", lead, parts, numbers, notes if advice is None else [*notes, advice])


def margin_figure(margins: Any) -> Figure:
    """Histogram of margins (b,): best similarity less the second best; those that are not finite are left out."""
    figure, grid = plots.panels(7.6, 2.6)
    axes, values = grid[0, 0], np.asarray(margins, dtype=np.float64)
    axes.hist(values[np.isfinite(values)], bins=24, color="#2563eb", rwidth=0.9)
    axes.set_xlabel("margin: best similarity less the second best")
    axes.set_ylabel("questions")
    axes.grid(axis="x", visible=False)
    return figure


def _bought(pool: Pool, matched: pd.DataFrame) -> dict[tuple[str, str], Int]:
    """{(side, side): (k, 2) rows of the pool}, whichever side was asked about."""
    found: dict[tuple[str, str], list[Int]] = {}
    for (a, b), own in matched.groupby(["modality_a", "modality_b"], sort=False):
        pairs = np.stack([rows_of(pool, own["id_a"]), rows_of(pool, own["id_b"])], axis=1)
        turned = (b, a) in found or (str(a) > str(b) and (a, b) not in found)
        found.setdefault((str(b), str(a)) if turned else (str(a), str(b)), []).append(
            pairs[:, ::-1] if turned else pairs
        )
    return {ways: np.concatenate(some) for ways, some in found.items()}


def _first(pool: Pool, asked: pd.DataFrame) -> Part:
    cards = [_question(pool, one) for one in asked.head(FIRST).to_dict("records")]
    text = f"The first {len(cards)} of {len(asked):,} questions with their likeliest partners, best first."
    data = asked.assign(shortlist=["|".join(map(str, names)) for names in asked["shortlist"]])
    return Part("First of the questions", text, cards={"": cards}, data=data)


def _question(pool: Pool, one: Mapping[str, Any]) -> Card:
    (row,) = rows_of(pool, [one["id"]]).tolist()
    likely = rows_of(pool, list(one["shortlist"])[:PARTNERS]).tolist()
    shown = [side(pool, row, one["modality"])]
    for k, partner in enumerate(likely, start=1):
        found = side(pool, partner, one["target"])
        shown.append(found if found is None or not found.text else replace(found, text=f"{k}. {found.text}"))
    note = f"margin {one['margin']:.3f}" if np.isfinite(one["margin"]) else "no likely partner known"
    return Card(str(one["id"]), [found for found in shown if found is not None], note)


def _direction(pool: Pool, modality: str, target: str, own: pd.DataFrame, method: str, seed: int) -> list[Part]:
    """Margins of one direction, and how the rows asked about lie on their side."""
    parts, of = [], f"{modality} for {target}"
    if np.isfinite(own["margin"]).any():
        close = float((own["margin"] < 0.01).mean())
        text = (
            f"{100 * close:.0f} % of the questions about {modality} have two partners nearly as likely (margin < 0.01)."
        )
        parts.append(Part(f"Margins, {of}", text, margin_figure(own["margin"]), data=own[["id", "margin"]], wide=False))
    if modality in pool.names:
        opened = pool.views({modality: pool.encoder(modality, None)})
        there = np.ones(len(pool), dtype=bool) if opened.present is None else opened.present[:, 0].copy()
        rows = rows_of(pool, own["id"])
        there &= np.isin(pool.split, np.unique(pool.split[rows]))
        place = np.flatnonzero(there)
        views = Views({modality: opened.arrays[modality][place]}, None, opened.ids[place])
        lying, _ = spread_parts(pool, views, place, np.searchsorted(place, rows), np.empty(0, np.int64), method, seed)
        parts.append(replace(lying[0], title=f"{lying[0].title}, {of}"))
    return parts
