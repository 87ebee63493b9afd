"""IEMOCAP: ten actors in five sessions of two, in dialogues cut into utterances, heard, seen and transcribed.

Busso et al.: IEMOCAP: interactive emotional dyadic motion capture database, Language Resources and Evaluation 2008. The
lists that multimodal papers use are random over utterances, so that every speaker is in training and in test; here a
session, or a speaker, is left out unless they are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from modest.data.layouts import clips
from modest.data.layouts.listing import Listing
from modest.data.layouts.lists import first_file, lines, text

SUMMARY = (
    "Session{1..5}/dialog/EmoEvaluation/Ses*.txt and dialog/transcriptions/ with sentences/wav, dialog/wav and "
    "dialog/avi (or clips <utterance>.mp4 anywhere), or my_{train,test}_iemo.txt"
)
SESSIONS = tuple("12345")
SPEAKERS = tuple(f"Ses0{session}{letter}" for session in SESSIONS for letter in "FM")
CLASSES = {
    "4": {"ang": "ang", "hap": "hap", "exc": "hap", "sad": "sad", "neu": "neu"},
    "4_strict": {code: code for code in ("ang", "hap", "sad", "neu")},
    "6": {code: code for code in ("ang", "exc", "fru", "hap", "neu", "sad")},
}
OPTIONS = {
    "session": tuple(reversed(SESSIONS)),
    "speaker": SPEAKERS,
    "classes": tuple(CLASSES),
    "split": ("sessions", "lists"),
    "validation": ("session", "none"),
}
_TOTALS = {"ang": 1103, "exc": 1041, "fru": 1849, "hap": 595, "neu": 1708, "sad": 1084}
_SESSIONS = (1085, 1023, 1151, 1031, 1241)  # of four classes, with exc as hap
_WORDS = {"neutral": "neu", "angry": "ang", "sad": "sad", "happy": "hap"}
_NAME = re.compile(r"(Ses0[1-5][FM]_(?:impro|script)\w+)(?:\.\w{2,4})?", re.ASCII)
_UTTERANCE = re.compile(r"(Ses0([1-5])[FM]_(?:impro|script)\w+)_([FM])\d{3}", re.ASCII)
_TURN = re.compile(r"\[\s*(\d+(?:\.\d+)?)\s*-\s*(\d+(?:\.\d+)?)\s*\]\t(\w+)\t(\w+)(?:\t.*)?")
_SAID = re.compile(r"(\w+)\s*\[[\d.\s-]+\]\s*:\s*(.*)")
_SIGN = "[split|sign]"
_BOTH = "some video or audio is a cut of a dialogue's, in which both speakers are."
Row = dict[str, Any]


def listing(
    folder: Path,
    session: str | None = None,
    speaker: str | None = None,
    classes: str = "4",
    split: str = "sessions",
    validation: str = "session",
) -> Listing:
    """Rows of id (the utterance), video, audio, text, dialog, session, speaker, label (code in three letters), split.

    ``session`` (5 if left out) is the test, both its speakers, and the next one validates (5 is followed by 1);
    ``validation="none"`` leaves it in training. ``speaker`` leaves one of the ten out instead, and the other of that
    session validates. ``split="lists"`` takes the random lists, and their utterances only. ``classes``: ``4`` counts
    excited as happy, ``4_strict`` drops it, ``6`` keeps happy, excited and frustrated apart; other codes go. Where an
    utterance has no file of its own, video and audio are cuts of the dialogue's, which show and record both speakers.

    Raises
    ------
    ValueError
        If a file of labels or a list is damaged, options exclude each other, or lists are asked for and not there.
    """
    folder = folder.resolve()
    if (session is not None) + (speaker is not None) + (split == "lists") > 1:
        raise ValueError("iemocap takes one of session, speaker and split=lists; leave the others out.")
    listed = {row["id"]: row for row in _lists(folder)}
    if split == "lists" and not listed:
        raise ValueError(f"{folder} has no my_train_iemo.txt or my_test_iemo.txt; leave split=lists out.")
    turns = {row["id"]: row for row in _turns(folder)}
    told = {**listed, **{name: {**listed.get(name, {}), **row} for name, row in turns.items()}}
    names = CLASSES[classes]
    kept = [row for row in told.values() if row["code"] in names and (split != "lists" or row["id"] in listed)]
    said, found = _transcripts(folder), clips.index(folder, key, fewest=1)
    part = _parter(session, speaker, validation, listed if split == "lists" else None)
    rows = [_row(row, names[row["code"]], part, said, found) for row in kept]
    left = len([row for row in told.values() if split != "lists" or row["id"] in listed]) - len(rows)
    mapping = {"4": "excited counted as happy", "4_strict": "excited left out", "6": "excited and happy apart"}[classes]
    notes = [
        _sentence(session or "5", speaker, split, validation),
        f"{len(set(names.values()))} classes, {mapping}; {left} utterances of other classes left out.",
        *([_BOTH] if any(_is_cut(row) for row in rows) else []),
    ]
    return found.listing(
        rows,
        ("video", "audio", "text"),
        {*told, *(row["dialog"] for row in told.values())},
        classes=sorted(set(names.values())),
        more=("dialog", "session", "speaker"),
        groups=("speaker",) if speaker else ("session", "speaker"),
        published=_published(names, classes, session or "5", speaker, split, validation),
        notes=notes if rows else [],
    )


def key(name: str) -> str | None:
    """Utterance or dialogue that a file or folder is named after; None for other names."""
    found = _NAME.fullmatch(name)
    return None if found is None else found[1]


def _about(utterance: str, path: Path, k: int) -> Row:
    """What an utterance's name tells: the speaker is the last letter, whatever the dialogue's letter is."""
    found = _UTTERANCE.fullmatch(utterance)
    if found is None:
        raise ValueError(f"{path} has {utterance!r} in row {k}, which names no utterance; copy it again.")
    return {"id": utterance, "dialog": found[1], "session": found[2], "speaker": f"Ses0{found[2]}{found[3]}"}


def _lines(path: Path) -> list[str]:
    """Lines of a file that is UTF-8, else Latin-1."""
    return [line.strip() for line in text(path).splitlines()]


def _turns(folder: Path) -> Iterator[Row]:
    """Utterances with code, start and end of all files right inside ``EmoEvaluation``."""
    for path in _files(folder, "EmoEvaluation"):
        for k, line in enumerate(_lines(path), start=1):
            if line.startswith("["):
                found = _TURN.fullmatch(line)
                if found is None:
                    raise ValueError(f"{path} has {line!r} in row {k}, not [start - end], utterance, code; mend it.")
                yield {**_about(found[3], path, k), "code": found[4].lower(), "cut": f"#t={found[1]},{found[2]}"}


def _files(folder: Path, part: str) -> list[Path]:
    """``Session*/dialog/<part>/Ses*.txt``, here or one folder down."""
    inside = f"Session[1-5]/dialog/{part}/Ses*.txt"
    return sorted({*folder.glob(inside), *folder.glob(f"*/{inside}")})


def _transcripts(folder: Path) -> dict[str, str]:
    """Utterance -> what was said; lines without times are left out."""
    found = (_SAID.fullmatch(line) for path in _files(folder, "transcriptions") for line in _lines(path))
    return {one[1]: one[2].strip() for one in found if one is not None and one[2].strip()}


def _lists(folder: Path) -> Iterator[Row]:
    """Lines ``<utterance>.mp4 [split|sign] <text> [split|sign] <Label>`` of the random lists."""
    for split in ("train", "dev", "test"):
        path = first_file(folder, (f"my_{split}_iemo.txt",))
        for k, line in enumerate([] if path is None else lines(path), start=1):
            cells = [cell.strip() for cell in line.split(_SIGN)]
            if path is None or len(cells) != 3 or cells[2].lower() not in _WORDS:
                raise ValueError(f"{path} has {line!r} in row {k}, not utterance, text and label by {_SIGN}; mend it.")
            about = _about(Path(cells[0]).stem, path, k)
            part = "val" if split == "dev" else split
            yield {**about, "code": _WORDS[cells[2].lower()], "said": cells[1] or None, "listed": part}


def _parter(
    session: str | None, speaker: str | None, validation: str, listed: Mapping[str, Row] | None
) -> Callable[[Row], str]:
    """Function that gives the split of an utterance."""
    if listed is not None:
        return lambda row: str(listed[row["id"]]["listed"])
    test = speaker[4] if speaker else session or "5"
    val = test if speaker else _following(test)

    def part(row: Row) -> str:
        if row["session"] == test and speaker in (None, row["speaker"]):
            return "test"
        return "val" if row["session"] == val and validation == "session" else "train"

    return part


def _following(session: str) -> str:
    return SESSIONS[int(session) % len(SESSIONS)]


def _row(row: Row, label: str, part: Callable[[Row], str], said: Mapping[str, str], found: clips.Index) -> Row:
    """Row of one utterance: its own files, else cuts of its dialogue's."""
    split, dialog, place = part(row), row["dialog"], f"Session{row['session']}"
    own, whole = clips.row(row["id"], row["id"], label, split, found), clips.row(dialog, dialog, label, split, found)
    for name in ("video", "audio"):
        if own[name] is None and whole[name] is not None and "cut" in row and not whole[name].endswith("/"):
            own[name] = whole[name] + row["cut"]
    wanted = {
        "video": f"{place}/dialog/avi/DivX/{dialog}.avi",
        "audio": f"{place}/sentences/wav/{dialog}/{row['id']}.wav",
        "text": f"{place}/dialog/transcriptions/{dialog}.txt",
    }
    about = {name: row[name] for name in ("dialog", "session", "speaker")}
    return {**own, "text": said.get(row["id"], row.get("said")), **about, "wanted": wanted}


