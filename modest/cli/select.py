"""``modest select``: choose the items of a pool to label next."""

from __future__ import annotations

import json as json_module
from dataclasses import replace
from typing import Any

import typer

from modest.cli.output import JSON, SEED, finish, table


def command(
    pool: str = typer.Argument(..., help="Pool folder, as made by `modest ingest`."),
    budget: str = typer.Option(..., "--budget", "-b", help="Items (200) or a share of the candidates (0.01)."),
    method: str = typer.Option("maxherding", "--method", "-m", help="A name from `modest methods`."),
    model: str = typer.Option(None, "--model", help="Trained classifier that a warm method asks: a name or a folder."),
    split: str = typer.Option("train", "--split", help="Choose among the rows of this split; 'all' for every row."),
    ignore_labels: bool = typer.Option(False, "--ignore-labels", help="Rehearse: treat every known label as hidden."),
    knob: list[str] = typer.Option([], "--knob", help="A knob of the method, name=value; may be repeated."),
    memory: str = typer.Option("2GB", "--memory", help="Budget for arrays."),
    device: str = typer.Option(None, "--device", help="cpu or cuda; decided by modest if left out."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Choose which items to label; writes the pool's next round.

    Labelled items, and items chosen in earlier rounds, are never chosen again and count as covered.

    Example: modest select pool --budget 200 --method mmcsal --seed 1
    Example: modest select pool --budget 200 --method badge --model concat
    """
    import modest
    from modest.checks import known
    from modest.cli.models import warm_arrays
    from modest.data.candidates import candidates
    from modest.selection import METHODS

    known(method, METHODS, "method")
    opened = modest.open(pool)
    rows, taken = candidates(opened, None if split == "all" else split, ignore_labels)
    there = opened.present[rows].any(axis=1) if opened.names else taken | True
    rows, taken, silent = rows[there], taken[there], int((~there & ~taken).sum())
    if taken.all():
        raise ValueError(
            f"every row of split {split!r} in {pool} is labelled or was chosen already; add rows, "
            "or rehearse with --ignore-labels."
        )
    views = opened.views(rows=rows)
    count = _budget(budget)
    arrays = warm_arrays(opened, model, method, rows, taken, device)
    knobs = dict(map(_knob, knob))
    choice = modest.select(views, count, method, seed, taken, memory=memory, device=device, **arrays, **knobs)
    if model is not None:
        choice = replace(choice, trace={**choice.trace, "model": model})
    number = opened.add(choice)
    folder = opened.path / "rounds" / str(number)
    shown = list(zip(choice.ids, choice.scores, choice.reasons))[:10]
    payload = {
        "pool": str(opened.path),
        "round": number,
        "path": str(folder),
        "method": method,
        "model": model,
        "chosen": len(choice),
        "candidates": int((~taken).sum()),
        "left_out": silent,
        "ids": choice.ids.tolist(),
        "seconds": choice.trace["seconds"],
    }
    text = [
        f"{len(choice)} of {payload['candidates']:,} free items chosen by {method} in {choice.trace['seconds']:.1f} s",
        *([f"{silent:,} items have nothing that could be read, and are left out"] if silent else []),
        table("First of them", ("id", "score", "reason"), [(i, f"{s:.4f}", r) for i, s, r in shown]),
        f"written: {folder}",
    ]
    finish(payload, json, text, following=f"modest train {pool} --method mla  (once the chosen items have labels)")


def _budget(text: str) -> int | float:
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError as error:
        raise ValueError(f"--budget {text!r} is no number; give items (200) or a share (0.01).") from error


def _knob(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"--knob {text!r} must look like name=value.")
    try:
        return name, json_module.loads(value)
    except json_module.JSONDecodeError:
        return name, value
