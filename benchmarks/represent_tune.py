"""Classifiers on the labels that stage 1 chose: supervised from scratch, and semi-supervised from its encoders.

    python -m benchmarks.represent_tune --into FOLDER --workers 2      # after benchmarks.represent

Choices are those on the views of the variant named; ``scratch`` trains the same encoders anew on choices made on the
views with prototypes (``eval``). Random choices are the same in all three.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import modest
from benchmarks.raw_sets import RAW
from benchmarks.represent import arguments, pool_of, sweep, write

CHOOSERS = ("random", "mmcsal")
SHARES = (0.10,)
STARTS = {"scratch": "eval", "eval": "eval", "without": "without"}  # start -> variant whose views chose
# as Food101's: 15 epochs and 5 of warm-up supervised, 10 and 5 semi-supervised, with lower rates for the encoders
SUPERVISED = {"epochs": 15, "warmup": 5, "lr": 1e-3}
SEMI = {"epochs": 10, "warmup": 5, "lr": 1e-3}
SEMI_RATE = 5e-4  # of the encoders; KineticsSound's, whose encoders start from nothing as these do


def bought(pool: Any, ids: list[str], folder: str) -> Any:
    """Pool of the bought items alone, with their labels."""
    table = pool.table.set_index("id", drop=False).loc[ids]
    columns = [name for name in table.columns if name not in ("split",)]
    return modest.ingest({name: table[name].tolist() for name in columns}, folder)


def train(name: str, start: str, pool: Any, ids: list[str], seed: int, into: Path) -> dict[str, float]:
    """Accuracy and macro accuracy on the test rows of one classifier, and the seconds it took."""
    from modest.classifier import MultimodalClassifier

    begin = time.perf_counter()
    if start == "scratch":
        told: dict[str, Any] = {**SUPERVISED, "encoders": RAW[name].encoders}
    else:
        rates = dict.fromkeys(RAW[name].encoders, SEMI_RATE)
        told = {**SEMI, "encoders": str(into / "models" / f"{name}-{start}-{seed}"), "rates": rates}
    clf = MultimodalClassifier(
        method="concat", width=512, batch_size=32, weight_decay=0.01, random_state=seed, device="cpu", **told
    )
    with tempfile.TemporaryDirectory() as folder:
        clf.fit(bought(pool, ids, f"{folder}/pool"), validation=False)
    test = np.flatnonzero(pool.split == "test")
    answer = clf.classes_[clf.outputs(pool, rows=test).proba.argmax(axis=1)]
    truth = pool.labels[test].astype(np.str_)
    right = answer.astype(np.str_) == truth
    macro = float(np.mean([right[truth == c].mean() for c in sorted(set(truth.tolist()))]))
    return {"accuracy": float(right.mean()), "macro_accuracy": macro, "seconds": time.perf_counter() - begin}


def cell(name: str, start: str, seed: int, pool: Any, into: Path) -> dict[str, Any]:
    """Train on every choice of one start."""
    told = json.loads((into / "cells" / f"{name}-{STARTS[start]}-{seed}.json").read_text(encoding="utf-8"))
    items = {share: row["items"] for row in told["probe"] for share in row["shares"]}
    rows = []
    for share in SHARES:
        for method in CHOOSERS:
            ids = told["choices"][f"{method}~{items[share]}"]
            rows.append(
                {"method": method, "share": share, "items": len(ids), **train(name, start, pool, ids, seed, into)}
            )
    return {"set": name, "variant": f"tune_{start}", "seed": seed, "tuned": rows}


def main() -> None:
    args = arguments(__doc__).parse_args()
    if args.one:
        import torch

        torch.set_num_threads(1)
        name, variant, seed = args.one.split("-")
        pool = pool_of(name, args.shared, args.into)
        told = cell(name, variant.removeprefix("tune_"), int(seed), pool, args.into)
        write(args.into / "cells" / f"{args.one}.json", told)
        return
    raw = [name for name, about in RAW.items() if about.frozen is None]
    keys = [f"{name}-tune_{start}-{s}" for s in range(args.seeds) for name in reversed(raw) for start in STARTS]
    sys.exit(sweep(args, "benchmarks.represent_tune", keys))


if __name__ == "__main__":
    main()
