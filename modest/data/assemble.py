"""From what a reader found and what the user asked for to one table and the features that belong to it."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import columns as text
from modest.data import features, sources
from modest.data.features import Feature
from modest.data.source import Source

if TYPE_CHECKING:
    import pandas as pd

Named = str | Sequence[Any] | NDArray[Any] | None


def assemble_views(found: Source, asked: Mapping[str, Any] | Sequence[str] | None, id_name: str) -> dict[str, Feature]:
    """Features to write, by modality, with the ids of their rows where they are joined."""
    if asked is None:
        asked = {name: name for name in found.features}
    elif isinstance(asked, str):
        asked = {asked: asked}
    elif not isinstance(asked, Mapping):
        asked = {name: name for name in asked}
    chosen = {}
    for name, place in asked.items():
        if not str(name) or "/" in str(name) or str(name).startswith("."):
            raise ValueError(f"views names a modality {name!r}; use a plain name, such as image or audio.")
        chosen[str(name)] = _feature(found, str(name), place, id_name)
    lengths = {name: feature.shape[0] for name, feature in chosen.items() if feature.ids is None}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"views differ in their number of rows ({told}); each needs one row per item.")
    return chosen


def _feature(found: Source, name: str, place: Any, id_name: str) -> Feature:
    """One feature from where ``views`` says it is."""
    if not isinstance(place, (str, Path)):
        if hasattr(place, "shape"):
            return features.from_array(place, name)
        return _beside(found, list(place), name)
    place = str(place)
    if place in found.features:
        return found.features[place]()
    file, colon, key = place.rpartition(":")
    path = Path(file if colon and Path(file).suffix.lower() in (".npz", ".parquet") else place)
    if path.suffix.lower() in (".npy", ".npz", ".parquet"):
        other = sources.read(path)
        key = key if path != Path(place) else name if name in other.features else next(iter(other.features), name)
        if key not in other.features:
            raise ValueError(f"{path} has no view {key!r}; it has {', '.join(other.features) or 'none'}.")
        feature = other.features[key]()
        joined = id_name in other.columns
        return feature.joined_by(text.as_names(other.columns[id_name](), path.name)) if joined else feature
    matching = [column for column in found.columns if fnmatch.fnmatchcase(column, place)]
    if not matching:
        told = ", ".join([*found.features, *found.columns])
        raise ValueError(f"{found.origin} has nothing called {place!r} for the view {name}; it has {told}.")
    return _beside(found, matching, name)


def _beside(found: Source, names: Sequence[str], modality: str) -> Feature:
    """Feature of numeric columns side by side."""
    import pandas as pd

    lacking = [name for name in names if name not in found.columns]
    if lacking:
        raise ValueError(f"{found.origin} has no column {lacking[0]!r} for the view {modality}; check its name.")
    frame = pd.DataFrame({name: np.asarray(found.columns[name]()) for name in names})
    return features.from_columns(frame, names, f"view {modality}")


def assemble_table(
    found: Source,
    chosen: Mapping[str, Feature],
    wanted: Sequence[str] | Mapping[str, str] | None,
    classes: Sequence[str],
    asked: Mapping[str, Named],
) -> pd.DataFrame:
    """Table of id, raw columns, label, split, all of one length."""
    import pandas as pd

    given = {name: text.pick(found, asked[name], name) for name in ("id", "label", "split")}
    if given["id"] is None:
        given["id"] = found.ids
    used = [value if isinstance(value, str) else name for name, value in asked.items()]
    kept = text.raw(found, used, wanted)
    lengths = {name: len(v) for name, v in {**given, **kept}.items() if v is not None}
    lengths |= {name: f.shape[0] for name, f in chosen.items() if f.ids is None}
    n = next((f.shape[0] for f in chosen.values() if f.ids is None), next(iter(lengths.values()), 0))
    for name, length in lengths.items():
        if length != n:
            raise ValueError(f"{name} has {length} rows and the rest of the source {n}; leave it out or mend it.")
    if n == 0:
        raise ValueError(f"{found.origin} has no items; give at least one row.")
    rows = np.arange(n).astype(np.str_)
    ids = np.char.zfill(rows, len(str(n - 1))) if given["id"] is None else text.as_names(given["id"], found.origin)
    for name, values in kept.items():
        text.check_cells(name, values)
    unknown = np.full(n, None, dtype=object)
    label = unknown if given["label"] is None else text.as_labels(given["label"], classes or None, "label")
    split = np.full(n, "train") if given["split"] is None else text.as_split(given["split"], "split")
    columns = {"id": ids, **{name: np.asarray(values) for name, values in kept.items()}, "label": label, "split": split}
    return pd.DataFrame(columns)
