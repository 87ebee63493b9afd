"""The door to raw media: one reader per kind, each from a raw value to an array or a text, or :class:`Unreadable`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from modest.data.clips import read_video
from modest.data.images import read_image
from modest.data.media import Unreadable, split_archive, whole
from modest.data.sound import read_audio

__all__ = ["READERS", "Unreadable", "read_audio", "read_image", "read_text", "read_video"]


def read_text(value: str, limit: int = 1_000_000) -> str:
    """Text of a raw value: the value itself, or the content of the ``.txt`` file or member it names.

    A value names a file when it ends in ``.txt``, has one line, and is an absolute path, a member of a zip, or a file
    that is there. Files are UTF-8 (with or without a byte order mark), else Latin-1.

    Parameters
    ----------
    value : str
    limit : characters at most

    Returns
    -------
    str, blanks at both ends removed.

    Raises
    ------
    Unreadable
        If a text is empty or longer than ``limit``, or a file is not there or holds binary content.
    """
    if not isinstance(value, str):
        raise Unreadable(f"{value!r} is no text; write it as one.")
    told = value[:60] + "..." if len(value) > 60 else value
    text = _content(value, limit) if _is_file(value) else value
    if len(text) > limit:
        raise Unreadable(f"text {told!r} has {len(text):,} characters and at most {limit:,} are read; shorten it.")
    if not text.strip():
        raise Unreadable(f"text {told!r} is empty; write one or mark it absent.")
    return text.strip()


def _is_file(value: str) -> bool:
    if not value.lower().endswith(".txt") or "\n" in value or len(value) > 4096:
        return False
    return bool(split_archive(value)[0]) or Path(value).is_absolute() or Path(value).is_file()


def _content(value: str, limit: int) -> str:
    """Content of a text file; one of more bytes than ``limit`` characters can have is not opened."""
    content = whole(value, 4 * limit + 3)
    if b"\0" in content:
        raise Unreadable(f"{value} holds binary content, not text; put the right file there.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


READERS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"image": read_image, "audio": read_audio, "video": read_video, "text": read_text}
)
