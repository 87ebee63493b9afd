"""MLA's Table 4 in kind: frozen encoders of stage 1, and on their features late fusion of linear heads, or mla.

    python -m benchmarks.frozen_heads --sets emoji         # some two minutes on one core; fashion takes five
    python -m benchmarks.frozen_heads --json FILE          # the accuracies of every seed too

The paper freezes CLIP; here small towers are pretrained on the training rows without labels
(``modest.representation.pretrain`` with its defaults) and their common space is frozen. Every recipe trains the same
linear layers on it, one per modality and a head, with the classifier's defaults; validation rows choose the epoch.
Seeds redraw everything, pretraining included.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import sets
from modest.evaluation import compare, curve

WIDTH = 128  # of the common space
RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "late": ("late", {}),
    "late, entropy fusion": ("late", {"fusion": "entropy"}),
    "mla": ("mla", {}),
}
PAPER = {"late": {"fused": "93.07", "image": "63.07"}, "mla": {"fused": "93.47", "image": "72.22"}}


def cell(given: sets.Set, seed: int) -> dict[str, dict[str, float]]:
    """Recipe -> test accuracy fused and of each modality, of one pretraining."""
    from modest import MultimodalClassifier
    from modest.representation import pretrain

    train, val, test = (np.flatnonzero(given.split == part) for part in ("train", "val", "test"))
    frozen = pretrain(given.views[train], width=WIDTH, seed=seed, device="cpu").result.encode(given.views, device="cpu")
    told = {}
    for name, (method, options) in RECIPES.items():
        clf = MultimodalClassifier(method=method, options=options, hidden=(), device="cpu", random_state=seed)
        out = clf.fit(frozen[train], given.y[train], (frozen[val], given.y[val])).outputs(frozen[test])
        right = {"fused": out.proba, **dict(zip(clf.names_, out.modality))}
        told[name] = {what: float((p.argmax(axis=1) == given.y[test]).mean()) for what, p in right.items()}
    return told


def page(found: Mapping[str, list[dict[str, dict[str, float]]]]) -> str:
    """Means over seeds with their interval, and the difference to late, paired by seed; the paper's figures below."""
    lines = []
    for name, cells in found.items():
        columns = list(cells[0]["late"])
        head = [name, *columns, *(f"{what} - late's" for what in columns)]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for recipe in RECIPES:
            own = {what: [100 * c[recipe][what] for c in cells] for what in columns}
            base = {what: [100 * c["late"][what] for c in cells] for what in columns}
            shown = [_told(curve(own[what]), "") for what in columns]
            apart = ["" if recipe == "late" else _told(compare(own[what], base[what]), "+") for what in columns]
            lines.append("| " + " | ".join([recipe, *shown, *apart]) + " |")
        lines.append("")
    lines += ["| the paper: Food-101, CLIP | fused | image |", "|---|---|---|"]
    lines += [f"| {recipe} | {told['fused']} | {told['image']} |" for recipe, told in PAPER.items()]
    return "\n".join(lines)


def _told(found: Any, sign: str) -> str:
    return f"{found.mean:{sign}.1f} [{found.low:{sign}.1f}, {found.high:{sign}.1f}]"


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sets", nargs="+", default=["fashion", "emoji"], choices=["fashion", "emoji"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the accuracies of every seed here")
    args = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, dict[str, float]]]] = {}
    begin, used = time.perf_counter(), time.process_time()
    for name in args.sets:
        given = sets.load(name, args.shared)
        found[name] = [cell(given, seed) for seed in range(args.seeds)]
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(page(found))
    wall, processor = time.perf_counter() - begin, time.process_time() - used
    print(f"\n{args.seeds} seeds; {wall:.0f} s, {processor:.0f} s of processor.")


if __name__ == "__main__":
    main()
