"""Stage 1 on a pool, whole: train, keep the model, write the views of every row, and be the default from then on.

On disk, in this order, so that a run killed anywhere is taken up by the same call: ``models/<name>/run.safetensors``
(the training under way), ``models/<name>/`` (weights, then config), ``views/<modality>/<name>`` (array, then json), the
pool's config; last the training's own file is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from modest.data import files
from modest.data.pool import Pool
from modest.data.writing import write_view
from modest.encoders.presets import preset
from modest.encoders.table import Table
from modest.representation.embedding import FORMAT, KIND, Representation
from modest.representation.objective import Objective
from modest.representation.pretrain import pretrain, ready_names
from modest.training import Plan, World, read_config

__all__ = ["of_preset", "represent"]

Progress = Callable[[int, int], None]
CHECKPOINT = "run.safetensors"


def of_preset(name: str) -> dict[str, Any]:
    """Arguments of :func:`pretrain` that a preset of the paper stands for, e.g. "food101/pretraining".

    Raises
    ------
    ValueError
        For an unknown preset, or one that does not pretrain.
    """
    told = preset(name)
    if told.prototypes is None or told.temperature is None:
        raise ValueError(f"preset {name!r} is for modest train; here take {told.data}/pretraining.")
    encoders = {
        m: {**knobs, **({"weights": told.weights[m]} if told.weights[m] else {})} for m, knobs in told.backbones.items()
    }
    plan = Plan(
        epochs=told.epochs,
        lr=told.lr["projectors"],
        optimizer=told.optimizer,
        weight_decay=told.weight_decay,
        schedule=told.schedule,
        betas=told.betas,
        warmup=told.warmup,
        rates={group.removeprefix("encoders."): rate for group, rate in told.lr.items()},
    )
    objective = Objective(told.prototypes, told.temperature)
    return {
        "encoders": encoders,
        "objective": objective,
        "plan": plan,
        "batch_size": told.batch,
        "width": told.width,
    }


def represent(
    pool: Pool | str | Path,
    encoders: Mapping[str, Any] | None = None,
    *,
    name: str = "stage1",
    fresh: bool = False,
    world: World | None = None,
    progress: Progress | None = None,
    device: str | None = None,
    memory: str | int = "2GB",
    **settings: Any,
) -> Representation:
    """Train stage 1 on a pool's training rows and write the views of all rows, which become the default ones.

    Parameters
    ----------
    pool : Pool or its folder
    encoders, settings : of :func:`pretrain`
    name : of the model under ``models/`` and of the views
    fresh : train again though there is a model of this name
    world : several processes; the first one writes
    progress : called with (epochs done, epochs) and then, per modality, (rows written, rows)

    Returns
    -------
    Representation.

    Raises
    ------
    ValueError
        If there is a model of this name trained otherwise, or for what :func:`pretrain` and the views refuse.
    """
    pool, world = Pool(pool) if isinstance(pool, (str, Path)) else pool, world or World()
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"name={name!r} must be a plain folder name; it is put under models/.")
    folder = pool.path / "models" / name
    if fresh and world.main:
        _forget(pool, name)
    world.wait()
    settings["sources"] = _sources(pool, encoders, folder, settings.get("sources") or {})
    where: dict[str, Any] = {"world": world, "progress": progress, "device": device, "memory": memory}
    run = pretrain(pool, encoders, checkpoint=folder / CHECKPOINT, **where, **settings)
    done = (folder / "config.json").is_file()
    if done and read_config(folder, {KIND: FORMAT})["about"].get("run") != run.about["run"]:
        raise ValueError(f"{folder} was trained with other settings or data; give another name, or ask for it fresh.")
    made = Representation.from_config(folder, read_config(folder, {KIND: FORMAT}), device) if done else run.result
    if world.main:
        if not done:
            made.save(folder)
        _write_views(pool, made, name, progress, device, memory)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    world.wait()
    return made


def _sources(
    pool: Pool, encoders: Mapping[str, Any] | None, folder: Path, given: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Which ready views are read, by name: those given, those this model was trained on before, or the default ones.

    The default ones are this model's own, once it is finished.
    """
    before: dict[str, str] = {}
    if (folder / "config.json").is_file():
        before = read_config(folder, {KIND: FORMAT})["sources"].get("encoders", {})
    asked = dict(given.get("encoders", {}))
    for name in ready_names(pool.names if encoders is None else encoders):
        asked[name] = asked.get(name) or before.get(name) or pool.encoder(name)
    return {"encoders": asked, "columns": dict(given.get("columns", {}))}


def _forget(pool: Pool, name: str) -> None:
    """Remove a model and its views, descriptions first."""
    shutil.rmtree(pool.path / "models" / name, ignore_errors=True)
    for place in (pool.path / "views").glob(f"*/{name}.json"):
        place.unlink()


def _write_views(
    pool: Pool, made: Representation, name: str, progress: Progress | None, device: str | None, memory: str | int
) -> None:
    """Views of every modality that are not there yet from this run, and the pool's config that names them."""
    whole, run = made.table(pool, memory), str(made.about["run"])
    for modality in made.names:
        about = pool.path / "views" / modality / f"{name}.json"
        if about.is_file() and files.read_json(about).get("revision") == run:
            continue
        about.unlink(missing_ok=True)
        feature = made.feature(whole, modality, device)
        write_view(pool.path, modality, name, feature, pool.ids, revision=run, progress=progress)
        _tell_unreadable(about.with_suffix(".skipped.csv"), whole, modality)
    config = files.read_json(pool.path / "config.json")
    config["modalities"] = {**config["modalities"], **dict.fromkeys(made.names, name)}
    files.write_json(pool.path / "config.json", config)
    pool.config["modalities"] = config["modalities"]


def _tell_unreadable(path: Path, whole: Table, modality: str) -> None:
    """List what could not be read: id and reason."""
    import pandas as pd

    found = whole.unreadable.get(modality, {})
    path.unlink(missing_ok=True)
    if found:
        rows = sorted(found)
        frame = pd.DataFrame({"id": whole.ids[rows], "reason": [found[row] for row in rows]})
        with files.replacing(path) as temporary:
            frame.to_csv(temporary, index=False)
