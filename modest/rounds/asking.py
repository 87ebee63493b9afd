"""Pairs of a pool, round by round: whom to ask, and the tasks that say so (:mod:`modest.rounds.answers` reads them).

What is asked lies in ``rounds/<n>``, what was answered in ``pairs.parquet`` (:mod:`modest.data.pairs`). Nothing is kept
between calls. A row that was asked and is not answered yet is not asked again, and counts as covered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.checks import known
from modest.data import files
from modest.data.pairs import TASKS, add_queries, bought, query_rounds, sides
from modest.data.stored import trained
from modest.encoders.towers import standardised
from modest.pairing import METHODS, choose
from modest.pairing.human import write_tasks
from modest.rounds.book import ledger, pending
from modest.types import Bool, Int, Query

if TYPE_CHECKING:
    from modest.data.pool import Pool
    from modest.representation import Representation

Direction = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Asking:
    """A round as written: its ``number``, the ``queries`` in the frames of the sides, ``free`` rows per side before
    it, how many questions of ``earlier`` rounds have no answer, and the file of ``tasks``.
    """

    number: int
    queries: tuple[Query, ...]
    free: Mapping[str, int]
    earlier: int
    tasks: Path


def ask(
    pool: Pool,
    budget: int | float,
    method: str = "auto",
    *,
    encoders: Mapping[str, str] | Sequence[str] | None = None,
    model: Representation | None = None,
    split: str | None = "train",
    directions: Sequence[Direction] | None = None,
    costs: Mapping[Direction, float] | None = None,
    shortlist: int = 10,
    seed: int = 0,
    memory: str | int = "2GB",
    device: str | None = None,
    **knobs: Any,
) -> Asking:
    """Choose rows of a pool to ask a partner for, and write them and their tasks as its next round.

    Parameters
    ----------
    pool : Pool with a view of two modalities or more
    budget : rows to ask about, or a share of the free rows of the largest side
    method : a name in ``modest.pairing.METHODS``; ``auto`` is shown what towers from scratch stand on, standardised
    encoders : mapping modality -> encoder, or names of modalities; the pool's default views
    model : encoder of a common space; left out, the views themselves are compared
    split : the rows that may be asked about, and be partners; None for all
    directions, costs, shortlist, seed, memory, device, **knobs
        As :func:`modest.pairing.choose`; its round is the number of rounds that asked before this one. Costs stand in
        the tasks, and whoever answers may write others.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        As :func:`modest.data.pairs.sides` and :func:`modest.pairing.choose`; nothing is written then.
    """
    if model is None:
        views, rows = sides(pool, encoders, split)
        arrays = {name: view.arrays[name] for name, view in views.items()}
    else:
        arrays, rows = _encoded(pool, model, split, memory, device)
    ids: dict[str, Any] = {name: pool.ids[at] for name, at in rows.items()}
    open_rows, waits = _open(pool, rows)
    if METHODS[known(method, METHODS, "method")].views and "views" not in knobs:
        knobs |= _stood_on(pool, rows, encoders, model)
    queries = choose(
        arrays,
        bought(pool, rows),
        budget,
        method,
        free=open_rows,
        ids=ids,
        directions=directions,
        costs=costs,
        shortlist=shortlist,
        seed=seed,
        round=len(query_rounds(pool.path)),
        memory=memory,
        device=device,
        **knobs,
    )

    prices = dict.fromkeys(((q.modality, q.target) for q in queries), 1.0) | dict(costs or {})

    def tell(path: Path, number: int) -> None:
        write_tasks(path, [replace(q, trace={**q.trace, "round": number}) for q in queries], ids)
        _show(path, pool, prices)

    told = {"split": split, "sides": {name: len(at) for name, at in rows.items()}, "waits": waits}
    number = add_queries(pool, queries, ids, prices, tell, told)
    counts = {name: int(mask.sum()) for name, mask in open_rows.items()}
    return Asking(number, queries, counts, waits, pool.path / "rounds" / str(number) / TASKS)


def _encoded(
    pool: Pool, model: Representation, split: str | None, memory: str | int, device: str | None
) -> tuple[dict[str, Any], dict[str, Int]]:
    """Sides of a pool under a model, without the rows that it cannot read."""
    if split is not None:
        known(split, sorted(set(pool.split.tolist())), "split")
    inside = np.ones(len(pool), dtype=bool) if split is None else pool.split == split
    present = model.table(pool, memory).present
    arrays, rows = {}, {}
    for m, name in enumerate(model.names):
        at = np.flatnonzero(inside & np.asarray(present)[:, m]).astype(np.int64)
        if not len(at):
            raise ValueError(f"{pool.path} has no row of split {split!r} that {name} of the model can read.")
        array = model.encode(pool, at, device=device, memory=memory).arrays[name]
        there = ~np.isnan(array[:, 0])
        arrays[name], rows[name] = (array, at) if there.all() else (array[there], at[there])
    return arrays, rows


def _stood_on(
    pool: Pool,
    rows: Mapping[str, Int],
    encoders: Mapping[str, str] | Sequence[str] | None,
    model: Representation | None,
) -> dict[str, Any]:
    """``views`` for a method that looks at what towers see: the ready ones, if towers from scratch stand on them."""
    if model is None:
        named = dict(encoders) if isinstance(encoders, Mapping) else {}
        found = {name: pool.encoder(name, named.get(name)) for name in rows}
        if not all(trained(pool.path, name, encoder) for name, encoder in found.items()):
            return {}
        places = {pool.path / "models" / encoder / "config.json" for encoder in found.values()}
        configs = [files.read_json(place) for place in places if place.is_file()]
        sources = configs[0].get("sources", {}) if len(configs) == len(places) == 1 else {}
    else:
        sources = model.sources
    ready = {name: encoder for name, encoder in sources.get("encoders", {}).items() if name in rows}
    if len(ready) < len(rows):
        return {}
    views = pool.views(ready)
    return {"views": {name: standardised(views.arrays[name], at).astype(np.float32) for name, at in rows.items()}}


def _open(pool: Pool, rows: Mapping[str, Int]) -> tuple[dict[str, Bool], int]:
    """{side: (n,) bool} rows that are in no pair, not rejected and wait for no answer; how many wait."""
    free, waits = ledger(pool).free, pending(pool)
    masks = {}
    for name, at in rows.items():
        mine = set(waits.loc[waits["modality"] == name, "id"])
        masks[name] = free.get(name, np.ones(len(pool), dtype=bool))[at] & ~np.isin(pool.ids[at], list(mine))
    return masks, len(waits)


def _show(path: Path, pool: Pool, costs: Mapping[Direction, float]) -> None:
    """Add to every task its cost, and the raw values of its row and of its shortlist where the pool has them."""
    raw: dict[str, dict[str, Any]] = {}
    tasks = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for name in {task[key] for task in tasks for key in ("side", "target")} & set(pool.table.columns):
        raw[name] = pool.table.set_index("id")[name].to_dict()
    for task in tasks:
        task["cost"] = float(costs[task["side"], task["target"]])
        if task["side"] in raw:
            task["shown"] = raw[task["side"]][task["id"]]
        if task["target"] in raw:
            task["shown_list"] = [raw[task["target"]][name] for name in task["shortlist"]]
    files.write_text(path, "".join(json.dumps(task, ensure_ascii=False, default=files.plain) + "\n" for task in tasks))
