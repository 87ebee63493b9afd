"""Weights and settings on disk: safetensors and JSON, written to a neighbour file and renamed; never pickle."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

__all__ = ["read_config", "read_model", "restore", "snapshot", "weights_hash", "write_atomically", "write_model"]

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def snapshot(net: nn.Module) -> dict[str, Tensor]:
    """Copy of all parameters and buffers by name."""
    return {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}


def restore(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put a snapshot back; every name must be there.

    Raises
    ------
    ValueError
        If names or shapes differ.
    """
    own = net.state_dict()
    if set(own) != set(state) or any(own[name].shape != state[name].shape for name in own):
        raise ValueError("state does not fit the network (names or shapes differ); build it with the same settings.")
    net.load_state_dict(dict(state))


def weights_hash(net: nn.Module) -> str:
    """SHA-256 of all parameters and buffers with their names, whatever the order they were registered in."""
    told = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        told.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return told.hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, also after a kill, sees the old content or the new one.

    What a kill leaves beside it is written over the next time.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_model(folder: Path, net: nn.Module, config: Mapping[str, Any]) -> None:
    """Write ``model.safetensors`` and ``config.json`` into ``folder``; the settings carry the digest of the weights.

    The weights come first, so that a folder killed in between is recognised by :func:`read_model`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = save({name: tensor.cpu().contiguous() for name, tensor in snapshot(net).items()})
    written = {**config, "sha256": hashlib.sha256(weights).hexdigest()}
    content = json.dumps(written, indent=1, sort_keys=True).encode()
    write_atomically(folder / WEIGHTS, weights)
    write_atomically(folder / CONFIG, content)


def read_config(folder: Path, newest: Mapping[str, int]) -> dict[str, Any]:
    """Settings of a saved model; ``newest`` holds the newest format that can be read, by kind.

    Raises
    ------
    FileNotFoundError
        If there is no ``config.json``.
    ValueError
        If it is not a JSON object, or of a kind or format not in ``newest``.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {CONFIG}; give the folder that save() or modest train wrote.")
    try:
        config = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}); save the model again.") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} is not a JSON object; save the model again.")
    kind, number = str(config.get("kind")), config.get("format")
    if kind not in newest:
        raise ValueError(f"{path} holds kind {kind!r}, unknown here; known: {', '.join(newest)}.")
    if not isinstance(number, int) or number > newest[kind]:
        raise ValueError(f"{path} has format {number!r}, newer than {newest[kind]}; update modest to read it.")
    return config


def read_model(folder: Path, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """Weights of a saved model, on the CPU.

    Raises
    ------
    FileNotFoundError
        If there is no ``model.safetensors``.
    ValueError
        If the file is damaged or does not belong to ``config`` (a save that was killed half-way).
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no {WEIGHTS}; save the model again.")
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != config.get("sha256"):
        raise ValueError(f"{path} does not belong to the {CONFIG} beside it (damaged, or a save was cut); save again.")
    try:
        state: dict[str, torch.Tensor] = load(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is not a safetensors file ({error}); save the model again.") from error
    return state
