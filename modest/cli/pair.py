"""``modest pair``: which rows to ask a partner for, and the answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from modest.cli import pair_train
from modest.cli.output import JSON, SEED, finish, table
from modest.cli.pairs import items, number, one_knob, pairs

if TYPE_CHECKING:
    from modest.pairing import Query
    from modest.rounds.asking import Asking

app = typer.Typer(
    help="""Buy pairs: choose whom to ask for a partner, read the answers, train on them.

    Example: modest pair choose pool --budget 200
    """,
    no_args_is_help=True,
)
app.command("train")(pair_train.command)


@app.command("choose")
def choose(
    places: list[str] = typer.Argument(..., metavar="POOL | SHARDS...", help="Pool folder; shards with --stream."),
    budget: str = typer.Option(..., "--budget", "-b", help="Rows to ask about (200), or a share of the free ones."),
    method: str = typer.Option(
        None, "--method", "-m", help="auto; acquire with any of the next four or --stream; or another, see docs."
    ),
    candidates: int = typer.Option(None, "--candidates", "-c", help="Rows that cover a side; the budget is of them."),
    rule: str = typer.Option(None, "--rule", help="Which side: relative, radius, mean_gap, cost, alternate ..."),
    uncertainty: str = typer.Option(None, "--uncertainty", help="margin, entropy, least_confidence, bidirectional ..."),
    side: str | None = typer.Option(None, "--side", help="Ask about rows of this side alone."),
    cost: list[str] = typer.Option([], "--cost", help="ASKED:TARGET=NUMBER, what one question costs; 1. Repeatable."),
    model: str | None = typer.Option(None, "--model", help="Encoder of a common space: a name or a folder."),
    views: list[str] = typer.Option([], "--views", help="SIDE=ENCODER,SIDE=ENCODER: these views of the pool."),
    split: str = typer.Option("train", "--split", help="Rows of this split; 'all' for every row."),
    shortlist: int = typer.Option(10, "--shortlist", help="Likely partners listed with every row."),
    knob: list[str] = typer.Option([], "--knob", help="A knob of the method, name=value. Repeatable."),
    stream: bool = typer.Option(False, "--stream", help="Read shards (.tar, .parquet) buffer by buffer; see docs."),
    into: Path | None = typer.Option(None, "--into", help="With --stream: the folder of the task files."),
    encoder: list[str] = typer.Option([], "--encoder", help="With --stream: SIDE=URI, a frozen encoder. Repeatable."),
    field: list[str] = typer.Option([], "--field", help="With --stream: SIDE=FIELD; image=jpg and text=txt."),
    buffer: int = typer.Option(4096, "--buffer", help="With --stream: samples held at once."),
    memory: str = typer.Option("2GB", "--memory", help="Budget for arrays."),
    device: str = typer.Option(None, "--device", help="cpu or cuda; decided by modest if left out."),
    seed: int = SEED,
    json: bool = JSON,
) -> None:
    """Choose rows to ask a partner for; writes the pool's next round, with a file of tasks to fill in.

    Rows in a pair, without partner, or asked and not answered yet are not asked again. Partners may be any row.

    Example: modest pair choose pool --budget 200
    Example: modest pair choose pool --budget 200 --candidates 800
    Example: modest pair choose pool --budget 200 --method random --side text --cost text:image=2
    Example: modest pair choose --stream shards/*.tar --into tasks --budget 50 --encoder image=pixels --encoder text=URI
    """
    from modest.checks import known
    from modest.pairing import METHODS

    told = {"candidates": candidates, "modality_rule": rule, "uncertainty": uncertainty}
    steps = {name: value for name, value in told.items() if value is not None}
    method = known(method or ("acquire" if steps or side is not None or stream else "auto"), METHODS, "method")
    knobs = steps | dict(map(one_knob, knob))
    options: dict[str, Any] = {"shortlist": shortlist, "seed": seed, "memory": memory, "device": device, **knobs}
    options["costs"] = {_way(way): number("--cost", way, told) for way, told in pairs(cost, "--cost").items()} or None
    count = items(budget)
    if stream:
        from modest.cli.pair_stream import streamed

        streamed(places, into, count, method, encoder, field, buffer, side, options, json)
        return
    if len(places) != 1 or into is not None or encoder or field:
        raise ValueError("pair choose takes one pool; --into, --encoder, --field and several places go with --stream.")
    _choose(places[0], count, method, side, model, views, None if split == "all" else split, options, json)


def _choose(
    place: str,
    budget: int | float,
    method: str,
    side: str | None,
    model: str | None,
    views: list[str],
    split: str | None,
    options: dict[str, Any],
    json: bool,
) -> None:
    """Ask within a pool and say what was asked."""
    import modest
    from modest.cli.models import model_folder
    from modest.rounds.asking import ask

    pool = modest.open(place)
    if model is not None and views:
        raise ValueError("--model embeds the pool by itself and --views are ready ones; give one of the two.")
    if model is not None:
        options["model"] = modest.load(model_folder(pool.path, model), device=options["device"])
        if not hasattr(options["model"], "encode"):
            raise ValueError(f"--model {model} is no encoder of a common space; modest represent makes one.")
    encoders = pairs([one for told in views for one in told.split(",")], "--views", "SIDE=ENCODER")
    names = tuple(encoders) or (options["model"].names if model is not None else pool.names)
    if side is not None:
        if side not in names:
            raise ValueError(f"--side {side!r} is no side; {place} has {', '.join(names)}.")
        options["directions"] = [(side, other) for other in names if other != side]
    _tell(place, ask(pool, budget, method, encoders=encoders or None, split=split, **options), json)


def _tell(place: str, asking: Asking, json: bool) -> None:
    import numpy as np

    queries = asking.queries
    payload: dict[str, Any] = {
        "pool": place,
        "round": asking.number,
        "tasks": str(asking.tasks),
        "method": queries[0].method,
        "asked": sum(map(len, queries)),
        "free": dict(asking.free),
        "waiting": asking.earlier,
        "queries": [_payload(query) for query in queries],
        "seconds": queries[0].trace["seconds"],
    }
    text = [
        f"{len(q)} of {asking.free[q.modality]:,} free rows of {q.modality} need their {q.target}, chosen by {q.method}"
        for q in queries
    ]
    left = queries[0].trace["budget"] - payload["asked"]
    text += [f"{left:,} of the budget are left: {queries[0].method} asks one side a round"] if left else []
    text += [f"{asking.earlier:,} questions of earlier rounds wait for answers"] if asking.earlier else []
    if np.isnan(queries[0].margins).all():
        text += ["no shortlists: the views have no common space yet, which modest pair train makes"]
    shown = [(i, "-" if np.isnan(m) else f"{m:.4f}") for i, m in zip(queries[0].ids, queries[0].margins)][:10]
    text += [table("First of them", ("id", "margin"), shown), f"written: {asking.tasks}"]
    finish(payload, json, text, f"modest pair add {place} {asking.tasks}  (once the answers are filled in)")


def _payload(query: Query) -> dict[str, Any]:
    return {
        "modality": query.modality,
        "target": query.target,
        "ids": query.ids.tolist(),
        "margins": query.margins.tolist(),
        "trace": dict(query.trace),
    }


def _way(told: str) -> tuple[str, str]:
    asked, colon, target = told.partition(":")
    if not (asked and colon and target):
        raise ValueError(f"--cost {told!r} must look like ASKED:TARGET=NUMBER, as image:text=2.")
    return asked, target


@app.command("add")
def add(
    pool: Path = typer.Argument(..., help="Pool folder that asked, or the --into folder of a stream."),
    answers: Path = typer.Argument(..., help="The tasks filled in (jsonl), or a csv with the columns id and match."),
    none: str = typer.Option("no_match", "--none", help="What 'none of these' says: no_match, or skipped (unknown)."),
    rest: bool = typer.Option(False, "--skip-rest", help="Rows left empty are skipped: they may be asked again."),
    json: bool = JSON,
) -> None:
    """Read answers into the pool: all of a file, or nothing of it. The same file twice changes nothing.

    Answers are kept as given; what is odd about them (two answers, a shared partner) is kept too, and reported.

    Example: modest pair add pool pool/rounds/1/tasks.jsonl
    """
    from dataclasses import asdict

    import modest
    from modest.checks import known
    from modest.rounds.answers import answer
    from modest.rounds.stream_answers import answer_stream

    known(none, ("no_match", "skipped"), "--none")
    nobody: Literal["no_match", "skipped"] = "skipped" if none == "skipped" else "no_match"
    streamed = any(pool.glob("tasks-*.jsonl"))
    if streamed and rest:
        raise ValueError("--skip-rest goes with a pool; rows of a stream that are left empty go on waiting.")
    taken = (
        answer_stream(pool, answers, none=nobody)
        if streamed
        else answer(modest.open(pool), answers, none=nobody, rest=rest)
    )
    text = [
        f"{taken.answers} answers: {taken.pairs} new pairs, {taken.no_match} without partner, {taken.skipped} skipped",
        f"cost {taken.cost:g}",
        *([f"{taken.unanswered} rows of the file are left empty"] if taken.unanswered else []),
        *(f"odd, and kept: {told}" for told in taken.flags),
        f"{taken.waits} questions wait for answers" if taken.waits else "no question waits for an answer",
    ]
    following = "modest.representation.finetune, on these pairs" if streamed else f"modest pair train {pool}"
    finish({"pool": str(pool), **asdict(taken)}, json, text, following)
