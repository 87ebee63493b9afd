"""``modest next``: what to do with a pool now, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from modest.cli.output import JSON, finish

if TYPE_CHECKING:
    from modest.annotation.opinions import Opinion
    from modest.data.pool import Pool

QUESTION = ("id", "modality", "target", "round")


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
    waiting, unclear = said(opened)
    found = advise(opened, waiting, unclear, threshold / 100)
    payload = {"action": found.action, "why": found.why, "command": found.command, "facts": dict(found.facts)}
    finish(payload, json, [f"{found.action}: {found.why}"], found.command)


def said(pool: Pool) -> tuple[int, set[Any]]:
    """How many questions have answers that are not in the pool yet, and those whose answers decided nothing."""
    from modest.annotation.exchange import said_on_page
    from modest.annotation.labels import read_log
    from modest.annotation.schema import FILE
    from modest.annotation.store import Store

    told: list[Opinion] = []
    if (pool.path / FILE).is_file():
        with Store(pool.path) as store:
            told = said_on_page(store.standing())
    labels, unlabelled = _labels(pool, [one for one in told if one.kind == "label"], read_log(pool.path))
    pairs, unpaired = _pairs(pool, [one for one in told if one.kind == "pair"])
    return labels + pairs, unlabelled | unpaired


def _labels(pool: Pool, told: list[Opinion], log: Any) -> tuple[int, set[Any]]:
    """Of items: an answer waits until the log of what was taken in has it."""
    known = {name for name, label in zip(pool.ids.tolist(), pool.labels) if label is not None}
    taken = set(zip(log["id"], log["annotator"], log["label"].fillna("")))
    new = {one.id for one in told if one.said and (one.id, one.annotator, one.said[0]) not in taken} - known
    return len(new), ({one.id for one in told} | set(log["id"])) - known - new


def _pairs(pool: Pool, told: list[Opinion]) -> tuple[int, set[Any]]:
    """Of questions about partners: an answer waits until the pool has it, unless people differ too much for one."""
    from modest.annotation.opinions import decide
    from modest.rounds.book import pending

    table = pending(pool)
    said: dict[Any, list[Opinion]] = {key: [] for key in zip(*(table[name] for name in QUESTION))}
    for one in told:
        said.get((one.id, one.side, one.target, one.round), []).append(one)
    decided = {key: decide(answers).state == "decided" for key, answers in said.items() if answers}
    return sum(decided.values()), {key for key, so in decided.items() if not so}
