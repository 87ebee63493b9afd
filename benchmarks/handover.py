"""Handing over from cold to warm: cold only, warm only after a random start, and cold first, warm from then on.

    python -m benchmarks.handover --into FOLDER --predict     # times a cell of each method, says how long all will take
    python -m benchmarks.handover --into FOLDER               # runs what is missing, writes results.csv and handover.md

Each set is a ``modest bench`` in rounds of its own (FOLDER/<set>), scored and asked by the linear probe: one process
per core, and a run that was cut goes on. Budgets are those of the protocol, 1, 2, 5 and 10 % and 25, 50, 100, 200 of
the GRID letters.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import sets
from benchmarks.quality_page import markdown
from modest import bench
from modest.evaluation import compare
from modest.selection import METHODS

SETS = ("grid_letter", "fashion", "scene15")
SHARES = (0.01, 0.02, 0.05, 0.10)
BUDGETS = {"grid_letter": (25, 50, 100, 200)}
GROUPS = {
    "cold only": ("random", "maxherding"),
    "warm only": ("badge", "bmmal"),
    "cold to warm": ("maxherding+badge", "maxherding+bmmal", "uherding", "auto"),
}
RIVALS = {"badge": ("maxherding", "badge"), "bmmal": ("maxherding", "bmmal")}  # of maxherding+ the key
METRICS = ("accuracy", "macro_accuracy")


def methods() -> tuple[str, ...]:
    """Those of the groups that there are."""
    names = [name for group in GROUPS.values() for name in group]
    return tuple(name for name in names if all(part in METHODS for part in name.split("+")))


def protocol(name: str, args: argparse.Namespace) -> bench.Protocol:
    given = sets.load(name, args.shared)
    labels = np.array(given.classes)[given.y]
    table = bench.LabelledViews(given.views, labels, given.split, given.groups)
    return bench.Protocol(
        pool={name: table},
        out=args.into / name,
        methods=methods(),
        budgets=BUDGETS.get(name, SHARES),
        seeds=args.seeds,
        rounds=True,
    )


def predict(plans: list[bench.Protocol], jobs: int) -> None:
    """Time a cell of each method on every set, keep it, and say how long the rest takes."""
    total = 0.0
    for plan in plans:
        running = bench.run(plan, jobs=jobs)
        told = next(running).values
        running.close()
        total += told["seconds"]
        print(f"{plan.out.name:12} {told['finished']} of {told['cells']} cells there, the rest {told['seconds']:.0f} s")
    print(f"about {total / 60:.1f} min in all on {jobs} processes", flush=True)


def gains(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Paired differences over seeds, in points: a cold start less the methods it is made of, and uherding, auto."""
    pairs = [(f"maxherding+{warm}", rival) for warm, rivals in RIVALS.items() for rival in rivals]
    pairs += [(own, "maxherding") for own in ("uherding", "auto")]
    rows = []
    for (name, items), cells in frame.groupby(["set", "items"], sort=True):
        wide = cells.pivot(index="seed", columns="method", values=metric)
        for own, rival in pairs:
            if own in wide and rival in wide:
                got = compare(*wide[[own, rival]].dropna().to_numpy().T)
                told = f"{100 * got.mean:+.1f} [{100 * got.low:+.1f}, {100 * got.high:+.1f}]"
                rows.append({"set": name, "difference": f"{own} - {rival}", "items": items, "points": told})
    return pd.DataFrame(rows, columns=["set", "difference", "items", "points"])


def page(frame: pd.DataFrame) -> str:
    """All sets and metrics: means with intervals, then differences."""
    group = {name: told for told, names in GROUPS.items() for name in names}
    parts = [
        f"# Handover, {frame['seed'].nunique()} seeds",
        "Linear probe, mean over seeds in % with its 95 % bootstrap interval; * best of its column or tied with it. "
        "Columns: labels bought in all. Differences are paired, in points.",
    ]
    for metric in METRICS:
        for name, cells in frame.groupby("set", sort=False):
            wide = bench.grid(cells, metric=metric, order=methods())
            wide.insert(0, "", wide["method"].map(group))
            apart = gains(cells, metric).pivot(index="difference", columns="items", values="points").reset_index()
            parts += [f"## {name}, {metric.replace('_', ' ')}", markdown(wide), markdown(apart)]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--predict", action="store_true", help="only say how long it will take")
    args = parser.parse_args()
    plans = [protocol(name, args) for name in args.sets]
    predict(plans, args.jobs)
    if args.predict:
        return
    for plan in plans:
        for record in bench.run(plan, jobs=args.jobs):
            print(f"{plan.out.name}: {record.values.get('finished', record.epoch)} of {record.step}", flush=True)
    frame = pd.concat([bench.results(plan.out) for plan in plans], ignore_index=True)
    frame.to_csv(args.into / "results.csv", index=False, lineterminator="\n")
    (args.into / "handover.md").write_text(page(frame), encoding="utf-8")
    print(f"written: {args.into / 'handover.md'}")


if __name__ == "__main__":
    main()
