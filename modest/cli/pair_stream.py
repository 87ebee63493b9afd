"""``modest pair choose --stream``: tasks along shards that are longer than the memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modest.cli.output import finish
from modest.cli.pairs import pairs


def streamed(
    shards: list[str],
    into: Path | None,
    budget: int | float,
    method: str,
    encoder: list[str],
    field: list[str],
    buffer: int,
    side: str | None,
    options: dict[str, Any],
    json: bool,
) -> None:
    """Write one file of tasks per buffer; a Ctrl-C keeps those that are there.

    Raises
    ------
    ValueError
        If --into is missing, or a side has neither a field nor a default one.
    """
    from modest.encoders import load
    from modest.rounds.streaming import ask_stream

    if into is None:
        raise ValueError("--stream writes files of tasks; name their folder by --into.")
    fields = pairs(field, "--field", "SIDE=FIELD") or {"image": "jpg", "text": "txt"}
    if side is not None and side not in fields:
        raise ValueError(f"--side {side!r} is no side; the fields are of {', '.join(fields)}.")
    apart = _apart(shards, fields)
    kinds = {"image", "text", "audio", "video"}
    encoders = {
        name: load(uri, name if name in kinds else None, options["device"])
        for name, uri in pairs(encoder, "--encoder", "SIDE=URI").items()
    }
    ways = None if side is None else [(side, other) for other in fields if other != side]
    told = [
        {"path": str(one.path), "modality": one.asked, "target": one.target, "tasks": one.tasks, "seen": one.seen}
        for one in ask_stream(
            apart or shards, into, budget, fields, encoders, buffer=buffer, method=method, directions=ways, **options
        )
    ]
    text = [f"{one['path']}: {one['tasks']} rows of {one['modality']}, {one['seen']:,} items seen" for one in told]
    finish({"into": str(into), "files": told}, json, [*text, f"{len(told)} files of tasks in {into}"])


def _apart(shards: list[str], fields: dict[str, str]) -> dict[str, list[str]]:
    """{side: its shards} of words like ``image=photos.tar``; empty where samples hold all sides."""
    told = [word.partition("=") for word in shards]
    if not any(side in fields and equals for side, equals, _ in told):
        return {}
    found: dict[str, list[str]] = {}
    for side, equals, place in told:
        if not equals or side not in fields:
            raise ValueError(f"{side!r} among the shards names no side; write SIDE=SHARDS for all, or for none.")
        found.setdefault(side, []).append(place)
    lacking = [side for side in fields if side not in found]
    if lacking:
        raise ValueError(f"no shards of {lacking[0]} are named; write {lacking[0]}=SHARDS too.")
    return found
