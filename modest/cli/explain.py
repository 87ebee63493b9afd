"""``modest select --explain``: why an item is in a round, or is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from modest.cli.output import finish

if TYPE_CHECKING:
    from modest.data.rounds import Round


def explained(pool: str, item: str, number: int | None, memory: str, device: str | None, json: bool) -> None:
    """Tell of one item in a round, the last one unless ``number`` names another.

    Raises
    ------
    ValueError
        If there is no such round, or the item was not among the rows it chose from.
    """
    from dataclasses import asdict

    import modest
    from modest.data.candidates import candidates
    from modest.selection.explain import explain
    from modest.types import Choice

    opened = modest.open(pool)
    one = _round(opened.rounds, number, pool)
    frame, trace = one.choice, one.manifest["trace"]
    split = trace.get("split", "train")
    rows, _, _ = candidates(opened, None if split == "all" else split)
    views = opened.views(rows=rows)
    if item not in set(views.ids.tolist()):
        raise ValueError(f"--explain {item!r} is no id that round {one.number} could choose from (split {split!r}).")
    ids = frame["id"].to_numpy(dtype=np.str_)
    place = {name: row for row, name in enumerate(views.ids.tolist())}
    here = np.array([name in place for name in ids.tolist()])
    choice = Choice(
        np.array([place[name] for name in ids[here].tolist()], dtype=np.int64),
        frame["score"].to_numpy(dtype=np.float64)[here],
        ids[here],
        one.manifest["method"],
        tuple(frame["reason"].astype(str)[here]),
        trace,
        one.state,
    )
    taken = np.zeros(len(rows), dtype=bool)
    for before in opened.rounds[: opened.rounds.index(one)]:
        taken |= np.isin(views.ids, before.choice["id"].to_numpy(dtype=np.str_))
    if not trace.get("ignore_labels", False):
        labelled = np.array([label is not None for label in opened.labels[rows].tolist()], dtype=bool)
        taken |= labelled & ~np.isin(views.ids, ids)
    told = explain(views, choice, item, taken=taken, memory=memory, device=device)
    finish({"round": one.number, **asdict(told)}, json, [f"Round {one.number}, by {choice.method}.", *told.sentences])


def _round(rounds: tuple[Round, ...], number: int | None, pool: str) -> Round:
    if not rounds:
        raise ValueError(f"{pool} has no round yet; choose with: modest select {pool} --budget 100")
    for one in rounds:
        if one.number == (rounds[-1].number if number is None else number):
            return one
    raise ValueError(f"--round {number} is none of {', '.join(str(one.number) for one in rounds)}.")
