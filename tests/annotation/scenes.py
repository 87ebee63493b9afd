"""Small drawn landscapes and their captions: a pool of two halves that people can label and pair by looking at it."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

import modest

KINDS = ("boat", "house", "mountain", "tree")
TIMES = {"morning": ((252, 226, 196), (163, 206, 241)), "noon": ((214, 237, 255), (88, 160, 230)),
         "evening": ((255, 190, 140), (120, 92, 160)), "night": ((44, 54, 94), (14, 18, 44))}  # fmt: skip
WHEN = {"morning": "in the morning", "noon": "at noon", "evening": "in the evening", "night": "at night"}
COLOURS = {"red": (200, 62, 56), "yellow": (244, 196, 72), "blue": (58, 102, 190), "white": (244, 244, 240)}
SIZE, FINE = (240, 180), 4  # points of a drawing, and pixels to a point while it is drawn


def draw(kind: str, time: str, colour: str, seed: int) -> Image.Image:
    """One landscape: sky of a time of day, ground or water, and a thing of one colour at a drawn place."""
    rng = np.random.default_rng(seed)
    low, high = (np.array(one, dtype=float) for one in TIMES[time])
    rows = np.linspace(0, 1, SIZE[1] * FINE)[:, None, None]
    sky = np.broadcast_to((1 - rows) * high + rows * low, (SIZE[1] * FINE, SIZE[0] * FINE, 3)).astype(np.uint8)
    picture = Image.fromarray(sky.copy())
    pen, x, ground = ImageDraw.Draw(picture), int(rng.integers(80, 160)), int(rng.integers(118, 132))

    def shape(paint, points, fill):
        paint([FINE * one for one in points], fill=fill)

    day = time != "night"
    water, grass = ((70, 120, 170), (98, 140, 84)) if day else ((28, 44, 84), (34, 56, 44))
    shape(pen.ellipse, [x - 70, 20, x - 46, 44], (255, 244, 214) if day else (230, 232, 240))
    shape(pen.rectangle, [0, ground, *SIZE], water if kind == "boat" else grass)
    fill, snow = COLOURS[colour], (250, 250, 250)
    if kind == "boat":
        shape(pen.polygon, [x - 42, ground + 4, x + 42, ground + 4, x + 26, ground + 24, x - 26, ground + 24], fill)
        shape(pen.polygon, [x - 2, ground, x - 2, ground - 62, x + 34, ground], snow)
    elif kind == "house":
        shape(pen.rectangle, [x - 32, ground - 40, x + 32, ground + 12], (238, 228, 208))
        shape(pen.polygon, [x - 42, ground - 40, x + 42, ground - 40, x, ground - 76], fill)
        shape(pen.rectangle, [x - 8, ground - 16, x + 8, ground + 12], (110, 80, 60))
    elif kind == "mountain":
        shape(pen.polygon, [x - 90, ground, x, ground - 92, x + 90, ground], tuple(c * 3 // 4 for c in fill))
        shape(pen.polygon, [x - 24, ground - 67, x, ground - 92, x + 24, ground - 67, x, ground - 56], snow)
    else:
        shape(pen.rectangle, [x - 5, ground - 30, x + 5, ground + 14], (96, 70, 50))
        shape(pen.ellipse, [x - 34, ground - 86, x + 34, ground - 22], fill)
    return picture.resize((2 * SIZE[0], 2 * SIZE[1]))


def scenes(folder: Path, pairs: int = 48) -> tuple[modest.Pool, dict[str, str], dict[str, str]]:
    """Make a pool of ``pairs`` pictures (at most 64) and their captions, each a row of its own, features in one space.

    Returns the pool, {id: kind} and {id of a picture: id of its caption}.
    """
    rng = np.random.default_rng(7)
    (folder / "pictures").mkdir(parents=True)
    told = [(KINDS[k % 4], list(TIMES)[(k // 4) % 4], list(COLOURS)[(k // 16) % 4]) for k in range(pairs)]
    order = rng.permutation(pairs)
    rows, truth, partner, features = [], {}, {}, {"image": [], "text": []}
    numbers = [(KINDS.index(k), 4 + list(TIMES).index(t), 8 + list(COLOURS).index(c)) for k, t, c in told]
    meaning = np.array([np.isin(np.arange(12), own) for own in numbers], dtype=float)
    for k, (kind, time, colour) in enumerate(told):
        place = folder / "pictures" / f"{k:02d}.png"
        draw(kind, time, colour, k).save(place)
        rows.append({"id": f"picture-{k:02d}", "image": str(place), "text": None})
        truth[f"picture-{k:02d}"] = kind
    for j, k in enumerate(order.tolist()):
        kind, time, colour = told[k]
        rows.append({"id": f"caption-{j:02d}", "image": None, "text": f"A {colour} {kind} {WHEN[time]}."})
        truth[f"caption-{j:02d}"] = kind
        partner[f"picture-{k:02d}"] = f"caption-{j:02d}"
    nothing = np.full((pairs, meaning.shape[1]), np.nan)
    features["image"] = np.concatenate([meaning + 0.25 * rng.normal(size=meaning.shape), nothing])
    features["text"] = np.concatenate([nothing, meaning[order] + 0.25 * rng.normal(size=meaning.shape)])
    table = pd.DataFrame(rows)
    return modest.ingest(table, folder / "pool", views=features), truth, partner
