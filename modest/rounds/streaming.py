"""Questions along a stream that is longer than the memory: one file of tasks per buffer, answered whenever.

The rows are embedded by frozen encoders, buffer by buffer, so that nothing has to be trained between buffers; ready
vectors in a Parquet column need none. As answers come later, what was asked in a buffer counts as covered in the next.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from modest.data import files
from modest.data.sample_stream import Sample, Samples
from modest.encoders import Encoder
from modest.pairing import BufferQuery, gather, parted, stream
from modest.pairing.human import write_tasks
from modest.types import Answer


@dataclass(frozen=True)
class Streamed:
    """One file of tasks: its ``path``, side ``asked`` and ``target``, how many ``tasks``, items ``seen`` so far."""

    path: Path
    asked: str
    target: str
    tasks: int
    seen: int


def ask_stream(
    shards: Sequence[str | Path] | Mapping[str, Sequence[str | Path]],
    into: str | Path,
    budget: int | float,
    fields: Mapping[str, str],
    encoders: Mapping[str, Encoder],
    *,
    buffer: int = 4096,
    seed: int = 0,
    **knobs: Any,
) -> Iterator[Streamed]:
    """Yield a file of tasks for every buffer of a stream of shards, as soon as it is written.

    Parameters
    ----------
    shards : ``.tar`` or ``.parquet`` files, ranges or folders of them, as :class:`modest.data.sample_stream.Samples`;
        samples that hold several sides are taken apart. {side: shards of it alone} where the sides come by themselves
    into : folder for ``tasks-000001.jsonl`` and so on; new or empty
    budget : rows to ask about per buffer
    fields : {side: field of a sample}
    encoders : {side: frozen encoder}, for sides that are no ready vectors
    buffer : samples, or items of every side, held at once
    seed, **knobs : of :func:`modest.pairing.stream`

    Raises
    ------
    ValueError, FileNotFoundError
        A shard that is cut off (what was written before it stays), a folder that is not empty, a side without an
        encoder, a sample that cannot be encoded.
    """
    folder = Path(into)
    if folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty; name a new folder for the tasks.")
    if isinstance(shards, Mapping):
        batches = gather({side: _items(some, fields[side]) for side, some in shards.items()}, buffer)
    else:
        samples = Samples(list(shards), fields=[*fields.values(), "uid"])
        batches = parted(map(_placed, samples), buffer, fields, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    steps = stream(batches, lambda side, items: _vectors(side, items, encoders), budget, seed=seed, **knobs)
    answers: list[Answer] | None = None
    count = 0
    while True:
        try:
            query = steps.send(answers)  # type: ignore[arg-type]
        except StopIteration:
            return
        count += 1
        path = folder / f"tasks-{count:06d}.jsonl"
        _write(path, query, count)
        yield Streamed(path, query.modality, query.target, len(query), int(query.trace["stream"]["seen"]))
        answers = [Answer(int(row), (), "no_match", 0.0) for row in query.rows]  # not free any more, and covered


def _items(shards: Sequence[str | Path], name: str) -> Iterator[tuple[str, Any]]:
    """(id, item) of the samples that have the field."""
    for sample in map(_placed, Samples(list(shards), fields=[name, "uid"])):
        if sample.fields.get(name) is not None:
            yield str(sample.id), sample.fields[name]


def _placed(sample: Sample) -> Sample:
    """A sample whose media are raw values that an encoder reads when it needs them, not bytes."""
    held = {name: value for name, value in sample.fields.items() if isinstance(value, bytes)}
    if held and not sample.shard.endswith(".tar"):
        raise ValueError(f"{sample.shard} holds {', '.join(held)} as bytes; media are read from plain .tar shards.")
    places = {name: f"{sample.shard}!{sample.id}.{name}" for name in held}
    return replace(sample, fields={**sample.fields, **places})


def _vectors(side: str, items: Sequence[Any], encoders: Mapping[str, Encoder]) -> Any:
    """(n, d) of some items: encoded, or as they are."""
    if side in encoders:
        return encoders[side].encode(items)
    if all(isinstance(item, np.ndarray) for item in items):
        return np.stack([np.asarray(item, dtype=np.float32) for item in items])
    raise ValueError(f"{side} is raw and has no encoder; name one, as --encoder {side}=URI.")


def _write(path: Path, query: BufferQuery, number: int) -> None:
    """Write the tasks of one buffer, with texts and places of media in them."""
    write_tasks(path, [replace(query, trace={**query.trace, "round": number})])
    raw = {side: dict(zip(query.names[side].tolist(), items)) for side, items in query.items.items()}
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        task = json.loads(line)
        for key, value in (("shown", [task["id"]]), ("shown_list", task["shortlist"])):
            side = task["side"] if key == "shown" else task["target"]
            told = [raw[side][name] for name in value]
            if all(isinstance(one, str) for one in told):
                task[key] = told[0] if key == "shown" else told
        lines.append(json.dumps(task, ensure_ascii=False) + "\n")
    files.write_text(path, "".join(lines))
