"""The stop rule on all saved curves: the gain foretold against the true one, its interval, labels wasted and missed.

    python -m benchmarks.enough                            # a minute on one core; prints tables, writes a .csv
    python -m benchmarks.enough --fit                      # the rule's numbers, anew

Every point of a curve but the first is foretold from those before it, by numbers that the other sets gave. Seeds one by
one are what a user has; means over seeds tell a gain from noise.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.enough_curves import Curve, curves, single
from benchmarks.enough_fit import LEAP, Points
from benchmarks.enough_rules import RULES, widths

RESULTS = Path(__file__).parent.parent / "docs" / "results"
DATE, THRESHOLD, OURS = "2026-11-22", 0.01, "modest"


def foretold(found: list[Curve]) -> pd.DataFrame:
    """One row per point foretold: what it is, its true gain, then gain, low and high of every rule."""
    frame, values = Points.of(found).left_out(), {}
    for name, rule in RULES.items():
        told = [
            rule(one.counts[:t], one.values[:, :t].mean(axis=0), float(one.counts[t]))
            for one in found
            for t in range(1, len(one.counts))
        ]
        gain, half = np.array(told) - frame["last"], np.empty(len(frame))
        kinds = (frame["points"].clip(upper=3) * 10 + (frame["seeds"] > 1)).to_numpy()
        for own in set(frame["set"]):
            mine, others = frame["set"] == own, (frame["set"] != own) & frame["near"]
            half[mine] = widths(gain - frame["true"], told, kinds, others.to_numpy())[mine]
        values |= {f"{name}:gain": gain, f"{name}:low": gain - half, f"{name}:high": gain + half}
    return frame.assign(**values)


def measured(frame: pd.DataFrame, rule: str = OURS) -> dict[str, float]:
    """What a rule is worth on some rows: error, coverage, width, and decisions at the threshold."""
    true, gain = frame["true"], frame[f"{rule}:gain"]
    low, high = frame[f"{rule}:low"], frame[f"{rule}:high"]
    flat, stops, bought = true < THRESHOLD, gain < THRESHOLD, frame["to"] - frame["n"]
    return {
        "foretold": len(frame),
        "true gain": float(true.mean()),
        "error": float((gain - true).abs().mean()),
        "bias": float((gain - true).mean()),
        "coverage": float(((low <= true + 1e-12) & (true <= high + 1e-12)).mean()),
        "width": float((high - low).mean()),
        "went on, flat": float((~stops & flat).mean()),
        "labels wasted": float(bought[~stops & flat].sum() / bought.sum()),
        "stopped, not flat": float((stops & ~flat).mean()),
        "gain missed": float(true[stops & ~flat].sum() / max(true.clip(lower=0).sum(), 1e-12)),
    }


def balanced(frame: pd.DataFrame, rule: str) -> dict[str, float]:
    """Means over groups of study and set, so that studies of many curves do not drown the others."""
    return dict(pd.DataFrame([measured(own, rule) for _, own in frame.groupby(["study", "set"])]).mean())


def table_of(frame: pd.DataFrame) -> pd.DataFrame:
    """What every rule is worth, by set, study, one seed or means, points known, and near or a leap."""
    frame = frame.assign(means=frame["seeds"] > 1)
    keys = ["set", "study", "means", "points", "near"]
    groups = [(dict(zip(keys, key)), own) for key, own in frame.groupby(keys)]
    rules = [name.removesuffix(":gain") for name in frame if name.endswith(":gain")]
    return pd.DataFrame([{**key, "rule": rule, **measured(own, rule)} for key, own in groups for rule in rules])


def table(rows: list[tuple[str, dict[str, float]]], first: str) -> str:
    """Markdown, in points and percent."""
    head = [first, *rows[0][1]]
    lines = ["| " + " | ".join(head) + " |", "|---" + "|--:" * (len(head) - 1) + "|"]
    for name, own in rows:
        lines.append("| " + " | ".join([name, *(_cell(key, value) for key, value in own.items())]) + " |")
    return "\n".join(lines)


def _cell(key: str, value: float) -> str:
    if key == "foretold":
        return f"{value:,.0f}"
    return f"{100 * value:.1f}" if key in ("true gain", "error", "bias", "width") else f"{value:.0%}"


def fit(found: list[Curve]) -> str:
    """The rule's numbers by all sets, as they stand in the rule."""
    points = Points.of(found)
    near = points.frame["near"].to_numpy()
    numbers = points.fit(near)
    slope, (spread, noise, drift) = numbers[0], np.exp(numbers[1:])
    told = f"slope {slope:.3f}, spread {spread:.3f}, noise {noise:.3f}, drift {drift:.3f}"
    return f"{told}, stretched by {points.stretch(numbers, near):.2f}; {near.sum():,} points foretold"


def page(frame: pd.DataFrame) -> str:
    """The tables of the results' page."""
    near, far = frame[frame["near"]], frame[~frame["near"]]
    parts = []
    for title, some in (("one seed", near[near["seeds"] == 1]), ("mean over seeds", near[near["seeds"] > 1])):
        parts += [f"### Rules, {title}", table([(rule, balanced(some, rule)) for rule in (OURS, *RULES)], "rule")]
        rows = [(f"{b}, {a}", measured(own)) for (b, a), own in some.groupby(["set", "study"])]
        parts += [f"### {OURS}, {title}, set by set", table(rows, "set, study")]
        rows = [(str(t), measured(own)) for t, own in some.groupby(some["points"].clip(upper=4))]
        parts += [f"### {OURS}, {title}, by points known (4: four and more)", table(rows, "points")]
    rows = [(f"{b}, {a}", measured(own)) for (b, a), own in far.groupby(["set", "study"])]
    parts += [f"### {OURS}, leaps beyond {LEAP} times the count, seeds and means", table(rows, "set, study")]
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fit", action="store_true", help="fit the rule's numbers on all sets")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the .csv")
    told = parser.parse_args()
    means = curves(RESULTS)
    found = [*(one for mean in means for one in single(mean)), *(one for one in means if len(one.values) > 1)]
    if told.fit:
        print(fit(found))
        return
    frame = foretold(found)
    table_of(frame).to_csv(told.out / f"{DATE}-enough.csv", index=False, float_format="%.4g")
    print(page(frame))


if __name__ == "__main__":
    main()
