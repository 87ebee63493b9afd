"""``modest ingest``: make a pool from a table, arrays or a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from modest.cli import output
from modest.cli.pairs import pairs


def command(
    source: Path = typer.Argument(..., help="Table (csv tsv jsonl parquet), .npy, .npz, zip of media, or a folder."),
    into: Path = typer.Option(..., "--into", help="Folder of the pool to make."),
    id: str | None = typer.Option(None, "--id", help="Column of ids; left out: 'id', or row numbers."),
    label: str | None = typer.Option(None, "--label", help="Column of labels; left out: 'label', or none."),
    split: str | None = typer.Option(None, "--split", help="Column of train/val/test; left out: 'split', or train."),
    view: list[str] = typer.Option(
        [], "--view", help="NAME to keep, or NAME=PLACE: an array, 'mfcc_*', file.npy or file.npz:key. Repeatable."
    ),
    column: list[str] = typer.Option([], "--column", help="Raw column to keep, NAME or NEW=OLD; left out: all."),
    standardise: bool = typer.Option(False, "--standardise", help="Centre and scale features by the training rows."),
    layout: str | None = typer.Option(
        None, "--layout", help="SOURCE is a folder of a public data set: food101, crema_d, iemocap:session=3 ..."
    ),
    unpair: str = typer.Option(
        "", "--unpair", help="image,text: take training rows apart, the truth in a file, to rehearse pairing."
    ),
    append: bool = typer.Option(False, "--append", help="Add the items at the end of the pool that is there."),
    json: bool = output.JSON,
) -> None:
    """Read a table of items into a pool folder.

    Example: modest ingest items.csv --into pool --label type --view image=features.npz:image
    """
    from modest.data.ingest import ingest

    with output.progress("writing views", hidden=json) as progress:
        pool = ingest(
            source,
            into,
            id=id,
            label=label,
            split=split,
            views=pairs(view, "--view", "NAME=PLACE", bare=True) or None,
            columns=pairs(column, "--column", "NEW=OLD", bare=True) or None,
            standardise=standardise,
            layout=layout,
            append=append,
            unpair=[name.strip() for name in unpair.split(",") if name.strip()],
            progress=progress,
        )
    present, labels = pool.present, pool.labels
    absent = {name: float(1 - share) for name, share in zip(pool.names, present.mean(axis=0))}
    known = int(sum(value is not None for value in labels))
    payload: dict[str, Any] = {
        "pool": str(into),
        "items": len(pool),
        "modalities": list(pool.names),
        "absent": absent,
        "classes": len(pool.classes),
        "labelled": known,
        "lost_files": pool.config["lost"],
        "notes": pool.config.get("notes", []),
    }
    text = [
        f"{len(pool)} items in {into}, {len(pool.classes)} classes, {known} items labelled",
        *(f"  {name}: {pool.width(name)} features, {absent[name]:.1%} absent" for name in pool.names),
        *(f"  {name}: {count} files were not found" for name, count in pool.config["lost"].items()),
        *(f"  note: {sentence}" for sentence in pool.config.get("notes", [])),
    ]
    ready = pool.names and not pool.short
    following = f"modest select {into} --budget 0.01" if ready else pool.embed_command()
    output.finish(payload, json, text, following)
