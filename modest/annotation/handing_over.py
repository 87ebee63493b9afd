"""Open questions as the files of another tool, and what was said as a table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.annotation import labelstudio
from modest.annotation.exchange import PAGE, said_on_page
from modest.annotation.gather import tasks_of
from modest.annotation.hosting import Hosting, column_kind
from modest.annotation.labels import COLUMNS, read_log
from modest.annotation.opinions import UNSURE
from modest.annotation.schema import FILE
from modest.annotation.store import Store
from modest.annotation.task import Task
from modest.data import files
from modest.data.stored import raw_modalities

if TYPE_CHECKING:
    from modest.data.pool import Pool

Values = Mapping[str, Mapping[str, Any]]  # raw column -> id -> value


@dataclass(frozen=True)
class Handed:
    """What was written: the ``files``; how many ``tasks``; the ``root`` that is to be served and the ``folder`` in it
    that holds all media (None without media), how many members of archives were ``unpacked``.
    """

    files: tuple[Path, ...]
    tasks: int
    root: Path | None = None
    folder: Path | None = None
    unpacked: int = 0


def to_label_studio(
    pool: Pool, number: int | None = None, out: Path | None = None, url: str | None = None, root: Path | None = None
) -> Handed:
    """Write the open questions of a round for Label Studio: tasks and a labelling configuration.

    Parameters
    ----------
    number : of the round; the newest that has an open question by default
    out : folder to write into, ``rounds/<n>/label-studio`` of the pool by default. It gets ``tasks.json`` and
        ``config.xml``; a round of pairs that asks in several directions one of each for every direction, as
        ``tasks-image-text.json``, since a project has one configuration; ``media`` where archives were unpacked.
    url, root : as ``prefix`` and ``root`` of :class:`Hosting`

    Raises
    ------
    ValueError
        If the round is not there or has no open question.
    """
    tasks = list(tasks_of(pool, None if number is None else [number]))
    if not tasks:
        told = f"round {number} of {pool.path}" if number is not None else str(pool.path)
        raise ValueError(f"{told} has no open question; choose items to ask about with: modest select {pool.path}")
    newest = max(task.round for task in tasks)
    tasks = [task for task in tasks if task.round == newest]
    folder = out or pool.path / "rounds" / str(newest) / "label-studio"
    groups: dict[tuple[str, str], list[Task]] = {}
    for task in tasks:
        groups.setdefault((task.side, task.target), []).append(task)
    columns = raw_modalities(pool.table)
    shown = columns if tasks[0].kind == "label" else sorted({name for way in groups for name in way} & set(columns))
    ids = {name for task in tasks for name in (task.id, *task.shortlist)}
    values = _values(pool, shown, ids)
    kinds = {name: column_kind(name, pool.table[name]) for name in shown}
    placed = (value for name in shown if kinds[name] != "text" for value in values[name].values())
    hosting = Hosting(placed, folder / "media", url, root)
    with files.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    unpacked, written = hosting.unpack(), []
    for way, group in groups.items():
        ask = partial(_label, all_classes(pool)) if way == ("", "") else _pair
        content, config = ask(group, values, kinds, hosting)
        mark = "-".join(["", *way]) if len(groups) > 1 else ""
        written += [folder / f"config{mark}.xml", folder / f"tasks{mark}.json"]
        files.write_text(written[-2], config)
        files.write_text(written[-1], json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return Handed(tuple(written), len(tasks), hosting.root, hosting.folder, unpacked)


def _values(pool: Pool, columns: Sequence[str], ids: set[str]) -> Values:
    """Raw values of some items."""
    table = pool.table[pool.table["id"].isin(ids)]
    return {name: dict(zip(table["id"], table[name])) for name in columns}


def _label(
    classes: Sequence[str], tasks: Sequence[Task], values: Values, kinds: Mapping[str, str], hosting: Hosting
) -> tuple[list[dict[str, Any]], str]:
    shown = [{name: hosting.show(values[name].get(task.id), kinds[name]) for name in kinds} for task in tasks]
    return labelstudio.label_tasks(tasks, shown), labelstudio.label_config(kinds, classes)


def _pair(
    tasks: Sequence[Task], values: Values, kinds: Mapping[str, str], hosting: Hosting
) -> tuple[list[dict[str, Any]], str]:
    side, target = tasks[0].side, tasks[0].target

    def show(name: str, item: str) -> str:
        return hosting.show(values[name].get(item), kinds[name]) if name in kinds else item

    anchors = [show(side, task.id) for task in tasks]
    candidates = [[show(target, name) for name in task.shortlist] for task in tasks]
    most = max(map(len, candidates))
    config = labelstudio.pair_config((side, kinds.get(side, "text")), (target, kinds.get(target, "text")), most)
    return labelstudio.pair_tasks(tasks, anchors, candidates), config


def all_classes(pool: Pool) -> tuple[str, ...]:
    """Classes a pool knows: those named when it was made, those of its labels, those people added on the page."""
    named = [str(name) for name in pool.config.get("classes") or ()]
    added: tuple[str, ...] = ()
    if (pool.path / FILE).is_file():
        with Store(pool.path) as store:
            added = store.classes()
    return tuple(dict.fromkeys([*named, *pool.classes, *added]))


def who_said_what(pool: Pool) -> list[dict[str, str]]:
    """Every opinion on a label: id, label ("cannot tell" too), annotator, source, at, and ``known``, what the pool has.

    Those taken in, those given on the page and not taken in yet, and labels that came with the items (no annotator).
    """
    log = read_log(pool.path).astype(object)
    rows = [dict(zip(COLUMNS, row)) for row in log.where(log.notna(), None).itertuples(index=False)]
    if (pool.path / FILE).is_file():
        with Store(pool.path) as store:
            said = said_on_page(store.standing(kind="label"))
        told = [(one.id, one.said[0] if one.said else None, one.annotator, PAGE, one.at) for one in said]
        rows += [dict(zip(COLUMNS, row)) for row in told]
    known = {name: label for name, label in zip(pool.ids.tolist(), pool.labels) if label is not None}
    heard = {row["id"] for row in rows}
    rows += [dict(zip(COLUMNS, (name, label, "", "", ""))) for name, label in known.items() if name not in heard]
    full = [{**row, "label": row["label"] or UNSURE, "known": known.get(row["id"], "")} for row in rows]
    return [dict(one) for one in dict.fromkeys(tuple(row.items()) for row in full)]


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str], lines: bool = False) -> None:
    """Write rows as JSON lines (``lines``) or as a CSV, atomically, whatever the file is called."""
    if lines:
        files.write_text(path, "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in rows))
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(columns), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with files.replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")
