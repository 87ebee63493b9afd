"""``modest select``: choose the items of a pool to label next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from modest.cli.output import JSON, SEED, finish, table
from modest.cli.pairs import items, one_knob

if TYPE_CHECKING:
    from modest.types import Choice


def command(
    pool: str = typer.Argument(..., help="Pool folder, as made by `modest ingest`."),
    budget: str | None = typer.Option(
        None, "--budget", "-b", help="Items (200) or a share of the candidates (0.01); left out: what --total buys."
    ),
    method: str = typer.Option("auto", "--method", "-m", help="A name from `modest methods`."),
    model: str = typer.Option(None, "--model", help="Trained classifier that a warm method asks: a name or a folder."),
    split: str = typer.Option("train", "--split", help="Choose among the rows of this split; 'all' for every row."),
    ignore_labels: bool = typer.Option(False, "--ignore-labels", help="Rehearse: treat every known label as hidden."),
    quota: list[str] = typer.Option([], "--quota", help="At most so many items: GROUP=N, repeatable, or N for each."),
    group_by: str = typer.Option(None, "--group-by", help="Column of the groups that --quota speaks of."),
    cost: str = typer.Option(None, "--cost", help="Column of what an item costs."),
    total: float = typer.Option(None, "--total", help="What may be spent, in the unit of --cost."),
    buy: str | None = typer.Option(None, "--buy", help="Choose items to buy this modality for; needs --model."),
    bought: Path | None = typer.Option(None, "--bought", help="Put what was bought into the pool: buy.csv or .npz."),
    explain: str | None = typer.Option(None, "--explain", help="Choose nothing: say why this id was chosen or not."),
    number: int | None = typer.Option(None, "--round", help="The round that --explain speaks of, else the last."),
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
    Example: modest select pool --cost minutes --total 90 --group-by speaker --quota 5
    Example: modest select pool --explain item_0042
    Example: modest select pool --buy audio --model mla --split test --budget 50
    """
    if buy is not None or bought is not None:
        from modest.cli.buy import purchase

        if quota or group_by or cost or total or explain is not None:
            raise ValueError("--buy and --bought go without quotas, costs and --explain; leave them out.")
        settings = {"model": model, "method": method, "split": split, "again": ignore_labels, "seed": seed}
        settings |= {"knobs": dict(map(one_knob, knob)), "memory": memory, "device": device}
        purchase(pool, buy, bought, budget, settings, json)
        return
    if explain is not None:
        from modest.cli.explain import explained

        explained(pool, explain, number, memory, device, json)
        return
    import modest
    from modest.checks import known
    from modest.cli.limits import limits
    from modest.cli.models import warm_arrays
    from modest.data.candidates import candidates
    from modest.data.rounds import last_state
    from modest.selection import METHODS

    known(method, METHODS, "method")
    opened = modest.open(pool)
    rows, taken, silent = candidates(opened, None if split == "all" else split, ignore_labels)
    if taken.all():
        raise ValueError(
            f"every row of split {split!r} in {pool} is labelled or was chosen already; add rows, "
            "or rehearse with --ignore-labels."
        )
    options = limits(opened.table.iloc[rows], quota, group_by, cost, total)
    count = None if budget is None and total is not None else items(budget)
    options |= warm_arrays(opened, model, method, rows, taken, device)
    options["since"] = last_state(opened.rounds, method) if METHODS[method].increments else None
    knobs = dict(map(one_knob, knob))
    views = opened.views(rows=rows)
    choice = modest.select(views, count, method, seed, taken, memory=memory, device=device, **options, **knobs)
    about = {"split": split, "ignore_labels": ignore_labels} | ({} if model is None else {"model": model})
    choice = replace(choice, trace={**choice.trace, **about})
    _tell(choice, opened.path, opened.add(choice), int((~taken).sum()), silent, json)


def _tell(choice: Choice, pool: Path, number: int, free: int, silent: int, json: bool) -> None:
    """Say what was chosen, and within which limits."""
    from modest.cli.limits import lines

    folder, trace = pool / "rounds" / str(number), choice.trace
    shown = list(zip(choice.ids, choice.scores, choice.reasons))[:10]
    payload = {
        "pool": str(pool),
        "round": number,
        "path": str(folder),
        "method": choice.method,
        "model": trace.get("model"),
        "chosen": len(choice),
        "candidates": free,
        "left_out": silent,
        "ids": choice.ids.tolist(),
        "seconds": trace["seconds"],
        **{name: trace[name] for name in ("ended", "spent", "total", "quotas", "reused") if name in trace},
    }
    text = [
        f"{len(choice)} of {free:,} free items chosen by {choice.method} in {trace['seconds']:.1f} s",
        *lines(trace),
        *([f"{silent:,} items have nothing that could be read, and are left out"] if silent else []),
        table("First of them", ("id", "score", "reason"), [(i, f"{s:.4f}", r) for i, s, r in shown]),
        f"written: {folder}",
    ]
    finish(payload, json, text, following=f"modest train {pool} --method mla  (once the chosen items have labels)")
