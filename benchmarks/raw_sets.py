"""Three test sets as raw media, and the small encoders that the benchmarks train on them.

fashion: 60x80 JPEG and title, 20 article types. grid: one letter word cut out of MP4 clips with sound, 25 letters.
emoji: PNG drawing and its caption with keywords, 8 groups. Pools hold raw columns only, made by ``modest.ingest``.
``<set>_frozen``: the same items, small towers over views by the built-in encoders.

Augmentation is a quarter of the paper's and a batch 32 rows: with all of it and 64 rows, the InfoNCE of random networks
without prototypes was still near chance after 15 epochs (docs/results). Nothing else was chosen.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modest

DEPTH = (1, 1, 1, 1)  # blocks per stage, half of 18 layers
IMAGE = {"name": "resnet18", "width": 0.25, "depth": DEPTH, "augment": 0.25}
TOWER = {"name": "mlp", "hidden": [512], "width": 512}
FRAME = 1 / 25  # seconds, of the clips of grid
TEXT = {"name": "bert", "layers": 1, "hidden": 128, "heads": 4, "vocab": 4096, "positions": 32}


@dataclass(frozen=True)
class Raw:
    """``encoders`` modality -> {"name", knobs}; ``batch`` rows a step; ``frozen`` URIs of ready views."""

    encoders: dict[str, dict[str, Any]]
    batch: int = 32
    epochs: int = 15
    warmup: int = 3
    frozen: dict[str, str] | None = None


RAW = {
    "fashion": Raw({"image": {**IMAGE, "size": 40, "keep": 60}, "text": {**TEXT, "length": 16}}, epochs=6, warmup=2),
    "grid": Raw(
        {
            "audio": {
                "name": "audio_resnet18",
                "width": 0.25,
                "depth": DEPTH,
                "clip": 0.6,
                "seconds": 0.5,
                "augment": 0.25,
            },
            "video": {
                "name": "r2plus1d18",
                "width": 0.25,
                "depth": DEPTH,
                "size": 32,
                "keep": 36,
                "frames": 3,
                "of": 6,
                "augment": 0.25,
            },
        },
        epochs=8,
        warmup=2,
    ),
    "emoji": Raw({"image": {**IMAGE, "size": 40, "keep": 72}, "text": {**TEXT, "length": 32}}, epochs=10, warmup=2),
    "fashion_frozen": Raw({"image": TOWER, "text": TOWER}, 64, frozen={"image": "pixels", "text": "hashed-text"}),
    "grid_frozen": Raw({"audio": TOWER, "video": TOWER}, 64, frozen={"audio": "logmel", "video": "pixels?frames=6"}),
    "emoji_frozen": Raw({"image": TOWER, "text": TOWER}, 64, frozen={"image": "pixels", "text": "hashed-text"}),
}


def ingest_raw(name: str, shared: str | Path, into: str | Path) -> modest.Pool:
    """Make the pool of a set, raw columns, label and split only."""
    data, frozen = Path(shared).resolve() / "data", RAW[name].frozen
    if name.startswith("fashion"):
        items = data / "fashion_products" / "items.csv"
        pool = modest.ingest(items, into, label="articleType", columns=["image", "text"])
    else:
        columns = grid(data / "grid_s1", "letter") if name.startswith("grid") else _emoji(data / "emoji_captions")
        pool = modest.ingest(columns, into)
    if frozen:
        modest.encoders.embed(pool, frozen)
    return modest.open(pool.path)


def parameters(name: str) -> dict[str, int]:
    """Modality -> parameters of its encoder, without the projector."""
    import torch

    from modest.encoders.trainable import build

    generator = torch.Generator().manual_seed(0)
    return {
        m: sum(p.numel() for p in build(**knobs, generator=generator).net.parameters())
        for m, knobs in RAW[name].encoders.items()
        if knobs["name"] != "mlp"
    }


def grid(folder: Path, word: str) -> dict[str, list[str]]:
    """One word of each sentence, "letter", and two frames before and after it, of picture and of sound."""
    rows = _rows(folder / "clips.csv")
    cuts = [
        f"#t={max(0.0, float(row[f'{word}_start_s']) - 2 * FRAME):.3f},{float(row[f'{word}_end_s']) + 2 * FRAME:.3f}"
        for row in rows
    ]
    values = [f"{folder}/clips_mp4.zip!{row['clip_id']}.mp4{cut}" for row, cut in zip(rows, cuts)]
    return {"audio": values, "video": values, **_told(rows, "clip_id", word)}


def _emoji(folder: Path) -> dict[str, list[str]]:
    rows = _rows(folder / "captions.csv")
    image = [f"{folder}/images.zip!{row['image']}" for row in rows]
    text = [f"{row['caption']} {row['keywords'].replace('|', ' ')}" for row in rows]
    return {"image": image, "text": text, **_told(rows, "id", "group")}


def _told(rows: list[dict[str, str]], name: str, label: str) -> dict[str, list[str]]:
    return {
        "id": [row[name] for row in rows],
        "label": [row[label] for row in rows],
        "split": [row["split"] for row in rows],
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as handle:
        return list(csv.DictReader(handle))
