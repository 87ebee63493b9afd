"""MVSA-Single: tweets with a picture, labelled positive, neutral or negative, the text and the picture each on its own.

Niu, Zhu, Pang, El Saddik: Sentiment Analysis on Multi-View Social Data, MMM 2016. One label is made of two by a rule,
and numbers under different rules are not comparable:

strict   rows where both agree: 2,592, the rows of the lists of QMF and MLA
lenient  and rows where one of the two is neutral, which get the other: 4,511 (a rule widely used, told second-hand)
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import Media, class_names, first_file, lines, split_of
from modest.data.splits import carve

SUMMARY = (
    "data/<ID>.txt and data/<ID>.jpg with labelResultAll.txt (ID<TAB>text,image), {train,dev,test}.jsonl, or "
    "my_{train,test}_mvsa.txt"
)
OPTIONS = {"rule": ("strict", "lenient"), "split": ("lists", "own")}
LABELS = ("positive", "neutral", "negative")
STRICT = {"items": 2592, "classes": 3}
LENIENT = {"items": 4511, "classes": 3}
LISTED = {"train": 1555, "val": 518, "test": 519}
Row = dict[str, Any]


def listing(folder: Path, rule: str = "strict", split: str | None = None) -> Listing:
    """Rows of id, image, text, label, split.

    Under the strict rule the lists are taken where they are there; else, or with ``split="own"``, labels come from
    ``labelResultAll.txt`` and of each class a fifth tests and a fifth validates, drawn by id. A text that the list does
    not give is the file ``data/<ID>.txt``, UTF-8 or else Latin-1.

    Raises
    ------
    ValueError
        If a list is damaged or has several annotators, or what was asked for is not there.
    """
    folder = folder.resolve()
    path = first_file(folder, ("labelResultAll.txt",))
    rows = [] if rule == "lenient" or split == "own" else list(_lists(folder))
    if rows:
        published = {**STRICT, **(LISTED if any(row["split"] == "val" for row in rows) else {})}
        note = "labels and splits are those of the lists, which the strict rule made (both labels agree)."
        listed = {row["id"] for row in rows}
    elif split == "lists" and rule == "lenient":
        raise ValueError("mvsa has no lists of the lenient rule; leave split=lists out, or take rule=strict.")
    elif path is None or split == "lists":
        if rule == "lenient" or split is not None:
            told = "lists" if split == "lists" else "labelResultAll.txt"
            raise ValueError(f"{folder} has no {told}, which the options given need; put it there or leave them out.")
        return Listing([], ("image", "text"), LABELS)
    else:
        pairs = list(_pairs(path))
        rows, note = _merged(pairs, rule)
        published = STRICT if rule == "strict" else LENIENT
        listed = {one for one, _, _ in pairs}
    media, files = _media(folder), Media()
    rows = [_completed(row, media, files) for row in rows]
    stat = first_file(folder, ("stat_mvsa.txt",))
    return Listing(
        rows,
        ("image", "text"),
        LABELS if stat is None else class_names(stat),
        published=published,
        pointers=list(files.pointers),
        empty=list(files.empty),
        unlisted=[place for name, place in sorted(media.items()) if name.rpartition(".")[0] not in listed],
        notes=[note],
    )


def _pairs(path: Path) -> Iterator[tuple[str, str, str]]:
    """(id, label of the text, label of the picture) of ``labelResultAll.txt``."""
    for k, line in enumerate(lines(path), start=1):
        name, *told = line.split("\t")
        if k == 1 and name.lower() == "id":
            continue
        if len(told) > 1:
            raise ValueError(
                f"{path} has {len(told)} annotators in row {k}, as MVSA-Multiple has, whose merging is not verified; "
                "merge them and declare the folder in layout.yaml."
            )
        labels = [label.strip().lower() for label in told[0].split(",")] if told else []
        if len(labels) != 2 or not set(labels) <= set(LABELS):
            raise ValueError(f"{path} has {line!r} in row {k}, not ID, a tab, and two of {', '.join(LABELS)}; mend it.")
        yield name.strip(), labels[0], labels[1]


def _merged(pairs: list[tuple[str, str, str]], rule: str) -> tuple[list[Row], str]:
    """Rows that a rule keeps, with a split of their own, and the sentence that counts them."""
    kept: list[Row] = []
    agree = sum(text == image for _, text, image in pairs)
    against = sum({text, image} == {"positive", "negative"} for _, text, image in pairs)
    for name, text, image in pairs:
        if text == image or (rule == "lenient" and "neutral" in (text, image)):
            kept.append({"id": name, "label": image if text == "neutral" else text})
    labels, ids = np.array([row["label"] for row in kept]), np.array([row["id"] for row in kept])
    split = np.full(len(kept), "train", dtype=object)
    for part, share in (("test", 0.2), ("val", 0.25)):
        left = np.flatnonzero(split == "train")
        if len(left) > 2 * len(LABELS):
            split[left[carve(labels[left], share, 0, ids=ids[left])]] = part
    for row, part in zip(kept, split.tolist()):
        row["split"] = part
    half, own = len(pairs) - agree - against, "the split is modest's own, stratified, by id."
    if rule == "lenient":
        told = f"lenient rule (told second-hand, unverified): {len(kept)} of {len(pairs)} rows, {half} of them with one"
        return kept, f"{told} neutral label; {against} contradictory ones left out; {own}"
    told = f"strict rule: {len(kept)} of {len(pairs)} rows; {half} with one neutral label and {against} contradictory"
    return kept, f"{told} ones left out; {own}"


def _lists(folder: Path) -> Iterator[Row]:
    """Rows of ``{train,dev,test}.jsonl`` (label, text, img), else of ``my_<split>_mvsa.txt`` (``4141.jpg neutral``)."""
    objects = [first_file(folder, (f"{name}.jsonl",)) for name in ("train", "dev", "test")]
    for path in filter(None, objects):
        for k, line in enumerate(lines(path), start=1):
            try:
                row = json.loads(line)
                name, label, text = Path(str(row["img"])).stem, str(row["label"]), str(row.get("text") or "")
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise ValueError(f"{path} is no list of id, label, text, img in row {k} ({error!s}).") from None
            yield {"id": name, "label": _label(label, path, k), "text": text.strip(), "split": split_of(path.stem)}
    if any(objects):
        return
    for split in ("train", "test"):
        listed = first_file(folder, (f"my_{split}_mvsa.txt",))
        for k, line in enumerate([] if listed is None else lines(listed), start=1):
            name, _, label = line.partition(" ")
            yield {"id": Path(name).stem, "label": _label(label, listed, k), "split": split}


def _label(label: str, path: Path | None, k: int) -> str:
    if label.strip().lower() not in LABELS:
        raise ValueError(f"{path} has the label {label!r} in row {k}; write one of {', '.join(LABELS)}.")
    return label.strip().lower()


def _media(folder: Path) -> dict[str, str]:
    """Name -> place of the pictures and texts in ``data/``, here or one folder down."""
    found: dict[str, str] = {}
    for place in (folder / "data", *sorted(folder.glob("*/data"))):
        with os.scandir(place) if place.is_dir() else contextlib.nullcontext(()) as entries:
            for entry in entries:
                stem, _, ending = entry.name.rpartition(".")
                if stem.isdigit() and ending.lower() in ("jpg", "jpeg", "png", "txt"):
                    found.setdefault(f"{stem}.{ending.lower()}", entry.path)
    return found


def _completed(row: Row, media: Mapping[str, str], files: Media) -> Row:
    """Row with the places of its picture and its text looked up."""
    name = row["id"]
    image = files.first([media[f"{name}.{ending}"] for ending in ("jpg", "jpeg", "png") if f"{name}.{ending}" in media])
    text = row.get("text") or files.first([media[f"{name}.txt"]] if f"{name}.txt" in media else [])
    return {**row, "image": image, "text": text, "wanted": {"image": f"data/{name}.jpg", "text": f"data/{name}.txt"}}
