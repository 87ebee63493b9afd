"""What each way picks from the same state, over a map of the images: Figure 5 of Zhang and Zhu, arXiv 2510.03247.

    python -m benchmarks.pair_map --to map.png [--set fashion] [--methods random uncertainty coreset acquire auto]

Two rounds of random pairs are bought first, a tenth of the pool; the ridge map is fitted on them; then every way asks
about 5 % of the pool towards text. The map is a t-SNE of the images' features, the same for all, and shows rows that
were asked; the printed spread is the mean distance of a way's rows to their nearest other row, by that of random rows.
"""

import argparse
from pathlib import Path

import numpy as np

from benchmarks import pair_sets
from modest.bench.pairing.learners import Ridge
from modest.bench.pairing.sets import prepare
from modest.encoders.towers import standardised
from modest.pairing import METHODS, choose
from modest.report.pairing_plot import picks_map

METHODS_SHOWN = ["random", "uncertainty", "coreset", "acquire", "auto"]
KNOBS = {"coreset": {"modality_rule": "fixed:image"}, "acquire": {"modality_rule": "fixed:image"}}


def picked(name: str, shared: Path, methods: list[str], seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Standardised images (n, d), and rows of them by way."""
    ground = prepare(name, pair_sets.load(name, shared), 0.2)
    sides, truth = ground.pool(seed)
    image, text = ground.names
    order = np.random.default_rng(seed).permutation(len(truth))
    pairs, budget = truth[order[: len(truth) // 10]], len(truth) // 20
    learner = Ridge(seed)
    learner.start(sides, ground.given.common)
    learner.fit(pairs)
    views = {side: standardised(x, np.arange(len(x))) for side, x in sides.items()}
    rows = {}
    for method in methods:
        knobs = dict(KNOBS.get(method, {}), **({"views": views} if METHODS[method].views else {}))
        queries = choose(
            learner.embed(sides), pairs, budget, method, directions=[(image, text)], seed=seed, round=2, **knobs
        )
        rows[method] = np.concatenate([query.rows for query in queries])
    return views[image], rows


def spread(x: np.ndarray, rows: np.ndarray) -> float:
    """Mean distance of rows to the nearest other of them, rows divided by their norm."""
    unit = x[rows] / np.linalg.norm(x[rows], axis=1, keepdims=True)
    distance = np.sqrt(np.maximum(2.0 - 2.0 * unit @ unit.T, 0.0))
    np.fill_diagonal(distance, np.inf)
    return float(distance.min(axis=1).mean())


def main() -> None:
    from sklearn.manifold import TSNE

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--set", default="fashion", choices=sorted(pair_sets.SETS))
    parser.add_argument("--methods", nargs="+", default=METHODS_SHOWN)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, required=True)
    args = parser.parse_args()
    x, rows = picked(args.set, args.shared, args.methods, args.seed)
    points = TSNE(n_components=2, random_state=args.seed, init="pca").fit_transform(x.astype(np.float32))
    title = f"{args.set}: {len(next(iter(rows.values())))} images asked about"
    picks_map(points, rows, title).savefig(args.to, dpi=120, bbox_inches="tight")
    yardstick = spread(x, rows["random"]) if "random" in rows else 1.0
    for method, own in rows.items():
        print(f"{method:14} spread {spread(x, own) / yardstick:.2f}")


if __name__ == "__main__":
    main()
