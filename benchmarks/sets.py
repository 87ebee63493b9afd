"""Loaders of the real test sets: one name, one table of views with labels, split and groups.

They know where each set lies under the shared folder and how it is laid out; the package does not. ``modest.ingest``
makes a pool of every set that is a table of views: :func:`ingest_into`.
"""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import modest
from modest.data.words import ngrams


@dataclass(frozen=True)
class Set:
    """``views`` of n items, ``y`` (n,) int64, ``classes`` their names, ``split`` (n,) str, ``groups`` (n,) or None."""

    name: str
    views: modest.Views
    y: np.ndarray
    classes: tuple[str, ...]
    split: np.ndarray
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Archive:
    """Where an ``.npz`` set lies and what its arrays are called; ``views`` maps modality -> array."""

    file: str
    views: dict[str, str]
    id: str | None = None
    split: str = "split"
    groups: str | None = None


GRID = {"audio": "audio_logmel", "video": "video_mouth"}
ARCHIVES = {
    "grid_letter": Archive("grid_s1/word_letter.npz", GRID, "clip_id"),
    "grid_digit": Archive("grid_s1/word_digit.npz", GRID, "clip_id"),
    "grid_colour": Archive("grid_s1/word_colour.npz", GRID, "clip_id"),
    "av_digits": Archive(
        "av_digits/av_digits.npz",
        {"image": "image", "audio": "audio_logmel"},
        "recording_id",
        "split_speaker",
        "speaker",
    ),
    "scene15": Archive("scene15_3view/scene15_3view.npz", {"view0": "view0", "view1": "view1", "view2": "view2"}),
    "mosi": Archive(
        "mosi_utterance/mosi_utterance.npz",
        {"text": "text", "audio": "audio", "video": "video"},
        "utterance_id",
        groups="video_id",
    ),
    "wikipedia": Archive("wiki_image_text/wiki_image_text.npz", {"image": "image", "text": "text"}),
}
SETS = (
    "grid_letter",
    "grid_digit",
    "grid_colour",
    "fashion",
    "av_digits",
    "scene15",
    "mosi",
    "emoji",
    "wikipedia",
)


def load(name: str, shared: str | Path) -> Set:
    """Load a set by name.

    Views are float32, all dimensions but the first flattened, columns standardised by the mean and standard deviation
    of the rows whose split is train (constant columns are only centred).
    """
    if name not in SETS:
        raise ValueError(f"name={name!r} is unknown; known: {', '.join(SETS)}.")
    data = Path(shared) / "data"
    if name == "fashion":
        return _fashion(data / "fashion_products")
    if name == "emoji":
        return _emoji(data / "emoji_captions")
    about = ARCHIVES[name]
    with np.load(data / about.file, allow_pickle=False) as archive:
        split = archive[about.split]
        y = archive["label"].astype(np.int64)
        known = archive["class_names"].tolist() if "class_names" in archive else [str(c) for c in range(y.max() + 1)]
        arrays = {modality: _ready(archive[key], split) for modality, key in about.views.items()}
        ids = archive[about.id] if about.id else None
        groups = archive[about.groups] if about.groups else None
    return Set(name, modest.Views(arrays, ids=ids), y, tuple(known), split, groups)


def ingest_into(name: str, shared: str | Path, into: str | Path) -> modest.Pool:
    """Make a pool of a set by ``modest.ingest`` alone, with the views, labels and split of :func:`load`.

    ``emoji`` is not a table of views but of files: its raw columns come from ``captions.csv`` and ``images.zip``, its
    views from the features computed here.
    """
    data = Path(shared) / "data"
    options: dict[str, Any] = {"standardise": True}
    if name == "fashion":
        archive = data / "fashion_products" / "features.npz"
        options |= {"label": "articleType", "views": {m: f"{archive}:{m}" for m in ("image", "text")}}
        return modest.ingest(data / "fashion_products" / "items.csv", into, **options)
    if name == "emoji":
        folder = data / "emoji_captions"
        return modest.ingest(folder / "captions.csv", into, label="group", views=emoji_features(folder), **options)
    about = ARCHIVES[name]
    options |= {"id": about.id, "split": about.split, "views": about.views}
    return modest.ingest(data / about.file, into, **options)


def _ready(array: np.ndarray, split: np.ndarray) -> np.ndarray:
    """(n, d) float32: flattened and standardised on the training rows, in double precision."""
    flat = array.reshape(len(array), -1).astype(np.float64)
    train = flat[split == "train"]
    deviation = train.std(axis=0)
    deviation[deviation <= 1e-12 * np.maximum(1.0, np.abs(train.mean(axis=0)))] = 1.0
    return np.asarray((flat - train.mean(axis=0)) / deviation, dtype=np.float32)


def read_table(path: Path) -> dict[str, np.ndarray]:
    """Columns of a CSV file as text."""
    with path.open(encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _fashion(folder: Path) -> Set:
    """Product photo and title, 20 article types: 128-d features joined with items.csv by id."""
    table = read_table(folder / "items.csv")
    with np.load(folder / "features.npz", allow_pickle=False) as archive:
        row = {str(name): i for i, name in enumerate(archive["id"].tolist())}
        rows = np.array([row[name] for name in table["id"].tolist()])
        arrays = {name: _ready(archive[name][rows], table["split"]) for name in ("image", "text")}
    classes, y = np.unique(table["articleType"], return_inverse=True)
    return Set("fashion", modest.Views(arrays, ids=table["id"]), y.astype(np.int64), tuple(classes), table["split"])


def _emoji(folder: Path) -> Set:
    """Emoji drawing and its caption with keywords, 8 groups."""
    table = read_table(folder / "captions.csv")
    arrays = {name: _ready(array, table["split"]) for name, array in emoji_features(folder).items()}
    classes, y = np.unique(table["group"], return_inverse=True)
    return Set("emoji", modest.Views(arrays, ids=table["id"]), y.astype(np.int64), tuple(classes), table["split"])


def emoji_features(folder: Path) -> dict[str, np.ndarray]:
    """Simple features, nothing fitted: image = 12 x 12 RGB thumbnail over white and 4 x 4 x 4 colour histogram (496);
    text = caption and keywords, each word's character 2- to 4-grams, hashed, square-rooted counts (512).
    """
    table = read_table(folder / "captions.csv")
    with zipfile.ZipFile(folder / "images.zip") as archive:
        images = np.stack([picture(archive.read(name)) for name in table["image"].tolist()])
    texts = []
    for caption, keywords in zip(table["caption"].tolist(), table["keywords"].tolist()):
        words = f"{caption} {keywords.replace('|', ' ')}".split()
        counts = np.sum([ngrams(word, 512, (2, 3, 4)) for word in words], axis=0)
        texts.append(np.sign(counts) * np.sqrt(np.abs(counts)))
    return {"image": images, "text": np.stack(texts).astype(np.float32)}


def picture(content: bytes) -> np.ndarray:
    """(496,) float32 features of one drawing, any mode, transparent parts white."""
    from PIL import Image

    drawing = Image.open(io.BytesIO(content)).convert("RGBA")
    flat = Image.new("RGBA", drawing.size, "white")
    flat.alpha_composite(drawing)
    rgb = flat.convert("RGB")
    thumbnail = np.asarray(rgb.resize((12, 12), Image.Resampling.BOX), dtype=np.float32).ravel() / 255
    bins = np.asarray(rgb, dtype=np.int64).reshape(-1, 3) // 64
    histogram = np.bincount(bins @ [16, 4, 1], minlength=64) / len(bins)
    return np.concatenate([thumbnail, np.sqrt(histogram)]).astype(np.float32)
