"""The page of ``benchmarks.balance``: every recipe on every set, mla against late and concat, how auto stands."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.balance_jobs import SETS
from benchmarks.balance_printed import MLA_ALONE, PROTOCOL, TABLE_1
from benchmarks.balance_printed import SETS as PRINTED_SETS
from benchmarks.balance_stats import by_seed, crossed, tied, verdict
from benchmarks.quality_page import markdown
from modest.evaluation import curve
from modest.evaluation.curves import Difference
from modest.learning import METHODS

Cell = dict[str, Any]
LABELS = {"full": "all labels", "5": "5 % of the labels"}
SCORES = ("accuracy", "macro_accuracy", "weighted_f1")
READ = """\
Means over seeds in per cent with their 95 % bootstrap interval over seeds; \\* is the best of its column or tied with
it (the paired interval of the difference to the best contains 0, and the mean difference is at most one point). "Rows"
are intervals and verdicts over seeds and test rows, both resampled (`benchmarks/balance_stats.py`). Epoch: the one
kept, in the median; s: seconds of training, in the median, two processes of one thread on one machine."""
STAR = "\\*"


def read(into: Path) -> list[Cell]:
    """All cells, each with ``right``: "fused" and every modality -> (n,) bool, by test row."""
    cells = []
    for path in sorted((into / "cells").glob("*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        with np.load(path.with_suffix(".npz")) as rows:
            own = zip(told["names"], rows["own"] == rows["y"])
            told["right"] = {"fused": rows["fused"] == rows["y"], **dict(own)}
        cells.append(told)
    return cells


def of(cells: Iterable[Cell], **where: str) -> list[Cell]:
    """Those whose fields are so, by seed."""
    return sorted((c for c in cells if all(c[k] == v for k, v in where.items())), key=lambda c: c["seed"])


def by_name(cells: Iterable[Cell], order: Iterable[str] = METHODS) -> dict[str, list[Cell]]:
    """Cells of each name, in order; names that lack seeds that others have are left out."""
    found: dict[str, list[Cell]] = {name: [] for name in order}
    for cell in sorted(cells, key=lambda c: c["seed"]):
        found.setdefault(cell["name"], []).append(cell)
    most = max(map(len, found.values()), default=0)
    return {name: own for name, own in found.items() if own and len(own) == most}


def stacked(cells: Sequence[Cell], part: str = "fused") -> np.ndarray:
    """(S, n) bool: what is right."""
    return np.stack([cell["right"][part] for cell in cells])


def percent(values: Sequence[float], mark: bool = False) -> str:
    """Mean with its interval."""
    if len(values) == 1:
        return f"{100 * values[0]:.1f}{STAR if mark else ''}"
    found = curve(values)
    return f"{100 * found.mean:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]{STAR if mark else ''}"


def points(apart: Difference) -> str:
    """A difference in points with its interval."""
    return f"{100 * apart.mean:+.1f} [{100 * apart.low:+.1f}, {100 * apart.high:+.1f}]"


def rows(head: Sequence[str], content: Iterable[Sequence[Any]]) -> str:
    return markdown(pd.DataFrame(list(content), columns=list(head)))


def places(cells: Iterable[Cell]) -> list[tuple[str, str, dict[str, list[Cell]]]]:
    """Set, label share and the recipes' cells of every place of the series ``table`` that has some."""
    cells = of(cells, series="table")
    found = [(name, labels, by_name(of(cells, set=name, labels=labels))) for labels in LABELS for name in SETS]
    return [place for place in found if place[2]]


def scored(own: dict[str, list[Cell]]) -> str:
    """Recipe x {fused, each modality} of one place."""
    first = next(iter(own.values()))[0]
    parts = ["fused", *first["names"]]
    marks = {part: tied({name: stacked(cells, part) for name, cells in own.items()}) for part in parts}
    content = []
    for name, cells in own.items():
        told = [percent([float(c["right"][part].mean()) for c in cells], marks[part][name]) for part in parts]
        f1 = percent([c["fused"]["weighted_f1"] for c in cells])
        spent = [f"{np.median([c[key] for c in cells]):.0f}" for key in ("chosen", "seconds")]
        content.append([name, *told, f1, *spent])
    return rows(["recipe", *parts, "weighted F1, fused", "epoch", "s"], content)


def against(found: list[tuple[str, str, dict[str, list[Cell]]]], own: str, rivals: Sequence[str]) -> str:
    """A recipe less its rivals in every place, fused, with both verdicts, and how often each."""
    content: list[list[str]] = []
    counts: dict[tuple[str, str], list[str]] = {}
    for name, labels, cells in found:
        for rival in rivals:
            if own in cells and rival in cells:
                pair = stacked(cells[own]), stacked(cells[rival])
                told = {"seeds": by_seed(*pair), "rows": crossed(*pair)}
                said = {way: verdict(apart) for way, apart in told.items()}
                content.append([name, LABELS[labels], rival, points(told["seeds"]), said["seeds"],
                                points(told["rows"]), said["rows"]])  # fmt: skip
                for way in told:
                    counts.setdefault((rival, way), []).append(said[way])
    head = ["set", "labels", f"{own} less", "points, seeds", "seeds", "points, rows", "rows"]
    summary = [
        f"Against `{rival}` over {'seeds' if way == 'seeds' else 'seeds and rows'}: "
        + ", ".join(f"{word} in {said.count(word)}" for word in ("above", "below", "undecided"))
        + f" of {len(said)} places."
        for (rival, way), said in sorted(counts.items())
    ]
    return rows(head, content) + "\n\n" + "\n".join(f"- {line}" for line in summary)


