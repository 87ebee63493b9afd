"""Public data sets as people have them on disk: each reader turns a folder in one of its usual forms into a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modest.checks import known
from modest.data.layouts import coco_captions, colorswap, datacomp, food101, kinetics_sounds, vggsound
from modest.data.source import Source, itself

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Layout:
    """One public data set.

    ``read(folder)`` gives a DataFrame of id, raw columns, label, split with ``attrs``: ``lost`` (column -> how many
    rows of the lists have no file for it), ``missing`` (ids of rows left out since no file of theirs is there) and
    ``classes`` (names in order; empty where labels are numbers without names), and ``features`` where the data set
    brings some. ``summary`` says what it accepts.
    """

    read: Callable[[Path], pd.DataFrame]
    summary: str


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "coco_captions": Layout(coco_captions.read, coco_captions.SUMMARY),
        "colorswap": Layout(colorswap.read, colorswap.SUMMARY),
        "datacomp": Layout(datacomp.read, datacomp.SUMMARY),
        "datacomp_b32": Layout(partial(datacomp.read, model="b32"), datacomp.SUMMARY),
        "food101": Layout(food101.read, food101.SUMMARY),
        "kinetics_sounds": Layout(kinetics_sounds.read, kinetics_sounds.SUMMARY),
        "vggsound": Layout(vggsound.read, vggsound.SUMMARY),
    }
)


def read(name: str, folder: Any) -> Source:
    """Folder of a public data set as a source of items.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If the layout is unknown, the folder is none or not there, or holds no item of the data set.
    """
    known(name, list(LAYOUTS), "layout")
    if not isinstance(folder, (str, Path)):
        raise TypeError(f"source is {type(folder).__name__}; with layout={name!r} give the path of a folder.")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder; with layout={name!r} give the folder of the data set.")
    frame = LAYOUTS[name].read(Path(folder))
    return Source(
        str(folder),
        columns={column: partial(itself, frame[column]) for column in frame.columns},
        features=dict(frame.attrs.get("features", {})),
        classes={"": list(frame.attrs["classes"])},
        lost=dict(frame.attrs["lost"]),
        missing=list(frame.attrs["missing"]),
    )
