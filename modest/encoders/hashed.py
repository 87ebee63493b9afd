"""``hashed-text``: a text as counts of its character and word n-grams, hashed to a fixed width. No weights."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.decoding import read_text
from modest.data.keys import keys
from modest.encoders.encoder import Encoder, slug, whole_knobs
from modest.encoders.pixels import stacked

VERSION = "1"  # raised whenever the same text would give other features
UInt = NDArray[np.uint64]


def hashed_text(uri: str, knobs: Mapping[str, str], kind: str | None = None, device: Any = None) -> Encoder:
    """Encoder of texts by feature hashing (Weinberger et al. 2009).

    Knobs of the URI: ``width`` (1024) features; ``chars`` (4), longest character n-gram, from 2 on; ``words`` (2),
    longest word n-gram, from 1 on; 0 leaves a sort out. ``device`` is not used.

    A text is normalised (Unicode NFKC, case folded, white space to single spaces, one space at each end). Each n-gram
    has a stable 64-bit hash: its low bits say which feature, its top bit the sign; features are the square roots of the
    sums, with their sign. A text whose n-grams cancel out has 1 in feature 0, so that no text is all zeros.

    Raises
    ------
    ValueError
        If a knob is unknown or out of range, or both sorts are left out.
    """
    values = whole_knobs(uri, knobs, {"width": (1024, 16, 2**20), "chars": (4, 0, 8), "words": (2, 0, 3)})
    if values["chars"] < 2 and not values["words"]:
        raise ValueError(f"{uri!r} counts nothing; give chars of 2 or more, or words of 1 or more.")

    def read(value: str) -> NDArray[np.float32]:
        return counts(read_text(value), **values)

    return Encoder(
        uri=uri,
        name=slug(uri),
        kind="text",
        dim=values["width"],
        revision=VERSION,
        preprocessing={"encoder": "hashed-text", **values},
        read=read,
        forward=stacked,
    )


def counts(text: str, width: int, chars: int = 4, words: int = 2) -> NDArray[np.float32]:
    """(width,) float32 of one text; see :func:`hashed_text`.

    Examples
    --------
    >>> a, b, c = (counts(text, 256) for text in ("Red  shoes", "red shoes", "a green bottle"))
    >>> bool((a == b).all()), bool(a @ b > a @ c)
    (True, True)
    """
    text = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    letters = np.frombuffer(f" {text} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    names = re.findall(r"\w+", text)
    tokens = keys(names, seed=0, stream="hashed-text") if names and words else np.zeros(0, dtype=np.uint64)
    hashes = [*_grams(letters, range(2, chars + 1), 1), *_grams(tokens, range(1, words + 1), 2)]
    sums = np.zeros(width)
    for code in hashes:
        sign = np.where(code >> np.uint64(63), 1.0, -1.0)
        sums += np.bincount((code % np.uint64(width)).astype(np.int64), weights=sign, minlength=width)
    if not sums.any():
        sums[0] = 1.0
    return np.asarray(np.sign(sums) * np.sqrt(np.abs(sums)), dtype=np.float32)


def _grams(codes: UInt, lengths: range, sort: int) -> list[UInt]:
    """Hashes of all runs of each length: codes folded in one after the other, SplitMix64's finaliser after each."""
    found = []
    for length in lengths:
        if len(codes) < length:
            continue
        count = len(codes) - length + 1
        state = np.full(count, 16 * sort + length, dtype=np.uint64)
        for at in range(length):
            state = _mixed(state ^ codes[at : at + count])
        found.append(state)
    return found


def _mixed(x: UInt) -> UInt:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014), on whole arrays; overflow is meant."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
