"""How BERT, M3AE, CAV-MAE and two-tower models are put together; :mod:`modest.encoders.backbones` does the others."""

from __future__ import annotations

import torch

from modest.encoders.backbones import COVER, Made, Numbers, Weights, exactly, pictures
from modest.encoders.bert import bert, tokenizer_place, tokens
from modest.encoders.cav_mae import cavmae_audio
from modest.encoders.fbank import FBANK
from modest.encoders.m3ae import m3ae_image, m3ae_text
from modest.encoders.reading import IMAGENET, fbank_reading, text_reading
from modest.encoders.two_towers import two_tower

__all__ = ["cavmae", "paired", "patches", "text", "words"]


def text(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    positions: int = 512,
    dropout: float = 0.1,
    length: int = 100,
    tokenizer: str = "auto",
    grams: int = 0,
) -> Made:
    """BERT over texts."""
    if length > positions:
        raise ValueError(f"length={length} is more than positions={positions}; lower it.")
    place = tokenizer_place(tokenizer, weights)
    reading = text_reading(tokens(place, length, vocab, grams), length)
    sizes = {"layers": layers, "hidden": hidden, "heads": heads, "vocab": vocab, "positions": positions}
    return bert(generator=generator, weights=weights, dropout=dropout, **sizes), reading, {"tokenizer": place}


def words(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    vocab: int = 30522,
    length: int = 256,
    pooling: str = "all",
    tokenizer: str = "auto",
    grams: int = 0,
) -> Made:
    """M3AE over texts, without [CLS] and [SEP] of their own."""
    place = tokenizer_place(tokenizer, weights)
    sizes = {"layers": layers, "hidden": hidden, "heads": heads, "vocab": vocab, "length": length}
    net = m3ae_text(generator=generator, pooling=pooling, weights=weights, **sizes)
    reading = text_reading(tokens(place, length, vocab, grams, ends=False), length)
    return net, reading, {"tokenizer": place}


def patches(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    layers: int = 12,
    hidden: int = 768,
    heads: int = 12,
    patch: int = 16,
    order: str = "pixels",
    size: int = 256,
    keep: int | None = None,
    clip: bool = False,
    augment: float = 1.0,
    scale: Numbers = (0.08, 1.0),
    jitter: Numbers = (0.4, 0.4, 0.4, 0.1),
    chances: Numbers = (0.5, 0.8, 0.2, 0.0),
    mean: Numbers = IMAGENET[0],
    std: Numbers = IMAGENET[1],
) -> Made:
    """M3AE over pictures, or with ``clip`` over the frame in the middle of clips."""
    sizes = {"layers": layers, "hidden": hidden, "heads": heads, "patch": patch}
    net = m3ae_image(generator=generator, size=size, order=order, weights=weights, **sizes)
    keep = 2 * size if keep is None else keep
    return net, pictures(size, keep, augment, scale, jitter, chances, mean, std, clip), {"keep": keep}


def cavmae(
    name: str,
    *,
    generator: torch.Generator,
    weights: Weights = None,
    layers: int = 12,
    shared: int = 1,
    hidden: int = 768,
    heads: int = 12,
    patch: int = 16,
    rate: int = 16000,
    mels: int = 128,
    frames: int = 1024,
    augment: float = 1.0,
    cover: Numbers = COVER,
    mean: float = FBANK["cav_mae"][0],
    std: float = FBANK["cav_mae"][1],
) -> Made:
    """CAV-MAE's audio branch over log mel filterbanks."""
    sizes = {"layers": layers, "shared": shared, "hidden": hidden, "heads": heads, "patch": patch}
    net = cavmae_audio(generator=generator, mels=mels, frames=frames, weights=weights, **sizes)
    return net, fbank_reading(rate, mels, frames, augment, exactly(2, cover, "cover"), (mean, std)), {}


def paired(name: str, *, generator: torch.Generator, weights: Weights = None, place: str | None = None) -> Made:
    """One tower of a published two-tower model."""
    where = place or weights
    if where is None:
        raise ValueError(f"{name} is published; name its folder or hub id, weights=..., or place=... without weights.")
    return two_tower(name, where, generator, weights is not None)
