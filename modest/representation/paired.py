"""Fine-tuning on a pool: its known and bought pairs in, a model under ``models/`` and the views of every row out.

The new views become the pool's default, so that the next round chooses by them. What was trained on stays in the
model's config, so that a later round trains on the same ready views and not on its own. Every round either restarts
from the first weights or continues from the model of this name. A killed run goes on: ``pairs.safetensors`` in the
model's folder holds it until the views are written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from modest.checks import known
from modest.data import pairs as known_pairs
from modest.data.pool import Pool
from modest.encoders.encoder import missing
from modest.encoders.raw import column_of, values_of
from modest.representation.embedding import FORMAT, KIND, Representation
from modest.representation.finetune import finetune
from modest.representation.presets import MODELS, tuning
from modest.representation.stage import extend, refuse_other_views, replanned
from modest.representation.towers import towers, two_towers
from modest.training import read_config
from modest.training.checkpoints import write_atomically
from modest.types import Int, Views

__all__ = ["SMALL", "learn_pairs"]

CHECKPOINT, ASIDE = "pairs.safetensors", "before"
SMALL: Mapping[str, tuple[int, ...]] = {"linear": (), "mlp": (512,)}  # hidden layers
Pairs = dict[tuple[str, str], Int]


def learn_pairs(
    pool: Pool | str | Path,
    what: str = "linear",
    *,
    name: str = "pairs",
    loss: str | None = None,
    lock: str | None = None,
    preset: str | None = None,
    again: bool = False,
    width: int = 128,
    views: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    split: str | None = "train",
    batch_size: int | None = None,
    seed: int = 0,
    device: str | None = None,
    memory: str | int = "2GB",
    progress: Callable[[int, int], None] | None = None,
    **numbers: Any,
) -> Representation:
    """Train on all pairs that a pool knows and write the views of every row.

    Parameters
    ----------
    what : "linear" or "mlp", towers over the pool's ready views; or a name of ``presets.MODELS``, alone (then it comes
        from the hub) or NAME=FOLDER, on the raw columns image and text
    name : of the model and its views
    loss, lock : as :func:`finetune`; left out, those of the model, ``clip`` and none for towers
    preset : name in ``presets.PRESETS``; left out, ``small`` for towers, ``ttm`` for a model. Of a preset that lowers
        the rate at each restart, the pool's rounds of queries are counted.
    again : continue from the model of this name, if there is one and anything is new; else restart from the first
        weights
    width, views : of towers: features of their space; side -> encoder of the view they stand on
    columns : of a model: side -> raw column, where it is not called like the side
    split : whose rows and pairs are used; None for all
    numbers : of the Plan, in place of the preset's

    Raises
    ------
    ValueError
        For what :func:`finetune` refuses, unknown names, a pool without pairs, or a name that another model or encoder
        has.
    """
    pool = Pool(pool) if isinstance(pool, (str, Path)) else pool
    kind, _, place = what.partition("=")
    folder, model = _folder(pool, name), MODELS.get(known(kind, (*SMALL, *MODELS), "towers"))
    before = read_config(folder, {KIND: FORMAT}) if (folder / "config.json").is_file() else {}
    again = again and bool(before)
    refuse_other_views(pool, name, pool.names)
    if again and before["about"].get("towers") != what:
        raise ValueError(f"{folder} was not trained with towers={what!r}; restart, or name what it was trained with.")
    if model is None:
        sources = _sources(pool, name, views, before)
        sides, rows = known_pairs.sides(pool, sources, split)
        pairs = known_pairs.bought(pool, rows)
        start = _aside(folder) if again else _small(SMALL[kind], sides, sources, width, seed)
    else:
        start = _aside(folder) if again else two_towers(place or kind)
        start.sources = {"columns": {**start.sources.get("columns", {}), **(columns or {})}}
        pairs = _raw(pool, start.sources["columns"], split)
    told = tuning(preset or ("small" if model is None else "ttm"))
    rounds = 0 if again else max(0, len(known_pairs.query_rounds(pool.path)) - 1)
    training = finetune(
        start, pool if model else sides, pairs, loss=loss or (model.loss if model else "clip"),
        lock=lock or (model.lock if model else None),
        plan=replanned(told.plan(sum(map(len, pairs.values())), rounds), **numbers),
        batch_size=batch_size or told.batch_size, seed=seed, checkpoint=folder / CHECKPOINT, device=device,
        memory=memory, progress=progress,
    )  # fmt: skip
    if not _learned(before, training.about, again):
        made = training.result
        made.about |= {"towers": what, "round": "continue" if again else "restart"}
        made.save(folder)
    made = extend(pool, name=name, progress=progress, device=device, memory=memory)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    (folder / ASIDE / "config.json").unlink(missing_ok=True)
    shutil.rmtree(folder / ASIDE, ignore_errors=True)
    return made


def _learned(before: Mapping[str, Any], about: Mapping[str, Any], again: bool) -> bool:
    """Whether the model that is there learned this already; to continue, with whatever first weights."""
    apart = ("run", "first_weights", "first_scale", "first") if again else ()
    return bool(before) and all(before["about"].get(key) == value for key, value in about.items() if key not in apart)


def _aside(folder: Path) -> Representation:
    """The model to continue from, in a copy that stays until what continues it is whole."""
    aside, config = folder / ASIDE, (folder / "config.json").read_bytes()
    kept = aside / "config.json"
    if not kept.is_file() or kept.read_bytes() != config:
        aside.mkdir(exist_ok=True)
        kept.unlink(missing_ok=True)
        shutil.copyfile(folder / "model.safetensors", aside / "model.safetensors")
        write_atomically(kept, config)
    return Representation.from_config(aside, read_config(aside, {KIND: FORMAT}))


def _folder(pool: Pool, name: str) -> Path:
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"name={name!r} must be a plain folder name; it is put under models/.")
    return pool.path / "models" / name


def _sources(pool: Pool, name: str, views: Mapping[str, str] | None, before: Mapping[str, Any]) -> dict[str, str]:
    """Views that towers stand on: those given, those of the earlier rounds, the pool's default ones."""
    found = dict(before.get("sources", {}).get("encoders", {})) | dict(views or {})
    if not found:
        found = {side: pool.encoder(side) for side in pool.names}
    for side, encoder in found.items():
        if encoder == name:
            raise ValueError(f"{side} would be trained on its own view {side}={name}; give another name, or views.")
    return found


def _small(
    hidden: tuple[int, ...], sides: Mapping[str, Views], sources: Mapping[str, str], width: int, seed: int
) -> Representation:
    """Untrained towers over the views of a pool, which they remember."""
    start = towers({name: side.shape[name][1] for name, side in sides.items()}, width, hidden, seed)
    start.sources = {"encoders": dict(sources), "columns": {}}
    return start


def _raw(pool: Pool, columns: Mapping[str, str], split: str | None) -> Pairs:
    """Pairs of the raw columns image and text, in the frame of the pool."""
    inside = np.ones(len(pool), dtype=bool) if split is None else pool.split == split
    rows = {}
    for side in ("image", "text"):
        values = values_of(pool, column_of(pool, side, columns))
        rows[side] = np.flatnonzero(inside & ~np.array([missing(value) for value in values]))
    found = known_pairs.bought(pool, rows)
    return {(a, b): np.stack([rows[a][two[:, 0]], rows[b][two[:, 1]]], axis=1) for (a, b), two in found.items()}
