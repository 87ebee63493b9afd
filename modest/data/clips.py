"""Videos as a few frames: decoded forward, one after the other, keeping only the frames wanted."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.images import read_image, resized, scaled_size
from modest.data.media import Unreadable, kind, members, split_archive, split_cut, whole

Frames = NDArray[np.uint8]


def read_video(value: str, frames: int = 10, short_side: int | None = None) -> Frames:
    """Frames from a clip, or from the part its cut names: the middle one of each of ``frames`` equal parts.

    Of n real frames these are floor((i + 1/2) n / frames), i = 0, 1, ...; where n is smaller some are repeated. The
    first video stream that is no cover picture is decoded from its start to the end of the cut, one frame at a time,
    so that a damaged clip is found out whatever ``frames`` is.

    Parameters
    ----------
    value : raw value with or without a cut ``#t=start,end`` (seconds, from the start of the file)
        Or a folder of pictures, in the natural order of their names (2 before 10): a path ending in ``/`` or not.
        A cut holds the frames that start inside it, and if there is none the frame on show when it starts.
    frames : number of frames wanted, at least 1
    short_side : pixels of the shorter side, the shape kept; None leaves the size

    Returns
    -------
    (frames, h, w, 3) uint8, RGB.

    Raises
    ------
    Unreadable
        If it is not there, empty, damaged, no video, without pictures, or has nothing where it is cut.
    ImportError
        If PyAV is not installed.
    ValueError
        If ``frames`` or ``short_side`` is below 1.
    """
    if frames < 1 or (short_side is not None and short_side < 1):
        raise ValueError(f"frames={frames} and short_side={short_side} must be at least 1.")
    place, start, end = split_cut(value)
    if place.endswith("/") or (not split_archive(place)[0] and Path(place).is_dir()):
        if place != value:
            raise Unreadable(f"{value} is a folder of frames, which has no seconds to cut by; leave out #t=.")
        return _from_folder(place, frames, short_side)
    try:
        import av
    except ImportError:
        raise ImportError("reading video needs PyAV; install it with: pip install 'modest[media]'") from None
    content = whole(place)
    try:
        first, last = _within(_times(place, content), start, end)
        if first == last:
            raise Unreadable(f"{value} has no frames where it is cut; mend the cut.")
        chosen = _chosen(place, content, first, last, frames, short_side)
    except av.FFmpegError as error:
        told = " ".join(str(error.strerror or error).split()).rstrip(".")
        raise Unreadable(f"{value} is damaged or no video that can be read ({told}); copy it again.") from None
    return chosen


def middles(n: int, parts: int) -> NDArray[np.int64]:
    """(parts,) index of the middle one of n frames in each of ``parts`` equal parts; ascending.

    Examples
    --------
    >>> middles(10, 5).tolist(), middles(2, 4).tolist()
    ([1, 3, 5, 7, 9], [0, 0, 1, 1])
    """
    return ((2 * np.arange(parts, dtype=np.int64) + 1) * n) // (2 * parts)


def _from_folder(place: str, frames: int, short_side: int | None) -> Frames:
    """Frames from the pictures in a folder."""
    names = sorted((name for name in members(place) if kind(name) == "image"), key=_natural)
    if not names:
        raise Unreadable(f"{place} is no folder with pictures in it; put the frames there or mark the video absent.")
    rows = middles(len(names), frames)
    read = {int(row): read_image(names[row]) for row in np.unique(rows)}
    height, width = read[int(rows[0])].shape[:2]
    size = scaled_size(width, height, short_side)
    small = {row: resized(pixels, *size) for row, pixels in read.items()}
    return np.stack([small[int(row)] for row in rows])


def _natural(name: str) -> list[tuple[int, str]]:
    """Key of a name by which numbers in it count as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name.lower())]


def _stream(value: str, container: Any) -> Any:
    """First video stream that is no cover picture."""
    pictures = [s for s in container.streams.video if "attached_pic" not in repr(s.disposition)]
    if not pictures:
        raise Unreadable(f"{value} has no pictures; leave it out or mark its video absent.")
    return pictures[0]


def _times(value: str, content: bytes) -> NDArray[np.float64]:
    """(n,) seconds at which the frames of a clip start, ascending, from its packets: nothing is decoded."""
    import av

    with av.open(io.BytesIO(content), mode="r") as container:
        stream = _stream(value, container)
        packets = [packet for packet in container.demux(stream) if packet.size]
        stamps = [packet.dts if packet.pts is None else packet.pts for packet in packets]
        known = [float(stamp * stream.time_base) for stamp in stamps if stamp is not None]
        if len(known) < len(stamps):
            known = [k / float(stream.average_rate or 25) for k in range(len(stamps))]
        begins = (container.start_time or 0) / av.time_base
    return np.sort(np.asarray(known, dtype=np.float64)) - begins


def _within(times: NDArray[np.float64], start: float, end: float | None) -> tuple[int, int]:
    """[first, last) of the frames that start in the cut; the one on show at its start when there is none."""
    if len(times) == 0 or (start > 0 and start > times[-1] + _step(times)):
        return 0, 0
    first = int(np.searchsorted(times, start - 1e-6))
    last = len(times) if end is None else int(np.searchsorted(times, end - 1e-6))
    return (first, last) if last > first else (max(0, first - 1), max(1, first))


def _step(times: NDArray[np.float64]) -> float:
    """Seconds a frame is on show, in the mean; 0 for a single frame."""
    return float((times[-1] - times[0]) / (len(times) - 1)) if len(times) > 1 else 0.0


def _chosen(value: str, content: bytes, first: int, last: int, frames: int, short_side: int | None) -> Frames:
    """Decode up to frame ``last`` and keep the middles; a clip of other length than its packets told is gone over."""
    rows = first + middles(last - first, frames)
    kept: dict[int, Frames] = {}
    count = 0
    for count, pixels in enumerate(_pixels(value, content, set(rows.tolist()), last, short_side), start=1):
        if pixels is not None:
            kept[count - 1] = pixels
    if count < last:
        if count <= first:
            raise Unreadable(f"{value} has {count} frames, fewer than it promises; copy it again or mend the cut.")
        return _chosen(value, content, first, count, frames, short_side)
    return np.stack([kept[row] for row in rows.tolist()])


def _pixels(value: str, content: bytes, wanted: set[int], last: int, short_side: int | None) -> Iterator[Frames | None]:
    """Decoded frames before ``last`` in order, those not wanted as None; all of the size of the first wanted one."""
    import av

    with av.open(io.BytesIO(content), mode="r") as container:
        size: tuple[int, int] | None = None
        for row, frame in enumerate(container.decode(_stream(value, container))):
            if row >= last:
                return
            if row not in wanted:
                yield None
                continue
            size = size or scaled_size(frame.width, frame.height, short_side)
            pixels = frame.to_ndarray(format="rgb24", width=size[0], height=size[1], interpolation="AREA")
            yield np.ascontiguousarray(np.rot90(pixels, k=round(getattr(frame, "rotation", 0) / 90)))
