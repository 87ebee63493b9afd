"""Tables and figures of ``benchmarks.paper`` as Markdown and PNG, with the paper's printed numbers beside them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import paper_printed as printed
from benchmarks.paper_cells import EXTRA, FIELDS, LAMBDAS, SETS, WAYS
from benchmarks.represent_table import shown, table
from modest.evaluation import compare, tied_with_best

HEAD = """# The tables and figures of MMCSAL in kind

Small sets in place of the paper's: spoken letters (GRID: sound, mouth), fashion products and emoji (picture, words).
Stage 1 is small towers over frozen views; the learner is a linear probe, supervised on the frozen views, semi-
supervised on those of stage 1 with prototypes, where the paper trains whole networks. Budgets are 1, 2, 5 and 10 % of
the training rows, never below a label per class; letters have 25, 50, 100 and 200. A seed redraws an 80 % subsample,
stage 1 and every choice. Warm methods begin with random's first budget and go on by rounds, asking the probe.
ActiveFT chooses in the space without prototypes, -proto with them, -align adds alignment (`infonce`, the library's
default) without them, -final has both; k-center and k-means choose without. Mean, 95 % bootstrap interval over seeds;
bold: best, or tied with it (the paired interval holds 0 and the means are within a point).
"""
PARTS = list(FIELDS[9:14])
ROWS = [name for name in WAYS if name not in EXTRA]
IN_TABLE_2 = [name for name in ROWS if name not in ("mmcsal-proto", "mmcsal-align")]
OF_LAMBDA = {"0": "mmcsal-proto", **{f"{v:g}": f"mmcsal-{v:g}" for v in LAMBDAS}, "1": "mmcsal-final"}


def told(args: argparse.Namespace) -> None:
    """Print every table; write the CSV and the figures if they were asked for."""
    frame = read(args.into)
    print(HEAD)
    if args.csv:
        kept = frame.drop(columns="cell_seconds").sort_values(["set", "seed", "setting", "learner", "method"])
        kept.to_csv(args.csv, index=False, lineterminator="\n", float_format="%.6g")
    probe = frame[frame["learner"] == "probe"]
    for title, setting, rows, beside in (
        ("Table 1 in kind: supervised", "supervised", ROWS, printed.SUPERVISED),
        ("Table 2 in kind: semi-supervised", "semi_supervised", IN_TABLE_2, printed.SEMI_SUPERVISED),
    ):
        print(f"## {title}\n")
        own = probe[probe["setting"] == setting]
        accuracies(own, {name: name for name in rows}, "choice")
        if setting == "supervised":  # the paper's top-1 is probably macro accuracy, see its authors' earlier code
            accuracies(own, {name: name for name in rows}, "choice", "macro_accuracy")
        paper(beside, "choice")
        print("MMCSAL-final minus another choice, points, the same seeds:\n")
        differences(own, beside, rows)
    print("## Table 6 in kind: lambda_align, supervised\n")
    accuracies(probe[probe["setting"] == "supervised"], dict(sorted(OF_LAMBDA.items(), key=_number)), "lambda_align")
    paper(printed.ALIGN, "lambda_align")
    classifier(frame)
    print("## Table 5 in kind: seconds of a selection, medians\n")
    seconds(probe)
    print("## Figures 3 to 5 in kind: what a choice prefers, third budget\n")
    preferences(probe, args.figures)


def read(into: Path) -> pd.DataFrame:
    """All cells there are; FileNotFoundError if there is none."""
    paths = sorted((into / "cells").glob("*.csv"))
    if not paths:
        raise FileNotFoundError(f"{into} holds no cells; run python -m benchmarks.paper --into {into} first.")
    return pd.concat([pd.read_csv(path, dtype={"choice": str}) for path in paths], ignore_index=True)


def per_seed(frame: pd.DataFrame, name: str, method: str, budget: str, value: str = "accuracy") -> dict[int, float]:
    cells = frame[(frame["set"] == name) & (frame["method"] == method) & (frame["budget"] == budget)]
    return dict(zip(cells["seed"].tolist(), cells[value].tolist()))


def accuracies(frame: pd.DataFrame, methods: Mapping[str, str], head: str, metric: str = "accuracy") -> None:
    """One table per set: mean and 95 % interval per budget, the best and those tied with it marked."""
    for name in SETS:
        own = frame[frame["set"] == name]
        if not len(own):
            continue
        items = own.groupby("budget")["items"].first()
        columns = {}
        for budget in [b for b in printed.BUDGETS if b in items]:
            found = {shown_as: per_seed(own, name, m, budget, metric) for shown_as, m in methods.items()}
            columns[f"{items[budget]} labels"] = marked(found)
        seeds = sorted({len(per_seed(own, name, "random", b)) for b in items.index} or {0})
        print(f"{name}, {metric.replace('_', ' ')} in %, seeds: {' or '.join(map(str, seeds))}\n")
        table([head, *columns], [[row, *(column[row] for column in columns.values())] for row in methods])


def marked(found: Mapping[str, Mapping[int, float]]) -> dict[str, str]:
    """Cells of one column; bold: best, or tied with it over the seeds that all have."""
    there = {row: own for row, own in found.items() if own}
    shared = sorted(set.intersection(*(set(own) for own in there.values()))) if there else []
    tied = tied_with_best({row: [own[s] for s in shared] for row, own in there.items()}) if shared else {}
    cells = {}
    for row, own in found.items():
        cell = shown([100 * x for x in own.values()], 1)
        cells[row] = f"**{cell}**" if tied.get(row) else cell
    return cells


def paper(beside: Mapping[str, Sequence[str]], head: str) -> None:
    """The paper's own table."""
    print("The paper, top-1 accuracy in %, mean ± deviation:\n")
    heads = [f"{name} {budget}" for name in printed.SETS for budget in printed.BUDGETS]
    table([head, *heads], [[row, *cells] for row, cells in beside.items()])


