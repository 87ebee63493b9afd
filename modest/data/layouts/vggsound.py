"""VGGSound: ten-second YouTube clips of 309 sounds whose source can be seen.

Chen, Xie, Vedaldi, Zisserman: VGGSound, a large-scale audio-visual dataset, ICASSP 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from modest.data.layouts import clips
from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import class_names, first_file, split_of, table

SUMMARY = (
    "clips <id>_<start>[_<end>] as .mp4/.avi, folders of frames and .wav in any tree with <split> and <label> folders, "
    "beside vggsound.csv, or train.csv and test.csv, and stat.csv"
)
PUBLISHED = {"test": 15446, "classes": 309}
Entry = tuple[str, clips.Key, str, str]  # id, clip, label, split


def listing(folder: Path) -> Listing:
    """Rows of id (``<YouTube id>_<start>``), video, audio, label, split.

    ``vggsound.csv`` (YouTube id, start second, label, split) says which clips there are; else ``train.csv`` and
    ``test.csv`` (file name, label); else the clips in the tree, whose label folders have no commas: the class file
    gives them back. Files with and without zeros before the start are found. Classes are in the order of ``stat.csv``
    (name first), else sorted.

    Raises
    ------
    ValueError
        If a row of ``vggsound.csv`` has not four cells.
    """
    folder = folder.resolve()
    found = clips.index(folder)
    stat = first_file(folder, ("stat.csv", "stat.txt", "class.txt"))
    classes = [] if stat is None else class_names(stat)
    entries = list(dict.fromkeys(_official(folder))) or list(dict.fromkeys(_lists(folder)))
    listed = {clip for _, clip, _, _ in entries}
    if not entries:
        whole = {name.replace(",", ""): name for name in classes}
        for clip, (_, label, split) in clips.in_tree(found).items():
            told = None if label is None else label.replace("_", " ")
            entries.append((_id(clip), clip, whole.get(told or "", told or ""), split or "train"))
    rows = [clips.row(clip, name, label or None, split, found) for name, clip, label, split in entries]
    return found.listing(rows, ("video", "audio"), listed, classes=classes, published=PUBLISHED)


def _id(clip: clips.Key) -> str:
    return f"{clip[0]}_{clip[1]}"


def _official(folder: Path) -> Iterator[Entry]:
    """Rows of ``vggsound.csv``."""
    path = first_file(folder, ("vggsound.csv",))
    for k, cells in enumerate([] if path is None else table(path), start=1):
        if k == 1 and len(cells) == 4 and not cells[1].isdigit():
            continue  # a header that someone added
        if len(cells) != 4 or not cells[1].isdigit() or split_of(cells[3]) is None:
            raise ValueError(f"{path} has row {k} that is not YouTube id, start, label, split; quote commas in labels.")
        clip = (cells[0], int(cells[1]))
        yield _id(clip), clip, cells[2], str(split_of(cells[3]))


def _lists(folder: Path) -> Iterator[Entry]:
    """Rows of ``train.csv``, ``val.csv`` and ``test.csv``: file name of a clip, label."""
    for split in ("train", "val", "test"):
        path = first_file(folder, (f"{split}.csv",))
        for cells in [] if path is None else table(path):
            clip = clips.key(cells[0])
            if clip is not None and len(cells) > 1:
                yield _id(clip), clip, cells[1], split
