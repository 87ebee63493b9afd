"""What a frozen encoder is: a reader of raw values, a forward pass, and the record of how both were set."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.decoding import Unreadable
from modest.data.files import plain

KINDS = ("image", "audio", "video", "text")


@dataclass(frozen=True, eq=False)
class Encoder:
    """A frozen encoder: raw values in, (n, dim) float32 features out.

    Parameters
    ----------
    uri : str
        What it was loaded by.
    name : str
        The same, safe as a file's name: ``views/<modality>/<name>.npy``.
    kind : ``image``, ``audio``, ``video`` or ``text``; what its raw values are
    dim : int
        Features per item.
    revision : str
        Which weights: a commit, a hash of the weights' files, or the version of a built-in encoder.
    preprocessing : mapping
        Everything, other than the weights, that the features depend on; it can be written as JSON.
    read : function raw value -> sample
        Decoding and the preprocessing of one sample; raises :class:`modest.data.decoding.Unreadable`.
    forward : function k samples -> (k, dim) float32
        The features of a sample do not depend on the others of its batch (up to rounding).
    """

    uri: str
    name: str
    kind: str
    dim: int
    revision: str
    preprocessing: Mapping[str, Any]
    read: Callable[[str], Any]
    forward: Callable[[Sequence[Any]], NDArray[np.float32]]

    @cached_property
    def preprocessing_hash(self) -> str:
        """SHA-256, hexadecimal, of the preprocessing as JSON with sorted keys."""
        told = json.dumps(dict(self.preprocessing), sort_keys=True, default=plain, ensure_ascii=False)
        return hashlib.sha256(told.encode()).hexdigest()

    def encode(self, column: Iterable[str | None], batch_size: int = 64) -> NDArray[np.float32]:
        """Features of a column of raw values, all of it in memory; :func:`modest.encoders.embed` is for whole pools.

        Parameters
        ----------
        column : (n,) raw values
            Paths, ``archive.zip!member``, or texts; None and NaN give NaN rows.
        batch_size : int
            Samples decoded and encoded at once.

        Returns
        -------
        (n, dim) float32.

        Raises
        ------
        ValueError
            If a value cannot be read; it names the row.

        Examples
        --------
        >>> from modest.encoders import load
        >>> load("hashed-text?width=64").encode(["a red shoe", None]).shape
        (2, 64)
        """
        values = list(column)
        out = np.full((len(values), self.dim), np.nan, dtype=np.float32)

        def refuse(row: int, reason: str) -> None:
            raise ValueError(f"row {row} cannot be encoded: {reason.rstrip('.')}; mend it or make it None.")

        for rows, features in batches(self, values, batch_size, refuse):
            out[rows] = features
        return out


Refuse = Callable[[int, str], None]


def batches(
    encoder: Encoder, values: Sequence[Any], batch_size: int, refuse: Refuse
) -> Iterable[tuple[list[int], NDArray[np.float32]]]:
    """(rows, features) of the values that can be read, ``batch_size`` samples at a time.

    ``refuse(row, reason)`` is told of every value that is there and cannot be read, and of every sample whose features
    are not finite or zero throughout, which no selection could use.

    Raises
    ------
    ValueError
        If ``batch_size`` is below 1, or the encoder gives another shape than it promised.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} is too small; give 1 or more.")
    rows: list[int] = []
    samples: list[Any] = []
    for row, value in enumerate(values):
        if not missing(value):
            try:
                samples.append(encoder.read(str(value)))
                rows.append(row)
            except Unreadable as error:
                refuse(row, str(error))
        if samples and (len(samples) == batch_size or row == len(values) - 1):
            yield _usable(encoder, rows, samples, refuse)
            rows, samples = [], []


def _usable(
    encoder: Encoder, rows: list[int], samples: list[Any], refuse: Refuse
) -> tuple[list[int], NDArray[np.float32]]:
    """Encode one batch; leave out rows without a direction."""
    features = np.asarray(encoder.forward(samples), dtype=np.float32)
    if features.shape != (len(samples), encoder.dim):
        raise ValueError(
            f"{encoder.uri} gave features of shape {features.shape} for {len(samples)} samples and promised "
            f"{encoder.dim} numbers each; use another encoder."
        )
    good: NDArray[np.bool_] = np.isfinite(features).all(axis=1) & np.asarray(features.any(axis=1))
    for at in np.flatnonzero(~good):
        refuse(rows[at], f"{encoder.uri} gives it features that are zero throughout or not finite")
    return [row for row, there in zip(rows, good.tolist()) if there], features[good]


def missing(value: Any) -> bool:
    """Whether a cell of a raw column holds nothing: None, NaN, or pandas' NA."""
    return value is None or (isinstance(value, float) and value != value) or type(value).__name__ == "NAType"


def slug(uri: str) -> str:
    """Name of a file for a URI: its letters, digits, dots and underscores, all else a hyphen.

    Examples
    --------
    >>> slug("pixels?size=24"), slug("hf:openai/clip-vit-base-patch32")
    ('pixels-size-24', 'openai-clip-vit-base-patch32')
    """
    scheme, colon, rest = uri.partition(":")
    told = rest if colon and scheme in ("hf", "npy") else uri
    if told.startswith(("/", ".", "~")):
        told = told.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._]+", "-", told).strip("-.") or "encoder"


def split_query(uri: str) -> tuple[str, dict[str, str]]:
    """A URI without its query, and the query's ``name=value`` pairs.

    Raises
    ------
    ValueError
        If a pair has no ``=`` or a name comes twice.
    """
    place, mark, query = uri.partition("?")
    knobs: dict[str, str] = {}
    for pair in query.split("&") if mark else []:
        name, equals, value = pair.partition("=")
        if not name or not equals or name in knobs:
            raise ValueError(
                f"{uri!r} has a query that cannot be read at {pair!r}; write {place}?name=value&name=value."
            )
        knobs[name] = value
    return place, knobs


def whole_knobs(uri: str, given: Mapping[str, str], known: Mapping[str, tuple[int, int, int]]) -> dict[str, int]:
    """Whole-number knobs of a built-in encoder, each ``known`` as (default, least, most).

    Raises
    ------
    ValueError
        If a knob is unknown, no whole number, or out of range.
    """
    for name in given:
        if name not in known:
            raise ValueError(f"{uri!r} names a knob {name!r}; its knobs are {', '.join(known)}.")
    values = {}
    for name, (default, least, most) in known.items():
        text = given.get(name, str(default))
        if not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"{uri!r} has {name}={text!r}; give a whole number from {least} to {most}.")
        values[name] = int(text)
    return values
