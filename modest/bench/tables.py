"""Results as tables: means over seeds with bootstrap intervals, and which methods are tied with the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from modest.evaluation import curve, tied_with_best

POINTS = ("set", "missing", "learner", "items")


def summarise(frame: pd.DataFrame, metric: str = "accuracy") -> pd.DataFrame:
    """Mean and 95 % bootstrap interval over seeds, one row per (set, missing, learner, method, items).

    Parameters
    ----------
    frame : DataFrame of :func:`modest.bench.results`
    metric : a column of it, e.g. 'macro_accuracy' or 'image:accuracy'

    Returns
    -------
    DataFrame with columns set, missing, learner, method, items, mean, low, high (shares in [0, 1]), seeds.

    Raises
    ------
    ValueError
        If the metric is no column.
    """
    if metric not in frame.columns:
        raise ValueError(f"metric={metric!r} is no column of the results; known: {', '.join(map(str, frame.columns))}.")
    rows = []
    for point, group in frame.dropna(subset=[metric]).groupby([*POINTS, "method"], sort=True):
        got = curve(group.sort_values("seed")[metric].to_numpy())
        told = {"mean": float(got.mean), "low": float(got.low), "high": float(got.high), "seeds": got.seeds}
        rows.append({**dict(zip((*POINTS, "method"), point)), **told})
    return pd.DataFrame(rows, columns=[*POINTS, "method", "mean", "low", "high", "seeds"])


def best(frame: pd.DataFrame, across: str = "method", metric: str = "accuracy") -> pd.DataFrame:
    """Who is best or tied with the best at each point, by the paired bootstrap over seeds.

    ``across`` is what competes: 'method' or 'learner'. Only seeds that all competitors have are compared.

    Returns
    -------
    DataFrame: the other columns of (set, missing, learner, method, items), ``across``, and ``tied`` (bool).
    """
    others = [name for name in (*POINTS, "method") if name != across]
    rows = []
    for point, group in frame.dropna(subset=[metric]).groupby(others, sort=True):
        wide = group.pivot(index="seed", columns=across, values=metric).dropna()
        if len(wide):
            tied = tied_with_best({str(name): wide[name].to_numpy() for name in wide.columns})
            rows += [{**dict(zip(others, point)), across: name, "tied": own} for name, own in tied.items()]
    return pd.DataFrame(rows, columns=[*others, across, "tied"])


def grid(
    frame: pd.DataFrame,
    across: str = "method",
    along: str = "items",
    metric: str = "accuracy",
    order: Sequence[str] = (),
) -> pd.DataFrame:
    """Readable table: one row per competitor (``across``), one column per value of ``along``.

    A cell reads ``mean [low, high]`` in percent; ``*`` marks the best of its column and those tied with it. What is
    constant over the results is left out, what varies besides becomes more rows. ``order``: competitors to put first.
    """
    summary = summarise(frame, metric).merge(best(frame, across, metric), how="left")
    summary["cell"] = [
        f"{100 * r.mean_:.1f} [{100 * r.low:.1f}, {100 * r.high:.1f}]{'*' if r.tied is True or r.tied == 1 else ' '}"
        for r in summary.rename(columns={"mean": "mean_"}).itertuples()
    ]
    rest = [c for c in (*POINTS, "method") if c not in (across, along) and summary[c].nunique() > 1]
    order = list(dict.fromkeys([*order, *frame[across].tolist()]))
    wide = summary.pivot(index=[*rest, across], columns=along, values="cell").fillna("").reset_index()
    wide[across] = pd.Categorical(wide[across], [name for name in order if name in set(wide[across])])
    wide = wide.sort_values([*rest, across], ignore_index=True)
    wide[across] = wide[across].astype(str)
    wide.columns.name = None
    return wide


def text(wide: pd.DataFrame, title: str, heads: Mapping[Any, str] | None = None) -> str:
    """A :func:`grid` as lines of text; ``heads`` renames columns."""
    names = [str((heads or {}).get(name, name)) for name in wide.columns]
    cells = [names, *[[str(value) for value in row] for row in wide.itertuples(index=False)]]
    widths = [max(len(row[j]) for row in cells) for j in range(len(names))]
    lines = [
        "  ".join(c.ljust(w) if j == 0 else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths))) for row in cells
    ]
    return "\n".join([title, lines[0], "  ".join("-" * w for w in widths), *lines[1:]])
