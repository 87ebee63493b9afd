"""What a pool's models scored, evaluation by evaluation, with the labels each was trained on: the curve of its rounds.

``history.jsonl`` in the pool's folder has one line per ``modest evaluate``: ``time`` (UTC), ``model`` (its name),
``method``, ``labelled`` (training rows that had a label), ``labels`` (hash of these), ``split``, ``rows`` scored,
``accuracy``, ``macro_accuracy``, ``weighted_f1``, ``mask`` (its hash, or null). A line is appended in one piece; what a
kill cut off is left out in reading.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modest.data.files import plain, writing
from modest.types import Float, Int

if TYPE_CHECKING:
    from modest.data.pool import Pool

FILE = "history.jsonl"
SAME = ("split", "method", "mask")  # lines that differ here belong to different curves


def labelled(pool: Pool) -> tuple[int, str]:
    """How many training rows of a pool have a label, and sixteen hexadecimal digits of their ids and labels."""
    labels = pool.labels
    known = (pool.split == "train") & np.array([label is not None for label in labels], dtype=bool)
    told = sorted(zip(pool.ids[known].tolist(), labels[known].tolist()))
    return len(told), hashlib.blake2b(json.dumps(told).encode(), digest_size=8).hexdigest()


def add_line(pool: Path, line: Mapping[str, Any]) -> None:
    """Append a line to the history of a pool's folder; it is on disk when this returns.

    Raises
    ------
    OSError
        If it may not be written, or the disk is full.
    """
    text = json.dumps(dict(line), ensure_ascii=False, default=plain) + "\n"
    with writing(pool):
        handle = os.open(pool / FILE, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            end = os.fstat(handle).st_size
            cut = end > 0 and os.pread(handle, 1, end - 1) != b"\n"  # by a kill: the next line starts on its own
            os.write(handle, (("\n" if cut else "") + text).encode())
            os.fsync(handle)
        finally:
            os.close(handle)


def read_history(pool: Path) -> list[dict[str, Any]]:
    """Lines of the history of a pool's folder, oldest first; none before the first evaluation."""
    place = pool / FILE
    if not place.is_file():
        return []
    found = []
    for text in place.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("labelled"), int):
            found.append(line)
    return found


def past_curve(lines: Sequence[Mapping[str, Any]], score: str = "accuracy") -> tuple[Int, Float]:
    """Labelled rows (T,) ascending and scores (T,), of the lines that share split, method and mask with the newest.

    Of several evaluations at one number of labels the newest counts, so that a model trained better replaces the first.

    Examples
    --------
    >>> told = [(20, 0.5), (40, 0.6), (20, 0.4)]
    >>> [array.tolist() for array in past_curve([{"labelled": n, "accuracy": s} for n, s in told])]
    [[20, 40], [0.4, 0.6]]
    """
    told = [line for line in lines if line.get("labelled", 0) > 0 and line.get(score) is not None]
    like = [line for line in told if all(line.get(key) == told[-1].get(key) for key in SAME)]
    found = {int(line["labelled"]): float(line[score]) for line in like}
    counts = sorted(found)
    return np.array(counts, dtype=np.int64), np.array([found[n] for n in counts], dtype=np.float64)
