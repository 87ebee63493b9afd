"""What people see of an item: its media, texts, numbers and plain vectors, and where each is fetched from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

from modest.data import media, stored
from modest.data.decoding import Unreadable, read_text
from modest.data.pictures import thumbnail

if TYPE_CHECKING:
    from modest.annotation.catalogue import Item
    from modest.data.pool import Pool

SMALL, LARGE = 640, 2400  # pixels of the longer side
LONGEST = 20_000  # characters of a text that are shown
WORDS = 60  # characters from which a value is set as a text, not as a fact
_ORDER = ("image", "pixels", "video", "audio", "problem", "text", "plot", "fact")
_SQUARE = 48  # pixels a side at most of a vector that is drawn as a picture


@dataclass(frozen=True)
class Block:
    """One thing to look at. ``what``: image, audio, video, text, fact, plot, pixels or problem.

    ``text`` to read; ``source`` address of the small picture, the plot or the medium; ``whole`` of the picture itself;
    ``poster`` of a video's still or a sound's outline; ``note`` what to know about it.
    """

    modality: str
    what: str
    text: str = ""
    source: str = ""
    whole: str = ""
    poster: str = ""
    note: str = ""


class Showcase:
    """Looks into a pool for the page; views are read one row at a time, the table through the catalogue alone."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool

    def blocks(self, item: Item, only: str = "") -> list[Block]:
        """Everything there is of an item: media, texts, vectors, short values; of the modalities ``only`` one, if it is
        there: who looks for a partner by one modality is not shown another.

        A vector is shown where the pool has no raw value that it was made from.
        """
        found = [self._value(item, name, value) for name, value in item.values.items() if not _absent(value)]
        found += [self._plot(item, name) for name in self._vectors if self._is_bare(item, name)]
        if any(block.modality == only for block in found):
            others = {*self.pool.names, *media.KINDS} - {only}
            found = [block for block in found if block.modality not in others]
        return sorted(found, key=lambda block: (block.modality != only, _ORDER.index(block.what)))

    def vector(self, item: Item, name: str) -> NDArray[np.float64]:
        """(d,) numbers of an item in the default view of a modality; KeyError where there is none."""
        array, present, _ = self._vectors[name]
        if not present[item.row]:
            raise KeyError(name)
        return np.asarray(array[item.row], dtype=np.float64)

    @cached_property
    def _vectors(self) -> dict[str, tuple[Any, Any, str]]:
        """{modality: (memory map, presence, raw column it was made from)} of views that can be opened."""
        found = {}
        for name in self.pool.names:
            try:
                encoder, rows, n = self.pool.encoder(name), str(self.pool.config["rows"]), len(self.pool)
                array = stored.open_view(self.pool.path, name, encoder, rows, n, lambda: self.pool.ids)
                source = stored.made_by(self.pool.path, name, encoder)[1]
                found[name] = (array, stored.presence(self.pool.path, name, encoder, n), source)
            except (ValueError, OSError):
                continue
        return found

    def _is_bare(self, item: Item, name: str) -> bool:
        """Whether an item has a vector of a modality and no raw value behind it."""
        _, present, source = self._vectors[name]
        return bool(present[item.row]) and all(_absent(item.values.get(column)) for column in (name, source))

    def _plot(self, item: Item, name: str) -> Block:
        vector = self.vector(item, name)
        side = square(name, vector)
        note = f"{len(vector):,} numbers" + (f", drawn as {side} x {side} grey values" if side else "")
        return Block(name, "pixels" if side else "plot", source=address(item.id, name, "plot"), note=note)

    def _value(self, item: Item, name: str, value: Any) -> Block:
        kind = media.kind(value) if isinstance(value, str) else None
        if kind == "text" or (name == "text" and kind is None and isinstance(value, str)):
            return _text(name, value)
        if kind is None:
            text = str(value)[:LONGEST]
            if name in media.KINDS:
                return Block(name, "problem", text, note=f"This {name} is no file that can be shown.")
            return Block(name, "text" if len(text) > WORDS or "\n" in text else "fact", text)
        try:
            refuse_stray(value)
            if kind == "image":
                small(value, SMALL)
            place = media.split_cut(value)[0]
        except Unreadable as error:
            return Block(name, "problem", file_name(value), note=plainly(value, error))
        if kind == "image":
            return Block(name, kind, source=address(item.id, name, "small"), whole=address(item.id, name, "whole"))
        if value.endswith("/"):
            return Block(name, "image", source=address(item.id, name, "small"), note="the middle frame of a folder")
        cut = value[len(place) :]
        poster = address(item.id, name, "small" if kind == "video" else "wave")
        return Block(name, kind, "", address(item.id, name, "whole") + cut, poster=poster, note=file_name(value))


def address(name: str, modality: str, size: str) -> str:
    """Where the page fetches one modality of one item: by their names, never by a path."""
    return "/media?" + urlencode({"id": name, "of": modality, "as": size}, quote_via=quote)


def small(value: str, pixels: int) -> bytes:
    """JPEG of a raw value at most ``pixels`` wide and high, kept for the next who asks; Unreadable in one sentence."""
    return _small(value, pixels)


@lru_cache(maxsize=256)
def _small(value: str, pixels: int) -> bytes:
    return thumbnail(value, pixels)


def square(name: str, vector: NDArray[Any]) -> int:
    """Side of the square picture that a vector called image can be seen as: so many numbers, none below 0; or 0."""
    side = round(len(vector) ** 0.5)
    plain = name == "image" and side * side == len(vector) and 4 <= side <= _SQUARE
    return side if plain and bool(np.all(vector >= 0)) and float(np.max(vector)) > 0 else 0


def refuse_stray(value: str) -> None:
    """Raise Unreadable if a raw value is a link that leads to another kind of file."""
    place = media.split_cut(value)[0]
    if os.path.islink(place) and media.kind(os.path.realpath(place)) != media.kind(place):
        raise Unreadable(f"{place} is a link to something else.")


def file_name(value: str) -> str:
    """Last part of a raw value, which says nothing of where it lies."""
    return value.rstrip("/").replace("!", "/").rpartition("/")[2]


def plainly(value: str, error: Exception) -> str:
    """Sentence of an error, without the folders of the value."""
    place = value.rpartition("#t=")[0] or value  # a cut may be what is wrong with it
    return str(error).replace(place, file_name(place)).replace(place.partition("!")[0], file_name(value))


def key_names(reserved: str = "hnsux") -> Iterator[str]:
    """Yield keys for buttons in order: 1 to 9, 0, then letters that mean nothing else."""
    yield from "1234567890"
    yield from (letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in reserved)


def with_keys(names: Sequence[str]) -> list[tuple[str, str]]:
    """(key, name) of each name; the key is "" for those beyond the keyboard.

    Examples
    --------
    >>> with_keys(["cat", "dog"])
    [('1', 'cat'), ('2', 'dog')]
    """
    keys = list(key_names())
    return list(zip([*keys, *[""] * max(0, len(names) - len(keys))], names))


def _text(name: str, value: str) -> Block:
    try:
        refuse_stray(value)
        text = read_text(value)
    except Unreadable as error:
        return Block(name, "problem", file_name(value), note=plainly(value, error))
    note = f"the first {LONGEST:,} of {len(text):,} characters" if len(text) > LONGEST else ""
    return Block(name, "text", text[:LONGEST], note=note)


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value)
