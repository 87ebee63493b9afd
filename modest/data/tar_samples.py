"""Samples of one WebDataset tar, read from its beginning to its end, one sample in memory at a time.

A sample is a run of members with one key: the path up to the first dot of its last part; what follows the dot, in lower
case, names the field (``a/7.seg.png`` is field ``seg.png`` of sample ``a/7``). Members of a sample are adjacent, and a
field comes once. Format: https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import gzip
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error)


class _Seen:
    """A file that keeps the last bytes read: a tar that does not end with a block of zeros was cut off or damaged."""

    def __init__(self, handle: Any) -> None:
        self.handle, self.last = handle, b""
        self.tell, self.seek = handle.tell, handle.seek

    def read(self, size: int = -1) -> bytes:
        self.last = self.handle.read(size)
        return self.last


def read_tar(
    path: Path, wants: Callable[[str], bool], damaged: Callable[[str], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (key, {field: content}) of every sample: ``txt`` as text, ``json`` as its object, all else as bytes.

    Parameters
    ----------
    path : of a tar, plain or through gzip
    wants : whether a field is to be read
    damaged : told in one sentence, which names shard and sample, what cannot be read; it raises, or the sample (at a
        cut: the rest of the shard, and the sample that the cut may have hit) is left out
    """
    key, last, found, whole = "", "its beginning", dict[str, Any](), True
    told = ""
    with closing(path.open("rb") if path.suffix.lower() == ".tar" else gzip.GzipFile(path)) as handle:
        seen: Any = _Seen(handle)
        try:
            with tarfile.open(fileobj=seen, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # else it remembers every member there was
                    name, field = split_key(member.name)
                    if not member.isfile() or not field:
                        continue
                    if name != key:
                        if found and whole:
                            yield key, found
                        key, last, found, whole = name, name, {}, True
                    if wants(field) and whole:
                        problem = _keep(found, field, tar.extractfile(member))
                        if problem:
                            whole = False
                            damaged(f"{path} has {problem} in sample {name!r}; pack it again.")
            cut = len(seen.last) < tarfile.BLOCKSIZE or any(seen.last)
            while isinstance(handle, gzip.GzipFile) and handle.read(1 << 20):
                pass  # up to its checksum
        except DAMAGE as error:
            cut, told = True, f" ({str(error).rstrip('.')})"
    if cut:
        damaged(f"{path} is cut off or damaged at sample {last!r}{told}; fetch the shard again.")
    elif found and whole:
        yield key, found


def _keep(found: dict[str, Any], field: str, handle: Any) -> str:
    """Read a member into ``found``; what is wrong with it, or nothing."""
    if field in found:
        return f"two members {field!r}"
    content, kind = handle.read(), field.rsplit(".", 1)[-1]
    try:
        found[field] = content.decode("utf-8") if kind == "txt" else json.loads(content) if kind == "json" else content
    except ValueError as error:
        return f"a member {field!r} that cannot be read ({str(error).rstrip('.')})"
    return ""


def split_key(name: str) -> tuple[str, str]:
    """(key, field) of a member's name; the field is empty where there is none, or the file is hidden.

    Examples
    --------
    >>> split_key("v1.0/cat.SEG.png"), split_key("readme"), split_key("a/.hidden")
    (('v1.0/cat', 'seg.png'), ('readme', ''), ('a/.hidden', ''))
    """
    folder, slash, last = name.rpartition("/")
    stem, _, field = last.partition(".")
    return (folder + slash + stem, field.lower()) if stem else (name, "")
