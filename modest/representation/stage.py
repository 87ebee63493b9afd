"""Stage 1 on a pool, whole: train, keep the model, write the views of every row, and be the default from then on.

On disk, in this order, so that a run killed anywhere is taken up by the same call: ``models/<name>/run.safetensors``
(the training under way), ``models/<name>/`` (weights, then config), ``views/<modality>/<name>`` (made in a hidden
folder and moved into place, the json last), the pool's config; last the training's own file is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modest.data import files, stored
from modest.data.pool import Pool
from modest.data.writing import write_view
from modest.encoders import ready
from modest.encoders.presets import preset
from modest.encoders.shards import Target
from modest.encoders.spec import ready_names
from modest.encoders.table import Table
from modest.representation.embedding import FORMAT, KIND, Representation
from modest.representation.objective import Objective
from modest.representation.pretrain import pretrain
from modest.training import Kept, Plan, World, read_config, resume

__all__ = ["extend", "of_preset", "refuse_other_views", "replanned", "represent"]

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
    plan = Plan(
        epochs=told.epochs,
        lr=told.lr["projectors"],
        optimizer=told.optimizer,
        weight_decay=told.weight_decay,
        schedule=told.schedule,
        betas=told.betas,
        warmup=told.warmup,
        rates=told.rates,
    )
    objective = Objective(told.prototypes, told.temperature)
    return {
        "encoders": told.encoders,
        "objective": objective,
        "plan": plan,
        "batch_size": told.batch,
        "width": told.width,
    }


def replanned(plan: Plan, **numbers: Any) -> Plan:
    """A plan with some numbers changed; a warm-up for which fewer epochs leave no room becomes a fifth of them.

    Examples
    --------
    >>> replanned(Plan(epochs=25, warmup=5), epochs=5).warmup, replanned(Plan(epochs=25, warmup=5), epochs=6).warmup
    (1.0, 5)
    """
    epochs = numbers.get("epochs", plan.epochs)
    if "warmup" not in numbers and epochs <= plan.warmup:
        numbers["warmup"] = epochs / 5
    return replace(plan, **numbers)


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
    fresh : train again though there is a model of this name; one that was cut while it was so trained goes on
    world : several processes; the first one writes
    progress : called with (epochs done, epochs) and then, per modality, (rows written, rows)

    Returns
    -------
    Representation.

    Raises
    ------
    ValueError
        If a model or a view of this name is something else or was trained otherwise, and for what :func:`pretrain`
        refuses; nothing is removed or written then.
    """
    pool, world = Pool(pool) if isinstance(pool, (str, Path)) else pool, world or World()
    if Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"name={name!r} must be a plain folder name; it is put under models/.")
    folder = pool.path / "models" / name
    settings["sources"] = _sources(pool, encoders, name, settings.get("sources") or {})
    where: dict[str, Any] = {"world": world, "progress": progress, "device": device, "memory": memory}
    run = pretrain(pool, encoders, checkpoint=folder / CHECKPOINT, **where, **settings)
    refuse_other_views(pool, name, run.about["encoders"])
    world.wait()
    if fresh and world.main and not _under_way(Kept(folder / CHECKPOINT, run.about["run"])):
        _forget(pool, name)
    world.wait()
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


def extend(
    pool: Pool | str | Path,
    *,
    name: str = "stage1",
    progress: Progress | None = None,
    device: str | None = None,
    memory: str | int = "2GB",
) -> Representation:
    """Write the views of every row by a model that is there, untrained any further: for rows that were appended.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or it is no representation.
    """
    pool = Pool(pool) if isinstance(pool, (str, Path)) else pool
    folder = pool.path / "models" / name
    made = Representation.from_config(folder, read_config(folder, {KIND: FORMAT}), device)
    _write_views(pool, made, name, progress, device, memory)
    return made


def _sources(
    pool: Pool, encoders: Mapping[str, Any] | None, name: str, given: Mapping[str, Mapping[str, str]]
) -> dict[str, dict[str, str]]:
    """Which ready views are read, by name: those given, those this model was trained on before, or the default ones."""
    before: dict[str, str] = {}
    folder = pool.path / "models" / name
    if (folder / "config.json").is_file():
        before = read_config(folder, {KIND: FORMAT})["sources"].get("encoders", {})
    asked = dict(given.get("encoders", {}))
    for modality in ready_names(pool.names if encoders is None else encoders):
        asked[modality] = asked.get(modality) or before.get(modality) or pool.encoder(modality)
        if asked[modality] == name:
            raise ValueError(
                f"{modality} would be trained on the view {modality}={name}, which this run writes; give another name, "
                f"or another view: mlp?view=ENCODER for {modality}."
            )
    return {"encoders": asked, "columns": dict(given.get("columns", {}))}


def refuse_other_views(pool: Pool, name: str, modalities: Iterable[str]) -> None:
    """Leave alone what another encoder wrote."""
    for modality in modalities:
        about = pool.path / "views" / modality / f"{name}.json"
        if about.is_file() and not stored.trained(pool.path, modality, name):
            raise ValueError(f"{modality}={name} is a view that another encoder made; give another name.")


def _under_way(kept: Kept) -> bool:
    """Whether this very run was begun and cut."""
    try:
        return resume.read(kept) is not None
    except ValueError:
        return False


def _forget(pool: Pool, name: str) -> None:
    """Remove a model and its views, descriptions first."""
    for about in (pool.path / "views").glob(f"*/{name}.json"):
        if stored.trained(pool.path, about.parent.name, name):
            about.unlink()
    shutil.rmtree(pool.path / "models" / name, ignore_errors=True)


def _write_views(
    pool: Pool, made: Representation, name: str, progress: Progress | None, device: str | None, memory: str | int
) -> None:
    """Views of every modality that are not there yet from this run, and the pool's config that names them."""
    whole, width = made.table(pool, memory), made.net.width
    same = {"revision": str(made.about["run"]), "rows": pool.config["rows"]}
    for modality in made.names:
        target = Target(pool.path / "views" / modality, name, len(pool), width, np.dtype(np.float32))
        hidden = pool.path / "views" / f".{modality}.{name}.partial"
        shutil.rmtree(hidden, ignore_errors=True)
        about = files.read_json(target.path(".json")) if target.path(".json").is_file() else {}
        if {key: about.get(key) for key in same} == same:
            continue
        feature = made.feature(whole, modality, device)
        write_view(hidden, modality, name, feature, pool.ids, revision=same["revision"], progress=progress)
        _tell_unreadable(hidden / "views" / modality / f"{name}.skipped.csv", whole, modality)
        ready.move(hidden / "views" / modality, target)
        shutil.rmtree(hidden)
    config = files.read_json(pool.path / "config.json")
    config["modalities"] = {**config["modalities"], **dict.fromkeys(made.names, name)}
    files.write_json(pool.path / "config.json", config)
    pool.config["modalities"] = config["modalities"]


def _tell_unreadable(path: Path, whole: Table, modality: str) -> None:
    """List what could not be read: id and reason."""
    import pandas as pd

    found = whole.unreadable.get(modality, {})
    if found:
        rows = sorted(found)
        pd.DataFrame({"id": whole.ids[rows], "reason": [found[row] for row in rows]}).to_csv(path, index=False)
