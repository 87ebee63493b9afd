"""A paired table taken apart: every training item becomes one row per modality, and who belongs to whom a file apart.

For rehearsals of pairing. A row of the result has one modality, so that nothing in the pool tells partners: halves are
numbered in an order of their own per modality, keep no other column of their item (a group or a URL would give it away)
but its label, and a picture that several items share (five captions of one photograph) is one row. Rows outside the
training split stay whole: they are what an evaluation compares with. ``truth.parquet`` is read by benches alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from modest.data import media
from modest.data.features import Feature
from modest.data.keys import order
from modest.data.layout import RESERVED
from modest.data.presence import nan_rows
from modest.types import Bool, Int

if TYPE_CHECKING:
    import pandas as pd

TRUTH = "truth.parquet"


@dataclass(frozen=True, eq=False)
class Apart:
    """``frame``, ``chosen`` and ``present`` as ``modest.data.ingest.put`` takes them; ``truth`` the table of partners.

    ``truth`` has modality_a, id_a, modality_b, id_b.
    """

    frame: pd.DataFrame
    chosen: dict[str, Feature]
    present: dict[str, Bool]
    truth: pd.DataFrame


def unpair(
    frame: pd.DataFrame,
    chosen: Mapping[str, Feature],
    present: Mapping[str, Bool],
    modalities: Sequence[str],
    seed: int = 0,
) -> Apart:
    """Take the training rows of a table apart.

    Parameters
    ----------
    frame : table of id, raw columns, label, split
    chosen, present : features by modality, and where they are present; a feature's rows are found by id afterwards
    modalities : two or more names of raw columns or features; other features keep no training rows

    Raises
    ------
    ValueError
        If a modality is unknown, or fewer than two are named.
    """
    import pandas as pd

    _check(frame, chosen, modalities)
    train = np.flatnonzero(frame["split"].to_numpy() == "train")
    ids = frame["id"].to_numpy(dtype=np.str_)
    halves, names = [], {}
    for modality in modalities:
        here = train[_there(frame, chosen, present, modality)[train]]
        names[modality], first = _named(frame, ids, here, modality, modality in chosen, seed)
        half = {"id": [names[modality][row] for row in first], "label": frame["label"].to_numpy()[first]}
        if modality in frame.columns:
            half[modality] = frame[modality].to_numpy()[first]
        halves.append(pd.DataFrame({**half, "split": "train"}, dtype=object))
    whole = pd.concat([frame.drop(index=train), *halves], ignore_index=True)[list(frame.columns)]
    twice = whole["id"][whole["id"].duplicated()]
    if len(twice):
        raise ValueError(f"id {twice.iloc[0]!r} is also what unpair calls a half; give the items other ids.")
    features, masks = {}, {}
    for modality, feature in chosen.items():
        named = dict(zip(ids[train].tolist(), [f"{name}/apart" for name in ids[train]]))  # no row of the pool
        named |= {str(ids[row]): name for row, name in names.get(modality, {}).items()}
        old = ids if feature.ids is None else feature.ids
        features[modality] = feature.joined_by(np.array([named.get(name, name) for name in old.tolist()]))
        if modality in present:
            seen = {named.get(name, name): bool(there) for name, there in zip(ids.tolist(), present[modality])}
            masks[modality] = np.array([seen.get(name, False) for name in whole["id"].tolist()])
    return Apart(whole, features, masks, _truth(names, train))


def _check(frame: pd.DataFrame, chosen: Mapping[str, Feature], modalities: Sequence[str]) -> None:
    possible = [*chosen, *(name for name in frame.columns if name not in chosen and name not in RESERVED)]
    if len(set(modalities)) < 2:
        raise ValueError(f"unpair names {len(set(modalities))} modality; name two or more of {', '.join(possible)}.")
    for name in modalities:
        if name not in possible:
            raise ValueError(f"unpair names {name!r}, which is no view or raw column; there are {', '.join(possible)}.")


def _there(frame: pd.DataFrame, chosen: Mapping[str, Feature], present: Mapping[str, Bool], modality: str) -> Bool:
    """(n,) items that have a modality: a row of its view that is not all NaN, else a raw value."""
    if modality not in chosen:
        return np.asarray(frame[modality].notna())
    feature = chosen[modality]
    given = np.concatenate([~nan_rows(block) for block in feature.blocks()])
    if feature.ids is not None:
        seen = dict(zip(feature.ids.tolist(), given.tolist()))
        given = np.array([seen.get(str(name), False) for name in frame["id"].tolist()])
    return given & present[modality] if modality in present else given


def _named(
    frame: pd.DataFrame, ids: np.ndarray, here: Int, modality: str, view: bool, seed: int
) -> tuple[dict[int, str], list[int]]:
    """Row -> name of its half, and the row that each half is made of, in the order of names."""
    of = {row: row for row in here.tolist()}
    if not view and modality in frame.columns:
        cells = frame[modality].to_numpy()
        seen: dict[str, int] = {}
        for row in of:
            if media.kind(str(cells[row])) is not None:
                of[row] = seen.setdefault(str(cells[row]), row)
    first = np.array(sorted(set(of.values())), dtype=np.int64)
    first = first[order(ids[first], seed, f"unpair/{modality}")]
    width = len(str(len(first)))
    name = {row: f"{modality}-{k:0{width}d}" for k, row in enumerate(first.tolist(), start=1)}
    return {row: name[made] for row, made in of.items()}, first.tolist()


def _truth(names: Mapping[str, Mapping[int, str]], train: Int) -> pd.DataFrame:
    """Partners in every two modalities, by name."""
    import pandas as pd

    rows = [
        (a, names[a][row], b, names[b][row])
        for a, b in combinations(names, 2)
        for row in train.tolist()
        if row in names[a] and row in names[b]
    ]
    columns = ["modality_a", "id_a", "modality_b", "id_b"]
    return pd.DataFrame(sorted(set(rows)), columns=columns, dtype="string")
