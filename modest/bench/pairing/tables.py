"""Results of a pairing bench as tables: curves with intervals, area and saving against random, diagnostics.

Pairs are compared seed by seed. ``area`` is that of the score against the pairs bought, over the range all methods of a
seed share; ``saving`` is of the mean curves, with the seeds that reach random's last score counted beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from modest.evaluation import area, compare, curve, saving, tied_with_best
from modest.types import Float

PLACE = ["set", "setting", "learner"]
RANDOM = "random"


def summarise(frame: pd.DataFrame, metric: str, along: str = "asked") -> pd.DataFrame:
    """Mean and 95 % bootstrap interval over seeds at every round, and who is best or tied with it.

    Parameters
    ----------
    frame : DataFrame of :func:`modest.bench.pairing.results`
    metric : a column of it
    along : 'asked' (queries) or 'cost', alike for all methods of a round; 'pairs' takes the mean of each method

    Returns
    -------
    DataFrame: set, setting, learner, method, round, ``along``, mean, low, high, seeds, tied.

    Raises
    ------
    ValueError
        If the metric is no column.
    """
    if metric not in frame.columns:
        raise ValueError(f"metric={metric!r} is no column of the results; known: {', '.join(map(str, frame.columns))}.")
    rows = []
    for place, own in frame.dropna(subset=[metric]).groupby([*PLACE, "round"], sort=True):
        wide = own.pivot(index="seed", columns="method", values=metric)
        whole = wide.dropna()
        tied = tied_with_best({name: whole[name].to_numpy() for name in whole}) if len(whole) else {}
        for method, some in own.groupby("method", sort=True):
            got = curve(some.sort_values("seed")[metric].to_numpy())
            told = {"method": method, along: float(some[along].mean()), "mean": float(got.mean)}
            told |= {"low": float(got.low), "high": float(got.high), "seeds": got.seeds}
            rows.append({**dict(zip([*PLACE, "round"], place)), **told, "tied": tied.get(method, False)})
    return pd.DataFrame(rows, columns=[*PLACE, "method", "round", along, "mean", "low", "high", "seeds", "tied"])


def areas(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Area under the learning curve, its difference from random, and the pairs saved.

    Returns
    -------
    DataFrame: set, setting, learner, method, area, low, high (95 % interval over seeds), tied (with the best), less,
    less_low, less_high (paired difference from random; NaN without it), saving (of the mean curves), reached (seeds
    whose own curve reaches the last score of random's), seeds.
    """
    rows = []
    for place, own in frame.dropna(subset=[metric]).groupby(PLACE, sort=True):
        lines = {name: _lines(some, metric) for name, some in own.groupby("method", sort=True)}
        shared = sorted(set.intersection(*(set(found) for found in lines.values())))
        if not shared:
            continue
        value = {name: np.array([_area(lines, name, seed) for seed in shared]) for name in lines}
        tied = tied_with_best(value)
        for name in lines:
            got = curve(value[name])
            told = {"method": name, "area": float(got.mean), "low": float(got.low), "high": float(got.high)}
            rows.append({**dict(zip(PLACE, place)), **told, "tied": tied[name], **_against(lines, value, name, shared)})
    against = ["less", "less_low", "less_high", "saving", "reached", "seeds"]
    return pd.DataFrame(rows, columns=[*PLACE, "method", "area", "low", "high", "tied", *against])


def diagnostics(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds of what a round saw: radius and AUROC per side, queries to each side, evaluations."""
    names = [name for name in frame.columns if name.split(":")[0] in ("radius", "auroc", "asked") and ":" in name]
    own = frame[frame["round"] >= 0]
    return own.groupby([*PLACE, "method", "round"], sort=True)[[*names, "evaluations"]].mean().reset_index()


def rounds_per_side(frame: pd.DataFrame) -> pd.DataFrame:
    """Share of a method's queries that went to each side, over all rounds but those before there was a space."""
    names = [name for name in frame.columns if name.startswith("asked:")]
    own = frame[(frame["round"] >= 0) & frame.filter(like="radius:").notna().any(axis=1)]
    sums = own.groupby([*PLACE, "method"], sort=True)[names].sum()
    return sums.div(sums.sum(axis=1), axis=0).reset_index()


def grid(frame: pd.DataFrame, metric: str, order: Sequence[str] = ()) -> pd.DataFrame:
    """Readable table: a row per method, a column per number of queries; a cell reads ``mean [low, high]`` in percent.

    ``*`` marks the best of its column and those tied with it.
    """
    told = summarise(frame, metric)
    told["asked"] = told["asked"].round().astype(int)
    told["cell"] = [
        f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]{'*' if tied else ' '}"
        for mean, low, high, tied in zip(told["mean"], told["low"], told["high"], told["tied"])
    ]
    rest = [name for name in PLACE if told[name].nunique() > 1]
    columns = told.groupby([*PLACE, "round"])["asked"].transform("max")
    wide = told.assign(asked=columns).pivot_table(
        index=[*rest, "method"], columns="asked", values="cell", aggfunc="first"
    )
    return _ordered(wide.fillna("").reset_index(), rest, order)


