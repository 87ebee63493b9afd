"""Published weights: found in a file, a local folder or on the hub, read without pickle, and fitted name by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["fill", "located", "read_settings", "read_state", "refuse_other"]

FILES = (".safetensors", ".pth", ".pt", ".bin")
IN_FOLDER = ("model.safetensors", "pytorch_model.bin")
WANTED = ["*.json", "*.txt", "*.model", *IN_FOLDER, "model-*.safetensors"]


def located(weights: str | Path) -> Path:
    """File or folder of ``weights``: a local path, else a model of the Hugging Face hub, fetched into its cache.

    Raises
    ------
    FileNotFoundError
        If it is neither.
    ImportError
        If the hub is needed and transformers is not installed.
    """
    path = Path(weights)
    if path.exists():
        return path
    missing = (
        f"weights={str(weights)!r} is no file or folder here and was not found on the hub; "
        f"give a transformers folder, a hub name, or a file ending in {', '.join(FILES)}."
    )
    if path.is_absolute() or path.suffix in FILES or str(weights).count("/") > 1:
        raise FileNotFoundError(missing)
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise ImportError(
            "reading weights from the hub needs transformers; install it with: pip install 'modest[media]'"
        ) from None
    try:
        return Path(snapshot_download(str(weights), allow_patterns=WANTED))
    except (OSError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError) as error:
        raise FileNotFoundError(missing) from error


def read_settings(place: Path) -> dict[str, Any]:
    """``config.json`` of a transformers folder; empty for a single file."""
    path = place / "config.json"
    if not place.is_dir() or not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not readable JSON ({error}); fetch the folder again.") from error
    return dict(settings)


def read_state(place: Path) -> dict[str, Tensor]:
    """Tensors by name of a weights file, or of the weights in a transformers folder (also in several pieces).

    Raises
    ------
    FileNotFoundError
        If the folder holds no weights.
    ValueError
        If the file cannot be read, or holds anything but tensors by name.
    """
    if not place.is_dir():
        return _read_file(place)
    index = place / "model.safetensors.index.json"
    if index.is_file():
        pieces = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return {name: tensor for piece in pieces for name, tensor in _read_file(place / piece).items()}
    for name in IN_FOLDER:
        if (place / name).is_file():
            return _read_file(place / name)
    raise FileNotFoundError(f"weights={str(place)!r} holds none of {', '.join(IN_FOLDER)}; save the model there.")


def _read_file(path: Path) -> dict[str, Tensor]:
    if path.suffix not in FILES:
        raise ValueError(f"weights={str(path)!r} is no weights file; known endings: {', '.join(FILES)}.")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except (SafetensorError, OSError) as error:
            raise ValueError(f"weights={str(path)!r} is damaged ({error}); fetch it again.") from error
    from _pickle import UnpicklingError

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ValueError(
            f"weights={str(path)!r} is damaged or holds more than tensors; convert it to safetensors."
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"weights={str(path)!r} holds no tensors by name; give a state dict.")
    return dict(state)


def refuse_other(settings: Mapping[str, Any], expected: Mapping[str, Any], weights: str | Path) -> None:
    """Compare what shapes cannot show (strides, activations) of a ``config.json`` with what the encoder does.

    Raises
    ------
    ValueError
        Naming the first setting that differs; settings that the file leaves out are taken as the usual ones.
    """
    for name, value in expected.items():
        if name in settings and settings[name] != value:
            raise ValueError(
                f"weights={str(weights)!r} is another architecture: its {name} is {settings[name]!r}, "
                f"this encoder's is {value!r}."
            )


def fill(net: nn.Module, state: Mapping[str, Tensor], weights: str | Path, encoder: str) -> None:
    """Copy tensors into parameters and buffers of the same names; every name must be there with its shape.

    Counters of batches, which old files lack, may be missing. ``state`` is already in the names of ``net``.

    Raises
    ------
    ValueError
        Naming the first tensor that is missing, unexpected or of another shape; ``net`` is then unchanged.
    """
    own = net.state_dict()
    needed = [name for name in own if not name.endswith("num_batches_tracked")]
    wrong = [f"it lacks {name}" for name in needed if name not in state]
    wrong += [f"it has {name}, which the encoder has not" for name in sorted(state) if name not in own]
    wrong += [
        f"its {name} has shape {tuple(state[name].shape)}, the encoder's has {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if wrong:
        raise ValueError(
            f"weights={str(weights)!r} does not fit {encoder}: {wrong[0]}; give weights of the same architecture "
            "or change width and depth."
        )
    net.load_state_dict({**own, **state})
