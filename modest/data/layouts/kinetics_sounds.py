"""Kinetics-Sounds: ten-second YouTube clips of some thirty actions that can be seen and heard.

Arandjelovic, Zisserman: Look, listen and learn, ICCV 2017. Copies have 31 to 34 classes, so names are read from files.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from modest.data.layouts import clips
from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import class_names, first_file, split_of, table

SUMMARY = (
    "clips <id>_<start>[_<end>] as .mp4/.avi, folders of frames and .wav in any tree with <split> and <label> folders, "
    "beside my_{train,test}.txt, class.txt or stat.txt, and a csv of Kinetics"
)
PUBLISHED = {"items": 17396, "train": 14799, "test": 2597, "classes": 31}  # of the lists of OGM-GE
_ID = re.compile(r"[\w-]{11}", re.ASCII)
Entry = tuple[str, str, str]  # name of a clip, label or index of its class, split


def listing(folder: Path) -> Listing:
    """Rows of id (name of the clip), video, audio, label (words with blanks), split.

    Lists (``.txt`` or ``.csv`` with train, val or test in their name, split by commas or blanks, the class last) say
    which clips there are; without any, the clips in the tree. An index of a class gets its name from ``class.txt`` or
    ``stat.txt``, else from the clips of that index in a Kinetics csv (label, YouTube id) or in label folders, else it
    stays a number. Classes are in the order of the class file, else sorted.

    Raises
    ------
    ValueError
        If an index has no line in the class file.
    """
    folder = folder.resolve()
    found = clips.index(folder)
    tree = clips.in_tree(found)
    official = _official(folder)
    entries = list(dict.fromkeys(_entries(folder)))
    stat = first_file(folder, ("class.txt", "stat.txt", "stat.csv"))
    classes = [] if stat is None else class_names(stat)
    rows = []
    if entries:
        names = _names(entries, classes, tree, official)
        for name, label, split in entries:
            rows.append(clips.row(_key(name), name, names.get(label, label), split, found))
    else:
        for clip, (name, folder_label, folder_split) in tree.items():
            told, part = official.get(clip[0], (folder_label and folder_label.replace("_", " "), None))
            rows.append(clips.row(clip, name, told, folder_split or part, found))
    named = {_key(name) for name, _, _ in entries}
    return found.listing(rows, ("video", "audio"), named, classes=classes, published=PUBLISHED)


def _key(name: str) -> clips.Key:
    """Key of a name that is known to be a clip's."""
    found = clips.key(name)
    assert found is not None
    return found


def _entries(folder: Path) -> Iterator[Entry]:
    """Lines of the lists that name a clip, in the order of train, val, test."""
    found = {p for ending in ("*.txt", "*.csv") for p in (*folder.glob(ending), *folder.glob(f"*/{ending}"))}
    for split in ("train", "val", "test"):
        for path in sorted(path for path in found if split_of(path.stem) == split):
            for cells in table(path):
                fields = [field for cell in cells for field in (cell.split() if len(cells) == 1 else [cell])]
                at = next((k for k, field in enumerate(fields) if clips.key(field)), None)
                if at is not None and len(fields) > 1:
                    rest = fields[:at] + fields[at + 1 :]
                    yield clips.stem(fields[at]), rest[-1].replace("_", " "), split


def _official(folder: Path) -> dict[str, tuple[str, str | None]]:
    """YouTube id -> (label, split) of Kinetics' own lists: a header, then rows of label, id and more."""
    known: dict[str, tuple[str, str | None]] = {}
    for path in sorted({*folder.glob("*.csv"), *folder.glob("*/*.csv")}):
        rows = table(path)
        at = rows[0].index("split") if rows and "split" in rows[0] else None
        for cells in rows[1:]:
            if len(cells) > 1 and _ID.fullmatch(cells[1]):
                split = split_of(cells[at]) if at is not None and at < len(cells) else None
                known[cells[1]] = (cells[0].replace("_", " "), split)
    return known


def _names(
    entries: list[Entry],
    classes: list[str],
    tree: Mapping[clips.Key, tuple[str, str | None, str | None]],
    official: Mapping[str, tuple[str, str | None]],
) -> dict[str, str]:
    """Index of a class -> its name, as far as there is one; the name that most clips of the index have."""
    told = {label for _, label, _ in entries if label.isdigit()}
    if classes:
        beyond = sorted(label for label in told if int(label) >= len(classes))
        if beyond:
            raise ValueError(f"the lists have class {beyond[0]} and the class file {len(classes)} names; mend it.")
        return {label: classes[int(label)] for label in told}
    votes: dict[str, Counter[str]] = defaultdict(Counter)
    for name, label, _ in entries:
        clip = _key(name)
        known = official[clip[0]][0] if clip[0] in official else (tree[clip][1] if clip in tree else None)
        if label in told and known is not None:
            votes[label][known.replace("_", " ")] += 1
    return {label: counts.most_common(1)[0][0] for label, counts in votes.items()}
