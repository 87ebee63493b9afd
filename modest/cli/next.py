"""``modest next``: what to do with a pool now, and why."""

from __future__ import annotations

from pathlib import Path

import typer

from modest.cli.output import JSON, finish


def command(
    pool: Path = typer.Argument(..., help="Pool folder."),
    threshold: float = typer.Option(1.0, "--threshold", help="Points of accuracy that another round must promise."),
    json: bool = JSON,
) -> None:
    """Say in one line what to do now and why, from the pool's state alone; nothing is written.

    A curve of past rounds that promises less than --threshold says stop; docs/next.md tells how sure that is.

    Example: modest next pool
    """
    from modest.annotation.waiting import waiting
    from modest.data.pool import open as open_pool
    from modest.rounds.next import advise

    if not threshold > 0:
        raise ValueError(f"--threshold {threshold:g} must be above 0; 1 is one point of accuracy.")
    opened = open_pool(pool)
    found = advise(opened, *waiting(opened), threshold / 100)
    payload = {"action": found.action, "why": found.why, "command": found.command, "facts": dict(found.facts)}
    finish(payload, json, [f"{found.action}: {found.why}"], found.command)
