"""Which public data set a folder looks like, by the names in it and the first line of its lists; nothing is decoded."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path

_ENTRIES = 20_000  # names that are looked at
_EACH = 200  # and of one folder
_LISTS = (".csv", ".txt", ".jsonl")
_YOUTUBE = r"[\w-]{11}_\d+(_\d+)?"
# name -> what a path in the folder, or ``list: first line``, looks like; the first layout that has one is meant
_MARKS = {
    "declared": r"layout\.yaml",
    "colorswap": r"(.*/)?images/img_\d+_[12]\.png|(data/)?images\.zip",
    "coco_captions": r"(.*/)?(dataset_(coco|flickr\d+k)|coco_(train|val|test)_karpathy)\.json",
    "datacomp": r"metadata/[0-9a-f]{32}\.(parquet|npz)|(shards/)?\d{8}\.tar",
    "iemocap": r"(.*/)?Ses0[1-5][FM]_(impro|script).*|list: Ses0[1-5][FM]_(impro|script).*|(.*/)?my_\w+_iemo\.txt",
    "crema_d": r"(.*/)?1\d{3}_[A-Z]{3}_[A-Z]{3}_\w\w?(\.\w+)?|list: 1\d{3}_[A-Z]{3}_[A-Z]{3}_.*|(.*/)?my_\w+_cre\.txt",
    "mvsa": r"(.*/)?labelResultAll\.txt|(.*/)?my_\w+_mvsa\.txt|list: \{.*\"data/\d+\.jpg\".*",
    "food101": r"(.*/)?\w+_titles\.csv|(.*/)?my_\w+_food\.txt|images/(train|test)/\w+/.*|list: \{.*\"images/.*",
    "vggsound": rf"(.*/)?vggsound\.csv|(train|test)-(videos|audios)|list: {_YOUTUBE}\.mp4,.*",
    "kinetics_sounds": rf"(.*/)?{_YOUTUBE}(\.\w+)?|list: {_YOUTUBE}[ ,].*",
}


def sniff(folder: Path) -> str | None:
    """Name of the layout a folder looks like; None where nothing tells.

    At most 20,000 names are looked at, folders before what is in them, so that a big folder takes no longer. Clips
    named by YouTube ids are ``kinetics_sounds`` unless a list or a folder of VGGSound is beside them.
    """
    evidence = list(_evidence(folder))
    return next((name for name, mark in _MARKS.items() if any(re.fullmatch(mark, one) for one in evidence)), None)


def _evidence(folder: Path) -> Iterator[str]:
    """Paths inside a folder, breadth first and each place once, and first lines of the lists near its top."""
    waiting, seen, been = deque([(str(folder), "")]), 0, set()
    while waiting and seen < _ENTRIES:
        place, inside = waiting.popleft()
        real = os.path.realpath(place)
        if real in been:  # by a link
            continue
        been.add(real)
        with os.scandir(place) as entries:
            plain = [(not entry.is_dir(), entry.name) for entry in entries if not entry.name.startswith(".")]
        found = [(name, not is_file) for is_file, name in sorted(plain)]
        for name, is_folder in found[:_EACH]:
            seen += 1
            yield f"{inside}{name}"
            if is_folder:
                waiting.append((f"{place}/{name}", f"{inside}{name}/"))
            elif name.lower().endswith(_LISTS) and inside.count("/") < 3:
                with open(f"{place}/{name}", "rb") as handle:
                    first, second = handle.readline(4096), handle.readline(4096)
                yield f"list: {first.decode('utf-8-sig', 'replace').strip()}"
                yield f"list: {second.decode('utf-8', 'replace').strip()}"
