"""Clips cut from YouTube videos, found in any tree by their names: ``<id of 11 characters>_<start>[_<end>]``.

The id may hold ``_`` and ``-`` and begin with one, so it is the first 11 characters and names are never split on ``_``.
Starts are written with and without zeros in front; a clip is known by its id and its start in seconds.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import Media, split_of, walk
from modest.data.media import kind

Key = tuple[str, int]
FEWEST_FRAMES = 4  # folders with fewer are passed over, as the published loaders do
_CLIP = re.compile(r"([\w-]{11})_(\d+)(?:_\d+)?(?:\.\w{2,5})?", re.ASCII)
_PART = r"(train|test|val|dev|videos?|visual|audios?|frames|image-\d+-fps|sets?|imgs?)"
_PARTS = re.compile(rf"{_PART}([-_]{_PART})*", re.IGNORECASE)  # folders that are no labels ("train_horning" is one)


@dataclass(frozen=True)
class Found:
    """One medium of a clip: ``path`` (a folder of frames ends in ``/``), its name, split and label by its folders."""

    path: str
    split: str | None
    label: str | None
    name: str


@dataclass
class Index:
    """Media of a folder by the key of their clip; ``files`` knows those that hold nothing."""

    videos: dict[Any, list[Found]] = field(default_factory=lambda: defaultdict(list))
    sounds: dict[Any, list[Found]] = field(default_factory=lambda: defaultdict(list))
    files: Media = field(default_factory=Media)

    def unlisted(self, keys: Container[Any]) -> list[str]:
        """Places of the media whose clip is not among ``keys``, sorted."""
        every = (*self.videos.items(), *self.sounds.items())
        return sorted(one.path for clip, found in every if clip not in keys for one in found)

    def listing(
        self, rows: Sequence[Mapping[str, Any]], raw: Sequence[str], named: Collection[Any], **more: Any
    ) -> Listing:
        """Listing of rows over these media; ``named``: keys of the clips that lists name, none where there is no list.

        ``more``: other fields of the Listing.
        """
        unlisted = self.unlisted(named) if named else ()
        return Listing(
            rows, raw, pointers=list(self.files.pointers), empty=list(self.files.empty), unlisted=unlisted, **more
        )


def key(name: str) -> Key | None:
    """(id, start) of a clip's name, a media ending left out; None for other names.

    Examples
    --------
    >>> key("--4-0ihtnBU_000058_000068"), key("-3Mwkq-7TV4_2.mp4"), key("frame_00001.jpg")
    (('--4-0ihtnBU', 58), ('-3Mwkq-7TV4', 2), None)
    """
    found = _CLIP.fullmatch(name)
    return None if found is None else (found[1], int(found[2]))


def stem(name: str) -> str:
    """Name of a clip without a media ending."""
    return name.rpartition(".")[0] if kind(name) else name


def index(folder: Path, key: Callable[[str], Any] = key, fewest: int = FEWEST_FRAMES) -> Index:
    """Videos and sounds in a folder by what ``key`` makes of their names; some pictures in a folder are a video."""
    found = Index()
    for place, names in walk(folder):
        parts = Path(place).relative_to(folder).parts
        clip = key(parts[-1]) if parts else None
        if clip is not None:
            pictures = [name for name in names if kind(name) == "image"]
            if len(pictures) >= fewest and found.files.usable(f"{place}/{pictures[0]}"):
                found.videos[clip].append(_found(f"{place}/", parts[:-1], parts[-1]))
        for name in names:
            clip, what = key(name), kind(name)
            if clip is not None and what in ("audio", "video") and found.files.usable(f"{place}/{name}"):
                by_clip = found.sounds if what == "audio" else found.videos
                by_clip[clip].append(_found(f"{place}/{name}", parts, name))
    return found


def _found(path: str, parts: tuple[str, ...], name: str) -> Found:
    """Split and label by the folders a clip lies in; validation pictures of one copy are its test clips."""
    told = [part for part in parts if _PARTS.fullmatch(part)]
    splits = ["test" if part.lower() == "val_img" else split_of(part) for part in told]
    split = next((split for split in splits if split is not None), None)
    label = parts[-1] if parts and not _PARTS.fullmatch(parts[-1]) and told else None
    return Found(path, split, label, stem(name))


def row(clip: Any, name: str, label: str | None, split: str | None, found: Index) -> dict[str, Any]:
    """Row of a layout's table for one clip; where copies lie in several splits, the one of its own split is taken.

    The sound is a sound file, else the video file itself; pictures in a folder have none.
    """
    video = _best(found.videos.get(clip, []), split)
    sound = _best(found.sounds.get(clip, []), split)
    if sound is None and video is not None and not video.endswith("/"):
        sound = video
    return {"id": name, "video": video, "audio": sound, "label": label, "split": split or "train"}


def _best(found: list[Found], split: str | None) -> str | None:
    """Path of the medium of the right split; a file before a folder of frames, MP3 (which some copies lost) last."""
    ranked = sorted(found, key=lambda one: (one.split != split, one.path.endswith(("/", ".mp3")), one.path))
    return ranked[0].path if ranked else None


def in_tree(found: Index) -> dict[Key, tuple[str, str | None, str | None]]:
    """Clip -> (name, label, split) of all clips, by the folders they lie in; sorted by name."""
    told = {}
    for clip in {*found.videos, *found.sounds}:
        media = [*found.videos.get(clip, []), *found.sounds.get(clip, [])]
        label = next((one.label for one in media if one.label is not None), None)
        split = next((one.split for one in media if one.split is not None), None)
        told[clip] = (media[0].name, label, split)
    return dict(sorted(told.items(), key=lambda item: item[1][0]))
