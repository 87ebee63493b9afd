"""Items as people see them, small: a thumbnail, the outline of a sound, the beginning of a text, the plot of a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from modest.data import media, stored
from modest.data.decoding import Unreadable, read_text
from modest.data.pictures import thumbnail, vector_svg, waveform_svg
from modest.data.pool import Pool
from modest.report.html import Card, Shown

PIXELS = 176  # longer side of a thumbnail
LETTERS = 180  # of a text


def card(pool: Pool, row: int, note: str = "") -> Card:
    """One item of a pool with every modality it has: raw values where there are some, else its views as plots."""
    raw = stored.raw_modalities(pool.table)
    made = {name: stored.made_by(pool.path, name, pool.encoder(name, None))[1] for name in pool.names}
    plain = [name for name, column in made.items() if name not in raw and column not in raw]
    shown = [one for name in [*raw, *plain] if (one := side(pool, row, name)) is not None]
    return Card(str(pool.ids[row]), shown, note)


def pair_card(pool: Pool, pair: Sequence[tuple[str, int]], note: str = "") -> Card:
    """Two or more halves that were put together, as (modality, row) each; its title names their items."""
    ids = [str(pool.ids[row]) for _, row in pair]
    title = ids[0] if len(set(ids)) == 1 else " \N{LEFT RIGHT ARROW} ".join(ids)
    return Card(title, [one for name, row in pair if (one := side(pool, row, name)) is not None], note)


def side(pool: Pool, row: int, modality: str) -> Shown | None:
    """One modality of an item, None where it is absent; what cannot be read says so in words."""
    column = modality
    if column not in pool.table.columns and modality in pool.names:
        column = stored.made_by(pool.path, modality, pool.encoder(modality, None))[1]
    value = pool.table[column].iloc[row] if column in pool.table.columns else None
    if isinstance(value, str):
        return _raw(modality, value)
    return _view(pool, row, modality) if value is None and modality in pool.names else None


def _raw(name: str, value: str) -> Shown:
    kind = media.kind(value)
    try:
        if kind in ("image", "video"):
            return Shown(name, picture=thumbnail(value, PIXELS))
        if kind == "audio":
            return Shown(name, drawing=waveform_svg(value, 200, 72))
        text = " ".join(read_text(value).split())
    except (Unreadable, ImportError) as error:
        return Shown(name, f"{name} cannot be shown: {error}")
    return Shown(name, text if len(text) <= LETTERS else text[: LETTERS - 1] + "\N{HORIZONTAL ELLIPSIS}")


def _view(pool: Pool, row: int, name: str) -> Shown | None:
    """Plot of an item's vector in the default view of a modality."""
    views: Any = pool.views({name: pool.encoder(name, None)})
    if views.present is not None and not views.present[row, 0]:
        return None
    vector = np.asarray(views.arrays[name][row], dtype=np.float64)
    if not np.isfinite(vector).all():
        return None
    return Shown(name, drawing=vector_svg(vector, 200, 72, f"{name}: {len(vector)} numbers"))
