"""``modest next``: what to do with a pool now, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from modest.cli.output import JSON, finish

if TYPE_CHECKING:
    from modest.data.pool import Pool


def command(
    pool: Path = typer.Argument(..., help="Pool folder."),
    threshold: float = typer.Option(1.0, "--threshold", help="Points of accuracy that another round must promise."),
    json: bool = JSON,
) -> None:
    """Say in one line what to do now and why, from the pool's state alone; nothing is written.

    A curve of past rounds that promises less than --threshold says stop; docs/next.md tells how sure that is.

    Example: modest next pool
    """
    from modest.data.pool import open as open_pool
    from modest.rounds.next import advise

    if not threshold > 0:
        raise ValueError(f"--threshold {threshold:g} must be above 0; 1 is one point of accuracy.")
    opened = open_pool(pool)
    waiting, unclear = _said(opened)
    found = advise(opened, waiting, unclear, threshold / 100)
    payload = {"action": found.action, "why": found.why, "command": found.command, "facts": dict(found.facts)}
    finish(payload, json, [f"{found.action}: {found.why}"], found.command)


def _said(pool: Pool) -> tuple[int, set[str]]:
    """How many questions have answers that are not in the pool yet, and ids whose answers made no label."""
    from modest.annotation.exchange import said_on_page
    from modest.annotation.labels import read_log
    from modest.annotation.schema import FILE
    from modest.annotation.store import Store
    from modest.rounds.book import pending

    log = read_log(pool.path)
    taken = set(zip(log["id"], log["annotator"], log["label"].fillna("")))
    told = []
    if (pool.path / FILE).is_file():
        with Store(pool.path) as store:
            told = said_on_page(store.standing())
    known = {name for name, label in zip(pool.ids.tolist(), pool.labels) if label is not None}
    labels = [one for one in told if one.kind == "label" and one.id not in known]
    new = {one.id for one in labels if one.said and (one.id, one.annotator, one.said[0]) not in taken}
    unclear = ({one.id for one in labels} | set(log["id"])) - known - new
    asked = pending(pool)
    waits = set(zip(asked["id"], asked["modality"], asked["target"], asked["round"]))
    pairs = {(one.id, one.side, one.target, one.round) for one in told if one.kind == "pair"}
    return len(new) + len(pairs & waits), unclear
