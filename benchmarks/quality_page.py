"""The page of ``benchmarks.quality``: tables with intervals, and how ``auto`` fares in numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from modest import bench
from modest.evaluation import compare

METRICS = ("accuracy", "macro_accuracy")
FIXED_ON = ("fashion", "scene15")


def page(into: Path, csv: Path | None) -> str:
    """Markdown of every series there is; ``csv`` takes the rows they are made of."""
    parts = []
    for series in ("cold", "mla", "stress"):
        frame = gathered(into / series)
        if not len(frame):
            continue
        if csv is not None:
            csv.mkdir(parents=True, exist_ok=True)
            frame.to_csv(csv / f"quality-{series}.csv", index=False, lineterminator="\n")
        parts.append(f"## Series `{series}`, {frame['seed'].nunique()} seeds")
        parts += [markdown(verdict(frame))]
        for metric in METRICS:
            for (name, condition), cells in frame.groupby(["set", "condition"], sort=False):
                told = name if condition == "" else f"{name}, {condition}"
                wide = bench.grid(cells.drop(columns="condition"), metric=metric)
                parts += [f"### {told}, {metric.replace('_', ' ')}", markdown(wide)]
        if series == "stress":
            parts += ["### Share of mismatched items among those bought, %", markdown(mismatched(into / series))]
    return "\n\n".join(parts)


def gathered(folder: Path) -> pd.DataFrame:
    """Results of all benches of a series, with the condition of each."""
    frames = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if (path / "results.csv").is_file():
            condition = path.name.partition("~")[2].replace("-", " ")
            frames.append(bench.results(path).assign(condition=condition, missing=0.0))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def verdict(frame: pd.DataFrame) -> pd.DataFrame:
    """Per metric, on the sets ``auto`` was first fixed on, on the others and on all: where it stands among its rivals.

    Columns: cells, share in which it is best or tied with the best, mean rank of its mean, cells in which its mean is
    below random's, cells in which the interval of that difference is below 0.
    """
    rows = []
    for metric in METRICS:
        told = []
        for (name, _, _items), cells in frame.groupby(["set", "condition", "items"], sort=False):
            wide = cells.pivot(index="seed", columns="method", values=metric).dropna()
            tied = bench.best(cells.drop(columns="condition"), metric=metric).set_index("method")["tied"]
            rank = wide.mean().rank(ascending=False)["auto"]
            apart = compare(wide["auto"].to_numpy(), wide["random"].to_numpy())
            told.append((name in FIXED_ON, bool(tied["auto"]), float(rank), apart.mean < 0, apart.high < 0))
        for which, mine in (("fixed on", (True,)), ("others", (False,)), ("all", (True, False))):
            some = np.array([t[1:] for t in told if t[0] in mine], dtype=float)
            if len(some):
                best, rank, below, surely = some.mean(axis=0)
                rows.append({
                    "metric": metric, "sets": which, "cells": len(some), "best or tied": f"{best:.0%}",
                    "mean rank": f"{rank:.2f}", "mean below random": round(below * len(some)),
                    "surely below random": round(surely * len(some)),
                })  # fmt: skip
    return pd.DataFrame(rows)


def mismatched(folder: Path) -> pd.DataFrame:
    """Mean share of mismatched items per method, from the ids of the choices."""
    rows = []
    for path in sorted(folder.glob("*~mismatched*")):
        for file in sorted((path / "choices").glob("*.json")):
            name, _, _, method, items = file.stem.split("~")
            ids = json.loads(file.read_text(encoding="utf-8"))["ids"]
            share = 100 * np.mean([one.endswith("-mismatched") for one in ids])
            told = f"{name}, {path.name.split('~')[1].replace('-', ' ')}"
            rows.append({"condition": told, "method": method, "items": int(items), "share": share})
    if not rows:
        return pd.DataFrame({"condition": []})
    frame = pd.DataFrame(rows).groupby(["condition", "method", "items"])["share"].mean().round(1)
    return (
        frame.unstack(["condition", "items"])
        .reset_index()
        .set_axis(["method", *[f"{c}, {i}" for c, i in frame.unstack(["condition", "items"]).columns]], axis=1)
    )


def markdown(wide: pd.DataFrame) -> str:
    """A table of texts."""
    rows = [[str(name) for name in wide.columns], ["---"] * wide.shape[1], *wide.astype(str).to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
