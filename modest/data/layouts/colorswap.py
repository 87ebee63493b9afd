"""ColorSwap: pairs of pictures whose captions have the same words with the colours swapped.

Burapacheep, Gaur, Bhatia, Thrush: ColorSwap: A Color and Word Order Dataset for Multimodal Evaluation, 2024
(arXiv 2402.04492).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modest.data.files import write_text
from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import content, first_file, locate
from modest.data.media import places

SUMMARY = (
    "data/train.json and data/test.json with images.zip or images/ beside them; modest.data.layouts.colorswap.save "
    "writes one from the hub's version"
)
HUB = "stanfordnlp/colorswap"


def listing(folder: Path) -> Listing:
    """Rows of id (``<example>_<1 or 2>``), image, text, group (the example), split; label is unknown.

    Caption k belongs to image k of its example, and the two rows of an example are one group. A picture that is gone
    is null and counted.

    Raises
    ------
    ValueError
        If there is no list, or it is damaged.
    """
    rows = [row for split in ("train", "test") for row in _examples(folder.resolve(), split)]
    published = {"items": 2000, "train": 1400, "test": 600}
    return Listing(rows, ("image", "text"), more=("group",), published=published)


def _examples(folder: Path, split: str) -> Iterator[dict[str, Any]]:
    path = first_file(folder, (f"{split}.json",))
    if path is None:
        return
    where = [*places(path.parent, "image"), *places(folder, "image")]
    try:
        for example in json.loads(content(path)):
            for k in (1, 2):
                name, caption = str(example[f"image_{k}"]), str(example[f"caption_{k}"])
                image = locate(where, name)
                row = {"id": f"{example['id']}_{k}", "image": image, "text": caption, "group": str(example["id"])}
                yield {**row, "label": None, "split": split}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no list of id, caption_1, caption_2, image_1, image_2 ({error!s}).") from None


def save(into: str | Path, dataset: Mapping[str, Any] | None = None) -> Path:
    """Write the version of the Hugging Face hub as a folder that :func:`listing` reads: pictures as PNG, lists as JSON.

    Parameters
    ----------
    into : folder to make or fill
    dataset : mapping split -> rows of id, caption_1, caption_2, image_1, image_2 (decoded pictures), optional
        Left out, ``datasets.load_dataset("stanfordnlp/colorswap")``: the set is gated, so log in there first.

    Raises
    ------
    ImportError
        If ``dataset`` is left out and the extra ``data`` is not installed.
    """
    if dataset is None:
        try:
            from datasets import load_dataset
        except ImportError:
            raise ImportError(f"reading {HUB} needs datasets; install it with: pip install 'modest[data]'") from None
        dataset = load_dataset(HUB)
    folder = Path(into) / "data"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for split, examples in dataset.items():
        told = []
        for example in examples:
            names = {f"image_{k}": f"images/img_{example['id']}_{k}.png" for k in (1, 2)}
            for column, name in names.items():
                example[column].save(folder / name)
            captions = {column: str(example[column]) for column in ("caption_1", "caption_2")}
            told.append({"id": int(example["id"]), **captions, **names})
        write_text(folder / f"{split}.json", json.dumps(told, ensure_ascii=False))
    return Path(into)
