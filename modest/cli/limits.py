"""Quotas and costs on the command line: from options and columns of the pool to what ``modest.select`` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from modest.checks import known

if TYPE_CHECKING:
    import pandas as pd


def limits(
    table: pd.DataFrame, quota: list[str], group_by: str | None, cost: str | None, total: float | None
) -> dict[str, Any]:
    """Arguments ``groups``, ``quotas``, ``costs`` and ``total`` of a selection among the rows of ``table``.

    Groups are the values of a column as text; rows without a value are of the group ``''``.

    Raises
    ------
    ValueError
        If an option lacks its partner, a column is unknown, or a quota cannot be read.
    """
    import pandas as pd

    found: dict[str, Any] = {}
    if bool(quota) != (group_by is not None):
        raise ValueError("--quota and --group-by go together: a number of items, and the column that makes groups.")
    if (cost is None) != (total is None):
        raise ValueError("--cost and --total go together: the column of costs, and what may be spent.")
    if group_by is not None:
        column = table[known(group_by, table.columns, "--group-by")]
        found["groups"] = ["" if missing else str(value) for value, missing in zip(column, column.isna())]
        found["quotas"] = _quotas(quota)
    if cost is not None:
        column = table[known(cost, table.columns, "--cost")]
        found["costs"] = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=float("nan"))
        found["total"] = total
    return found


def lines(trace: Mapping[str, Any]) -> list[str]:
    """What the screen says of limits: what was spent, what was chosen of each quota, and why the choice is short."""
    said = []
    if "spent" in trace:
        said.append(f"spent {trace['spent']:g} of {trace['total']:g}")
    if trace.get("quotas"):
        used = (f"{name or repr(name)} {count} of {most}" for name, (count, most) in trace["quotas"].items())
        said.append("quotas: " + ", ".join(used))
    ends = {
        "total": "no free item fits what is left",
        "quotas": "the quotas are used up",
        "pool": "no free item is left",
    }
    return [*said, *([ends[trace["ended"]]] if trace.get("ended") in ends else [])]


def _quotas(quota: list[str]) -> int | dict[str, int]:
    """One number for all groups, or a number for each group named."""
    named: dict[str, int] = {}
    for text in quota:
        name, equals, number = text.rpartition("=")
        if not number.isdigit():
            raise ValueError(f"--quota {text!r} cannot be read; write GROUP=N, or N for every group.")
        if not equals and len(quota) > 1:
            raise ValueError(f"--quota {text!r} is for every group; give it alone, or name a group in each.")
        if not equals:
            return int(number)
        named[name] = int(number)
    return named
