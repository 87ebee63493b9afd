"""Loaders of the sets of the pairing bench: two sides, their hidden truth, and what is scored.

fashion     colour pairs: 700 quads to buy from (1,400 pairs), 300 scored by text, image and group score and retrieval
coco        CLIP's features of 500 COCO pairs, 350 and 150, each side standardised and turned at random: not aligned
coco_clip   the same as they are: a ready model's space
emoji       drawings and captions with keywords, 1,313 and 323, by the simple features of ``benchmarks.sets``
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.sets import emoji_features, read_table
from modest.bench.pairing import PairedSides

SIDES = ("image", "text")


def load(name: str, shared: str | Path) -> PairedSides:
    """Load a set by name."""
    if name not in SETS:
        raise ValueError(f"name={name!r} is unknown; known: {', '.join(SETS)}.")
    return SETS[name](Path(shared) / "data")


def _fashion(data: Path) -> PairedSides:
    folder = data / "fashion_products"
    table = read_table(folder / "colour_pairs.csv")
    with np.load(folder / "features.npz", allow_pickle=False) as archive:
        row = {str(name): k for k, name in enumerate(archive["id"].tolist())}
        arrays = {name: archive[name].astype(np.float32) for name in SIDES}
    quads = np.stack([[row[name] for name in table[f"id_{k}"].tolist()] for k in (0, 1)], axis=1)
    train, test = (quads[table["split"] == part] for part in ("train", "test"))
    own, scored = np.arange(train.size), np.arange(test.size)
    return PairedSides(
        {name: x[train.ravel()] for name, x in arrays.items()},
        _same(own),
        {name: x[test.ravel()] for name, x in arrays.items()},
        _same(scored),
        groups=_same(scored).reshape(-1, 2, 2),
        units=(own // 2).astype(str),
    )


def _coco(data: Path) -> PairedSides:
    aligned = _coco_clip(data)
    rng = np.random.default_rng(0)
    sides, test = {}, {}
    for name, x in aligned.sides.items():
        mean, deviation = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-8)
        turn = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
        sides[name], test[name] = (
            ((part - mean) / deviation @ turn).astype(np.float32) for part in (x, aligned.test[name])
        )
    return PairedSides(sides, aligned.pairs, test, aligned.test_pairs)


def _coco_clip(data: Path) -> PairedSides:
    with np.load(data / "clip_pairs" / "coco500_clip.npz", allow_pickle=False) as archive:
        test = archive["split"] == "test"
        arrays = {name: archive[name].astype(np.float32) for name in SIDES}
    return _split(arrays, test, common=True)


def _emoji(data: Path) -> PairedSides:
    folder = data / "emoji_captions"
    return _split(emoji_features(folder), read_table(folder / "captions.csv")["split"] == "test")


def _split(arrays: dict[str, np.ndarray], test: np.ndarray, common: bool = False) -> PairedSides:
    """Rows that are a pair each, parted into pool and test."""
    sides, scored = ({name: x[part] for name, x in arrays.items()} for part in (~test, test))
    return PairedSides(sides, _same(np.arange((~test).sum())), scored, _same(np.arange(test.sum())), common=common)


def _same(rows: np.ndarray) -> np.ndarray:
    return np.stack([rows, rows], axis=1)


SETS: dict[str, Callable[[Path], PairedSides]] = {
    "fashion": _fashion,
    "coco": _coco,
    "coco_clip": _coco_clip,
    "emoji": _emoji,
}