def _is_cut(row: Row) -> bool:
    return any("#t=" in (row[name] or "") for name in ("video", "audio"))


def _sentence(session: str, speaker: str | None, split: str, validation: str) -> str:
    """What the split is."""
    if split == "lists":
        return "the split is that of the lists, random over utterances: speakers of the test are in training too."
    if speaker:
        other = f"the other speaker of session {speaker[4]} validates" if validation == "session" else "no validation"
        return f"the test is {speaker}, {other}; no speaker is in two splits."
    validates = f"session {_following(session)} validates" if validation == "session" else "no validation"
    return f"the test is session {session}, {validates}; no session and no speaker is in two splits."


def _published(
    names: Mapping[str, str], classes: str, session: str, speaker: str | None, split: str, validation: str
) -> dict[str, int]:
    """Counts of the release under the options; those of four classes per session are told second-hand."""
    if split == "lists":
        return {"train": 3318, "test": 1107, "classes": 4}
    total = sum(_TOTALS[code] for code in names)
    counts = {"items": total, "classes": len(set(names.values())), "session": 5, "speaker": 10}
    if classes == "4" and speaker is None:
        test, val = (_SESSIONS[int(one) - 1] for one in (session, _following(session)))
        parts = {"test": test, "val": val} if validation == "session" else {"test": test}
        counts.update(parts, train=total - sum(parts.values()))
    return counts
