"""Public data sets as people have them on disk: each reader turns a folder in one of its usual forms into a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from modest.checks import known
from modest.data.layouts import (
    coco_captions,
    colorswap,
    crema_d,
    datacomp,
    declared,
    food101,
    iemocap,
    kinetics_sounds,
    mvsa,
    vggsound,
)
from modest.data.layouts.listing import Listing
from modest.data.source import Source, itself

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Layout:
    """One public data set.

    ``listing(folder, **options)`` gives what a folder has and lacks; ``summary`` says what it accepts, ``options``
    which values each option may have, the default first. ``verified`` is False where what is read was declared by the
    user and not checked against a published copy.
    """

    name: str
    listing: Callable[..., Listing]
    summary: str
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    verified: bool = True

    def read(self, folder: Path, **options: str) -> pd.DataFrame:
        """Table of id, raw columns, label, split; see :meth:`modest.data.layouts.listing.Listing.table`.

        Raises
        ------
        ValueError
            If an option is unknown, a list is damaged, or the folder holds no item of the data set.
        """
        hint = f"a folder of {self.name} has {self.summary}."
        return self.listing(folder, **self.checked(options)).table(folder, hint)

    def checked(self, options: Mapping[str, str]) -> dict[str, str]:
        """The options given, if they and their values are known."""
        for option, value in options.items():
            if option not in self.options:
                told = ", ".join(self.options) or "none"
                raise ValueError(f"{self.name} has no option {option!r}; its options are {told}.")
            known(value, self.options[option], f"{self.name}:{option}")
        return dict(options)


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        layout.name: layout
        for layout in (
            Layout("coco_captions", coco_captions.listing, coco_captions.SUMMARY),
            Layout("colorswap", colorswap.listing, colorswap.SUMMARY),
            Layout("crema_d", crema_d.listing, crema_d.SUMMARY, crema_d.OPTIONS),
            Layout("datacomp", datacomp.listing, datacomp.SUMMARY),
            Layout("datacomp_b32", partial(datacomp.listing, model="b32"), datacomp.SUMMARY),
            Layout("declared", declared.listing, declared.SUMMARY, verified=False),
            Layout("food101", food101.listing, food101.SUMMARY),
            Layout("iemocap", iemocap.listing, iemocap.SUMMARY, iemocap.OPTIONS),
            Layout("kinetics_sounds", kinetics_sounds.listing, kinetics_sounds.SUMMARY),
            Layout("mvsa", mvsa.listing, mvsa.SUMMARY, mvsa.OPTIONS),
            Layout("vggsound", vggsound.listing, vggsound.SUMMARY),
        )
    }
)


def chosen(told: str) -> tuple[Layout, dict[str, str]]:
    """Layout and options of ``name`` or ``name:option=value,option=value``.

    Raises
    ------
    ValueError
        If the layout, an option or its value is unknown, or the text is of another form.

    Examples
    --------
    >>> layout, options = chosen("iemocap:session=3,classes=6")
    >>> layout.name, options
    ('iemocap', {'session': '3', 'classes': '6'})
    """
    name, _, rest = told.partition(":")
    layout = LAYOUTS[known(name, list(LAYOUTS), "layout")]
    options = {}
    for part in filter(None, rest.split(",")):
        option, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"layout={told!r} has {part!r} after the colon; write option=value.")
        options[option.strip()] = value.strip()
    return layout, layout.checked(options)


def read(told: str, folder: Any) -> Source:
    """Folder of a public data set as a source of items; ``told`` is what :func:`chosen` takes.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If the layout is unknown, the folder is none or not there, or holds no item of the data set.
    """
    layout, options = chosen(told)
    if not isinstance(folder, (str, Path)):
        raise TypeError(f"source is {type(folder).__name__}; with layout={told!r} give the path of a folder.")
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder; with layout={told!r} give the folder of the data set.")
    frame = layout.read(Path(folder), **options)
    return Source(
        str(folder),
        columns={column: partial(itself, frame[column]) for column in frame.columns},
        features=frame.attrs["features"],
        classes={"": list(frame.attrs["classes"])},
        lost=dict(frame.attrs["lost"]),
        missing=list(frame.attrs["missing"]),
        notes=list(frame.attrs["notes"]),
    )
