"""Any other data set: its files, labels, splits and groups as a ``layout.yaml`` in its folder declares them.

    name: my speeches                     # optional, for messages
    modalities:                           # raw column -> file, with columns of the labels in braces ...
      audio: wav/{speaker}/{id}.wav
      text: "column:words"                # ... or the column that holds the text itself
    labels:
      file: lists/all.csv                 # .csv, .tsv or .txt by tabs, .jsonl; UTF-8
      header: [id, words, emotion, part]  # optional: names of the columns of a file that has none
      id: id                              # optional: name of the column, likewise label
      label: emotion
    classes: {N: neutral, H: happy}       # optional: codes to names, other codes are left out; or a list, then no other
    group: '(\\d{4})_.*'                  # optional: the first bracket in the id; or "column:speaker"
    splits: {column: group, test: ["1001", "1002"], val: ["1003"]}    # optional: by values, others train;
                                          # or {test: 0.2, val: 0.2}: shares, by whole groups where there are groups

Everything here is the user's word: modest has checked it against no published copy, and says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import Media, content, lines, table
from modest.data.splits import carve

FILE = "layout.yaml"
SUMMARY = f"{FILE} with modalities and labels (see docs/data.md), and the files it speaks of"
_KEYS = {"name", "modalities", "labels", "classes", "group", "splits"}
_SPLITS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
_SPLITS |= {"test": "test", "testing": "test"}
_FIELD = re.compile(r"\{([^{}]*)\}")
Row = dict[str, Any]


def listing(folder: Path) -> Listing:
    """Rows of id, the modalities declared, group where there is one, label, split.

    Raises
    ------
    ValueError
        If ``layout.yaml`` or the labels cannot be read, a column it names is not there, or a label is unknown.
    ImportError
        If PyYAML is not installed.
    """
    folder = folder.resolve()
    if not (folder / FILE).is_file():
        return Listing([], ())
    plan = _plan(folder / FILE)
    told, about = _labels(folder, plan["labels"])
    named = f"{folder / FILE} (modalities)"
    fields = {field for pattern in plan["modalities"].values() for field in _FIELD.findall(pattern)}
    fields |= {pattern[7:] for pattern in plan["modalities"].values() if pattern.startswith("column:")}
    _columns(sorted(fields - {"id"}), told, named)
    rows, left = _classes(told, plan.get("classes"), about)
    _groups(rows, plan.get("group"), folder / FILE)
    _split(rows, plan.get("splits"), folder / FILE)
    files = Media()
    done = [_completed(row, plan["modalities"], folder, files) for row in rows]
    names = plan.get("classes") or ()
    notes = [f"{plan.get('name') or folder.name} is read as its {FILE} declares it, which is unverified."]
    return Listing(
        done,
        list(plan["modalities"]),
        list(dict.fromkeys(names.values() if isinstance(names, dict) else names)),
        more=("group",) if plan.get("group") else (),
        groups=("group",) if plan.get("group") else (),
        pointers=list(files.pointers),
        empty=list(files.empty),
        notes=[*notes, *([f"{left} rows of classes that it does not name are left out."] if left else [])],
    )


def _plan(path: Path) -> dict[str, Any]:
    """What ``layout.yaml`` says, all scalars as text (so that ``no`` and ``0012`` stay what they are)."""
    try:
        import yaml
    except ImportError:
        raise ImportError(f"reading {path} needs PyYAML; install it with: pip install 'modest[data]'") from None
    try:
        plan = yaml.load(content(path), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        told = " ".join(str(error).split())
        raise ValueError(f"{path} is no YAML ({told}); mend it.") from None
    if not isinstance(plan, dict):
        raise ValueError(f"{path} holds no mapping; write modalities: and labels: as docs/data.md shows.")
    odd = sorted(set(plan) - _KEYS)
    if odd:
        raise ValueError(f"{path} has the key {odd[0]!r}, which means nothing; known are {', '.join(sorted(_KEYS))}.")
    for key, inside in (("modalities", "name: file"), ("labels", "file: labels.csv")):
        if not isinstance(plan.get(key), dict) or not plan[key]:
            raise ValueError(f"{path} has no {key}; write them as a mapping, {inside}.")
    for name, pattern in plan["modalities"].items():
        if name in ("id", "label", "split", "group"):
            raise ValueError(f"{path} has the modality {name!r}, a name that is taken; call it something else.")
        if not isinstance(pattern, str) or not ("{" in pattern or pattern.startswith("column:")):
            raise ValueError(f"{path} has no pattern for {name}; write a file with {{id}} in it, or column:NAME.")
    if not isinstance(plan["labels"].get("file"), str):
        raise ValueError(f"{path} names no file of labels; write file: under labels.")
    return plan


def _labels(folder: Path, plan: Mapping[str, Any]) -> tuple[list[Row], str]:
    """Rows of the file of labels with ``id`` and ``label`` among their columns, and the file's name for messages."""
    path = folder / plan["file"]
    if not path.is_file():
        raise ValueError(f"{path}, which {FILE} names as the labels, is not there; put it back.")
    if path.suffix.lower() == ".jsonl":
        try:
            rows = [{key: str(value) for key, value in json.loads(line).items()} for line in lines(path)]
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no list of one object a line ({error!s}); mend it.") from None
    else:
        tabs = path.suffix.lower() in (".tsv", ".txt")
        cells = [[cell.strip() for cell in line.split("\t")] for line in lines(path)] if tabs else table(path)
        head = plan["header"] if "header" in plan else cells.pop(0) if cells else []
        for k, row in enumerate(cells, start=1 if "header" in plan else 2):
            if len(row) != len(head):
                raise ValueError(f"{path} has {len(row)} cells in row {k}, not {len(head)}; quote its separators.")
        rows = [dict(zip(head, row)) for row in cells]
    called = {name: plan.get(name, name) for name in ("id", "label")}
    _columns(list(called.values()), rows, str(path))
    return [{**row, "id": row[called["id"]], "label": row[called["label"]]} for row in rows], str(path)


