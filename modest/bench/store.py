"""The folder of a bench: every finished cell its own file, so that a kill at any moment loses at most the cell at work.

    protocol.json      the protocol, the sets' sizes and hashes
    choices/<key>.json what a selection chose (ids in order)
    cells/<key>.json   one row of results
    results.csv        all rows, sorted; made of ``cells`` alone, so equal cells give equal bytes
    timings/<key>.json seconds; they differ between runs and stay out of the other files

Files are written under another name and moved into place. A lock, freed by the system when its process ends, keeps two
runs out of one folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from modest.data import files
from modest.data.lock import held

KIND, FORMAT = "bench", 1
PARTS = ("choices", "cells", "timings")
ORDER = ("set", "missing", "learner", "method", "items", "seed")


@dataclass(frozen=True)
class Store:
    """A bench folder at ``path``; ``kind`` is what its ``protocol.json`` calls itself, ``order`` sorts the results."""

    path: Path
    kind: str = KIND
    order: tuple[str, ...] = ORDER

    @contextmanager
    def begun(self, about: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for one run of the bench ``about``.

        Raises
        ------
        ValueError
            If the folder holds another protocol, or other data.
        OSError
            If it cannot be written or another run holds it.
        """
        with files.writing(self.path):
            for part in PARTS:
                (self.path / part).mkdir(parents=True, exist_ok=True)
        with held(self.path / ".lock", self.path):
            self._agree({"kind": self.kind, "format": FORMAT, **about})
            for left in self.path.rglob(".*.partial"):
                left.unlink(missing_ok=True)
            yield

    def has(self, part: str, key: str) -> bool:
        """Whether a choice, cell or timing is there."""
        return (self.path / part / f"{key}.json").is_file()

    def write(self, part: str, key: str, content: dict[str, Any]) -> None:
        """Write one choice, cell or timing."""
        files.write_json(self.path / part / f"{key}.json", content)

    def read(self, part: str, key: str) -> dict[str, Any]:
        """Read one choice, cell or timing."""
        return files.read_json(self.path / part / f"{key}.json")

    def all(self, part: str) -> dict[str, dict[str, Any]]:
        """All choices, cells or timings by key, sorted."""
        return {path.stem: files.read_json(path) for path in sorted((self.path / part).glob("*.json"))}

    def merge(self, flat: Callable[[dict[str, Any]], Sequence[dict[str, Any]]] = lambda cell: [cell]) -> None:
        """Write ``results.csv`` from the cells there are, if any; ``flat`` makes the rows of a cell."""
        rows = [row for cell in self.all("cells").values() for row in flat(cell)]
        if not rows:
            return
        columns = list(dict.fromkeys(name for row in rows for name in row))
        frame = pd.DataFrame(rows, columns=columns).sort_values(list(self.order), kind="stable", ignore_index=True)
        with files.replacing(self.path / "results.csv") as temporary:
            frame.to_csv(temporary, index=False, lineterminator="\n")

    def _agree(self, about: dict[str, Any]) -> None:
        path = self.path / "protocol.json"
        if not path.is_file():
            files.write_json(path, about)
            return
        before = about_bench(self.path, self.kind)
        changed = sorted({*_flat(before).items()} ^ {*_flat(about).items()})
        if changed:
            names = ", ".join(dict.fromkeys(name for name, _ in changed))
            raise ValueError(
                f"{self.path} holds a bench of another protocol ({names}); choose another folder for this one."
            )


def about_bench(path: str | Path, kind: str = KIND) -> dict[str, Any]:
    """``protocol.json`` of a bench folder: protocol, sets, hashes.

    Raises
    ------
    FileNotFoundError
        If there is no bench.
    ValueError
        If a newer version wrote it.
    """
    file = Path(path) / "protocol.json"
    if not file.is_file():
        raise FileNotFoundError(f"{path} holds no bench; make one with: modest bench POOL --out {path}")
    about = files.read_json(file)
    if about.get("kind") != kind or not isinstance(about.get("format"), int) or about["format"] > FORMAT:
        raise ValueError(f"{file} has kind {about.get('kind')!r}, format {about.get('format')!r}; upgrade modest.")
    return about


def results(path: str | Path) -> pd.DataFrame:
    """Results of a bench folder, one row per finished cell.

    Columns: set, missing, learner, method, items, seed, accuracy, macro_accuracy, weighted_f1, rows,
    classes_bought, choice, mask, and per modality ``<name>:accuracy`` and so on.

    Raises
    ------
    FileNotFoundError
        If there is no bench or no cell has finished yet.
    """
    about_bench(path)
    file = Path(path) / "results.csv"
    if not file.is_file():
        raise FileNotFoundError(f"{path} has no finished results; run its bench again to go on.")
    return pd.read_csv(file, dtype={"set": str, "learner": str, "method": str, "choice": str, "mask": str})


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Leaves of a nested mapping as dotted name -> text."""
    leaves: dict[str, str] = {}
    for name, value in tree.items():
        own = f"{prefix}.{name}" if prefix else name
        leaves.update(_flat(value, own) if isinstance(value, Mapping) else {own: repr(value)})
    return leaves
