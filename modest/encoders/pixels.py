"""``pixels``: an image, or a few frames of a clip, as a small thumbnail and its colours. No weights.

A yardstick, and a way to try everything offline: near-duplicates and images of one palette come out close; what is in
the image does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.decoding import read_image, read_video
from modest.encoders.encoder import Encoder, slug, whole_knobs

VERSION = "1"  # raised whenever the same picture would give other features
LEVELS = 8  # bins of a colour histogram, per channel


def pixels(uri: str, knobs: Mapping[str, str], kind: str | None = None, device: Any = None) -> Encoder:
    """Encoder of images (``kind="image"``, the default) or clips (``"video"``).

    Knobs of the URI: ``size`` (16), side of the thumbnail in pixels; ``frames`` (4, clips only), the middle frames of
    equal parts of the clip, side by side. ``device`` is not used: this is arithmetic on a few hundred numbers.

    Features per image: ``3 size^2`` of the thumbnail, averaged over areas, each 2 (v - 1/2) / size with v in [0, 1],
    and ``3 * 8`` square roots of the shares of the whole image's pixels in each eighth of each channel's range. Both
    parts have a norm of at most sqrt(3), the second exactly that, so that no image, black ones too, is all zeros.

    Raises
    ------
    ValueError
        If a knob is unknown or out of range.
    """
    clip = kind == "video"
    known = {"size": (16, 1, 256)} | ({"frames": (4, 1, 64)} if clip else {})
    values = whole_knobs(uri, knobs, known)
    size, frames = values["size"], values.get("frames", 1)

    def read(value: str) -> NDArray[np.float32]:
        pictures = read_video(value, frames, short_side=max(64, size)) if clip else [read_image(value)]
        return np.concatenate([describe(picture, size) for picture in pictures])

    return Encoder(
        uri=uri,
        name=slug(uri),
        kind="video" if clip else "image",
        dim=frames * (3 * size * size + 3 * LEVELS),
        revision=VERSION,
        preprocessing={"encoder": "pixels", **values, "levels": LEVELS, "short_side": max(64, size) if clip else None},
        read=read,
        forward=stacked,
    )


def stacked(samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """(k, d) float32 of k samples (d,) that are features already."""
    return np.stack(samples).astype(np.float32)


def describe(picture: NDArray[np.uint8], size: int) -> NDArray[np.float32]:
    """(3 size^2 + 24,) float32 of one (h, w, 3) uint8 picture: thumbnail, then colours."""
    from PIL import Image

    small = np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BOX), dtype=np.float32)
    thumbnail = (small / 255.0 - 0.5) * (2.0 / size)
    shares = [np.bincount(picture[..., c].ravel() >> 5, minlength=LEVELS) / picture[..., c].size for c in range(3)]
    return np.concatenate([thumbnail.ravel(), np.sqrt(np.concatenate(shares))]).astype(np.float32)