def standing(found: list[tuple[str, str, dict[str, list[Cell]]]], fixed_on: Sequence[str]) -> str:
    """Per recipe: in how many places it is best or tied, fused, and the mean rank of its mean."""
    told: dict[tuple[str, str], list[tuple[bool, bool, float]]] = {}
    for name, _, cells in found:
        right = {method: stacked(own) for method, own in cells.items()}
        marks, wide = tied(right), tied(right, rows=True)
        rank = pd.Series({method: float(np.mean(r)) for method, r in right.items()}).rank(ascending=False)
        for method in right:
            for which in ("all", "fixed on" if name in fixed_on else "others") if fixed_on else ("all",):
                told.setdefault((which, method), []).append((marks[method], wide[method], float(rank[method])))
    content = []
    for (which, method), values in told.items():
        first, second, rank = np.array(values, dtype=float).T
        share = [f"{good.sum():.0f} of {len(good)} ({good.mean():.0%})" for good in (first, second)]
        content.append([which, method, *share, f"{rank.mean():.2f}"])
    content.sort(key=lambda line: (line[0], float(line[-1])))
    return rows(["sets", "recipe", "best or tied, seeds", "best or tied, seeds and rows", "mean rank"], content)


def printed(cells: Iterable[Cell]) -> str:
    """Our fused accuracies with all labels, and the paper's Table 1 beside them."""
    ours = {name: own for name, labels, own in places(cells) if labels == "full"}
    content = []
    for method in dict.fromkeys([*TABLE_1, *METHODS]):
        own = [
            f"{100 * stacked(found[method]).mean():.1f}" if method in found else "" for found in ours.values()
        ]
        content.append([method, *own, *(f"{x:.2f}" for x in TABLE_1.get(method, ()))])
    width = 1 + len(ours) + len(PRINTED_SETS)
    content = [row + [""] * (width - len(row)) for row in content]
    alone = "; ".join(f"{name} {said}" for name, said in MLA_ALONE.items())
    head = ["recipe", *ours, *(f"paper: {name}" for name in PRINTED_SETS)]
    return f"{rows(head, content)}\n\nThe paper's mla alone: {alone}.\n\n{PROTOCOL}"


def about(cells: Sequence[Cell]) -> str:
    """Seeds, settings and versions of what is there."""
    versions = sorted({", ".join(f"{k} {v}" for k, v in c["versions"].items()) for c in cells})
    seeds = {s: len({c["seed"] for c in cells if c["series"] == s}) for s in dict.fromkeys(c["series"] for c in cells)}
    settings = sorted({json.dumps(c["knobs"], sort_keys=True) for c in cells if c["series"] == "table"})
    return (
        "Seeds: " + ", ".join(f"{series} {count}" for series, count in seeds.items()) + ". Versions: "
        + "; ".join(versions) + ". Every recipe has the classifier's defaults (AdamW 1e-3, weight decay 1e-2, cosine, "
        + "batches of 32, 64 with all labels, towers 256-128, 40 epochs); set otherwise in the series table: "
        + f"{' or '.join(settings)}."
    )  # fmt: skip


def page(into: Path, date: str, out: Path | None = None, fixed_on: Sequence[str] = ()) -> str:
    """Markdown of all there is; ``out`` takes the numbers of all cells as CSV."""
    from benchmarks import balance_studies

    cells = read(into)
    if out is not None:
        write(out, cells)
    parts = [f"# Balanced learning{', ' + date if date else ''}", about(cells), READ]
    found = places(cells)
    if found:
        parts += ["## How the recipes stand", standing(found, fixed_on), "## mla against late and concat"]
        parts += [against(found, "mla", ("late", "concat")), "## Beside the paper's Table 1", printed(cells)]
        for name, labels, own in found:
            parts += [f"## {name}, {LABELS[labels]} ({next(iter(own.values()))[0]['items']} rows)", scored(own)]
    return "\n\n".join([*parts, *balance_studies.parts(cells)])


def write(path: Path, cells: Sequence[Cell]) -> None:
    """One line per cell and part of its prediction."""
    key = ("series", "set", "labels", "name", "rows", "seed", "items", "chosen", "epochs", "seconds")
    with path.open("w", encoding="utf-8", newline="") as handle:
        lines = csv.writer(handle, lineterminator="\n")
        lines.writerow([*key, "lr", "part", *SCORES, "probe"])
        for cell in cells:
            for part, said in {"fused": cell["fused"], **cell["modality"]}.items():
                numbers = [said[score] for score in SCORES] + [cell["probe"].get(part, "")]
                values = [*(cell[k] for k in key), cell["knobs"].get("lr", ""), part, *numbers]
                lines.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in values])

