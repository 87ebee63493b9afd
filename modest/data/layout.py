"""What the folder of a pool holds: its format number, its names of splits, and the text columns every pool has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
SPLITS = ("train", "val", "test")
RESERVED = ("id", "label", "split")


def read_config(path: Path) -> dict[str, Any]:
    """Read and check the ``config.json`` of a pool.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no pool, or it is another thing or of a newer format.
    """
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"{path} holds no pool; make one with: modest ingest SOURCE --into {path}")
    config = files.read_json(path / "config.json")
    if config.get("kind") != "pool":
        raise ValueError(f"{path} is a {config.get('kind')!r}, not a pool; give the folder that `modest ingest` made.")
    if not isinstance(config.get("format"), int) or config["format"] > FORMAT:
        raise ValueError(
            f"{path} has pool format {config.get('format')!r} and this modest reads up to {FORMAT}; upgrade modest."
        )
    return config


def known_labels(values: Any) -> NDArray[np.object_]:
    """(n,) object array of str, None where a value is None, NaN or NA."""
    import pandas as pd

    column = pd.Series(values, dtype=object)
    unknown = column.isna().to_numpy()
    labels = np.empty(len(column), dtype=object)
    labels[~unknown] = [str(value) for value in column[~unknown].tolist()]
    return labels


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy of a table whose id, label and split are plain text columns, so that every writer gives the same types."""
    frame = frame.copy()
    for name in RESERVED:
        frame[name] = frame[name].astype("string")
    return frame
