"""The two benches of the demo, sized for a minute on two cores: which labels to buy, what missing modalities cost."""

from __future__ import annotations

from pathlib import Path

from modest.bench.protocol import Protocol


def labels_protocol(pool: Path, out: Path, seeds: int) -> Protocol:
    """Seven selections at 1, 2, 5 and 10 %, scored by the probe."""
    return Protocol(pool=pool, out=out, seeds=seeds)


def missing_protocol(pool: Path, out: Path, seeds: int) -> Protocol:
    """MLA against late fusion on 15 % of the labels, with 0 to 50 % of the modality cells taken away."""
    return Protocol(
        pool=pool,
        out=out,
        seeds=seeds,
        methods=("random",),
        budgets=(0.15,),
        learner=("late", "mla"),
        missing=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
        classifier={"epochs": 10},
    )
