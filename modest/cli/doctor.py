"""``modest doctor``: what this machine has and what modest will do with it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform

from modest.cli.output import JSON, finish

_CORE = ("numpy", "scipy", "scikit-learn", "torch", "faiss-cpu", "pyarrow", "pandas", "safetensors", "matplotlib")
_EXTRAS = {"data": ("datasets",)}
_HARMFUL = {
    "torchvision": "its wheels do not load on a CPU build of torch and then break transformers; remove it",
    "torchaudio": "its wheels do not load on a CPU build of torch and then break transformers; remove it",
}


def command(json: bool = JSON) -> None:
    """Say what is installed, which device and precision will be used, and what stands in the way.

    Example: modest doctor
    """
    import torch

    import modest
    from modest.neighbours import decide, fast_bfloat16

    device = decide()
    versions = {name: importlib.metadata.version(name) for name in _CORE}
    missing = {
        extra: [name for name in names if importlib.util.find_spec(name) is None] for extra, names in _EXTRAS.items()
    }
    on_cpu = torch.version.cuda is None
    warnings = [
        f"{name} is installed: {why}" for name, why in _HARMFUL.items() if on_cpu and importlib.util.find_spec(name)
    ]
    payload = {
        "modest": modest.__version__,
        "python": platform.python_version(),
        "device": str(device),
        "bf16_tiles": fast_bfloat16(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "versions": versions,
        "missing_extras": {extra: names for extra, names in missing.items() if names},
        "warnings": warnings,
    }
    text = [
        f"modest {payload['modest']} on Python {payload['python']}",
        f"device: {device}, {payload['threads']} threads of {payload['cores']} cores",
        "precision: fp32" + (", with bf16 tiles (fast on this processor)" if payload["bf16_tiles"] else ""),
        "installed: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
    ]
    text += [f"extra '{extra}' is not installed: pip install 'modest[{extra}]'" for extra in payload["missing_extras"]]  # type: ignore[attr-defined]
    text += [f"warning: {line}" for line in warnings] or ["nothing stands in the way"]
    finish(payload, json, text, following="modest demo")
