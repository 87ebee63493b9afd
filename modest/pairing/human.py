"""People as the oracle: a file of tasks goes out, the same file with its answers comes back, hours or weeks later.

One task per line (JSON), which says everything, so that nothing has to be remembered in between:

    {"side": "image", "id": "0007", "target": "text", "shortlist": ["0031", "0002"], "none_of_these": true,
     "answer": null, "cost": 1.0, "annotator": "", "round": 0}

``answer`` becomes the id of the partner, a list of ids (they need not be on the shortlist), or ``[]`` for none of
these; ``null`` means not answered. The shortlist is what the model thinks likely; its best guess is marked only when
asked for (``"suggested"``), and a shuffled list does not tell it either.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from modest.checks import known
from modest.data.files import replacing
from modest.data.keys import order
from modest.pairing.buffer import BufferQuery
from modest.types import Answer, Query


def write_tasks(
    path: str | Path,
    queries: Sequence[Query],
    ids: Mapping[str, Any] | None = None,
    *,
    shuffle: int | None = None,
    suggest: bool = False,
) -> int:
    """Write the tasks of some queries, one line per row asked, atomically; the number of lines.

    Parameters
    ----------
    path : of the file, JSON lines
    queries : what :func:`modest.pairing.choose` or a stream gave
    ids : {side: (n,)} ids of the rows of every target; queries of a stream bring their own
    shuffle : seed of an order of every shortlist drawn by (seed, row asked, partner), best first without
    suggest : mark the most similar partner of every row

    Raises
    ------
    ValueError
        If the ids of a target are missing.
    """
    lines = [json.dumps(task, ensure_ascii=False) for query in queries for task in _tasks(query, ids, shuffle, suggest)]
    with replacing(Path(path)) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines)


def _tasks(query: Query, ids: Mapping[str, Any] | None, shuffle: int | None, suggest: bool) -> Iterator[dict[str, Any]]:
    names = _names(query, ids, query.target)
    for name, listed in zip(query.ids.tolist(), query.shortlists):
        shortlist = [str(names[row]) for row in listed.tolist() if row >= 0]
        guess = {"suggested": shortlist[0]} if suggest and shortlist else {}
        if shuffle is not None:
            drawn = order([f"{name}/{other}" for other in shortlist], shuffle, "shortlist")
            shortlist = [shortlist[place] for place in drawn.tolist()]
        yield {
            "side": query.modality,
            "id": name,
            "target": query.target,
            "shortlist": shortlist,
            "none_of_these": True,
            **guess,
            "answer": None,
            "cost": 1.0,
            "annotator": "",
            "round": int(query.trace.get("round", 0)),
        }


def read_tasks(path: str | Path, ids: Mapping[str, Any]) -> list[Query]:
    """The queries a file of tasks was written from, one per direction and round; margins are NaN, method "human".

    ``ids`` {side: (n,)} are those of all sides. A row listed twice is asked once.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, a line is no task, or a side or id is unknown.
    """
    places = {side: _places(names) for side, names in ids.items()}
    groups: dict[tuple[str, str, int], dict[int, list[int]]] = {}
    for told, task in task_lines(Path(path)):
        side, target, row = _asked(task, places, told)
        group = groups.setdefault((side, target, int(task.get("round", 0))), {})
        group.setdefault(row, [_place(places, target, name, told) for name in task.get("shortlist", [])])
    queries = []
    for (side, target, number), group in groups.items():
        lists = np.full((len(group), max(map(len, group.values()))), -1, dtype=np.int64)
        for k, listed in enumerate(group.values()):
            lists[k, : len(listed)] = listed
        rows, nothing = np.array(list(group), dtype=np.int64), np.full(len(group), np.nan)
        named = np.asarray(ids[side]).astype(np.str_)[rows]
        queries.append(Query(side, target, rows, named, lists, nothing, "human", {"round": number}))
    return queries


def read_answers(
    path: str | Path,
    queries: Sequence[Query],
    ids: Mapping[str, Any] | None = None,
    *,
    none: Literal["no_match", "skipped"] = "no_match",
) -> list[list[Answer]]:
    """The answers of a file, one list per query.

    Parameters
    ----------
    path : of the file that :func:`write_tasks` wrote and people answered
    queries : that were asked, or :func:`read_tasks` of the file as it was written
    ids : {side: (n,)} ids of the rows of all sides; queries of a stream bring their own
    none : what "none of these" says: there is no partner, or none on the list ("skipped": it stays free)

    Returns
    -------
    An Answer per line; not answered is "skipped" at no cost. A row in two lines has two answers, which
    :class:`modest.pairing.Ledger` flags where they differ; it refuses an answer for a row that was not asked.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, a line is no task of these queries, or an id is unknown; the message names file and
        line.
    """
    known(none, ("no_match", "skipped"), "none")
    ways = [(query.modality, query.target, int(query.trace.get("round", 0))) for query in queries]
    places = [{side: _places(_names(query, ids, side)) for side in (query.modality, query.target)} for query in queries]
    answers: list[list[Answer]] = [[] for _ in queries]
    for told, task in task_lines(Path(path)):
        way = (task.get("side"), task.get("target"), task.get("round", 0))
        if way not in ways:
            raise ValueError(
                f"{told} asks {way[0]!r} for {way[1]!r} in round {way[2]}, and no query does; drop the line."
            )
        k = ways.index(way)
        _, target, row = _asked(task, places[k], told)
        said, cost, who = task.get("answer"), task.get("cost", 1.0), str(task.get("annotator", ""))
        if isinstance(cost, bool) or not isinstance(cost, (int, float)):
            raise ValueError(f"{told} costs {cost!r}; give a number.")
        if said is None:
            answers[k].append(Answer(row, (), "skipped", 0.0, who))
            continue
        partners = said if isinstance(said, list) else [said]
        matches = tuple(_place(places[k], target, name, told) for name in partners)
        answers[k].append(Answer(row, matches, "matched" if matches else none, cost, who))
    return answers


def task_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ("file line k", task) of every line of a task or answer file that is not empty.

    Raises
    ------
    FileNotFoundError, ValueError
        If the file is not there, or a line is no JSON object; the message names the line.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the file that holds the tasks or answers.")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as handle:
        for number, line in enumerate(handle, start=1):
            if not line.strip():
                continue
            told = f"{path} line {number}"
            if any("\udc80" <= letter <= "\udcff" for letter in line):
                raise ValueError(f"{told} is no UTF-8 text; save the file as that.")
            try:
                task = json.loads(line)
            except ValueError as error:
                raise ValueError(f"{told} is no JSON ({str(error).rstrip('.')}); mend the line.") from None
            if not isinstance(task, dict):
                raise ValueError(f"{told} is no task; a task is an object with side, id, target and answer.")
            yield told, task


def _asked(task: Mapping[str, Any], places: Mapping[str, Mapping[str, int]], told: str) -> tuple[str, str, int]:
    lacking = [name for name in ("side", "id", "target") if name not in task]
    if lacking:
        raise ValueError(f"{told} has no {lacking[0]!r}; keep what the task came with and fill in the answer only.")
    side, target = str(task["side"]), str(task["target"])
    if side not in places or target not in places:
        raise ValueError(f"{told} asks {side!r} for {target!r}; the sides are {', '.join(places)}.")
    return side, target, _place(places, side, task["id"], told)


def _place(places: Mapping[str, Mapping[str, int]], side: str, name: Any, told: str) -> int:
    if str(name) not in places[side]:
        raise ValueError(f"{told} names {name!r}, which is no id of {side}; answer with an id of the list or the pool.")
    return places[side][str(name)]


def _places(names: Any) -> dict[str, int]:
    return {name: row for row, name in enumerate(np.asarray(names).astype(np.str_).tolist())}


def _names(query: Query, ids: Mapping[str, Any] | None, side: str) -> Any:
    if isinstance(query, BufferQuery):
        return query.names[side]
    if ids is None or side not in ids:
        raise ValueError(f"ids of {side} is missing; give {{side: ids of its rows}} for every side.")
    return ids[side]
