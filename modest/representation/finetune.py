"""Fine-tuning on pairs that were bought: towers learn to bring the two rows of a pair together, away from the others.

From untrained towers over ready views (``towers``), a published CLIP or SigLIP model (``two_towers``), or any
Representation. Every round may ``continue`` (start from the last round's result) or ``restart`` (from the first one);
``start`` itself is never changed. Losses: ``clip`` and ``siglip``; LiT is ``clip`` with ``lock="image"``.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modest.checks import known
from modest.encoders.table import Table, sample
from modest.encoders.towers import Tower, standardise
from modest.neighbours.device import decide
from modest.representation.alignment import Aligning, Picked, deal
from modest.representation.bought import Bought, read_pairs, side_tables
from modest.representation.clip import Scale
from modest.representation.embedding import Embedding, Representation
from modest.representation.presets import PRESETS, Tuning
from modest.training import Batches, Kept, Plan, Ready, Run, weights_hash
from modest.training.fit import fit
from modest.types import Record

__all__ = ["finetune"]


def finetune(
    start: Representation,
    sides: Any,
    pairs: Any,
    *,
    loss: str = "clip",
    lock: str | None = None,
    plan: Plan | None = None,
    batch_size: int = 100,
    groups: Mapping[str, Any] | None = None,
    seed: int = 0,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    memory: str | int = "2GB",
    progress: Callable[[int, int], None] | None = None,
) -> Run[Representation]:
    """Prepare a fine-tuning and return it: iterate for Records, ``.result`` finishes it and gives the Representation.

    Parameters
    ----------
    start : Representation; stays as it is
    sides : {side: (n, d) array or Views of it}, for encoders of raw media {side: list of paths, texts or pixels}; or a
        Pool, of which every side has all rows
    pairs : (k, 2) rows of the first two sides of ``start``, or {(side, side): (k, 2)}; the loss is then the mean over
        these directions. A pair that comes twice counts once, and their order is of no consequence.
    loss : ``clip``, whose scale is learned and cut to 100 after each step; ``siglip``, scale and bias learned. They go
        on from ``start`` if it was trained with the same loss.
    lock : side whose tower and projector stay as they are ("image" with the CLIP loss is LiT)
    plan : left out, the preset ``small`` for towers over ready views (``adapt`` if they began as the identity), ``ttm``
        for anything else; its ``rates`` go by side and "scale"; weight decay is on all that is trained
    batch_size : pairs of a step; it changes the CLIP loss, so it belongs to every result. A batch of one is dropped.
    groups : {side: (n,) labels}: pairs whose rows of that side have one label never stand in one batch, as if they
        shared the row. Pairs that do share a row never do: two captions of one picture would be false negatives.
        ``alignment`` says how batches are dealt; over the epochs every pair is seen.
    seed : of the order of pairs and of dropout
    checkpoint : file that holds the run after every epoch and from which it goes on to the same bits
    device, memory : CUDA if there, when None; of decoded media kept between epochs
    progress : called with (epochs done, epochs)

    Raises
    ------
    ValueError
        For an unknown loss or side, no two pairs that can stand in one batch, a row that is not there, absent or not
        finite, views of another width than the towers'.

    Notes
    -----
    A tower that never was is standardised first, by mean and deviation of all rows of its side; no pair enters.

    Examples
    --------
    >>> from modest.representation import towers
    >>> x = np.random.default_rng(0).standard_normal((40, 6))
    >>> same = np.stack([np.arange(20)] * 2, axis=1)
    >>> tuned = finetune(towers({"a": 6, "b": 6}, width=8), {"a": x, "b": -x}, same).result
    >>> tuned.encode({"a": x}).arrays["a"].shape
    (40, 8)
    """
    locked = None if lock is None else start.names.index(known(lock, start.names, "lock"))
    scale = _scale(start, loss)
    tables = side_tables(start, sides, seed, memory)
    bought = read_pairs(start.names, pairs, tables, groups or {})
    dealt = partial(deal, bought.keys, batch_size)
    if batch_size < 2 or not dealt(np.random.default_rng(seed)):
        raise ValueError(
            f"no two of the {len(bought)} pairs can stand in one batch of {batch_size}; "
            "give a larger batch_size, or more pairs, of other rows."
        )
    net = copy.deepcopy(start.net)
    backbones = {name: replace(start.backbones[name], net=net.encoders[m]) for m, name in enumerate(start.names)}
    _standardise(start, net, tables)
    plan = plan or _usual(start).plan(len(bought))
    columns = [Picked(side.columns[0], bought.index[:, m]) for m, side in enumerate(tables.values())]
    rows = np.arange(len(bought))
    batches = Batches(columns, bought.present, rows, None, batch_size, seed, device=decide(device), deal=dealt)
    task = Aligning(net, scale, bought.ways, locked)
    told: dict[str, Any] = {"loss": loss, "lock": lock, "batch_size": batch_size, "seed": seed, "pairs": len(bought)}
    told |= {"plan": {**asdict(plan), "rates": dict(plan.rates)}, "first_scale": scale.told()}
    told |= {
        "first_weights": weights_hash(net),
        "content": _content(bought, tables),
        "first": start.about.get("first", ""),
    }
    told = json.loads(json.dumps(told, sort_keys=True))  # as a saved model tells it
    told["run"] = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    kept = None if checkpoint is None else Kept(Path(checkpoint), told["run"])
    history: list[dict[str, Any]] = []

    def records() -> Iterator[Record]:
        for record in fit([task], batches, _placed(plan, start.names, net, seed), None, progress, kept):
            if "losses" in record.values:
                history.append({"epoch": record.epoch, **record.values["losses"]})
            yield record

    def result() -> Representation:
        about = {**told, "scale": scale.told(), "history": history}
        return Representation(start.names, backbones, net, about, start.sources)

    return Run(records(), result, told)


def _usual(start: Representation) -> Tuning:
    """Preset where no plan is given."""
    if not all(isinstance(encoder, Tower) for encoder in start.net.encoders):
        return PRESETS["ttm"]
    return PRESETS["adapt" if start.about.get("first") == "identity" else "small"]


def _scale(start: Representation, loss: str) -> Scale:
    """Loss with the numbers ``start`` learned, if it learned them for the same loss."""
    before = start.about.get("scale") or {}
    return Scale(**before) if before.get("loss") == loss else Scale(loss)


def _standardise(start: Representation, net: Embedding, sides: Mapping[str, Table]) -> None:
    """Mean and deviation of all rows of its side for every tower that never had any."""
    if start.about.get("first") == "identity":
        return
    for encoder, side in zip(net.encoders, sides.values()):
        column = side.columns[0]
        if isinstance(encoder, Tower) and isinstance(column, Ready) and not encoder.standardised:
            standardise(encoder, column.array, np.flatnonzero(side.present[:, 0]))


def _placed(plan: Plan, names: tuple[str, ...], net: Embedding, seed: int) -> Plan:
    """The plan with its rates by place in the network instead of by side."""
    places = {name: [f"embedding.encoders.{m}"] for m, name in enumerate(names)}
    if not net.projected:
        places |= {name: [*at, f"embedding.projectors.{m}"] for m, (name, at) in enumerate(places.items())}
    places["scale"] = ["scale"]
    for name in plan.rates:
        known(name, places, "rates")
    return replace(plan, rates={at: rate for name, rate in plan.rates.items() for at in places[name]}, seed=seed)


def _content(bought: Bought, sides: Mapping[str, Table]) -> str:
    """SHA-256 of the pairs, their groups and what stands in their rows."""
    told = hashlib.sha256(bought.index.tobytes() + bought.keys.tobytes())
    for m, side in enumerate(sides.values()):
        told.update(sample(side.columns[0], np.unique(bought.index[bought.present[:, m], m])).encode())
    return told.hexdigest()
