"""Small pictures of what an item holds, for pages: thumbnails of images and videos, plots of vectors and sounds.

The plots carry their colours as attributes and no style sheet, so that they are drawn alike inside a page, as a file
and under a strict content policy; the tones read on light and on dark ground.
"""

from __future__ import annotations

import io
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.clips import read_video
from modest.data.images import read_image, resized
from modest.data.media import Unreadable, kind
from modest.data.sound import read_audio

TONE, RULE = "#3b82f6", "#94a3b8"
_BARS = 64  # so many values or fewer are bars, more are an outline
_RATE = 8000  # samples per second a waveform is drawn from


def thumbnail(value: str, pixels: int = 256) -> bytes:
    """Return a small JPEG of an image, or of the middle frame of a video or of a folder of frames.

    Parameters
    ----------
    value : raw value as :mod:`modest.data.media` has them, with or without a cut
    pixels : of the longer side at most; a smaller picture keeps its size, the shape is kept

    Returns
    -------
    Bytes of a JPEG file; equal pictures give equal bytes. What the camera noted (place, time) is not in it.

    Raises
    ------
    Unreadable
        If it is neither image nor video, or cannot be read.
    ImportError
        If it is a video and PyAV is not installed.
    ValueError
        If ``pixels`` is below 1.
    """
    from PIL import Image

    if pixels < 1:
        raise ValueError(f"pixels={pixels} must be at least 1.")
    what = kind(value)
    if what not in ("image", "video"):
        raise Unreadable(f"{value} is neither an image nor a video, so there is nothing to make small; name one.")
    full = read_image(value) if what == "image" else read_video(value, frames=1)[0]
    height, width = full.shape[:2]
    scale = min(1.0, pixels / max(height, width))
    small = resized(full, max(1, round(width * scale)), max(1, round(height * scale)))
    buffer = io.BytesIO()
    Image.fromarray(small).save(buffer, format="JPEG", quality=85)
    return buffer.getvalue()


def vector_svg(values: Any, width: int = 480, height: int = 120, title: str = "") -> str:
    """Return a plot of a vector as an SVG element: bars from zero up to 64 values, else an outline.

    Of more values than ``width`` pixels every column shows the lowest and the highest that fall into it, so that no
    peak is lost. Values that are NaN or infinite leave a gap, which the title counts.

    Parameters
    ----------
    values : (d,) numbers
    width, height : pixels
    title : what is read out for the picture; left out, it says how many values there are and their range

    Raises
    ------
    ValueError
        If ``values`` is empty or not one-dimensional, or ``width`` or ``height`` is below 16.
    """
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1 or not len(vector):
        raise ValueError(f"values has shape {vector.shape}; give one vector with at least one number.")
    _sized(width, height)
    finite = vector[np.isfinite(vector)]
    lost = len(vector) - len(finite)
    if not title:
        title = f"{len(vector):,} values from {finite.min():.3g} to {finite.max():.3g}" if len(finite) else "no number"
        title += f", {lost:,} of {len(vector):,} missing" if lost else ""
    share = vector / (np.abs(finite).max(initial=0.0) or 1.0)
    there = np.isfinite(share)
    top, bottom = share.max(where=there, initial=0.0), share.min(where=there, initial=0.0)
    scale = (height - 8) / ((top - bottom) or 1.0)
    place, zero = (top - share) * scale + 4, top * scale + 4
    drawn = _bars(place, zero, width) if len(vector) <= _BARS else _outline(place, width)
    return _svg(title, width, height, _rule(zero, width) + drawn)


def waveform_svg(value: str, width: int = 480, height: int = 96) -> str:
    """Return the outline of a sound, or of the part its cut names, as an SVG element; its title says how long it is.

    The height is that of the loudest sample; silence is a line.

    Raises
    ------
    Unreadable, ImportError
        As :func:`modest.data.sound.read_audio`.
    ValueError
        If ``width`` or ``height`` is below 16.
    """
    _sized(width, height)
    samples = read_audio(value, _RATE).astype(np.float64)
    loudest = float(np.abs(samples).max()) or 1.0
    place = (1.0 - samples / loudest) * (height / 2 - 4) + 4
    title = f"{len(samples) / _RATE:.1f} seconds of sound"
    return _svg(title, width, height, _rule(height / 2, width) + _outline(place, width))


def _sized(width: int, height: int) -> None:
    if width < 16 or height < 16:
        raise ValueError(f"width={width} and height={height} must be at least 16 pixels.")


def _bars(place: NDArray[np.float64], zero: float, width: int) -> str:
    step = width / len(place)
    drawn = []
    for k, y in enumerate(place):
        if np.isfinite(y):
            tall, wide = max(abs(y - zero), 0.75), 0.72 * step
            drawn.append(f"M{(k + 0.14) * step:.1f} {min(y, zero):.1f}h{wide:.1f}v{tall:.1f}h-{wide:.1f}z")
    return f'<path d="{"".join(drawn)}" fill="{TONE}"/>'


def _outline(place: NDArray[np.float64], width: int) -> str:
    """A line through the values or, of more than ``width``, one stroke per column over all that fall into it."""
    if len(place) <= width:
        x, drawn = np.linspace(0, width, len(place)), []
        for k, y in enumerate(place):
            if np.isfinite(y):
                drawn.append(f"{'L' if k and np.isfinite(place[k - 1]) else 'M'}{x[k]:.1f} {y:.1f}")
    else:
        edges, drawn = (np.arange(width + 1) * len(place)) // width, []
        for k in range(width):
            own = place[max(0, edges[k] - 1) : edges[k + 1]]  # from the last one before, so that strokes meet
            own = own[np.isfinite(own)]
            if len(own):
                drawn.append(f"M{k + 0.5} {own.min():.1f}V{max(own.max(), own.min() + 1.0):.1f}")
    return f'<path d="{"".join(drawn)}" fill="none" stroke="{TONE}" stroke-width="1.2" stroke-linejoin="round"/>'


def _rule(y: float, width: int) -> str:
    return f'<path d="M0 {y:.1f}H{width}" stroke="{RULE}" stroke-width="1"/>'


def _svg(title: str, width: int, height: int, drawn: str) -> str:
    title = "".join(one for one in title if one.isprintable())  # XML has no word for the rest
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}"><title>{escape(title)}</title>{drawn}</svg>'
    )
