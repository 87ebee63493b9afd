"""The pool: a table of items with its views, labels, split and rounds, in a folder that reads without modest too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from modest.data import files, stored
from modest.data.layout import SPLITS, as_text, known_labels, read_config
from modest.data.rounds import Round, add_round, find_rounds
from modest.types import Bool, Choice, Ids, Views

if TYPE_CHECKING:
    import pandas as pd


class Pool:
    """A pool on disk.

    ``config.json`` (kind, format, items, order of rows, modalities), ``pool.parquet`` (id, raw columns, label, split),
    ``views/<modality>/<encoder>.npy`` with ``.json`` beside it (and ``.present.npy`` where rows are absent),
    ``rounds/<n>/choice.parquet`` with ``manifest.json``. Opening reads ``config.json`` only.

    Parameters
    ----------
    path : folder of the pool

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no pool, or a newer version wrote it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = read_config(self.path)

    def __len__(self) -> int:
        """Return the number of items."""
        return int(self.config["items"])

    def __repr__(self) -> str:
        """Where it is, how many items, which modalities."""
        return f"Pool({str(self.path)!r}, items={len(self)}, modalities={', '.join(self.names) or 'none yet'})"

    @cached_property
    def table(self) -> pd.DataFrame:
        """DataFrame of id, raw columns, label (None = unknown), split; edit it and call :meth:`save` to keep that."""
        frame = files.read_table(self.path / "pool.parquet")
        frame = frame if len(frame) <= len(self) else frame.iloc[: len(self)].copy()  # a killed append left more
        self._check_order(frame["id"].to_numpy(dtype=np.str_))
        frame["label"] = known_labels(frame["label"])
        return frame

    @cached_property
    def ids(self) -> Ids:
        """(n,) strings, stable names of the items in the order of rows."""
        if "table" in self.__dict__:
            return np.asarray(self.table["id"].to_numpy(dtype=np.str_))
        ids = files.read_table(self.path / "pool.parquet", ["id"])["id"].to_numpy(dtype=np.str_)[: len(self)]
        self._check_order(ids)
        return np.asarray(ids)

    @property
    def labels(self) -> NDArray[np.object_]:
        """(n,) object array of str, None where the label is unknown."""
        return known_labels(self.table["label"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Distinct known labels: in the order of the class names given, else sorted (numbers as numbers)."""
        found = {label for label in self.labels if label is not None}
        given = [name for name in self.config.get("classes") or [] if name in found]
        rest = found - set(given)
        whole = all(label.lstrip("-").isdigit() for label in rest)
        return (*given, *(sorted(rest, key=int) if whole else sorted(rest)))

    @property
    def split(self) -> NDArray[np.str_]:
        """(n,) strings, each 'train', 'val' or 'test'."""
        return np.asarray(self.table["split"].to_numpy(dtype=np.str_))

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities that have at least one view, those of the ingest first, in its order."""
        folder = self.path / "views"
        found = sorted(p.name for p in folder.iterdir() if any(p.glob("*.json"))) if folder.is_dir() else []
        first = [name for name in self.config["modalities"] if name in found]
        return (*first, *(name for name in found if name not in first))

    def encoders(self, modality: str) -> tuple[str, ...]:
        """Names of the encoders that have a view of one modality (``given`` = features that came with the source)."""
        return tuple(sorted(p.stem for p in (self.path / "views" / modality).glob("*.json")))

    @property
    def present(self) -> Bool:
        """(n, M) bool of the default views, True = present, columns as ``names``; items a view lacks yet are absent."""
        columns = [self._presence(name, self.encoder(name, None)) for name in self.names]
        return np.stack(columns, axis=1) if columns else np.zeros((len(self), 0), dtype=bool)

    def views(self, encoders: Mapping[str, str] | Sequence[str] | None = None, rows: Any = None) -> Views:
        """Open views as memory maps; no content is read.

        Parameters
        ----------
        encoders : mapping modality -> encoder, or names of modalities; optional
            Left out, every modality that has a view, by its default encoder.
        rows : int array, bool mask or slice, optional
            Only these rows; any but a slice reads them into memory.

        Returns
        -------
        Views with ids and presence.

        Raises
        ------
        FileNotFoundError
            If a view does not exist; the sentence names the command that makes it.
        ValueError
            If a view's file is truncated, has the first rows only (after an append), or belongs to another table.
        """
        if isinstance(encoders, str):
            encoders = [encoders]
        wanted: Mapping[str, str | None]
        wanted = dict(encoders) if isinstance(encoders, Mapping) else dict.fromkeys(encoders or self.names)
        if not wanted:
            raise FileNotFoundError(f"{self.path} has no views yet; make one with: {self.embed_command()}")
        chosen = {name: self.encoder(name, encoder) for name, encoder in wanted.items()}
        rows_hash, ids = str(self.config["rows"]), lambda: self.ids
        arrays = {
            name: stored.open_view(self.path, name, encoder, rows_hash, len(self), ids)
            for name, encoder in chosen.items()
        }
        present = np.stack([self._presence(name, encoder) for name, encoder in chosen.items()], axis=1)
        views = Views(arrays, None if present.all() else present, self.ids)
        return views if rows is None else views[rows]

    def width(self, modality: str) -> int:
        """Return the number of features of a modality's default view."""
        return int(stored.shape(self.path, modality, self.encoder(modality, None))[1])

    @property
    def short(self) -> dict[str, str]:
        """Modality -> URI of default views by frozen encoders that lack the items appended since."""
        names = {name: self.encoder(name, None) for name in self.names}
        short = {m: e for m, e in names.items() if stored.shape(self.path, m, e)[0] < len(self)}
        return {m: stored.made_by(self.path, m, e)[0] for m, e in short.items() if not stored.trained(self.path, m, e)}

    def embed_command(self) -> str:
        """Command line that completes short views, or makes views of the raw columns, ``URI`` standing for encoders."""
        short = {name: stored.made_by(self.path, name, self.encoder(name, None)) for name in self.short}
        raw = {name: ("URI", name) for name in stored.raw_modalities(self.table) or ["image"]}
        return stored.embed_command(self.path, short or raw)

    @property
    def rounds(self) -> tuple[Round, ...]:
        """Rounds of labels so far, oldest first; those that asked for partners are in ``modest.data.pairs``."""
        return find_rounds(self.path)

    def add(self, what: Choice | Mapping[Any, Any]) -> int:
        """Write a choice as the next round, or labels into the table; both are on disk when this returns.

        Parameters
        ----------
        what : Choice, or mapping id -> label
            A label of None makes it unknown again.

        Returns
        -------
        The number of the new round, or how many labels were written.

        Raises
        ------
        ValueError
            If an id is unknown; nothing is written then.
        """
        if isinstance(what, Choice):
            self._known_ids(what.ids.tolist())
            return add_round(self.path, what, str(self.config["rows"]))
        if not isinstance(what, Mapping):
            raise TypeError(f"add takes a Choice or a mapping id -> label, not {type(what).__name__}.")
        position = self._known_ids([str(name) for name in what])
        labels = self.labels
        labels[position] = known_labels(list(what.values()))
        frame = self.table.copy()
        frame["label"] = labels
        self._write(frame)
        return len(what)

    def save(self) -> None:
        """Write ``table`` as it stands, after changes made to its label, split or raw columns.

        Raises
        ------
        ValueError
            If ids were changed, removed or reordered, or a split is none of train, val, test.
        """
        self._write(self.table)

    def _write(self, frame: pd.DataFrame) -> None:
        if read_config(self.path)["rows"] != self.config["rows"]:
            raise ValueError(f"{self.path} has got other items since it was opened; open it again and repeat this.")
        if frame["id"].astype(str).tolist() != self.ids.tolist():
            raise ValueError("table has other ids than the pool, or in another order; ids may not be edited.")
        odd = sorted(set(frame["split"].astype(str)) - set(SPLITS))
        if odd:
            raise ValueError(f"split {odd[0]!r} is unknown; use {', '.join(SPLITS)}.")
        frame["label"] = known_labels(frame["label"])
        files.write_table(self.path / "pool.parquet", as_text(frame))
        self.__dict__["table"] = frame

    def _known_ids(self, names: Sequence[str]) -> NDArray[np.int64]:
        row = dict(zip(self.ids.tolist(), range(len(self))))
        for name in names:
            if name not in row:
                raise ValueError(f"id {name!r} is not in the pool {self.path}; ids are those of pool.ids.")
        return np.array([row[name] for name in names], dtype=np.int64)

    def _check_order(self, ids: NDArray[np.str_]) -> None:
        if files.rows_hash(ids) != self.config["rows"]:
            raise ValueError(
                f"{self.path / 'pool.parquet'} has other rows, or another order, than the views; ingest it again."
            )

    def encoder(self, modality: str, encoder: str | None = None) -> str:
        """Name of the encoder whose view is meant: the one given if it has a view, else the default one."""
        found = self.encoders(modality)
        default = self.config["modalities"].get(modality)
        name = encoder or (default if default in found else None) or (found[0] if len(found) == 1 else None)
        if name is None and found:
            raise ValueError(f"{modality!r} has the views {', '.join(found)}; name one, views({{{modality!r}: ...}}).")
        if name not in found:
            has = f"its views of {modality!r} are by {', '.join(found)}" if found else f"it has {', '.join(self.names)}"
            command = stored.embed_command(self.path, {modality: (name or "URI", modality)})
            told = f"{modality}={name}" if name else f"of {modality!r}"
            raise FileNotFoundError(f"{self.path} has no view {told} ({has}); make it with: {command}")
        return str(name)

    def _presence(self, modality: str, encoder: str) -> Bool:
        return stored.presence(self.path, modality, encoder, len(self))


def open(path: str | Path) -> Pool:
    """Open a pool; nothing but its ``config.json`` is read. Errors as in :class:`Pool`."""
    return Pool(path)
