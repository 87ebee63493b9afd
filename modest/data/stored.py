"""Views as they lie in a pool: opened against the rows the pool has, and the command that makes or completes one."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files, media
from modest.data.layout import RESERVED
from modest.types import Bool, Ids

if TYPE_CHECKING:
    import pandas as pd

TRAINED = "stage 1, run "  # how the origin of such a view begins; the beginning of the run's digest follows


def open_view(pool: Path, modality: str, encoder: str, rows: str, n: int, ids: Callable[[], Ids]) -> NDArray[Any]:
    """Memory map (n, d) of a view; ``rows`` is the hash of the pool's n ids, which ``ids`` gives when they are needed.

    A view that an append which was killed has made longer already is opened as far as the pool goes.

    Raises
    ------
    ValueError
        If it is truncated, has the first rows of the pool only, or belongs to another order of rows.
    """
    path = pool / "views" / modality / f"{encoder}.npy"
    about = files.read_json(path.with_suffix(".json"))
    array = files.read_npy(path)
    if about.get("rows") == rows and len(array) == n:
        return array
    if rows in about.get("earlier", ()) and len(array) >= n:
        return array[:n]
    command = embed_command(pool, {modality: made_by(pool, modality, encoder)})
    if trained(pool, modality, encoder):
        command = shlex.join(["modest", "represent", str(pool), "--name", encoder, "--extend"])
    if len(array) < n and about.get("rows") == files.rows_hash(ids()[: len(array)]):
        raise ValueError(f"view {modality}={encoder} covers {len(array)} of the {n} items; complete it with: {command}")
    again = "ingest the pool again" if encoder == "given" else f"make it again with: {command}"
    raise ValueError(f"{path} belongs to another table of items; {again}")


def presence(pool: Path, modality: str, encoder: str, n: int) -> Bool:
    """(n,) bool, True = the view has a row for the item; items that the view does not cover yet are absent."""
    path = pool / "views" / modality / f"{encoder}.npy"
    beside = path.with_suffix(".present.npy")
    covered = min(n, shape(pool, modality, encoder)[0])
    there = np.zeros(n, dtype=bool)
    there[:covered] = files.read_npy(beside)[:covered] if beside.is_file() else True
    return there


def shape(pool: Path, modality: str, encoder: str) -> tuple[int, int]:
    """(items covered, features) of a view, by its description."""
    rows, width = files.read_json(pool / "views" / modality / f"{encoder}.json")["shape"]
    return int(rows), int(width)


def trained(pool: Path, modality: str, encoder: str) -> bool:
    """Whether a view was made by an encoder that was trained on this pool."""
    about = files.read_json(pool / "views" / modality / f"{encoder}.json")
    return str(about.get("origin", "")).startswith(TRAINED)


def made_by(pool: Path, modality: str, encoder: str) -> tuple[str, str]:
    """(URI of the encoder that made a view, raw column it was made from); the name and the modality where unknown."""
    about = files.read_json(pool / "views" / modality / f"{encoder}.json")
    column = about.get("origin") if "kind" in about else None
    return str(about.get("uri", encoder)), str(column or modality)


def embed_command(pool: Path, encoders: Mapping[str, tuple[str, str]]) -> str:
    """Line that makes views, ``encoders`` from modality to (URI, raw column); it can be pasted into a shell.

    Examples
    --------
    >>> embed_command(Path("pool"), {"image": ("pixels", "image"), "sketch": ("URI", "drawing")})
    'modest embed pool --image pixels --view sketch=URI --from sketch=drawing'
    """
    told = ["modest", "embed", str(pool)]
    for name, (uri, column) in encoders.items():
        told += [f"--{name}", uri] if name in media.KINDS else ["--view", f"{name}={uri}"]
        told += ["--from", f"{name}={column}"] if column != name else []
    return shlex.join(told)


def raw_modalities(table: pd.DataFrame) -> list[str]:
    """Raw columns that can be embedded: those called like a kind of medium, and those that hold media."""
    found = []
    for name in table.columns:
        known = table[name].dropna()
        first = known.iloc[0] if len(known) and name not in RESERVED else None
        if isinstance(first, str) and (name in media.KINDS or media.kind(first) is not None):
            found.append(str(name))
    return found
