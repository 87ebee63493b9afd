"""DataComp: image-text pairs of the web, with CLIP features of their pictures and captions, and subsets as uid arrays.

Gadre et al.: DataComp: In search of the next generation of multimodal datasets, NeurIPS 2023 (arXiv 2304.14108).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data import features, tars
from modest.data.features import Feature
from modest.data.files import read_npy, read_table, replacing
from modest.data.layouts.listing import Listing

SUMMARY = "metadata/*.parquet with .npz beside, and/or shards/*.tar (with .parquet beside, or a .json per sample)"
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
SCORES = ("url", "clip_b32_similarity_score", "clip_l14_similarity_score")
UID = np.dtype("u8,u8")
Row = dict[str, Any]


def listing(folder: Path, model: str = "l14") -> Listing:
    """Rows of id (the uid), image (a member of a shard), text, url and CLIP scores; labels unknown, split train.

    The features ``<model>_img`` and ``<model>_txt`` (``l14`` or ``b32``) of the metadata become the views ``image`` and
    ``text`` (``features``). Rows are those of the metadata in their order, else of the shards; a sample that
    stands twice in shards is one item; a picture that is in no shard is null.

    Raises
    ------
    ValueError
        If a file is cut off or has no uids.
    """
    folder = folder.resolve()
    samples = {row["id"]: row for shard in _files(folder, "shards", ".tar") for row in _shard(shard)}
    tables = _files(folder, "metadata", ".parquet")
    rows = list(itertools.chain.from_iterable(map(_metadata, tables))) if tables else list(samples.values())
    for row in rows:
        row["image"] = samples.get(row["id"], row)["image"]
    views = _features(tables, model, [row["id"] for row in rows])
    raw = [name for name in ("image", "text") if not rows or any(row[name] is not None for row in rows)]
    return Listing(rows, raw, more=SCORES, features=views)


def _files(folder: Path, part: str, suffix: str) -> list[Path]:
    place = folder / part if (folder / part).is_dir() else folder
    return sorted(path for path in place.iterdir() if path.suffix == suffix)


def _metadata(path: Path) -> Iterator[Row]:
    """Rows of one file of metadata."""
    frame = read_table(path)
    if "uid" not in frame.columns or "text" not in frame.columns:
        raise ValueError(f"{path} has no columns uid and text; its columns are {', '.join(frame.columns)}.")
    kept = [name for name in SCORES if name in frame.columns]
    for told in frame[["uid", "text", *kept]].to_dict("records"):
        yield _row(told.pop("uid"), told.pop("text"), None, told)


def _row(uid: Any, text: Any, image: str | None, more: Row) -> Row:
    caption = text.strip() if isinstance(text, str) and text.strip() else None
    return {
        **dict.fromkeys(SCORES),
        **more,
        "id": str(uid).rjust(32, "0"),
        "image": image,
        "text": caption,
        "label": None,
        "split": "train",
    }


def _shard(path: Path) -> Iterator[Row]:
    """Samples of one shard: of the table beside it, else of the ``.json`` of each."""
    found = tars.index(str(path))
    pictures = {Path(name).stem: name for name in found if Path(name).suffix.lower() in _PICTURES}
    beside = path.with_suffix(".parquet")
    try:
        if beside.is_file():
            told = read_table(beside).to_dict("records")
        else:
            told = [json.loads(tars.read(str(path), *found[name])) for name in found if name.endswith(".json")]
        for one in told:
            key = str(one["key"])
            if one.get("status", "success") == "success" and key in pictures:
                caption = one.get("caption", one.get("text"))
                yield _row(one["uid"], caption, f"{path}!{pictures[key]}", {"url": one.get("url")})
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no shard of samples with key and uid ({error!s}); copy it again.") from None


def _features(tables: Sequence[Path], model: str, ids: list[str]) -> dict[str, Callable[[], Feature]]:
    """Views of the ``.npz`` files beside the metadata; none where they are not all there."""
    archives = [path.with_suffix(".npz") for path in tables]
    if not archives or not all(path.is_file() for path in archives):
        return {}
    names = {"image": f"{model}_img", "text": f"{model}_txt"}
    return {modality: partial(_joined, archives, key, np.array(ids)) for modality, key in names.items()}


def _joined(archives: Sequence[Path], key: str, ids: NDArray[np.str_]) -> Feature:
    """One array of several archives, one behind the other, by the uids of its rows."""
    parts = [features.from_npz(path, key) for path in archives]
    shape = (sum(part.shape[0] for part in parts), parts[0].shape[1])
    if len({part.shape[1] for part in parts}) > 1 or shape[0] != len(ids):
        raise ValueError(f"{archives[0].parent} has {shape[0]} rows of {key} and {len(ids)} uids; fetch it again.")
    blocks = lambda: itertools.chain.from_iterable(part.blocks() for part in parts)  # noqa: E731
    return replace(parts[0], shape=shape, blocks=blocks, ids=ids)


def write_subset(path: str | Path, uids: Sequence[str]) -> None:
    """Write uids as the subset file that DataComp's resharder takes: sorted pairs of 64 bits; repeats stay.

    Raises
    ------
    ValueError
        If a uid is not up to 32 hexadecimal digits.
    """
    try:
        numbers = [int(uid, 16) for uid in uids]
    except ValueError as error:
        raise ValueError(f"uids must be hexadecimal, as DataComp's are ({error!s}).") from None
    if any(not 0 <= number < 1 << 128 for number in numbers):
        raise ValueError("uids must have at most 32 hexadecimal digits, as DataComp's have.")
    array = np.array([(number >> 64, number & (1 << 64) - 1) for number in sorted(numbers)], dtype=UID)
    with replacing(Path(path)) as temporary, temporary.open("wb") as handle:
        np.save(handle, array, allow_pickle=False)


def read_subset(path: str | Path) -> list[str]:
    """Read the uids (32 hexadecimal digits) of a subset file, ``.npy`` or the bare numbers, in the order of the file.

    Raises
    ------
    FileNotFoundError, ValueError
        If it is not there, cut off, or holds something else.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes()[:6] != b"\x93NUMPY":
        if path.stat().st_size % UID.itemsize:
            raise ValueError(f"{path} is no whole array of uids, 16 bytes each; copy it again.")
        array = np.fromfile(path, dtype=UID)
    else:
        array = read_npy(path)
    if array.dtype != UID or array.ndim != 1:
        raise ValueError(f"{path} holds {array.dtype} of shape {array.shape}, not uids ('u8,u8'); give a subset file.")
    return [f"{int(one['f0']):016x}{int(one['f1']):016x}" for one in array]
