"""What a folder of a public data set has and lacks: counted by split, class and modality, against the published counts.

Only names and sizes are read, and the first bytes of small files; nothing is decoded and nothing is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modest.data.layouts import LAYOUTS, chosen
from modest.data.layouts.listing import Listing
from modest.data.layouts.sniffing import sniff

FIRST = 5


@dataclass(frozen=True)
class Examined:
    """What is there of a data set.

    ``counts``: split -> class (``""`` = unknown) -> ``rows`` and, per modality, how many of them have it. ``missing``:
    modality -> how many rows lack it, and the first files that were looked for. ``gone`` rows have nothing at all.
    ``published``: what -> (published, here). ``groups``: column -> groups, and how many of them are in two splits.
    ``pointers`` (of Git LFS), ``empty`` and ``unlisted`` media: how many, and the first. ``verified`` is False for a
    layout that the user declared.
    """

    layout: str
    options: dict[str, str]
    verified: bool
    rows: int
    modalities: list[str]
    counts: dict[str, dict[str, dict[str, int]]]
    missing: dict[str, dict[str, Any]]
    gone: dict[str, Any]
    published: dict[str, dict[str, int]]
    groups: dict[str, dict[str, int]]
    pointers: dict[str, Any]
    empty: dict[str, Any]
    unlisted: dict[str, Any]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain dictionaries and lists."""
        return asdict(self)


def examine(folder: str | Path, layout: str | None = None) -> Examined:
    """Count what a folder has and lacks of its data set.

    Parameters
    ----------
    folder : the data set's
    layout : ``name`` or ``name:option=value,...`` as for ``modest ingest``; left out, what the folder looks like

    Raises
    ------
    FileNotFoundError
        If the folder is none.
    ValueError
        If it looks like no layout that is known, has no row of the one named, or a list is damaged.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give the folder of the data set.")
    told = layout or sniff(place)
    if told is None:
        names = ", ".join(LAYOUTS)
        raise ValueError(f"{folder} looks like none of {names}; name one with --layout, or declare it in layout.yaml.")
    kind, options = chosen(told)
    found = kind.listing(place, **options)
    if not found.rows:
        raise ValueError(f"{folder} has nothing of {kind.name}: a folder of it has {kind.summary}.")
    gone = [row["id"] for row in found.rows if all(row[name] is None for name in found.raw)]
    return Examined(
        kind.name,
        options,
        kind.verified,
        len(found.rows),
        list(found.raw),
        _counts(found),
        {name: _absent(found, name) for name in found.raw},
        _told(gone),
        _published(found),
        {name: _groups(found, name) for name in found.groups},
        _told(found.pointers),
        _told(found.empty),
        _told(found.unlisted),
        list(found.notes),
    )


def _told(names: Iterable[str]) -> dict[str, Any]:
    every = list(names)
    return {"count": len(every), "first": every[:FIRST]}


def _counts(found: Listing) -> dict[str, dict[str, dict[str, int]]]:
    """Split -> class -> rows and rows with each modality; classes in their order."""
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for row in found.rows:
        one = counts[row["split"], row["label"] or ""]
        one["rows"] += 1
        one.update({name: int(row[name] is not None) for name in found.raw})
    names = found.names() or sorted({label for _, label in counts}, key=lambda label: (len(label), label))
    order = [*names, *({label for _, label in counts} - set(names))]
    splits = [split for split in ("train", "val", "test") if any(part == split for part, _ in counts)]
    return {
        split: {label: dict(counts[split, label]) for label in order if (split, label) in counts} for split in splits
    }


def _absent(found: Listing, name: str) -> dict[str, Any]:
    """Rows without a modality, and the first files that were looked for; ids where the layout looks everywhere."""
    wanted = [row.get("wanted", {}).get(name, row["id"]) for row in found.rows if row[name] is None]
    return {"count": len(wanted), "first": list(dict.fromkeys(wanted))[:FIRST]}


def _published(found: Listing) -> dict[str, dict[str, int]]:
    """Published counts beside those of the rows here that have anything."""
    kept = [row for row in found.rows if any(row[name] is not None for name in found.raw)]
    here = Counter(row["split"] for row in kept)
    here.update({name: len({row[name] for row in kept}) for name in found.more if name in found.published})
    here.update(items=len(kept), classes=len({row["label"] for row in kept} - {None}))
    return {name: {"published": count, "here": here[name]} for name, count in found.published.items()}


def _groups(found: Listing, name: str) -> dict[str, int]:
    splits: Mapping[str, set[str]] = defaultdict(set)
    for row in found.rows:
        splits[row[name]].add(row["split"])
    return {"groups": len(splits), "in_two_splits": sum(len(parts) > 1 for parts in splits.values())}
