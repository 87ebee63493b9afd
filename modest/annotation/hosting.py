"""Raw values as another tool can show them: texts as they are, files by URL, members of archives unpacked beside.

Files are named relative to one folder, the root, which somebody serves: Label Studio itself (its local files storage,
the default form of the URL), or any web server (a prefix). Nothing is ever written into the URL itself.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from modest.data import media
from modest.data.decoding import read_text
from modest.data.files import replacing, writing

LOCAL = "/data/local-files/?d="
_WEB = re.compile(r"(?:https?|s3|gs|azure-blob)://")


def column_kind(name: str, values: Iterable[object]) -> str:
    """``image``, ``audio``, ``video`` or ``text``: what a raw column holds, by its name or its first value."""
    first = next((value for value in values if isinstance(value, str)), "")
    return media.kind(first) or (name if name in media.KINDS else "text")


class Hosting:
    """URLs of raw values.

    Parameters
    ----------
    values : all raw values that will be shown; those that name no file are left out
    beside : folder that members of archives are unpacked into
    prefix : what stands before the name of a file under the root; None for Label Studio's local files
    root : folder that is served; left out, the parent of the deepest folder that holds all files

    Attributes
    ----------
    root : folder to serve, None where there are no files
    folder : deepest folder that holds all files

    Raises
    ------
    ValueError
        If a file lies outside the root given.
    """

    def __init__(
        self, values: Iterable[object], beside: Path, prefix: str | None = None, root: Path | None = None
    ) -> None:
        self.beside, self.prefix = beside.resolve(), prefix
        texts = (value for value in values if isinstance(value, str))
        self._places = {value: place for value in texts if (place := self._place(value)) is not None}
        held = [str(place.parent) for place in self._places.values()]
        self.folder = Path(os.path.commonpath(held)) if held else None
        self.root = root.resolve() if root is not None else self.folder and self.folder.parent
        odd = [place for place in self._places.values() if self.root and not place.is_relative_to(self.root)]
        if odd:
            raise ValueError(f"root {self.root} does not hold {odd[0]}; give a folder that holds all files.")

    def show(self, value: object, kind: str) -> str:
        """What stands in a task for one raw value; "" where it is absent or cannot be shown."""
        if not isinstance(value, str):
            return ""
        if kind == "text":
            try:
                return read_text(value)
            except media.Unreadable:
                return ""
        if _WEB.match(value):
            return value
        place = self._places.get(value)
        if place is None or self.root is None:
            return ""
        _, start, end = media.split_cut(value)
        cut = f"#t={start:g}" + (f",{end:g}" if end is not None else "") if start or end is not None else ""
        name = quote(place.relative_to(self.root).as_posix())
        return (LOCAL if self.prefix is None else self.prefix.rstrip("/") + "/") + name + cut

    def unpack(self) -> int:
        """Write the members of archives that are shown into their folder; how many. One that is gone is not shown."""
        packed = {value: place for value, place in self._places.items() if place.parent == self.beside}
        with writing(self.beside):
            if packed:
                self.beside.mkdir(parents=True, exist_ok=True)
        for value, place in packed.items():
            try:
                content = b"" if place.is_file() else media.whole(value)
            except media.Unreadable:
                del self._places[value]
                continue
            if content:
                with replacing(place) as temporary:
                    temporary.write_bytes(content)
        return sum(value in self._places for value in packed)

    def _place(self, value: str) -> Path | None:
        """Where a value's file lies, or will lie once unpacked; None for texts, folders of frames, and what is gone."""
        try:
            plain, *_ = media.split_cut(value)
        except media.Unreadable:
            return None
        if media.kind(value) in (None, "text") or _WEB.match(value) or plain.endswith("/"):
            return None
        archive, member = media.split_archive(plain)
        if not archive:
            return Path(plain).resolve() if Path(plain).is_file() else None
        mark = hashlib.blake2b(plain.encode(), digest_size=6).hexdigest()
        return self.beside / f"{mark}-{re.sub(r'[^A-Za-z0-9._-]', '_', Path(member).name)}"
