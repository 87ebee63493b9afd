"""``modest data mask``: which modalities of a pool's items are hidden, drawn once and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from modest.cli import output


def command(
    pool: Path = typer.Argument(..., help="Folder of the pool."),
    rate: list[str] = typer.Option([], help="Share of cells to hide: RATE, or SPLIT=RATE. Repeatable."),
    absent: list[str] = typer.Option([], help="Hide this modality wholly: MODALITY, or SPLIT=MODALITY. Repeatable."),
    like: Path = typer.Option(None, help="Draw patterns as often as the rows of this pool have them."),
    incomplete: bool = typer.Option(False, "--incomplete", help="Each row gets one of the incomplete patterns (MMIN)."),
    modality: list[str] = typer.Option([], help="Modalities to mask; left out, all that have views. Repeatable."),
    name: str = typer.Option("mask", help="Written as masks/NAME.npz in the pool."),
    seed: int = output.SEED,
    json: bool = output.JSON,
) -> None:
    """Draw a mask of missing modalities, for `modest train --mask` and `modest evaluate --mask`; the pool stays whole.

    Every item that has a modality keeps one. Several laws together hide what any of them hides.

    Example: modest data mask pool --rate train=0.3 --rate test=0.5 --name torn
    """
    import numpy as np

    from modest.data.hidden import FOLDER, Mask
    from modest.data.masks import kept_one
    from modest.data.pool import open as open_pool
    from modest.data.presence import achieved_rate

    if not (rate or absent or like or incomplete):
        raise ValueError("nothing says what to hide; give --rate, --absent, --like or --incomplete.")
    if like and incomplete:
        raise ValueError("--like and --incomplete both say which patterns there are; give one of them.")
    if Path(name).name != name or name in (".", ".."):
        raise ValueError(f"--name {name!r} must be a plain file name; it is put under masks/.")
    table = open_pool(pool)
    names = tuple(modality) or table.names
    if len(names) < 2:
        raise ValueError(f"a mask needs two modalities, and {pool} has views of {len(names)}; name them by --modality.")
    held = dict(zip(table.names, table.present.T))  # what raw media without a view hold, only a training finds out
    own = np.stack([held.get(one, np.ones(len(table), dtype=bool)) for one in names], axis=1)
    left = kept_one(own, _blocks(table, names, absent), seed, table.ids)
    left = kept_one(left, _drawn(table, names, rate, like, incomplete, seed), seed, table.ids)
    about = {"rate": rate, "absent": absent, "like": None if like is None else str(like), "incomplete": incomplete}
    mask = Mask(table.ids, names, left, {**about, "seed": seed})
    path = mask.save(table.path / FOLDER / f"{name}.npz")
    splits = {split: achieved_rate(left[table.split == split]) for split in dict.fromkeys(table.split.tolist())}
    told = [f"mask of {', '.join(names)} in {path}", f"SHA-256 {mask.sha256}"]
    told += [f"{split}: {100 * gone:.1f} % of the cells are missing" for split, gone in splits.items()]
    payload = {"mask": str(path), "sha256": mask.sha256, "rate": mask.rate, "splits": splits}
    output.finish(payload, json, told, f"modest train {pool} --mask {name}")


def _drawn(table: Any, names: tuple[str, ...], rate: list[str], like: Path | None, incomplete: bool, seed: int) -> Any:
    """What cells at a rate and drawn patterns leave, (n, M) bool."""
    import numpy as np

    from modest.data.masks import incomplete_patterns, pattern_mask, split_mask
    from modest.data.pool import open as open_pool
    from modest.evaluation.patterns import found_patterns

    n, modalities = len(table), len(names)
    mask = np.ones((n, modalities), dtype=bool)
    if rate:
        mask &= split_mask(table.ids, table.split, modalities, _rates(rate), seed)
    if like is not None:
        held = open_pool(like).views(names).present
        found = found_patterns(np.ones((1, modalities), dtype=bool) if held is None else held)
        mask &= pattern_mask(n, *found, seed, table.ids)
    if incomplete:
        mask &= pattern_mask(n, incomplete_patterns(modalities), None, seed, table.ids)
    return mask


def _blocks(table: Any, names: tuple[str, ...], absent: list[str]) -> Any:
    """What modalities that are wholly absent, from all rows or those of a split, leave, (n, M) bool."""
    import numpy as np

    from modest.data.masks import block_mask

    blocks: dict[str, list[int]] = {}
    for told in absent:
        split, _, one = told.rpartition("=")
        if one not in names:
            raise ValueError(f"--absent {told!r} names no modality of the mask; it has {', '.join(names)}.")
        blocks.setdefault(split, []).append(names.index(one))
    mask = np.ones((len(table), len(names)), dtype=bool)
    for split, gone in blocks.items():
        at = table.split == split if split else np.ones(len(table), dtype=bool)
        if not at.any():
            raise ValueError(f"--absent {split}={names[gone[0]]} names a split of which there is no row.")
        mask &= block_mask(len(table), len(names), gone, at)
    return mask


def _rates(told: list[str]) -> Any:
    """One number, or split -> number."""
    from modest.cli.pairs import number, pairs

    if len(told) == 1 and "=" not in told[0]:
        return number("--rate", "RATE", told[0])
    return {split: number("--rate", split, value) for split, value in pairs(told, "--rate", "SPLIT=RATE").items()}
