"""What people said, read from a file of any kind we know, or from the page's store, as opinions.

    .json            an export of Label Studio, JSON or JSON-MIN
    .csv, .tsv       an export of Label Studio; or id, label [, annotator, at]; or id, match [, side, target, round ...]
    .jsonl, .ndjson  objects with id, label [, annotator, at]; or the tasks of ``modest pair choose``, filled in
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from modest.annotation.labelstudio import Told, read_export
from modest.annotation.opinions import NONE, UNSURE, Opinion
from modest.annotation.task import Said, Task

PAGE = "page"


def read_answers(path: str | Path) -> Told:
    """Opinions of a file; lines without an answer count as ``empty``.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, of no known kind or form; the message names file and line, or task.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; give the file that holds the answers.")
    suffix = path.suffix.lower()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no UTF-8 text; save it in UTF-8.") from None
    if suffix == ".json":
        return read_export(_tasks(text, path), str(path))
    if suffix in (".jsonl", ".ndjson"):
        return _rows(_lines(text, path))
    if suffix in (".csv", ".tsv"):
        return _table(text, path, "\t" if suffix == ".tsv" else ",")
    raise ValueError(f"{path} ends in {suffix or 'nothing'}; answers are read from .json, .csv, .tsv and .jsonl.")


def said_on_page(standing: Iterable[tuple[Task, list[Said]]]) -> list[Opinion]:
    """Opinions of the page, from ``Store.standing``; skipped tasks are in none of them."""
    found = []
    for task, answers in standing:
        for one in answers:
            said = None if one.verdict == "unsure" else () if one.verdict == "none" else one.value
            at = datetime.fromtimestamp(one.at, timezone.utc).isoformat(timespec="milliseconds")
            where = f"answer {one.number} of the page"
            told: dict[str, Any] = {"annotator": one.annotator, "where": where, "at": at, "round": task.round}
            found.append(Opinion(task.kind, task.id, said, side=task.side, target=task.target, **told))
    return sorted(found, key=lambda one: one.at)


def _tasks(text: str, path: Path) -> list[Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON ({error}); export it again.") from None
    if not isinstance(content, list):
        raise ValueError(f"{path} holds no list of tasks; export the project as JSON, JSON-MIN or CSV.")
    return content


def _lines(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """("file line k", object) of every line that is not empty."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is no JSON ({str(error).rstrip('.')}); mend the line.") from None
        if not isinstance(row, dict):
            raise ValueError(f"{where} is no object; write one with id and label, or a task with its answer.")
        yield where, row


def _table(text: str, path: Path, separator: str) -> Told:
    first = text.partition("\n")[0]
    if separator not in first and ";" in first:  # as spreadsheets write it where the comma is a decimal sign
        separator = ";"
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        rows = [(f"{path} line {reader.line_num}", row) for row in reader]
    except csv.Error as error:
        raise ValueError(f"{path} line {reader.line_num} is no line of a table ({error}); save it again.") from None
    names = list(reader.fieldnames or ())
    if "annotation_id" in names:
        return read_export([row for _, row in rows], str(path))
    if not {"id", "label"} <= set(names) and not {"id", "match"} <= set(names):
        told = ", ".join(name for name in names if name) or "none"
        raise ValueError(f"{path} has the columns {told}; it needs id and label, or id and match.")
    for where, row in rows:
        if None in row or None in row.values():
            raise ValueError(f"{where} has {'more' if None in row else 'fewer'} cells than the header; mend the line.")
    return _rows(rows)


def _rows(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> Told:
    """Opinions of lines: a label or, where there is side, answer or match, partners."""
    found, empty = [], 0
    for where, row in rows:
        if row.get("id") in (None, ""):
            raise ValueError(f"{where} has no id; every answer names its item.")
        pair = next((name for name in ("answer", "match") if name in row), None)
        if pair is None and "label" not in row:
            raise ValueError(f"{where} has neither label nor answer; write one of them beside the id.")
        told = _partners(row[pair], pair) if pair else _class(row["label"], where)
        if told is _NOTHING:
            empty += 1
            continue
        more = {name: str(row.get(name) or "") for name in ("annotator", "at", "side", "target")}
        number = row.get("round")
        try:
            asked = int(number) if pair and number not in (None, "") else None
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"{where} has the round {number!r}; write its number, or leave it out.") from None
        kind = "pair" if pair else "label"
        found.append(Opinion(kind, str(row["id"]), told, where=where, round=asked, **more))
    return Told(tuple(found), empty=empty)


_NOTHING: tuple[str, ...] = ("",)


def _class(value: Any, where: str) -> tuple[str, ...] | None:
    if isinstance(value, (list, dict)):
        raise ValueError(f"{where} has the label {value!r}; an item has one class, written as text or a number.")
    word = "" if value is None else str(value).strip()
    return _NOTHING if not word else None if word.lower() == UNSURE else (word,)


def _partners(value: Any, column: str) -> tuple[str, ...] | None:
    """Partners: a list (of a task), or text, several with | between in a table."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, str) and value.strip().lower() in (NONE, UNSURE):
        return () if value.strip().lower() == NONE else None
    several = value if isinstance(value, list) else str(value).split("|") if column == "match" else [value]
    return tuple(str(one).strip() for one in several)
