"""The page of ``benchmarks.missing``: accuracy by rate, the ceiling and how much of the way to it, by pattern."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.balance_page import points, rows
from benchmarks.missing_place import BASELINE, OURS, Cell, Place, apart, by_seed, of, read
from benchmarks.missing_printed import ODD, PROTOCOL, RATES, TABLE_2
from modest.classifier import METHODS
from modest.evaluation import curve

SETS = ("mosi", "scene15", "av_digits")
READ = """\
Means over seeds in per cent with their 95 % bootstrap interval over seeds (a seed draws masks, weights and batches);
\\* is the best of its column, of those with most seeds, or tied with it: over the seeds both have, the paired interval
of the difference to the best contains 0 and the mean difference is at most one point (or it lies above). *Ceiling*:
every test row is answered by a classifier trained on complete rows for exactly the modalities the row has (concat or
late, by validation accuracy). A rate is the share of absent cells, in training, validation and test rows; the last one
leaves every row with one modality."""


FILLS = ("cca", "dcca", "dccae", "ae", "cra", "mmin", "ifmmin", "cpm", "tate")


def against_zero(cells: Sequence[Cell]) -> str:
    """Every method that fills in or imagines less zero filling, over the seeds both have; * is surely above."""
    parts = []
    for name in SETS:
        rates = sorted({cell["rate"] for cell in of(cells, series="table", set=name)})
        content = []
        for method in FILLS:
            own = [by_seed(of(cells, series="table", set=name, rate=rate, method=method)) for rate in rates]
            zero = [by_seed(of(cells, series="table", set=name, rate=rate, method=BASELINE)) for rate in rates]
            told = [apart(a, b) for a, b in zip(own, zero)]
            seeds = sorted({len(set(a) & set(b)) for a, b in zip(own, zero)} - {0})
            marks = ["" if one is None else points(one) + ("\\*" if one.low > 0 else "") for one in told]
            content.append([method, "-".join(map(str, seeds)), *marks])
        parts.append(rows([f"{name}: less zero filling", "seeds", *(f"{100 * r:.0f} %" for r in rates)], content))
    return "\n\n".join(parts)


def ablations(cells: Sequence[Cell]) -> str:
    """Every method that imagines, less itself without, by set and rate."""
    content = []
    for cell in of(cells, series="ablation", seed=0):
        key = {"set": cell["set"], "rate": cell["rate"]}
        whole = by_seed(of(cells, series="table", method=cell["method"], **key))
        told = apart(whole, by_seed(of(cells, series="ablation", name=cell["name"], **key)))
        if told is not None:
            seeds = len(set(whole) & set(by_seed(of(cells, series="ablation", name=cell["name"], **key))))
            word = "above" if told.low > 0 else "below" if told.high < 0 else "undecided"
            word = word if seeds > 1 else "one seed"
            content.append([cell["name"], key["set"], f"{100 * key['rate']:.0f} %", seeds, points(told), word])
    methods = list(METHODS)
    content.sort(key=lambda x: (methods.index(x[0].split(",")[0]), SETS.index(x[1]), float(x[2][:-2]), x[0]))
    return rows(["the method less itself with", "set", "rate", "seeds", "points", ""], content)


def shifted(cells: Sequence[Cell]) -> str:
    """Trained on complete rows and tested on incomplete ones."""
    own = of(cells, series="shifted")
    columns = list(dict.fromkeys((c["set"], c["test_rate"], tuple(c["absent"])) for c in own))
    columns.sort(key=lambda c: (SETS.index(c[0]), -c[1], c[2]))
    content = []
    for method in METHODS:
        told = [[float(c["right"].mean()) for c in own if (c["set"], c["test_rate"], tuple(c["absent"])) == column
                 and c["method"] == method] for column in columns]  # fmt: skip
        if any(told):
            content.append([method, *(f"{100 * np.mean(v):.1f}" if v else "" for v in told)])
    head = [f"{name}, " + (f"no {lost[0]}" if lost else f"{100 * rate:.0f} %") for name, rate, lost in columns]
    return rows(["trained on complete rows", *head], content)


def page(into: Path, date: str, out: Path | None = None, drawn: Path | None = None) -> str:
    """Markdown of all there is; ``out`` takes the numbers of all cells as CSV, ``drawn`` the plots."""
    cells = read(into)
    if out is not None:
        write(out, cells)
    places = [place for place in (Place(cells, name) for name in SETS) if place.cells]
    versions = sorted({", ".join(f"{k} {v}" for k, v in c["versions"].items()) for c in cells})
    parts = [f"# Missing modalities, {date}", f"Versions: {'; '.join(versions)}.", READ]
    parts += figures(places, drawn, date) if drawn else []
    ways = [place.way() for place in places]
    lines = [line for _, content in ways for line in content]
    parts += ["## The goal: first or tied at every rate, half of the way to the ceiling"]
    for method in OURS:
        own = [line for line in lines if line[2] == method]
        firsts, halves = (sum(good(line) for line in own) for good in (lambda x: x[3] == "yes", lambda x: x[-1] >= 0.5))
        roomy = sum(line[-1] == line[-1] for line in own)
        parts.append(f"`{method}` is first or tied in {firsts} of {len(own)} places, and goes at least half of the way "
                     f"in {halves} of the {roomy} that have room.")  # fmt: skip
    parts += [text for text, _ in ways]
    for place in places:
        middle = place.rates[len(place.rates) // 2]
        rest = [m for m in ("zero", "dropout", "late", "mla", "auto", "mmin", "cpm") if m in place.methods]
        parts += [f"## {place.name} ({place.cells[0]['items']} training rows)", place.accuracy(), place.others(),
                  f"By presence pattern at {100 * middle:.0f} %:", place.patterns(middle, rest)]  # fmt: skip
    parts += ["## What fills in against zeros", against_zero(cells)]
    if of(cells, series="ablation"):
        parts += ["## Imagining against zeros", ablations(cells)]
    if of(cells, series="shifted"):
        parts += ["## Trained on complete rows", shifted(cells)]
    printed = [[m, *(f"{x:.2f}" for x in v)] for m, v in TABLE_2.items()]
    parts += ["## The paper's Table 2", rows(["method", *(f"{r} %" for r in RATES)], printed), ODD, PROTOCOL]
    return "\n\n".join(parts)


def figures(places: Sequence[Place], folder: Path, date: str) -> list[str]:
    """A plot per set: some methods against the rate; returns the Markdown that shows them."""
    from modest.report.plots import missing_curves

    told = []
    for place in places:
        lines = []
        for r in place.rates:
            there = place.scores[r]
            drawn = {m: there[m] for m in (BASELINE, "late", "mmin", *OURS) if m in there}
            for name, own in {**drawn, "ceiling": place.ceiling[r]}.items():
                if len(own) == len(there[BASELINE]):  # one lucky seed beside five would mislead
                    found = curve(list(own.values()))
                    lines.append({"learner": name, "missing": r, "mean": float(found.mean), "low": float(found.low),
                                  "high": float(found.high)})  # fmt: skip
        file = folder / f"{date}-missing-{place.name}.png"
        missing_curves(pd.DataFrame(lines)).savefig(file, dpi=110)
        told.append(f"![{place.name}]({file.name})")
    return told


def write(path: Path, cells: Sequence[Cell]) -> None:
    """One line per cell."""
    key = ("series", "set", "rate", "test_rate", "absent", "only", "name", "seed", "items", "chosen", "seconds")
    with path.open("w", encoding="utf-8", newline="") as handle:
        lines = csv.writer(handle, lineterminator="\n")
        lines.writerow([*key, "validated", "accuracy", "weighted_f1"])
        for cell in cells:
            told = [*("+".join(cell[k]) if isinstance(cell[k], list) else cell[k] for k in key), cell["validated"]]
            numbers = [cell["fused"][score] for score in ("accuracy", "weighted_f1")]
            lines.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in (*told, *numbers)])
