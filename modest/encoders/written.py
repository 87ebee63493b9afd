"""What became of one modality of an ``embed``, and the default view that a pool gets by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modest.data import files
from modest.data.pool import Pool


@dataclass(frozen=True)
class Report:
    """One view: what it is, and what this call did for it.

    ``rows`` of the table and ``dim`` features each; ``bytes`` of the array; ``kept`` rows were in the view before;
    ``encoded`` rows have a value that this call read (in a dry run: that a run would read); ``absent`` rows have no
    features, ``skipped`` of them because their value could not be read (listed in ``skipped_file``); ``seconds`` a dry
    run predicts; ``written`` is False where there was nothing to do.
    """

    modality: str
    encoder: str
    uri: str
    revision: str
    column: str
    path: Path
    rows: int
    dim: int
    bytes: int
    shards: int = 0
    kept: int = 0
    encoded: int = 0
    absent: int = 0
    skipped: int = 0
    seconds: float | None = None
    written: bool = False

    @property
    def skipped_file(self) -> Path | None:
        """CSV of id, value and reason of skipped values; None where nothing was skipped."""
        return self.path.with_suffix(".skipped.csv") if self.skipped else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-able values."""
        path = self.skipped_file
        return {**asdict(self), "path": str(self.path), "skipped_file": None if path is None else str(path)}


def settle(pool: Pool, modality: str, name: str) -> None:
    """Make a view the default of its modality where the modality had none; on disk and in ``pool``."""
    path = pool.path / "config.json"
    config = files.read_json(path)
    if modality not in config["modalities"]:
        config["modalities"][modality] = name
        files.write_json(path, config)
    pool.config["modalities"] = config["modalities"]
