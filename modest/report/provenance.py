"""Where a report comes from: hashes of data, choices and models, encoders, method, seed, versions."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

from modest.data import files
from modest.data.pool import Pool
from modest.data.rounds import Round
from modest.report.html import Part

PACKAGES = ("modest", "numpy", "scipy", "scikit-learn", "torch", "pandas", "pyarrow")
_SETTINGS = ("method", "budget", "seed", "mode", "why", "model", "split", "ignore_labels", "knobs", "coverage")


def provenance_part(
    pool: Pool | None = None,
    one: Round | None = None,
    model: Path | None = None,
    encoders: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> Part:
    """Section that says what a report was made of.

    Parameters
    ----------
    pool : its rows, its table and the views looked at, with encoder and revision
    one : a round, with method, seed and settings
    model : folder of a model
    encoders : modality -> encoder of the views looked at; the default ones
    more : other facts to name
    """
    facts: list[tuple[str, Any]] = list((more or {}).items())
    if pool is not None:
        facts += [("pool, hash of ids in order", pool.config["rows"])]
        facts += [("pool, hash of the table with its labels", files.file_hash(pool.path / "pool.parquet"))]
        for name in pool.names:
            facts += _view(pool, name, pool.encoder(name, (encoders or {}).get(name)))
    if one is not None:
        for name in ("choice.parquet", "query.parquet"):
            if (one.path / name).is_file():
                facts += [(f"round {one.number}, hash of {name}", files.file_hash(one.path / name))]
        told = {**one.manifest.get("trace", {}), "method": one.manifest.get("method")}
        for key in _SETTINGS:
            if told.get(key) not in (None, {}, "", False):
                facts += [(f"round {one.number}, {key}", told[key])]
    if model is not None:
        facts += _model(model)
    facts += [("report written with", ", ".join(f"{name} {v}" for name, v in versions().items()))]
    return Part("Provenance", "What this report was made of, so that it can be made again.", facts=facts)


def versions() -> dict[str, str]:
    """Installed versions of what results depend on; what is not installed is left out.

    Examples
    --------
    >>> "numpy" in versions(), "python" in versions()
    (True, True)
    """
    found = {"python": python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _view(pool: Pool, modality: str, encoder: str) -> list[tuple[str, Any]]:
    about = files.read_json(pool.path / "views" / modality / f"{encoder}.json")
    told = [encoder, *(f"{key} {about[key]}" for key in ("uri", "revision", "origin") if about.get(key))]
    return [(f"{modality}, encoder", ", ".join(map(str, told)))]


def _model(folder: Path) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = []
    if (folder / "model.safetensors").is_file():
        facts += [(f"{folder.name}, hash of its weights", files.file_hash(folder / "model.safetensors"))]
    metrics = files.read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    for key in ("method", "seed", "epochs", "kept_epoch", "labelled", "start"):
        if metrics.get(key) is not None:
            facts += [(f"{folder.name}, {key.replace('_', ' ')}", metrics[key])]
    return facts
