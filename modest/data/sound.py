"""Sound as one channel of samples: sound files by soundfile, the sound of video files by PyAV."""

from __future__ import annotations

import io
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.media import Unreadable, split_cut, whole

_FILES = (".wav", ".flac", ".ogg", ".mp3")
_BLOCK = 1 << 18  # samples read at once; bounds what a long file with many channels holds


def read_audio(value: str, rate: int = 16000) -> NDArray[np.float32]:
    """Sound of a file, or of the part its cut names, as one channel.

    Channels are averaged with equal weights. Another rate is reached by a polyphase filter (``scipy.signal``): it
    delays nothing, gives ceil(samples * rate / old rate) samples on every machine, and needs no media library, so that
    sound files are read without PyAV. The cut is made before resampling.

    Parameters
    ----------
    value : raw value with or without a cut ``#t=start,end`` (seconds)
        ``.wav .flac .ogg .mp3`` are read by soundfile, all else (``.m4a``, videos) by PyAV, its first sound stream.
    rate : samples per second wanted

    Returns
    -------
    (samples,) float32, in about [-1, 1].

    Raises
    ------
    Unreadable
        If it is not there, empty, damaged, no sound, has no sound stream, or nothing where it is cut.
    ImportError
        If the library is not installed.
    """
    place, start, end = split_cut(value)
    content = whole(place)
    by_file = place.lower().endswith(_FILES)
    samples, found = (_by_soundfile if by_file else _by_container)(place, content, start, end)
    if len(samples) == 0:
        told = "has no samples" if start == 0 and end is None else "has no sound where it is cut"
        raise Unreadable(f"{value} {told}; copy it again or mend the cut.")
    if not np.isfinite(samples).all():
        raise Unreadable(f"{value} has samples that are NaN or inf; write it again.")
    return resample(samples, found, rate)


def resample(samples: NDArray[np.float32], old: int, new: int) -> NDArray[np.float32]:
    """(ceil(n * new / old),) float32: the same sound at another rate, by scipy's polyphase filter (Kaiser window)."""
    if old == new:
        return samples
    from scipy.signal import resample_poly

    common = gcd(old, new)
    return np.asarray(resample_poly(samples, new // common, old // common), dtype=np.float32)


def _by_soundfile(value: str, content: bytes, start: float, end: float | None) -> tuple[NDArray[np.float32], int]:
    """(samples, rate) of a sound file; compressed ones are read from their start, where seeking is not exact."""
    try:
        import soundfile
    except ImportError:
        raise ImportError("reading audio needs soundfile; install it with: pip install 'modest[media]'") from None
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as handle:
            rate = int(handle.samplerate)
            first = round(start * rate)
            last = handle.frames if end is None else min(round(end * rate), handle.frames)
            skip = 0
            if handle.format in ("WAV", "WAVEX", "FLAC") and first < handle.frames:
                handle.seek(first)
                skip = first
            blocks = _blocks(handle, last - skip)
            short = handle.format != "MP3" and sum(map(len, blocks)) < last - skip
    except (soundfile.SoundFileError, RuntimeError) as error:
        told = " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".")
        raise Unreadable(f"{value} is no sound that can be read ({told}); put the right file there.") from None
    if short or _cut_off(content):
        raise Unreadable(f"{value} is cut off before its end; copy it again.")
    samples = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    return samples[first - skip :], rate


def _cut_off(content: bytes) -> bool:
    """Whether a RIFF WAVE file promises more bytes of sound than it has; a length left open (a stream) does not."""
    place = 12
    while content[:4] == b"RIFF" and place + 8 <= len(content):
        size = int.from_bytes(content[place + 4 : place + 8], "little")
        if content[place : place + 4] == b"data":
            return len(content) - place - 8 < size < 0x7FFFF000
        place += 8 + size + size % 2
    return False


def _blocks(handle: Any, wanted: int) -> list[NDArray[np.float32]]:
    """Mono float32 blocks of up to ``wanted`` samples from where the handle stands."""
    blocks: list[NDArray[np.float32]] = []
    while wanted > 0:
        block = handle.read(min(wanted, _BLOCK), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        blocks.append(block.mean(axis=1, dtype=np.float32))
        wanted -= len(block)
    return blocks


def _by_container(value: str, content: bytes, start: float, end: float | None) -> tuple[NDArray[np.float32], int]:
    """(samples, rate) of the first sound stream of a container, decoded no further than the cut."""
    try:
        import av
    except ImportError:
        raise ImportError("reading audio needs PyAV; install it with: pip install 'modest[media]'") from None
    blocks: list[NDArray[np.float32]] = []
    rate, offset = 0, 0
    try:
        with av.open(io.BytesIO(content), mode="r") as container:
            if not container.streams.audio:
                raise Unreadable(f"{value} has no sound; leave it out or mark its audio absent.")
            plain = None
            for frame in container.decode(container.streams.audio[0]):
                if plain is None:
                    rate = int(frame.sample_rate)
                    plain = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
                    begins = (frame.time or 0.0) - (container.start_time or 0) / av.time_base
                    offset = max(0, round(begins * rate))
                blocks += [part.to_ndarray().mean(axis=0, dtype=np.float32) for part in plain.resample(frame)]
                if end is not None and offset + sum(map(len, blocks)) >= end * rate:
                    break
    except av.FFmpegError as error:
        told = " ".join(str(error.strerror or error).split()).rstrip(".")
        raise Unreadable(f"{value} is damaged or no sound that can be read ({told}); copy it again.") from None
    samples = np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
    first = max(0, round(start * rate) - offset)
    last = len(samples) if end is None else max(0, round(end * rate) - offset)
    return samples[first:last], rate