def _columns(names: list[str], rows: list[Row], where: str) -> None:
    """Refuse a name that is no column of the labels."""
    for k, row in enumerate(rows, start=1):
        for name in names:
            if name not in row:
                told = f"labels have no column {name!r} in item {k}; their columns are {', '.join(row)}."
                raise ValueError(f"{where}: {told}")


def _classes(rows: list[Row], classes: Any, where: str) -> tuple[list[Row], int]:
    """Rows under the names of their classes, and how many are left out; an empty label is unknown."""
    if isinstance(classes, dict):
        kept = [{**row, "label": classes[row["label"]]} for row in rows if row["label"] in classes]
        return kept, len(rows) - len(kept)
    for k, row in enumerate(rows, start=1):
        if classes and row["label"] and row["label"] not in classes:
            known = ", ".join(classes)
            raise ValueError(f"{where} has the label {row['label']!r} in item {k}; {FILE} knows {known}.")
    return [{**row, "label": row["label"] or None} for row in rows], 0


def _groups(rows: list[Row], group: Any, where: Path) -> None:
    """Set ``group`` of each row."""
    if not group:
        return
    if group.startswith("column:"):
        _columns([group[7:]], rows, f"{where} (group)")
        for row in rows:
            row["group"] = row[group[7:]]
        return
    try:
        pattern = re.compile(group)
    except re.error as error:
        raise ValueError(f"{where} has the group {group!r}, which is no pattern ({error}); mend it.") from None
    for k, row in enumerate(rows, start=1):
        found = pattern.match(row["id"])
        if found is None or pattern.groups < 1 or found[1] is None:
            raise ValueError(f"{where} has the group {group!r}, which finds no bracket in id {row['id']!r} (item {k}).")
        row["group"] = found[1]


def _split(rows: list[Row], splits: Any, where: Path) -> None:
    """Set ``split`` of each row: by the values of a column, by shares, or all train."""
    plan = splits if isinstance(splits, dict) else {}
    if splits is not None and (splits != plan or not set(plan) <= {"column", "train", "val", "test"}):
        raise ValueError(f"{where} has splits that are not column, train, val, test; see docs/data.md.")
    if "column" not in plan:
        return _shares(rows, plan, where)
    _columns([plan["column"]], rows, f"{where} (splits)")
    values = {split: plan.get(split, []) for split in ("train", "val", "test")}
    known = {value: split for split, told in values.items() for value in ([told] if isinstance(told, str) else told)}
    if len(known) != sum(1 if isinstance(told, str) else len(told) for told in values.values()):
        raise ValueError(f"{where} has a value of {plan['column']} in two splits; leave it in one.")
    for k, row in enumerate(rows, start=1):
        value = row[plan["column"]]
        split = known.get(value, "train") if known else _SPLITS.get(value.lower())
        if split is None:
            raise ValueError(f"{where}: {plan['column']} of item {k} is {value!r}; say under splits what it means.")
        row["split"] = split


def _shares(rows: list[Row], plan: Mapping[str, Any], where: Path) -> None:
    try:
        shares = {part: float(plan[part]) for part in ("test", "val") if part in plan}
    except (TypeError, ValueError):
        raise ValueError(f"{where} has splits without column; write test and val as shares, such as 0.2.") from None
    split = np.full(len(rows), "train", dtype=object)
    left = 1.0
    for part, share in shares.items():
        at = np.flatnonzero(split == "train")
        labels, ids = (np.array([str(rows[k][name]) for k in at]) for name in ("label", "id"))
        groups = np.array([rows[k]["group"] for k in at]) if rows and "group" in rows[0] else None
        split[at[carve(labels, share / left, 0, groups, ids)]] = part
        left -= share
    for row, one in zip(rows, split.tolist()):
        row["split"] = one


def _completed(row: Row, modalities: Mapping[str, str], folder: Path, files: Media) -> Row:
    """Row with the places of its files, those outside the folder too."""
    done = {name: row.get(name) for name in ("id", "label", "split", "group")}
    wanted = {}
    for name, pattern in modalities.items():
        if pattern.startswith("column:"):
            done[name], wanted[name] = row[pattern[7:]] or None, f"{pattern} of {row['id']}"
        else:
            wanted[name] = _FIELD.sub(lambda found: str(row[found[1]]), pattern)
            place = folder / wanted[name]
            frames = pattern.endswith("/") and place.is_dir() and any(place.iterdir())
            done[name] = f"{place}/" if frames else files.first([place])
    return {**done, "wanted": wanted}
