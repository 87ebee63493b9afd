"""Which alignments to buy: every way on fashion colour pairs, COCO from scratch and from CLIP, and emoji captions.

    python -m benchmarks.pairing --into FOLDER --series curves candidates --predict   # only says how long it will take
    python -m benchmarks.pairing --into FOLDER --series curves --sets fashion         # runs what is missing
    python -m benchmarks.pairing --into FOLDER --table > page.md                      # the page, from what there is
    python -m benchmarks.pairing --into FOLDER --plots                                # PNG beside each bench

    curves       all methods, pool and stream                candidates   B_C from B to the whole side (Figure 4)
    rules        every modality rule                         ablations    without step 1, 2, 3; other measures
    buffers      streams of several buffer sizes             robustness   items or alignments missing, answers wrong

Each set of a series is a bench in a folder of its own, so that a cut run goes on. 10 rounds of 5 % in a pool, 5 % of
every buffer in a stream; a share of 80 % of the hidden pairs a seed. The learner, and whether its rounds continue or
restart, stand in every row of results.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import pair_sets
from benchmarks.quality_page import markdown
from modest.bench import pairing
from modest.bench.store import about_bench
from modest.pairing import METHODS

WHOLE = 10**9  # more candidates than any side has: all of it
BUFFER = {"fashion": 112, "coco": 70, "coco_clip": 70, "emoji": 105}  # ten, or four, buffers a stream
OWN = "acquire"


def variants(series: str) -> dict[str, dict[str, Any]]:
    """Methods of a series by name."""
    if series == "curves":
        return {name: {"method": name} for name in METHODS}
    plain = {"random": {"method": "random"}, "uncertainty": {"method": "uncertainty"}, "coreset": {"method": "coreset"}}
    if series == "candidates":
        sizes = {f"B_C={k}B": f"{k}B" for k in (1, 2, 4, 8, 16)} | {"B_C=all": WHOLE}
        return plain | {_word(name): {"method": OWN, "candidates": size} for name, size in sizes.items()}
    if series == "rules":
        rules = ("relative", "radius", "mean_gap", "cost", "alternate", "random", "fixed:image", "fixed:text")
        return {"random": plain["random"]} | {_word(f"rule-{r}"): {"method": OWN, "modality_rule": r} for r in rules}
    if series == "ablations":
        return {
            "random": plain["random"],
            OWN: {"method": OWN},
            "without-1": {"method": OWN, "modality_rule": "random"},
            "without-2": {"method": OWN, "candidates": WHOLE},
            "without-3": {"method": OWN, "candidates": "1B"},
            **{f"by-{u}": {"method": OWN, "uncertainty": u}
               for u in ("entropy", "least_confidence", "bidirectional", "hard_negative")},
            "partner-diversity": {"method": OWN, "partner_diversity": True},
            "outlier-guard": {"method": OWN, "outlier_guard": True},
            **{f"by-{d}": {"method": OWN, "distance": d} for d in ("euclidean", "angle")},
        }  # fmt: skip
    return {name: {"method": name} for name in ("random", OWN, "coreset", "uncertainty")}


CONDITIONS = {
    "as-it-is": {},
    "items-missing-20": {"missing": 0.2},
    "items-missing-40": {"missing": 0.4},
    "alignments-missing-20": {"unknown": 0.2},
    "alignments-missing-40": {"unknown": 0.4},
    "alignments-wrong-20": {"wrong": 0.2},
    "answers-wrong-20": {"noise": 0.2},
}
BUFFERS = (50, 100, 200, 400, 4096)
SERIES = ("curves", "candidates", "rules", "ablations", "buffers", "robustness")


def protocols(series: str, args: argparse.Namespace) -> Iterator[pairing.PairProtocol]:
    """The benches of a series."""
    for name in args.sets:
        given = {"pool": {name: pair_sets.load(name, args.shared)}, "seeds": args.seeds, "learner": args.learners}
        given |= {"methods": _chosen(variants(series), args.methods), "retrain": args.retrain}
        at = args.into / series
        if series == "curves":
            for setting in args.settings:
                own = {"setting": setting, "buffer": BUFFER[name]}
                yield pairing.PairProtocol(**given, **own, out=at / f"{name}~{setting}~{args.retrain}")
        elif series == "buffers":
            for size in BUFFERS:
                yield pairing.PairProtocol(**given, setting="stream", buffer=size, budget=0.1,
                                           out=at / f"{name}~{size}~{args.retrain}")  # fmt: skip
        elif series == "robustness":
            for told, changes in CONDITIONS.items():
                yield pairing.PairProtocol(**given, **changes, out=at / f"{name}~{told}~{args.retrain}")
        else:
            yield pairing.PairProtocol(**given, out=at / f"{name}~{args.retrain}")


def page(into: Path) -> str:
    """Curves, areas and sides of all benches there are, as Markdown."""
    parts = []
    for file in sorted(into.glob("*/*/results.csv")):
        frame, about = pairing.results(file.parent), about_bench(file.parent, pairing.KIND)
        metric = "group" if "group" in frame.columns else "recall@1"
        order, told = (
            list(about["protocol"]["methods"]),
            f"{frame['seed'].nunique()} seeds, {about['protocol']['retrain']}",
        )
        parts.append(f"## {file.parent.parent.name}: {file.parent.name} ({metric}, {told})")
        parts += [markdown(pairing.grid(frame, metric, order)), markdown(pairing.verdict(frame, metric, order))]
        parts.append(markdown(pairing.rounds_per_side(frame).round(2)))
        spent = pairing.seconds(file.parent).groupby(["learner", "method"])[["acquire", "train"]].mean()
        parts.append(markdown(spent.round(3).reset_index()))
    head = (
        "Mean over seeds in % with its 95 % bootstrap interval; columns: queries asked; * best or tied with it. "
        "`less random` is the paired difference of areas in points. Then the share of queries per side, and seconds "
        "per chain."
    )
    return "\n\n".join([head, *parts]) + "\n"


def plots(into: Path) -> None:
    """Curves and diagnostics of all benches there are, as PNG in their folders."""
    from modest.report.pairing_plot import write_plots

    for file in sorted(into.glob("*/*/results.csv")):
        for path in write_plots(file.parent):
            print(path, flush=True)


def _chosen(methods: dict[str, dict[str, Any]], names: list[str] | None) -> dict[str, dict[str, Any]]:
    return methods if names is None else {name: told for name, told in methods.items() if name in names}


def _word(name: str) -> str:
    return name.replace("=", "-").replace(":", "-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--series", nargs="+", choices=SERIES, default=["curves"])
    parser.add_argument("--sets", nargs="+", choices=tuple(pair_sets.SETS), default=list(pair_sets.SETS))
    parser.add_argument("--learners", nargs="+", choices=("ridge", "towers"), default=["ridge"])
    parser.add_argument("--settings", nargs="+", choices=("pool", "stream"), default=["pool", "stream"])
    parser.add_argument("--retrain", choices=("continue", "restart"), default="continue")
    parser.add_argument("--methods", nargs="+", help="only these of the series")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--predict", action="store_true", help="only say how long it will take")
    parser.add_argument("--table", action="store_true", help="only write the page of what there is")
    parser.add_argument("--plots", action="store_true", help="only draw what there is")
    args = parser.parse_args()
    if args.table or args.plots:
        return print(page(args.into)) if args.table else plots(args.into)
    for series in args.series:
        for plan in protocols(series, args):
            running = pairing.run(plan, jobs=args.jobs)
            told = next(running).values
            left = f"{told['finished']} of {told['cells']} chains, the rest {told['seconds']:.0f} s"
            print(f"{series} {plan.out.name}: {left}", flush=True)
            if args.predict:
                running.close()
            else:
                for _ in running:
                    pass


if __name__ == "__main__":
    main()
