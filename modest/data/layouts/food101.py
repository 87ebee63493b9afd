"""UPMC Food-101: photographs of 101 dishes with the titles or texts of the pages they are from.

Wang, Kumar, Thome, Cord, Precioso: Recipe recognition with large multimodal food dataset, ICME Workshops 2015.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import Media, class_names, content, first_file, lines, split_of, table, walk
from modest.data.media import kind

SUMMARY = (
    "images/{train,test}/<label>/*.jpg with titles (texts/*_titles.csv), full texts (texts_txt/<label>/*.txt), "
    "{train,dev,test}.jsonl or .json, or my_{train,test}_food.txt"
)
PUBLISHED = {"items": 90686, "train": 62971, "val": 5000, "test": 22715, "classes": 101}
_NAMES = {"image_path": "image", "img": "image", "img_path": "image"}
_SUFFIXES = (".jpg", ".jpeg", ".png")
Row = dict[str, Any]


def listing(folder: Path) -> Listing:
    """Rows of id (file name without ending), image, text, label (snake_case), split.

    The first of these is taken as the list: ``.jsonl``, ``.json``, titles, ``my_*_food.txt``, the pictures themselves.
    A text that the list does not give is the file ``texts_txt/<label>/<id>.txt``. A picture that is gone is null, and
    the row stays with its text. Classes come from ``stat_food.txt`` where it is there, else sorted by name.

    Raises
    ------
    ValueError
        If a list is damaged.
    """
    folder = folder.resolve()
    rows = next((rows for found in _LISTS if (rows := list(found(folder)))), [])
    files = Media()
    done = [_completed(row, str(folder), files) for row in rows]
    stat = first_file(folder, ("stat_food.txt", "stat.txt", "classes.txt"))
    classes = [] if stat is None else [_snake(name) for name in class_names(stat)]
    named = {os.path.normpath(row["image"]) for row in done if row["image"]}
    pictures = [f"{place}/{name}" for place, names in walk(folder / "images") for name in names] if done else []
    return Listing(
        done,
        ("image", "text"),
        classes,
        published=PUBLISHED,
        pointers=list(files.pointers),
        empty=list(files.empty),
        unlisted=[path for path in pictures if path not in named and kind(path) == "image"],
        notes=sorted({row["note"] for row in rows if "note" in row}),
    )


def _snake(label: str) -> str:
    return label.strip().replace(" ", "_")


def _completed(row: Row, folder: str, files: Media) -> Row:
    """Row with the places of its picture and its text looked up; joined as text, since there are a hundred thousand."""
    base, name, label, split = str(row["base"]), os.path.basename(row["image"]), _snake(row["label"]), row["split"]
    parts = {"train": ("train",), "val": ("train", "val", "dev"), "test": ("test",)}[split]
    stem = os.path.splitext(name)[0]
    places = [os.path.join(base, row["image"]), *(f"{folder}/images/{part}/{label}/{name}" for part in parts)]
    places += [os.path.join(folder, row["image"]), *(f"{folder}/visual/{part}_imgs/{name}" for part in parts)]
    image = files.first([*places, f"{folder}/images/{label}/{name}"])
    texts = [os.path.join(where, row["text_path"]) for where in (base, folder)] if row.get("text_path") else []
    text = (row.get("text") or "").strip() or files.first([*texts, f"{folder}/texts_txt/{label}/{stem}.txt"])
    wanted = {"image": f"images/{parts[0]}/{label}/{name}", "text": f"texts_txt/{label}/{stem}.txt"}
    return {"id": stem, "image": image, "text": text, "label": label, "split": split, "wanted": wanted}


def _json(folder: Path) -> Iterator[Row]:
    """Lists of objects, one a line or in one array; ``img`` is relative to the folder of the list."""
    for name in ("train", "dev", "val", "test"):
        path = first_file(folder, (f"{name}.jsonl", f"{name}.json"))
        if path is None:
            continue
        try:
            by_line = path.suffix == ".jsonl"
            objects = [json.loads(line) for line in lines(path)] if by_line else json.loads(content(path))
            for row in objects:
                row = {_NAMES.get(key, key): value for key, value in row.items()}
                text = {key: row[key] for key in ("text", "text_path") if row.get(key)}
                image, label = str(row["image"]), str(row["label"])
                yield {"image": image, "label": label, "split": split_of(name), "base": path.parent, **text}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{path} is no list of id, label, text, img ({error!s}); copy it again.") from None


def _titles(folder: Path) -> Iterator[Row]:
    """``<split>_titles.csv`` with the columns Image_path, text, label; without a header image, text, label."""
    for path in sorted({*folder.glob("*_titles.csv"), *folder.glob("*/*_titles.csv")}):
        rows = table(path)
        head = [_NAMES.get(cell.lower(), cell.lower()) for cell in rows[0]] if rows else []
        headed = set(head) >= {"image", "text", "label"}
        names = head if headed else ["image", "text", "label"]
        for k, cells in enumerate(rows[headed:], start=1 + headed):
            if len(cells) != len(names):
                raise ValueError(f"{path} has {len(cells)} cells in row {k}, not {len(names)}; quote its commas.")
            row = dict(zip(names, cells))
            note = {} if headed else {"note": f"{path} has no header: read as image, text, label, unverified."}
            yield {"image": row["image"], "text": row["text"], "label": row["label"], **_from(path), **note}


def _pairs(folder: Path) -> Iterator[Row]:
    """``my_<split>_food.txt``: file name and label with a blank between."""
    for path in sorted({*folder.glob("my_*_food.txt"), *folder.glob("*/my_*_food.txt")}):
        for line in lines(path):
            image, _, label = line.partition(" ")
            if not label:
                raise ValueError(f"{path} has the line {line!r} without a label; write <file>.jpg <label>.")
            yield {"image": image, "label": label, **_from(path)}


def _tree(folder: Path) -> Iterator[Row]:
    """``images/<split>/<label>/<file>`` without any list."""
    for path in sorted((folder / "images").glob("*/*/*")):
        split = split_of(path.parts[-3])
        if split is not None and path.suffix.lower() in _SUFFIXES:
            yield {"image": path.name, "label": path.parts[-2], "split": split, "base": path.parent}


def _from(path: Path) -> Row:
    """Split that the name of a list tells, and the list's folder."""
    return {"split": split_of(path.name) or "train", "base": path.parent}


_LISTS = (_json, _titles, _pairs, _tree)
