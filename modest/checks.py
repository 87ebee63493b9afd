"""Checks of shapes, budgets and masks in constant time; each error is one sentence with the argument and the mend."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from modest.types import Bool, Int, Views

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def memory_bytes(memory: str | int) -> int:
    """Bytes of a memory budget such as ``"2GB"``, ``"512MiB"`` or a number of bytes.

    Raises
    ------
    ValueError
        If it cannot be read or is below one megabyte.

    Examples
    --------
    >>> memory_bytes("2GB"), memory_bytes("1.5 MiB")
    (2000000000, 1572864)
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([A-Za-z]*)\s*", str(memory))
    if match is None or match.group(2).upper() not in _UNITS:
        raise ValueError(f"memory={memory!r} cannot be read; write it as '2GB', '512MiB' or a number of bytes.")
    size = int(float(match.group(1)) * _UNITS[match.group(2).upper()])
    if size < 10**6:
        raise ValueError(f"memory={memory!r} is below one megabyte; give at least '1MB'.")
    return size


def budget_items(budget: int | float | None, n: int, free: int) -> int:
    """Number of items a budget buys: an int counts items, a float in (0, 1] is a share, max(1, floor(share * n)).

    Raises
    ------
    TypeError
        If ``budget`` is neither an int nor a float.
    ValueError
        If it is not positive, a share above 1, or more than the ``free`` rows.
    """
    if isinstance(budget, bool) or not isinstance(budget, (int, float, np.integer, np.floating)):
        raise TypeError(f"budget is {type(budget).__name__}; give an int (items) or a float in (0, 1] (a share).")
    if isinstance(budget, (float, np.floating)):
        if not math.isfinite(budget) or not 0 < budget <= 1:
            raise ValueError(f"budget={budget} is not a share in (0, 1]; give an int to count items.")
        items = max(1, math.floor(budget * n + 1e-9))
    else:
        items = int(budget)
    if items <= 0:
        raise ValueError(f"budget={budget} is not positive; ask for at least one item.")
    if items > free:
        raise ValueError(f"budget={budget} asks for {items} items but only {free} rows are free; lower the budget.")
    return items


def taken_mask(taken: Any, n: int, name: str = "taken") -> Bool:
    """(n,) bool of rows already taken, or of what ``name`` says; ``None`` means none.

    Raises
    ------
    TypeError
        If it is not boolean (a list of rows is a common slip).
    ValueError
        If its length is not ``n``.
    """
    if taken is None:
        return np.zeros(n, dtype=bool)
    mask = np.asarray(taken)
    if mask.dtype != bool:
        raise TypeError(
            f"{name} must be a boolean mask with one entry per row, not row numbers; build it with np.isin."
        )
    if mask.shape != (n,):
        raise ValueError(f"{name} has shape {mask.shape}; it must hold one entry per row, ({n},).")
    return mask


def row_numbers(rows: Any, n: int) -> Int:
    """(k,) int64 rows of a table of ``n``.

    Raises
    ------
    TypeError
        If they are no integers; a mask is a common slip.
    ValueError
        If one is not in the table.
    """
    found = np.asarray(rows)
    if found.ndim != 1 or (len(found) and found.dtype.kind not in "iu"):
        told = f"rows is {found.dtype} of shape {found.shape}"
        raise TypeError(f"{told}; give row numbers; np.flatnonzero makes them of a mask.")
    odd = found[(found < 0) | (found >= n)] if len(found) else found
    if len(odd):
        raise ValueError(f"rows holds {odd[0]}, and the table has the rows 0 to {n - 1}.")
    return found.astype(np.int64)


def known(name: str, table: Iterable[str], argument: str) -> str:
    """Return ``name`` if it stands in ``table``.

    Raises
    ------
    ValueError
        Listing the known names.
    """
    names = list(table)
    if name not in names:
        raise ValueError(f"{argument}={name!r} is unknown; known: {', '.join(names)}.")
    return name


def as_views(x: Any) -> Views:
    """Views from Views, a mapping of arrays or one (n, d) array (then the modality is called ``x``).

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if isinstance(x, Views):
        return x
    if isinstance(x, Mapping):
        return Views({str(name): a if hasattr(a, "shape") else np.asarray(a) for name, a in x.items()})
    if hasattr(x, "shape"):
        return Views({"x": x})
    raise TypeError(f"views is {type(x).__name__}; give modest.Views, a mapping name -> (n, d) array, or one array.")
