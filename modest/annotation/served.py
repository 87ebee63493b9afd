"""Media on their way to the page: by the names of item and modality, with a content type that their ending fixes.

Nothing is looked up by a path that a request brings. What is sent is what the pool's own table names, and nothing in it
is ever run: types are those of KINDS alone (never HTML or SVG), a link that leads to another kind of file is refused.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from modest.annotation.api import annotator
from modest.annotation.desk import Desk
from modest.annotation.shown import LARGE, SMALL, plainly, refuse_stray, small, square
from modest.data import media
from modest.data.decoding import Unreadable
from modest.data.pictures import vector_svg, waveform_svg

TYPES = {
    ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".gif": "image/gif", ".bmp": "image/bmp",
    ".webp": "image/webp", ".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".flac": "audio/flac",
    ".m4a": "audio/mp4", ".mp4": "video/mp4", ".mpg": "video/mpeg", ".mpeg": "video/mpeg",
    ".avi": "video/x-msvideo", ".mov": "video/quicktime", ".mkv": "video/x-matroska", ".webm": "video/webm",
    ".flv": "video/x-flv",
}  # fmt: skip
MOST = 512 * 1024**2  # bytes of a member of an archive, which is read as a whole
_HEADERS = {
    "cache-control": "private, max-age=600",
    "content-security-policy": "default-src 'none'; sandbox",
    "content-disposition": "inline",
}


def medium(request: Request) -> Response:
    """One modality of one item: ``as`` small (JPEG), whole (the file), plot (of a vector) or wave (of a sound)."""
    desk: Desk = request.app.state.desk
    annotator(request)
    told = request.query_params
    name, size = told.get("of", ""), told.get("as", "small")
    item = desk.catalogue.item(told.get("id", ""))
    if item is None or size not in ("small", "whole", "plot", "wave"):
        raise HTTPException(404, "There is no such item.")
    try:
        if size == "plot":
            return _plot(name, desk.showcase.vector(item, name))
        value = item.values[name]
        kind = media.kind(value) if isinstance(value, str) else None
        if kind not in ("image", "audio", "video"):
            raise KeyError(name)
        refuse_stray(value)
        if size == "small":
            return Response(small(value, SMALL), 200, _HEADERS, "image/jpeg")
        if size == "wave":
            return Response(waveform_svg(value, 800), 200, _HEADERS, "image/svg+xml")
        return _whole(request, value)
    except KeyError:
        raise HTTPException(404, f"This item has no {name!r} that can be shown.") from None
    except Unreadable as error:
        raise HTTPException(404, plainly(str(value), error)) from None


def _plot(name: str, vector: Any) -> Response:
    """A vector as a small picture where it is one, else as a plot."""
    side = square(name, vector)
    if not side:
        return Response(vector_svg(vector), 200, _HEADERS, "image/svg+xml")
    grey = np.round(255 * vector / vector.max()).astype(np.uint8).reshape(side, side)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, format="PNG")
    return Response(buffer.getvalue(), 200, _HEADERS, "image/png")


def _whole(request: Request, value: str) -> Response:
    """The file itself, or a part of it; a picture that browsers cannot show becomes a JPEG."""
    place = media.split_cut(value)[0]
    archive, member = media.split_archive(place)
    ending = os.path.splitext(member or place)[1].lower()
    if place.endswith("/") or ending not in TYPES:
        return Response(small(value, LARGE), 200, _HEADERS, "image/jpeg")
    if archive:
        return _part(request, media.whole(place, MOST), TYPES[ending])
    real = Path(os.path.realpath(place))
    if not real.is_file():
        raise Unreadable(f"{place} is not there; put it back or mark the modality absent.")
    if not os.access(real, os.R_OK):
        raise Unreadable(f"{place} may not be read; change its rights.")
    return FileResponse(real, 200, _HEADERS, TYPES[ending])


def _part(request: Request, content: bytes, kind: str) -> Response:
    """Bytes of a member, or the one range of them that is asked for (RFC 9110, 14)."""
    headers = {**_HEADERS, "accept-ranges": "bytes"}
    asked = request.headers.get("range", "")
    found = _range(asked, len(content))
    if found is None:
        return Response(content, 200, headers, kind)
    first, last = found
    if first >= len(content):
        return Response(b"", 416, {**headers, "content-range": f"bytes */{len(content)}"}, kind)
    headers["content-range"] = f"bytes {first}-{last}/{len(content)}"
    return Response(content[first : last + 1], 206, headers, kind)


def _range(asked: str, size: int) -> tuple[int, int] | None:
    """(first, last) byte of a Range header; None where it names no single range.

    Examples
    --------
    >>> _range("bytes=2-4", 10), _range("bytes=7-", 10), _range("bytes=-3", 10), _range("lines=1-2", 10)
    ((2, 4), (7, 9), (7, 9), None)
    """
    unit, _, told = asked.partition("=")
    first, dash, last = told.strip().partition("-")
    plain = all(part == "" or (part.isascii() and part.isdigit() and len(part) < 19) for part in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not plain or not (first or last):
        return None
    if not first:
        return max(0, size - int(last)), size - 1
    end = min(int(last), size - 1) if last else size - 1
    return None if int(first) > end and int(first) < size else (int(first), end)