def verdict(frame: pd.DataFrame, metric: str, order: Sequence[str] = ()) -> pd.DataFrame:
    """Readable table of :func:`areas`: area, its paired difference from random in points, saving."""
    told = areas(frame, metric)
    wide = told[[*PLACE, "method"]].copy()
    wide["area"] = [
        f"{100 * a:.1f} [{100 * low:.1f}, {100 * high:.1f}]{'*' if tied else ' '}"
        for a, low, high, tied in zip(told["area"], told["low"], told["high"], told["tied"])
    ]
    wide["less random"] = [
        "" if a != a else f"{100 * a:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        for a, low, high in zip(told["less"], told["less_low"], told["less_high"])
    ]
    wide["saving"] = [
        "never" if s != s else f"{100 * s:+.0f} %, {int(k)} of {n} seeds reach it"
        for s, k, n in zip(told["saving"], told["reached"].fillna(0), told["seeds"])
    ]
    rest = [name for name in PLACE if told[name].nunique() > 1]
    return _ordered(wide.drop(columns=[name for name in PLACE if name not in rest]), rest, order)


def _ordered(wide: pd.DataFrame, rest: list[str], order: Sequence[str]) -> pd.DataFrame:
    names = list(dict.fromkeys([*order, *wide["method"].tolist()]))
    place = wide["method"].map(names.index)
    wide = wide.assign(_place=place).sort_values([*rest, "_place"], kind="stable", ignore_index=True)
    wide.columns.name = None
    return wide.drop(columns="_place")


def _lines(some: pd.DataFrame, metric: str) -> dict[int, tuple[Float, Float]]:
    """seed -> (pairs, scores), the last score where a round brought no pair."""
    found = {}
    for seed, own in some.groupby("seed"):
        last = own.sort_values("round").drop_duplicates("pairs", keep="last").sort_values("pairs")
        found[int(seed)] = (last["pairs"].to_numpy(dtype=float), last[metric].to_numpy(dtype=float))
    return found


def _area(lines: dict[str, dict[int, tuple[Float, Float]]], name: str, seed: int) -> float:
    """Area of one curve over the pairs that all methods of this seed have a score for."""
    begin = max(own[seed][0][0] for own in lines.values() if seed in own)
    end = min(own[seed][0][-1] for own in lines.values() if seed in own)
    n, s = lines[name][seed]
    if end <= begin:
        return float(np.interp(end, n, s))
    inner = n[(n > begin) & (n < end)]
    counts = np.concatenate([[begin], inner, [end]])
    return area(counts, np.interp(counts, n, s))


def _against(lines: Any, value: dict[str, Float], name: str, shared: Sequence[int]) -> dict[str, Any]:
    """Difference from random and saving; nothing where there is no random."""
    if RANDOM not in lines:
        return {"seeds": len(shared)}
    gap = compare(value[name], value[RANDOM])
    own, other = _mean(lines[name], shared), _mean(lines[RANDOM], shared)
    each = [saving(*lines[name][seed], *lines[RANDOM][seed]) for seed in shared]
    return {
        **{"less": gap.mean, "less_low": gap.low, "less_high": gap.high, "saving": saving(*own, *other)},
        **{"reached": int(np.isfinite(each).sum()), "seeds": len(shared)},
    }


def _mean(found: dict[int, tuple[Float, Float]], shared: Sequence[int]) -> tuple[Float, Float]:
    """Mean curve over seeds, at the mean numbers of pairs where all have as many points, else on straight lines."""
    begin, end = max(found[k][0][0] for k in shared), min(found[k][0][-1] for k in shared)
    points = np.unique(np.clip(np.concatenate([found[k][0] for k in shared]), begin, end))
    return points, np.mean([np.interp(points, *found[k]) for k in shared], axis=0)