def differences(frame: pd.DataFrame, beside: Mapping[str, Sequence[str]], rows: Iterable[str]) -> None:
    """MMCSAL-final minus every other choice: ours per set as a mean over budgets, the paper's beside."""
    last, lines = "mmcsal-final", []
    sets = [name for name in SETS if name in set(frame["set"])]
    for row in rows:
        if row == last:
            continue
        cells = [over_budgets(frame, name, last, row) for name in sets]
        for k in range(len(printed.SETS)):
            pairs = [(printed.mean(a), printed.mean(b)) for a, b in zip(beside[last], beside[row])][4 * k : 4 * k + 4]
            cells.append(f"{np.mean([a - b for a, b in pairs if a is not None and b is not None]):+.1f}")
        lines.append([row, *cells])
    table(["minus", *sets, *(f"the paper, {name}" for name in printed.SETS)], lines)
    print("Mean over the budgets that both have, 95 % interval over seeds.\n")


def over_budgets(frame: pd.DataFrame, name: str, a: str, b: str) -> str:
    """Paired difference of two choices, a seed's mean over the budgets both have."""
    gaps: dict[int, list[float]] = {}
    for budget in printed.BUDGETS:
        first, second = (per_seed(frame, name, method, budget) for method in (a, b))
        for seed in first.keys() & second.keys():
            gaps.setdefault(seed, []).append(100 * (first[seed] - second[seed]))
    if not gaps:
        return "-"
    means = [float(np.mean(gaps[seed])) for seed in sorted(gaps)]
    got = compare(means, [0.0] * len(means))
    return f"{got.mean:+.1f}" if len(means) == 1 else f"{got.mean:+.1f} [{got.low:+.1f}, {got.high:+.1f}]"


def classifier(frame: pd.DataFrame) -> None:
    """The few cells that a recipe scored."""
    own = frame[frame["learner"] == "mla"]
    if len(own):
        print("## The classifier mla instead of the probe, supervised, third budget\n")
        accuracies(own, {name: name for name in ROWS if name in set(own["method"])}, "choice")


def seconds(frame: pd.DataFrame) -> None:
    rows = []
    for name in SETS:
        for method in ("activeft", "mmcsal-final"):
            found = [per_seed(frame, name, method, budget, "seconds") for budget in printed.BUDGETS]
            if all(found):
                rows.append([name, method, *(f"{np.median(list(one.values())):.2f}" for one in found)])
    for k, name in enumerate(printed.SETS):
        rows += [[f"the paper, {name}", m, *cells[4 * k : 4 * k + 4]] for m, cells in printed.SECONDS.items()]
    table(["set", "choice", "first budget", "second", "third", "fourth"], rows)


def preferences(frame: pd.DataFrame, figures: str | None) -> None:
    """Five parts of the training pool by confidence: share of the choice in each, times five; random is 1."""
    from modest.report import preference_bars

    own = frame[(frame["setting"] == "supervised") & (frame["budget"] == printed.BUDGETS[2])]
    for name in [name for name in SETS if name in set(own["set"])]:
        found: dict[str, Any] = {}
        for method in ROWS:
            cells = own[(own["set"] == name) & (own["method"] == method)].sort_values("seed")
            if len(cells):
                found[method] = cells[PARTS].to_numpy()
        table([name, *PARTS], [[m, *(shown(list(column), 2) for column in x.T)] for m, x in found.items()])
        if figures:
            path = Path(f"{figures}-{name}.png")
            preference_bars(found).savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})
            print(f"![{name}: bars per choice from the least to the most confident fifth]({path.name})\n")


def _number(item: tuple[str, str]) -> float:
    return float(item[0])
