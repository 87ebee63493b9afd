"""Stage 1 from a table to a representation: what is trained, on which rows, by which numbers. See ``objective``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from modest.checks import as_views, row_numbers
from modest.data.files import rows_hash
from modest.data.pool import Pool
from modest.encoders.spec import Spec, backbone_of, ready_names
from modest.encoders.table import Table, sample, table
from modest.encoders.towers import Tower, standardise
from modest.encoders.trainable import Backbone
from modest.neighbours.device import decide
from modest.representation.embedding import Embedding, Representation
from modest.representation.objective import Objective, Pretraining
from modest.training import Batches, Kept, Plan, Ready, Run, World, weights_hash
from modest.training.fit import fit
from modest.types import Int, Record, Views

__all__ = ["PLAN", "pretrain"]

# of the paper where it names one value for all sets; epochs and rates are those of the small towers over ready views
PLAN = Plan(epochs=25, lr=1e-3, weight_decay=0.02, betas=(0.9, 0.95), schedule="cosine", warmup=5)
HIDDEN = 512


def pretrain(
    data: Any,
    encoders: Mapping[str, Spec] | None = None,
    *,
    objective: Objective | None = None,
    plan: Plan | None = None,
    batch_size: int = 256,
    width: int = 512,
    rows: Int | None = None,
    sources: Mapping[str, Mapping[str, str]] | None = None,
    seed: int = 0,
    device: str | None = None,
    memory: str | int = "2GB",
    checkpoint: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    world: World | None = None,
) -> Run[Representation]:
    """Prepare stage 1 and return it: iterate for Records, ``.result`` finishes it and gives the Representation.

    Parameters
    ----------
    data : Pool, Views or mapping name -> (n, d_m) array
    encoders : modality -> Backbone, name of ``encoders.BACKBONES``, or {"name": ..., knobs}
        Left out, a small network (``mlp``) over every view.
    objective : Objective
    plan : Plan, left out PLAN; its ``rates`` go by modality name and "projectors"
    batch_size : rows of a step over all processes; a last batch that is not full is left out
    width : features of the common space, 512 in the paper
    rows : (k,) rows to train on; left out, split "train" of a Pool, else all. No label is looked at.
    sources : {"encoders": {modality: encoder of its ready view}, "columns": {modality: raw column}}, where needed
    seed : of first weights, order of rows, augmentation, dropout, k-means
    memory : of decoded media kept between epochs
    checkpoint : file that holds the run after every epoch and from which it goes on; removed by nobody but the caller

    Raises
    ------
    ValueError
        For fewer than two modalities, an unknown encoder or knob, too few rows, or media none of which can be read.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32)
    >>> plan = Plan(epochs=2, warmup=1, schedule="cosine")
    >>> run = pretrain({"a": x, "b": x[:, ::-1]}, plan=plan, objective=Objective(4), batch_size=32, width=8)
    >>> run.result.encode({"a": x, "b": x}).shape
    {'a': (64, 8), 'b': (64, 8)}
    """
    objective, plan, world = objective or Objective(), plan or PLAN, world or World()
    generator = torch.Generator().manual_seed(seed)
    given = _given(data, encoders)
    if len(given) < 2:
        raise ValueError(f"pretraining aligns modalities and there is {', '.join(given) or 'none'}; give at least two.")
    widths = _widths(data, given, sources)
    backbones = {name: backbone_of(spec, widths.get(name), generator, hidden=(HIDDEN,)) for name, spec in given.items()}
    where_from = sources or {}
    readings = {name: backbone.reading for name, backbone in backbones.items()}
    columns, views = where_from.get("columns"), where_from.get("encoders")
    whole = table(data, readings, encoders=views, columns=columns, seed=seed, memory=memory)
    taken = _rows(data, whole, rows)
    net = Embedding(list(backbones.values()), width, generator)
    for m, backbone in enumerate(backbones.values()):
        column = whole.columns[m]
        if isinstance(backbone.net, Tower) and isinstance(column, Ready) and not backbone.net.standardised:
            standardise(backbone.net, column.array, taken[whole.present[taken, m]])
    size = min(batch_size, len(taken))
    plan = _plan(plan, list(backbones), seed)
    if objective.warmup is None:  # the last epoch has prototypes, however short the run
        objective = replace(objective, warmup=min(plan.warmup, plan.epochs - 1))
    objective.check(plan.epochs, {name: int(k) for name, k in zip(whole.names, whole.present[taken].sum(axis=0))})
    part, where = (world.rank, world.size), decide(device)
    batches = Batches(whole.columns, whole.present, taken, None, size, seed, whole=True, part=part, device=where)
    still = Batches(whole.columns, whole.present, taken, None, size, seed, False, 0.0, where, augment=False, part=part)
    task = Pretraining(list(backbones), net, objective, still, seed, world)
    about = _about(backbones, objective, plan, size, width, seed, whole, taken)
    about["run"] = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    kept = None if checkpoint is None else Kept(Path(checkpoint), about["run"])
    history: list[dict[str, Any]] = []

    def records() -> Iterator[Record]:
        _refuse_unreadable(whole, taken)
        for record in fit([task], batches, plan, None, progress, kept, world):
            if "losses" in record.values:
                if not record.values["losses"]:
                    raise ValueError("no batch has a row of which two modalities can be read; add rows that have two.")
                history.append({"epoch": record.epoch, **record.values["losses"]})
            yield record

    def result() -> Representation:
        return Representation(list(backbones), backbones, net, {**about, "history": history}, sources)

    return Run(records(), result, about)


def _given(data: Any, encoders: Mapping[str, Spec] | None) -> dict[str, Spec]:
    if encoders is not None:
        return dict(encoders)
    names = data.names if isinstance(data, (Pool, Views)) else tuple(data)
    return dict.fromkeys(names, "mlp")


def _widths(data: Any, given: Mapping[str, Spec], sources: Mapping[str, Mapping[str, str]] | None) -> dict[str, int]:
    """Features of each ready view that a tower is to be built over."""
    ready = [name for name in ready_names(given) if not isinstance(given[name], Backbone)]
    if not isinstance(data, Pool):
        return {name: shape[1] for name, shape in as_views(data).shape.items()}
    if not ready:
        return {}
    encoders = (sources or {}).get("encoders", {})
    return {name: shape[1] for name, shape in data.views({m: encoders.get(m, "") for m in ready}).shape.items()}


def _rows(data: Any, whole: Table, rows: Int | None) -> Int:
    """Rows to train on: those asked for, or split train of a pool; without those that have no modality."""
    if rows is not None:
        taken = row_numbers(rows, len(whole))
    else:
        taken = np.flatnonzero(data.split == "train") if isinstance(data, Pool) else np.arange(len(whole))
    taken = taken[whole.present[taken].any(axis=1)]
    if len(taken) < 4:
        raise ValueError(f"there are {len(taken)} rows to train on; pretraining needs at least 4, and wants thousands.")
    if not (whole.present[taken].sum(axis=1) > 1).any():
        raise ValueError("no row to train on has two modalities, so there is nothing to align; add rows that have two.")
    return taken


def _refuse_unreadable(whole: Table, rows: Int) -> None:
    """Stop before training when there are values of a modality and none can be read."""
    for m, name in enumerate(whole.names):
        if whole.present[rows, m].any() and not whole.readable(m, rows):
            told = next(iter(whole.unreadable[name].values())).rstrip(".")
            raise ValueError(f"no value of {name} can be read (the first: {told}); name another column for it.")


def _plan(plan: Plan, names: list[str], seed: int) -> Plan:
    """The plan with its rates by place in the network instead of by modality."""
    place = {**{name: f"encoders.{m}" for m, name in enumerate(names)}, "projectors": "projectors"}
    for name in plan.rates:
        if name not in place:
            raise ValueError(f"rates names {name!r}; known: {', '.join(place)}.")
    return replace(plan, rates={place[name]: rate for name, rate in plan.rates.items()}, seed=seed)


def _about(
    backbones: Mapping[str, Backbone],
    objective: Objective,
    plan: Plan,
    batch_size: int,
    width: int,
    seed: int,
    whole: Table,
    taken: Int,
) -> dict[str, Any]:
    """Everything that decides the outcome, for the record and for the digest that guards a checkpoint."""
    return {
        "encoders": {name: dict(backbone.config) for name, backbone in backbones.items()},
        "first_weights": {name: weights_hash(backbone.net) for name, backbone in backbones.items()},
        "objective": asdict(objective),
        "plan": {**asdict(plan), "rates": dict(plan.rates)},
        "batch_size": batch_size,
        "width": width,
        "seed": seed,
        "rows": rows_hash(whole.ids[taken]),
        "items": len(taken),
        "content": {name: sample(column, taken) for name, column in zip(whole.names, whole.columns)},
    }
