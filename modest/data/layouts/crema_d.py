"""CREMA-D: 7,442 clips of 91 actors who say twelve sentences in six emotions, seen and heard.

Cao, Cooper, Keutmann, Gur, Nenkova, Verma: CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, IEEE
Transactions on Affective Computing 2014. The lists that most papers use are random over clips, so that every actor is
heard in training and in test; here the split is by actor unless they are asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from modest.data.keys import order
from modest.data.layouts import clips
from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import class_names, content, first_file, split_of, table

SUMMARY = (
    "clips <actor>_<sentence>_<emotion>_<level> as .wav, .mp3, .flv, .mp4 or folders of frames in any tree (AudioWAV, "
    "VideoFlash), perhaps {train,test}.csv, my_{train,test}_cre.txt, stat.csv or speaker_splits.json"
)
FOLDS = 5
OPTIONS = {"split": ("actors", "lists"), "fold": tuple(str(k + 1) for k in range(FOLDS))}
PUBLISHED = {"items": 7442, "actor": 91, "classes": 6}
LISTED = {"items": 7442, "train": 6698, "test": 744, "actor": 91, "classes": 6}
EMOTIONS = {
    "ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad",
}  # fmt: skip
SILENT = "1076_MTI_SAD_XX"
ACTORS = [str(1001 + k) for k in range(91)]
_CLIP = re.compile(r"(1\d{3}_[A-Z]{3}_(?:" + "|".join(EMOTIONS) + r")_(?:LO|MD|HI|XX?))(?:\.\w{2,4})?", re.ASCII)
_FAMILIES = (("{}.csv", "my_{}.csv"), ("my_{}_cre.txt", "my_{}_cre.csv"))  # OGM-GE and its followers, MLA


def listing(folder: Path, split: str = "actors", fold: str | None = None) -> Listing:
    """Rows of id (name of the clip), video, audio, actor, label (``ANG`` ...), split.

    Clips are those of the lists and those in the tree, also where a file is a pointer of Git LFS or empty.
    ``split="actors"`` parts the actors: by ``speaker_splits.json`` where it is there and no ``fold`` is asked for, else
    into five parts of 18 or 19, of which ``fold`` is the test and the next one validates. ``split="lists"`` takes the
    lists as they are, and their clips only. The label is the emotion that was acted (the name says it), not what raters
    heard.

    Raises
    ------
    ValueError
        If a list names something else, contradicts a name or has a clip in two splits, or lists are asked for and
        there are none.
    """
    folder = folder.resolve()
    found = clips.index(folder, key, fewest=1)
    listed = _lists(folder)
    if split == "lists" and not any(listed.values()):
        raise ValueError(f"{folder} has no train.csv and test.csv (or my_train_cre.txt); take split=actors.")
    if split == "lists":
        splits = {clip: part for clip, part in listed.items() if part is not None}
        told = "the split is that of the lists, random over clips: actors of the test are in training too."
    else:
        parts, told = _parts(folder, fold)
        hollow = filter(None, (key(Path(path).name) for path in (*found.files.pointers, *found.files.empty)))
        names = sorted({*listed, *found.videos, *found.sounds, *hollow})
        splits = {clip: parts.get(clip[:4], "train") for clip in names}
    rows = [_row(clip, part, found) for clip, part in splits.items()]
    stat = first_file(folder, ("stat.csv", "stat.txt", "class.txt"))
    silent = [f"{SILENT} is silent in every copy, so its sound is absent."] if SILENT in splits else []
    return found.listing(
        rows,
        ("video", "audio"),
        listed,
        classes=[] if stat is None else class_names(stat),
        more=("actor",),
        groups=("actor",),
        published=LISTED if split == "lists" else PUBLISHED,
        notes=[told, *silent],
    )


def key(name: str) -> str | None:
    """Name of a clip without its ending; level ``X`` of a misnamed copy is ``XX``. None for other names.

    Examples
    --------
    >>> key("1040_ITH_SAD_X.wav"), key("1001_IEO_HAP_LO.flv"), key("1001_IEO_HAP")
    ('1040_ITH_SAD_XX', '1001_IEO_HAP_LO', None)
    """
    found = _CLIP.fullmatch(name)
    return None if found is None else found[1] + "X" * found[1].endswith("_X")


def _row(clip: str, split: str, found: clips.Index) -> dict[str, Any]:
    row = clips.row(clip, clip, clip[9:12], split, found)
    wanted = {"video": f"VideoFlash/{clip}.flv", "audio": f"AudioWAV/{clip}.wav"}
    return {**row, "audio": None if clip == SILENT else row["audio"], "actor": clip[:4], "wanted": wanted}


def _lists(folder: Path) -> dict[str, str | None]:
    """Clip -> split of the first family of lists that is there; None for clips that only a list of all names.

    The validation list of one copy repeats clips of its training list, and counts.
    """
    told: dict[str, str | None] = {}
    for family in _FAMILIES:
        for split in ("data", "train", "val", "test"):
            for path in filter(None, [first_file(folder, (name.format(split),)) for name in family]):
                for clip in _clips(path):
                    if split == "test" and told.get(clip) in ("train", "val"):
                        raise ValueError(f"{path} has {clip}, which a training list has too; take it out of one.")
                    told[clip] = split_of(split)
        if told:
            break
    return told


def _clips(path: Path) -> Iterator[str]:
    """Clips of one list: ``<clip>,<emotion>`` or ``<clip>.flv <Emotion>``, with a header or without."""
    for k, cells in enumerate(table(path), start=1):
        name, *rest = cells if len(cells) > 1 else cells[0].split()
        clip = key(name)
        if clip is None:
            if k == 1 and name.lower() in ("name", "filename", "clip"):
                continue
            raise ValueError(f"{path} has {name!r} in row {k}, which names no clip; write <clip>,<emotion>.")
        word = rest[0] if rest else clip[9:12]
        if word.lower() not in (clip[9:12].lower(), EMOTIONS[clip[9:12]]):
            raise ValueError(f"{path} calls {clip} {word!r} in row {k}, and its name says {clip[9:12]}; mend the row.")
        yield clip


def _parts(folder: Path, fold: str | None) -> tuple[dict[str, str], str]:
    """Actor -> split, and the sentence that says by what."""
    path = None if fold else first_file(folder, ("speaker_splits.json",))
    if path is None:
        number = int(fold or 1) - 1
        turn = {str(k): part for k, part in ((number, "test"), ((number + 1) % FOLDS, "val"))}
        dealt = [ACTORS[k] for k in order(ACTORS, 0, "crema_d")]
        parts = {actor: turn.get(str(k % FOLDS), "train") for k, actor in enumerate(dealt)}
        return parts, f"the split is by actor, part {number + 1} of {FOLDS}; no actor is in two splits."
    try:
        told = json.loads(content(path))
        parts = {str(actor): str(split_of(part)) for part in ("train", "dev", "test") for actor in told[part]}
        if len(parts) != sum(len(told[part]) for part in ("train", "dev", "test")):
            raise ValueError("an actor stands twice")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no object of lists train, dev, test ({error!s}); copy it again.") from None
    return parts, f"the split is by actor, as {path.name} has it."
