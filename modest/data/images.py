"""Pictures as arrays of RGB pixels, whatever way they are stored."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modest.data.media import Unreadable, whole

# what Pillow's readers let through on damaged files
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def read_image(value: str) -> NDArray[np.uint8]:
    """Pixels of a picture as it is meant to be looked at.

    The turn noted by a camera (EXIF) is applied, transparency is laid over white, palettes, grey and CMYK become RGB,
    16 bits of grey become 8 (divided by 257, rounded); of an animation the first frame is taken.

    Parameters
    ----------
    value : raw value (path, or ``archive.zip!member``)

    Returns
    -------
    (h, w, 3) uint8, RGB.

    Raises
    ------
    Unreadable
        If it is not there, empty, damaged, no picture, of more pixels than Pillow's ``MAX_IMAGE_PIXELS`` (a small file
        can unfold to any size), or of 32 bits a channel (which say nowhere what is white).
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = whole(value)
    try:
        with Image.open(io.BytesIO(content)) as opened:
            _bounded(value, opened.size, Image.MAX_IMAGE_PIXELS)
            opened.load()
            pixels = _rgb(value, ImageOps.exif_transpose(opened))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable(f"{value} unfolds to too many pixels; make it smaller or leave it out.") from None
    except UnidentifiedImageError:
        raise Unreadable(f"{value} is no picture that can be read; put the right file there.") from None
    except Unreadable:
        raise
    except _DAMAGE as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise Unreadable(f"{value} is a damaged picture ({told}); copy it again.") from None
    return pixels


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8 of a picture, by bilinear interpolation that averages over what it makes smaller."""
    from PIL import Image

    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))


def scaled_size(width: int, height: int, short_side: int | None) -> tuple[int, int]:
    """(width, height) whose shorter side is ``short_side``, the shape kept; unchanged when it is None."""
    if short_side is None:
        return width, height
    scale = short_side / min(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _bounded(value: str, size: tuple[int, int], limit: int | None) -> None:
    if limit is not None and size[0] * size[1] > limit:
        raise Unreadable(f"{value} unfolds to {size[0]} x {size[1]} pixels; make it smaller or leave it out.")


def _rgb(value: str, picture: Any) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 of a loaded picture of any mode."""
    if picture.mode.startswith("I;16"):
        grey = np.round(np.asarray(picture).astype(np.float32) / 257.0).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.mode in ("I", "F"):
        raise Unreadable(f"{value} has 32 bits a channel, so what is white is not known; save it with 8 or 16 bits.")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        picture = _over_white(picture.convert("RGBA"))
    return np.array(picture.convert("RGB"), dtype=np.uint8)


def _over_white(picture: Any) -> Any:
    """Lay a picture with transparency over a white sheet."""
    from PIL import Image

    return Image.alpha_composite(Image.new("RGBA", picture.size, (255, 255, 255, 255)), picture)
