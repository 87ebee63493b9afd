"""From a URI to a frozen encoder: which schemes there are, and what each reads."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from modest.encoders.encoder import KINDS, Encoder, split_query

if TYPE_CHECKING:
    import torch

# encoders without weights: name -> (module and function, kinds of raw values)
BUILTIN: dict[str, tuple[str, tuple[str, ...]]] = {
    "pixels": ("modest.encoders.pixels:pixels", ("image", "video")),
    "logmel": ("modest.encoders.logmel:logmel", ("audio",)),
    "hashed-text": ("modest.encoders.hashed:hashed_text", ("text",)),
}
# schemes: name -> (module and function, what follows the colon, kinds)
SCHEMES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "hf": ("modest.encoders.huggingface:huggingface", "hf:<model id or folder>[@revision]", KINDS),
    "timm": ("modest.encoders.adapters:timm_model", "timm:<model>", ("image",)),
    "openclip": ("modest.encoders.adapters:openclip_model", "openclip:<model>/<pretrained>", ("image", "text")),
}
READY = "npy:"  # features made elsewhere; `embed` writes them, nothing encodes


def known() -> str:
    """All forms of a URI, for error messages and help."""
    return ", ".join([*BUILTIN, *(form for _, form, _ in SCHEMES.values()), "npy:<file>"])


def kinds(uri: str) -> tuple[str, ...]:
    """Kinds of raw values that an encoder of this URI may read; () for ready features (``npy:``).

    Raises
    ------
    ValueError
        If the scheme is unknown.

    Examples
    --------
    >>> kinds("pixels?size=8"), kinds("timm:resnet18"), kinds("npy:features.npy")
    (('image', 'video'), ('image',), ())
    """
    if uri.startswith(READY):
        return ()
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in SCHEMES and rest:
        return SCHEMES[scheme][2]
    place, _ = split_query(uri)
    if place in BUILTIN:
        return BUILTIN[place][1]
    raise ValueError(f"{uri!r} is no encoder that modest knows; use one of: {known()}.")


def load(uri: str, kind: str | None = None, device: str | torch.device | None = None) -> Encoder:
    """Load a frozen encoder.

    Parameters
    ----------
    uri : str
        ``pixels``, ``logmel``, ``hashed-text`` (built in, no weights), ``hf:<model id or folder>[@revision]``,
        ``timm:<model>``, ``openclip:<model>/<pretrained>``; knobs as a query, ``pixels?size=24``.
    kind : ``image``, ``audio``, ``video`` or ``text``, optional
        What the raw values are. Left out, the one kind that the encoder reads, or the first it can.
    device : optional
        Left out, CUDA if it is there.

    Returns
    -------
    Encoder.

    Raises
    ------
    ValueError
        If the scheme, a knob or the model is unknown, or the encoder does not read this kind.
    ImportError
        If the package that the scheme needs is not installed; the sentence has the install line.
    """
    possible = kinds(uri)
    if not possible:
        raise ValueError(f"{uri!r} is a file of ready features and reads nothing; give it to modest.encoders.embed.")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; use {', '.join(KINDS)}.")
    if kind is not None and kind not in possible:
        raise ValueError(f"{uri!r} reads {' or '.join(possible)}, not {kind}; {_others(kind)}.")
    place, knobs = split_query(uri)
    if place in BUILTIN:
        return _function(BUILTIN[place][0])(uri, knobs, kind or possible[0], device)
    scheme, _, rest = place.partition(":")
    return _function(SCHEMES[scheme][0])(uri, rest, knobs, kind, device)


def _others(kind: str) -> str:
    """Name encoders that read one kind."""
    names = [name for name, (_, read) in BUILTIN.items() if kind in read]
    names += [form for _, form, read in SCHEMES.values() if kind in read]
    return f"for {kind} use {' or '.join(names)}"


def _function(told: str) -> Callable[..., Encoder]:
    module, _, name = told.partition(":")
    function: Callable[..., Encoder] = getattr(importlib.import_module(module), name)
    return function
