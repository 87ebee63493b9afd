"""Buffers of a stream: so many items of every side at a time, each by its id, and the query about one of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from modest.data.keys import keys
from modest.types import Ids, Query

Buffer = Mapping[str, Mapping[str, Any]]  # side -> id -> item


@dataclass(frozen=True, eq=False)
class BufferQuery(Query):
    """A query about one buffer: rows and shortlists count the items of that buffer, carried ones included.

    ``names`` {side: (n,) ids} and ``items`` {side: n items as they were given} say which these are.
    """

    names: Mapping[str, Ids] = field(default_factory=dict)
    items: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def gather(sides: Mapping[str, Iterable[tuple[str, Any]]], size: int) -> Iterator[Buffer]:
    """Buffers of ``size`` items per side, from one stream of (id, item) per side, which may end at different times.

    Raises
    ------
    ValueError
        If an id comes twice in one buffer.
    """
    left = {name: iter(stream) for name, stream in sides.items()}
    while True:
        buffer = {name: _distinct(name, islice(stream, _positive(size))) for name, stream in left.items()}
        if not any(buffer.values()):
            return
        yield buffer


def parted(samples: Iterable[Any], size: int, fields: Mapping[str, str], *, seed: int = 0) -> Iterator[Buffer]:
    """Buffers of ``size`` samples taken apart, every side shuffled on its own: a simulated stream of unpaired items.

    Parameters
    ----------
    samples : iterable of :class:`modest.data.sample_stream.Sample`, or of anything with ``id`` and ``fields``
    size : samples per buffer; the last one may have fewer
    fields : {side: name of the sample's field}, e.g. ``{"image": "jpg", "text": "txt"}``
    seed : of the order

    Yields
    ------
    {side: {id: item}}. An id is eight hexadecimal digits drawn by (seed, side, key), a slash and the sample's id: items
    stand in that order, which tells nothing of who belongs to whom, and :class:`modest.pairing.SameKey` still can. A
    sample without a field, or with None there, adds nothing to that side.

    Raises
    ------
    ValueError
        If an id comes twice in one buffer.
    """
    stream = iter(samples)
    while some := list(islice(stream, _positive(size))):
        buffer = {}
        for side, name in fields.items():
            there = [(str(sample.id), sample.fields[name]) for sample in some if sample.fields.get(name) is not None]
            drawn = keys([key for key, _ in there], seed, f"parted/{side}").tolist()
            told = [(f"{draw >> 32:08x}/{key}", item) for draw, (key, item) in zip(drawn, there)]
            buffer[side] = _distinct(side, sorted(told, key=lambda two: two[0]))
        yield buffer


def _positive(size: int) -> int:
    if size < 1:
        raise ValueError(f"size={size} leaves nothing in a buffer; give at least 1.")
    return size


def _distinct(side: str, some: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, item in some:
        if str(name) in found:
            raise ValueError(f"the id {name!r} comes twice in one buffer of {side}; give every item an id of its own.")
        found[str(name)] = item
    return found


def carried(left: Mapping[str, Any], count: int, mode: str, seed: int, side: str) -> dict[str, Any]:
    """At most ``count`` of the items nobody was asked about, ``left`` in the order they came.

    "oldest_first" keeps those that have waited longest. "reservoir" keeps those of the smallest key drawn by (seed,
    side, id): at any time a uniform sample of all such items of the stream so far.
    """
    names = list(left)
    if mode == "reservoir" and len(names) > count:
        drawn = keys(names, seed, f"carry/{side}")
        stay = set(np.argsort(drawn, kind="stable")[:count].tolist())
        names = [name for k, name in enumerate(names) if k in stay]
    return {name: left[name] for name in names[:count]}
