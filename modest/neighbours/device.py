"""Where device, dtype and threads are decided, once for the whole house."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Precision = Literal["auto", "float32", "float64"]


def decide(device: str | torch.device | None = None) -> torch.device:
    """Device to compute on: the one named, else CUDA if there, else the CPU.

    Raises
    ------
    ValueError
        If the device named is not there.

    Examples
    --------
    >>> decide("cpu")
    device(type='cpu')
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is unknown; use 'cpu' or 'cuda'.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device!r} asks for CUDA but none is available here; use device='cpu'.")
    return chosen


def fast_bfloat16(device: torch.device) -> bool:
    """Whether bf16 products are several times faster than fp32 ones: CUDA, or a CPU with AMX or AVX-512 bf16 units.

    Decided by what the processor says it has, never by a timing, so that the same machine always answers the same.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    # torch offers no public question for these two; without them the answer is the safe one
    asked = [getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")]
    return any(question() for question in asked if question is not None)


def precise(precision: Precision, device: torch.device) -> tuple[torch.dtype, bool]:
    """(dtype of values, whether tiles may be multiplied in bf16) for a precision.

    ``"auto"`` is fp32 with bf16 tiles where they are fast, ``"float32"`` and ``"float64"`` use that type throughout.

    Raises
    ------
    ValueError
        If the precision is none of the three.
    """
    if precision == "auto":
        return torch.float32, fast_bfloat16(device)
    if precision == "float32":
        return torch.float32, False
    if precision == "float64":
        return torch.float64, False
    raise ValueError(f"precision={precision!r} is unknown; known: auto, float32, float64.")


def product(a: Tensor, b: Tensor, fast: bool) -> Tensor:
    """``a @ b``, multiplied in bf16 when ``fast``; the result has the dtype of ``a`` either way."""
    if not fast:
        return a @ b.to(a.dtype)
    return (a.to(torch.bfloat16) @ b.to(torch.bfloat16)).to(a.dtype)


def tile_length(memory: int, bytes_per_row: int, n: int) -> int:
    """Rows per tile so that one tile stays within an eighth of the memory budget (bytes), between 1 and ``n``."""
    return int(max(1, min(n, 65_536, memory // 8 // max(1, bytes_per_row))))
