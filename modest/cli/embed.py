"""``modest embed``: make views of a pool's raw media with frozen encoders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from modest.cli import output
from modest.cli.pairs import pairs

if TYPE_CHECKING:
    from modest.data.pool import Pool
    from modest.encoders import Report


def command(
    pool: Path = typer.Argument(..., help="Pool folder, as made by `modest ingest`."),
    more: list[str] = typer.Argument(None, metavar="[NAME=URI]...", help="The same as --view NAME=URI."),
    image: str = typer.Option(None, "--image", help="Encoder of images: pixels, hf:MODEL, timm:MODEL, npy:FILE ..."),
    text: str = typer.Option(None, "--text", help="Encoder of texts: hashed-text, hf:MODEL ..."),
    audio: str = typer.Option(None, "--audio", help="Encoder of sounds, also those of videos: logmel, hf:MODEL ..."),
    video: str = typer.Option(None, "--video", help="Encoder of clips: pixels, hf:MODEL ..."),
    view: list[str] = typer.Option([], "--view", help="NAME=URI, a modality of any name. Repeatable."),
    column: list[str] = typer.Option([], "--from", help="MODALITY=COLUMN: encode this raw column. Repeatable."),
    batch_size: int = typer.Option(64, "--batch-size", help="Samples encoded at once."),
    shard: int = typer.Option(1024, "--shard", help="Rows that a kill loses at most."),
    device: str = typer.Option(None, "--device", help="cpu or cuda; decided by modest if left out."),
    fresh: bool = typer.Option(False, "--fresh", help="Make views again that are there already."),
    half: bool = typer.Option(False, "--half", help="Store float16."),
    dry_run: bool = typer.Option(
        False, "--dry-run", help="Write nothing; say rows, bytes and time, by a timed sample."
    ),
    json: bool = output.JSON,
) -> None:
    """Encode raw media into views. A killed run goes on where it was; new rows alone are encoded.

    Example: modest embed pool --image hf:openai/clip-vit-base-patch32 --text hf:openai/clip-vit-base-patch32
    """
    import modest
    from modest.encoders import embed

    opened = modest.open(pool)
    named = {"image": image, "text": text, "audio": audio, "video": video}
    asked = {name: uri for name, uri in named.items() if uri}
    for name, uri in pairs([*(more or []), *view], "--view", "NAME=URI").items():
        if name in asked:
            raise ValueError(f"{name} is given two encoders, {asked[name]} and {uri}; give one.")
        asked[name] = uri
    if not asked:
        raise ValueError(_nothing_asked(opened))
    with output.progress("encoding", hidden=json or dry_run) as progress:
        reports = embed(
            opened,
            asked,
            columns=pairs(column, "--from", "MODALITY=COLUMN"),
            batch_size=batch_size,
            shard=shard,
            device=device,
            fresh=fresh,
            half=half,
            dry_run=dry_run,
            progress=progress,
        )
    payload = {"pool": str(pool), "dry_run": dry_run, "views": {name: r.to_dict() for name, r in reports.items()}}
    told = [_forecast(r) if dry_run else _done(r) for r in reports.values()]
    if dry_run:
        told.append(f"all: {_bytes(sum(r.bytes for r in reports.values()))}, {_all_seconds(reports.values())}")
    following = _again(pool, asked, column) if dry_run else f"modest select {pool} --budget 0.01"
    output.finish(payload, json, told, following)


def _nothing_asked(pool: Pool) -> str:
    """Say which raw columns there are, and one command that works on them."""
    from modest.encoders.hub import BUILTIN
    from modest.encoders.raw import raw_columns

    found = {name: kind for name, kind in raw_columns(pool).items() if kind != "empty"}
    if not found:
        return f"{pool.path} has no raw column to encode; give ready features, e.g. --view image=npy:features.npy."
    offline = {kind: name for name, (_, kinds) in reversed(BUILTIN.items()) for kind in kinds}
    told = ", ".join(f"{name} ({kind})" for name, kind in found.items())
    options: list[str] = []
    for name, kind in sorted(found.items(), key=lambda item: item[0] != item[1]):
        if f"--{kind}" not in " ".join(options):
            options.append(f"--{kind} {offline[kind]}" + ("" if name == kind else f" --from {kind}={name}"))
    return f"no encoder was given; the raw columns are {told}; try: modest embed {pool.path} {' '.join(options)}"


def _done(report: Report) -> str:
    """One line on a view that was made."""
    if not report.written:
        return f"{report.modality}: nothing to do, {report.path} has all {report.rows:,} rows"
    kept = f", {report.kept:,} kept" if report.kept else ""
    lines = (
        f"{report.modality}: {report.encoded:,} rows encoded{kept} by {report.uri}, {report.dim} features, "
        f"{report.absent:,} absent, {_bytes(report.bytes)} in {report.path}"
    )
    if report.skipped:
        lines += f"\n  {report.skipped:,} values could not be read, listed in {report.skipped_file}"
    return lines


def _forecast(report: Report) -> str:
    """One line on a view that would be made."""
    return (
        f"{report.modality}: {report.encoded:,} rows to encode, {report.kept:,} there already, by {report.uri}, "
        f"{report.dim} features, {_bytes(report.bytes)} in {report.shards} shards, {_time(report.seconds or 0.0)}"
    )


def _all_seconds(reports: Iterable[Report]) -> str:
    return f"{_time(sum(r.seconds or 0.0 for r in reports))} by a timed sample; nothing was written"


def _bytes(count: int) -> str:
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} B"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"about {seconds:.1f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"


def _again(pool: Path, asked: dict[str, str], column: list[str]) -> str:
    options = [f"--view {name}={uri}" for name, uri in asked.items()] + [f"--from {told}" for told in column]
    return " ".join([f"modest embed {pool}", *options])
