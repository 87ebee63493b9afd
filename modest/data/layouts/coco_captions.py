"""MS-COCO captions (and Flickr8k, Flickr30k) in Karpathy's split: photographs with five captions each, or more.

Chen et al.: Microsoft COCO Captions, arXiv 1504.00325. Karpathy, Fei-Fei: Deep Visual-Semantic Alignments, CVPR 2015.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import content, first_file, locate
from modest.data.media import places

SUMMARY = (
    "dataset_coco.json (dataset_flickr30k.json, dataset_flickr8k.json), or coco_{train,val,test}_karpathy.json, "
    "with train2014/ and val2014/ beside it"
)
_SPLITS = {"train": "train", "restval": "train", "val": "val", "test": "test"}
EVALUATED = 5
Row = dict[str, Any]


def listing(folder: Path) -> Listing:
    """Rows of id (the caption's), image, text, group (the picture's id), split: one row for each caption.

    Training (train and restval) keeps every caption of a picture, evaluation (val, test) the first five. The captions
    of one picture are one group, the positives of each other. Labels are unknown; a picture that is gone is null.

    Raises
    ------
    ValueError
        If a list is damaged.
    """
    folder = folder.resolve()
    path = first_file(folder, ("dataset_coco.json", "dataset_flickr30k.json", "dataset_flickr8k.json"))
    rows = list(_karpathy(path, folder) if path is not None else _annotations(folder))
    published = {"group": 123287} if path is not None and path.name == "dataset_coco.json" else {}
    return Listing(rows, ("image", "text"), more=("group",), published=published)


def _karpathy(path: Path, folder: Path) -> Iterator[Row]:
    """Karpathy's file: pictures with their sentences."""
    where = [*places(path.parent, "image"), *places(folder, "image")]
    try:
        for picture in json.loads(content(path))["images"]:
            split, name = _SPLITS[picture["split"]], str(picture["filename"])
            value = locate(where, f"{picture['filepath']}/{name}" if "filepath" in picture else name)
            group = str(picture.get("cocoid", picture["imgid"]))
            told = [(str(one["sentid"]), str(one["raw"])) for one in picture["sentences"]]
            yield from _rows(told, value, group, split)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no list of pictures with sentences ({error!r}); copy it again.") from None


def _annotations(folder: Path) -> Iterator[Row]:
    """``coco_<split>_karpathy.json`` of CLIP_benchmark: pictures and annotations apart, as COCO has them."""
    for split in ("train", "val", "test"):
        path = first_file(folder, (f"coco_{split}_karpathy.json",))
        if path is None:
            continue
        bases = [base / part for base in (path.parent, folder) for part in ("", "train2014", "val2014")]
        where = [place for base in bases if base.is_dir() for place in places(base, "image")]
        try:
            told = json.loads(content(path))
            sentences: dict[str, list[tuple[str, str]]] = {}
            for one in told["annotations"]:
                sentences.setdefault(str(one["image_id"]), []).append((str(one["id"]), str(one["caption"])))
            for picture in told["images"]:
                group = str(picture["id"])
                yield from _rows(sentences.get(group, []), locate(where, str(picture["file_name"])), group, split)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is no list of images and annotations ({error!r}); copy it again.") from None


def _rows(told: list[tuple[str, str]], image: str | None, group: str, split: str) -> Iterator[Row]:
    for name, caption in told if split == "train" else told[:EVALUATED]:
        yield {"id": name, "image": image, "text": caption.strip(), "group": group, "label": None, "split": split}
