"""What rounds chose, as tags for FiftyOne and LightlyStudio, and as DataComp's uids.

FiftyOne reads the CSV itself (``fiftyone.types.CSVDataset``, tags split at the comma); LightlyStudio has no reader of
tables, and four lines of Python put the tags on its samples (docs/exchange.md). Both know samples by the path of one
file, so items whose medium lies in an archive, or is no file at all, are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modest.annotation.hosting import column_kind
from modest.data import media
from modest.data.layouts.datacomp import write_subset
from modest.data.stored import raw_modalities

if TYPE_CHECKING:
    from modest.data.pool import Pool

# the tool -> what it calls the path of a sample
PATHS = {"fiftyone": "filepath", "lightly": "file_path_abs"}
MORE = ("modest_id", "modest_round", "modest_order", "modest_score", "modest_reason")


def tags(pool: Pool, tool: str, rounds: Sequence[int] | None = None, medium: str | None = None) -> list[dict[str, Any]]:
    """Rows of path, tags and why, one per item chosen; an item of several rounds has a tag of each.

    Parameters
    ----------
    tool : a name of ``PATHS``
    rounds : numbers of rounds of labels; all by default
    medium : column that names the files; the first of image, video, audio by default

    Returns
    -------
    Rows in the order of rounds, then of choice. ``modest_score`` is what the method documents, ``modest_order`` 0 is
    the first; of several rounds these are of the last.

    Raises
    ------
    ValueError
        If there is no such round, no column of files, or no item has a file of its own.
    """
    chosen = _chosen(pool, rounds)
    column = medium or _medium(pool)
    if column not in pool.table.columns:
        raise ValueError(f"medium {column!r} is no column of {pool.path}; it has {', '.join(pool.table.columns)}.")
    paths = dict(zip(pool.table["id"], pool.table[column]))
    found: dict[str, dict[str, Any]] = {}
    for number, row in chosen:
        path = paths[row["id"]]
        medium_there = isinstance(path, str) and media.kind(path) not in (None, "text")
        if not medium_there or media.split_archive(path)[0] or path.endswith("/"):
            continue
        told = zip(MORE, (row["id"], number, int(row["order"]), float(row["score"]), str(row["reason"] or "")))
        place = media.split_cut(path)[0]
        before = found.get(place, {}).get("tags", "modest")
        found[place] = {PATHS[tool]: place, "tags": f"{before},modest-round-{number}", **dict(told)}
    if not found:
        raise ValueError(f"no item chosen has a file of its own as {column}; unpack the archives that hold them.")
    return list(found.values())


def uids(pool: Pool, path: Path, rounds: Sequence[int] | None = None) -> int:
    """Write the uids that rounds chose as the subset file of DataComp, sorted; how many.

    Raises
    ------
    ValueError
        If there is no such round, or ids are no uids of 32 hexadecimal digits.
    """
    names = sorted({str(row["id"]) for _, row in _chosen(pool, rounds)})
    odd = next((name for name in names if len(name) != 32), None)
    if odd is not None:
        raise ValueError(f"id {odd!r} is no uid of DataComp, which has 32 hexadecimal digits; ingest its uids as ids.")
    write_subset(path, names)
    return len(names)


def _chosen(pool: Pool, rounds: Sequence[int] | None) -> list[tuple[int, dict[str, Any]]]:
    """(round, row of its choice) of all items chosen."""
    there = {one.number: one for one in pool.rounds}
    lacking = [number for number in rounds or () if number not in there]
    if lacking or not there:
        told = f"its rounds of labels are {', '.join(map(str, there))}" if there else "it has none yet"
        what = f"round {lacking[0]}" if lacking else "a round of labels"
        raise ValueError(f"{pool.path} lacks {what}; {told}. Choose items with: modest select {pool.path}")
    wanted = [there[number] for number in (rounds or there)]
    return [(one.number, row) for one in wanted for row in one.choice.sort_values("order").to_dict("records")]


def _medium(pool: Pool) -> str:
    """The column of files that such tools show best."""
    kinds = {name: column_kind(name, pool.table[name]) for name in raw_modalities(pool.table)}
    for kind in ("image", "video", "audio"):
        found = next((name for name, one in kinds.items() if one == kind), None)
        if found:
            return found
    raise ValueError(f"{pool.path} has no column of images, videos or sounds; these tools know samples by their files.")
