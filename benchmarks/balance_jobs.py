"""The cells of each series of ``benchmarks.balance``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.balance_cells import Job
from benchmarks.balance_sets import modalities
from modest.learning import METHODS

SETS = ("grid_letter", "fashion", "mosi", "av_digits", "wikipedia", "emoji")
ISOLATED = ("concat", "late", "mla", "ogm_ge")
PILOT = tuple(f"{base}+{way}" for base in ("grid_letter", "av_digits") for way in ("shortcut", "noise", "slow"))
CHOSEN = "grid_letter+shortcut"
STABLE_SETS = ("grid_letter", "wikipedia", "emoji")
RATES = {"adamw": 1e-3, "sgd": 1e-2}

UNTRAINED = {"epochs": 1, "lr": 1e-9}  # what the probe makes of first weights

# head, projection, fusion -> recipe and options
ABLATION: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "separate, mean": ("late", {"fusion": "mean"}),
    "separate, entropy": ("late", {"fusion": "entropy"}),
    "shared, mean": ("mla", {"project": False, "fusion": "mean"}),
    "shared, entropy": ("mla", {"project": False, "fusion": "entropy"}),
    "shared, projected, mean": ("mla", {"project": True, "fusion": "mean"}),
    "shared, projected, entropy": ("mla", {"project": True, "fusion": "entropy"}),
    "shared, not alternating, mean": ("late", {"head": "shared", "fusion": "mean"}),
    "shared, not alternating, entropy": ("late", {"head": "shared", "fusion": "entropy"}),
}


def jobs(series: str, args: argparse.Namespace) -> list[Job]:
    """All cells of a series, the first seed's first."""
    count = args.seeds or (1 if series == "rates" else 2 if series in ("pilot", "stable") else 5)
    made = [job for seed in range(args.first, args.first + count) for job in SERIES[series](args, seed)]
    return [job for job in made if not args.methods or {job.name, job.method} & set(args.methods)]


def knobs(args: argparse.Namespace, labels: str = "full", **more: Any) -> dict[str, Any]:
    """What is said beside the classifier's defaults; with all labels batches of 64 rows, as in the paper."""
    size = {"batch_size": 64} if labels == "full" else {}
    return {**size, **{name: getattr(args, name) for name in ("epochs", "lr") if getattr(args, name)}, **more}


def table(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """Every recipe; the rate chosen in the series rates, where it was, with all labels."""
    for labels, name, method in product(args.labels, args.sets or SETS, METHODS):
        best = chosen_rate(args.into, name, method) if args.chosen and labels == "full" else None
        more = {} if best is None else {"lr": best}
        yield Job("table", name, labels, seed, method, method, knobs=knobs(args, labels, **more), probe=True)


def rates(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """A grid of rates."""
    for name, method, lr in product(args.sets or SETS, METHODS, args.grid):
        yield Job("rates", name, "full", seed, f"{method} {lr:g}", method, knobs=knobs(args, lr=lr))


def chosen_rate(into: Path, name: str, method: str) -> float | None:
    """The rate with the best validation accuracy, mean over the seeds there are; the smaller one among equals."""
    found: dict[float, list[float]] = {}
    for path in (into / "cells").glob(f"rates~{name}~full~{method} *.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault(told["knobs"]["lr"], []).append(told["curves"]["validation"][told["chosen"] - 1])
    return max(sorted(found), key=lambda lr: sum(found[lr]) / len(found[lr])) if found else None


def ablation(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """Heads, projection, fusion."""
    for name, (variant, (method, options)) in product(args.sets or SETS, ABLATION.items()):
        yield Job("ablation", name, "full", seed, variant, method, options, knobs=knobs(args))


def isolation(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """All modalities, one alone, one absent in half of the training rows, and of three one absent altogether."""
    for name in args.sets or SETS:
        names = modalities(name, args.shared)
        ways = ["all", *(f"{how}-{m}" for how in ("only", "half", "without")[: len(names)] for m in names)]
        yield untrained("isolation", name, seed)
        for method, rows in product([m for m in ISOLATED if m in METHODS], ways):
            yield Job("isolation", name, "full", seed, method, method, rows=rows, knobs=knobs(args), probe=True)


def untrained(series: str, name: str, seed: int) -> Job:
    """Encoders as they were drawn."""
    return Job(series, name, "full", seed, "untrained", "concat", knobs=UNTRAINED, probe=True)


def pilot(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """Ways to provoke laziness: what concat and late make of them, and what each modality learns alone."""
    for name in args.sets or PILOT:
        yield untrained("pilot", name, seed)
        alone = [f"only-{m}" for m in modalities(name, args.shared)]
        for method, rows in [("concat", "all"), ("late", "all"), *(("concat", rows) for rows in alone)]:
            yield Job("pilot", name, "full", seed, method, method, rows=rows, knobs=knobs(args), probe=True)


def provoked(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """Every recipe on the set chosen, and each modality alone."""
    for name in args.sets or (CHOSEN,):
        yield untrained("provoked", name, seed)
        alone = [("concat", f"only-{m}") for m in modalities(name, args.shared)]
        for method, rows in [*((method, "all") for method in METHODS), *alone]:
            yield Job("provoked", name, "full", seed, method, method, rows=rows, knobs=knobs(args), probe=True)


def stable(args: argparse.Namespace, seed: int) -> Iterator[Job]:
    """mla under its options, 100 epochs, rates as in the paper: a tenth from epoch 70 on."""
    for name, (variant, (options, optimizer)) in product(args.sets or STABLE_SETS, variants().items()):
        told = {"epochs": 100, "schedule": "step", "optimizer": optimizer, "lr": RATES[optimizer]}
        yield Job("stable", name, "full", seed, variant, "mla", options, knobs={**told, **knobs(args)})


def variants() -> dict[str, tuple[dict[str, Any], str]]:
    """Name -> options of mla and optimiser: normalize x reset x project_step with alpha 0.1, other alphas with reset
    never, no projection, and the presets that mla has."""
    knobs_of = product(("none", "trace", "fro"), ("never", "epoch"), ("gradient", "step"))
    crossed: list[tuple[str, str, Any, str]] = [(n, r, 0.1, s) for n, r, s in knobs_of]
    crossed += [(n, "never", a, "gradient") for n, a in product(("none", "trace"), (1.0, "decay"))]
    made: dict[str, tuple[dict[str, Any], str]] = {}
    for optimizer in RATES:
        made[f"{optimizer} no projection"] = ({"project": False}, optimizer)
        made[f"{optimizer} defaults"] = ({}, optimizer)
        for normalize, reset, alpha, step in crossed:
            options = {"normalize": normalize, "reset": reset, "alpha": alpha, "project_step": step}
            made[f"{optimizer} {normalize} {reset} {alpha} {step}"] = (options, optimizer)
        if "published" in {field.name for field in fields(METHODS["mla"].options)}:
            for preset in ("head", "literal"):
                made[f"{optimizer} published {preset}"] = ({"published": preset}, optimizer)
    return made


SERIES = {
    "rates": rates, "table": table, "ablation": ablation, "isolation": isolation,
    "pilot": pilot, "provoked": provoked, "stable": stable,
}  # fmt: skip
