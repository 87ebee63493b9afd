"""Throughput of the recipes, as ratios of epochs measured in turns in one run, medians over the repeats.

    python -m benchmarks.train                    # some minutes on one core
    python -m benchmarks.train --json train.json

Random inputs, so that nothing but training is measured. ``resnet``: two ResNet-18 of full width on pictures of 96x96,
64 rows a step. ``towers``: two networks of one hidden layer over views of 512 features. An MLA epoch is compared with
the two epochs that train its encoders one by one. The projection's share is the time inside ``update`` and ``project``.
Processor time is given beside wall time: on a busy machine it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from modest.encoders.trainable import build
from modest.learning import METHODS, Towers
from modest.training import Batches, Plan
from modest.training.fit import fit

BATCH, CLASSES, NAMES = 64, 31, ("first", "second")
PLAN = Plan(epochs=1, lr=1e-3, optimizer="sgd", weight_decay=1e-4)  # as in MLA's experiments
ALONE = [f"alone {name}" for name in NAMES]
# job -> (recipe, its options, which of the two encoders)
JOBS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    ALONE[0]: ("late", {}, (0,)),
    ALONE[1]: ("late", {}, (1,)),
    "mla": ("mla", {}, (0, 1)),
    "mla without projection": ("mla", {"project": False}, (0, 1)),
}
GOALS = {"resnet": {"mla / alone": 1.10, "projection": 0.02}, "towers": {"projection": 0.20}}


@dataclass(frozen=True)
class Tensors:
    """Column over a tensor (n, ...), see ``modest.training.Column``."""

    array: torch.Tensor
    eager: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape[1:])

    def block(self, rows: np.ndarray, epoch: int | None) -> tuple[torch.Tensor, np.ndarray]:
        return self.array[torch.from_numpy(rows)], np.ones(len(rows), dtype=bool)


@dataclass(frozen=True)
class Scene:
    """``encoder`` (generator) -> (module, width) over inputs of ``shape``; ``count`` batches make an epoch."""

    encoder: Callable[[torch.Generator], tuple[torch.nn.Module, int]]
    shape: tuple[int, ...]
    count: int

    def batches(self, which: tuple[int, ...], device: str) -> Batches:
        rows, draw = BATCH * self.count, torch.Generator().manual_seed(0)
        columns = [Tensors(torch.randn(rows, *self.shape, generator=draw)) for _ in which]
        y = np.random.default_rng(0).integers(CLASSES, size=rows)
        return Batches(columns, np.ones((rows, len(which)), bool), np.arange(rows), y, BATCH, device=device)

    def recipe(self, method: str, options: dict[str, Any], which: tuple[int, ...]) -> Any:
        generator = torch.Generator().manual_seed(0)
        made = [self.encoder(generator) for _ in which]
        towers = Towers([net for net, _ in made], made[0][1])
        return METHODS[method].build(towers, [NAMES[m] for m in which], CLASSES, generator, options)


def resnet(generator: torch.Generator) -> tuple[torch.nn.Module, int]:
    made = build("resnet18", size=96, generator=generator)
    return made.net, made.width


def tower(width: int) -> Callable[[torch.Generator], tuple[torch.nn.Module, int]]:
    def make(generator: torch.Generator) -> tuple[torch.nn.Module, int]:
        made = build("mlp", inputs=512, hidden=[256], width=width, generator=generator)
        return made.net, made.width

    return make


SCENES = {
    "resnet": Scene(resnet, (3, 96, 96), 2),
    "towers": Scene(tower(128), (512,), 60),
    "towers, 512 features": Scene(tower(512), (512,), 60),
}


class Clock:
    """Seconds spent inside functions that it wraps."""

    def __init__(self, device: str) -> None:
        self.device, self.seconds = device, 0.0

    def now(self) -> float:
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*given: Any) -> Any:
            begin = self.now()
            try:
                return function(*given)
            finally:
                self.seconds += self.now() - begin

        return wrapped


def epoch(recipe: Any, batches: Batches, clock: Clock) -> tuple[float, float]:
    """(wall, processor) seconds of an epoch of every stage."""
    begin, used = clock.now(), time.process_time()
    for _ in fit(recipe.stages(), batches, PLAN):
        pass
    return clock.now() - begin, time.process_time() - used


def in_turns(runs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """What every run gives, ``repeats`` times, forwards and backwards in turns; a first round does not count."""
    found: dict[str, list[Any]] = {name: [] for name in runs}
    for k in range(repeats + 1):
        for name in list(runs) if k % 2 else reversed(list(runs)):
            told = runs[name]()
            if k:
                found[name].append(told)
    return found


def against_alone(scene: Scene, repeats: int, device: str = "cpu") -> dict[str, float]:
    """MLA's epoch over the sum of its encoders' own, with and without projection, and the projection's share."""
    clock, inside = Clock(device), Clock(device)

    def run(method: str, options: dict[str, Any], which: tuple[int, ...]) -> Callable[[], tuple[float, ...]]:
        recipe, batches = scene.recipe(method, options, which), scene.batches(which, device)
        if method == "mla":
            recipe.projector.update = inside.around(recipe.projector.update)
            recipe.projector.project = inside.around(recipe.projector.project)

        def one() -> tuple[float, ...]:
            inside.seconds = 0.0
            return *epoch(recipe, batches, clock), inside.seconds

        return one

    times = in_turns({name: run(*job) for name, job in JOBS.items()}, repeats)

    def ratio(name: str, place: int) -> float:
        alone = np.sum([[t[place] for t in times[one]] for one in ALONE], axis=0)
        return median([t[place] for t in times[name]] / alone)

    told = {"mla / alone": ratio("mla", 0), "mla / alone, processor": ratio("mla", 1)}
    told["mla without projection / alone"] = ratio("mla without projection", 0)
    told["mla without projection / alone, processor"] = ratio("mla without projection", 1)
    told["projection"] = median(t[2] / t[0] for t in times["mla"])
    return told | {"mla epoch, s": median(t[0] for t in times["mla"]), "batches": scene.count}


def against_concat(scene: Scene, repeats: int, device: str = "cpu") -> dict[str, dict[str, float]]:
    """Every recipe's epoch over that of concat, mean over its stages, and how many stages it has."""
    clock = Clock(device)
    recipes = {name: scene.recipe(name, {}, (0, 1)) for name in METHODS}
    batches = scene.batches((0, 1), device)
    times = in_turns({name: lambda r=r: epoch(r, batches, clock) for name, r in recipes.items()}, repeats)
    told = {}
    for name, recipe in recipes.items():
        stages = len(recipe.stages())
        wall, cpu = (
            median(one[place] / stages / base[place] for one, base in zip(times[name], times["concat"]))
            for place in (0, 1)
        )
        told[name] = {"stages": stages, "wall": wall, "processor": cpu}
    return told


def section(names: list[str], repeats: int, device: str) -> dict[str, Any]:
    scenes = {name: against_alone(SCENES[name], repeats, device) for name in names}
    return {"scenes": scenes, "recipes": against_concat(SCENES["towers"], repeats, device)}


def page(found: dict[str, Any]) -> str:
    """What was found as markdown."""
    lines = [f"Medians of {found['repeats']} repeats, {found['threads']} thread(s), torch {found['torch']}."]
    for device, told in found["devices"].items():
        lines += ["", f"### {device}", ""]
        if told is None:
            lines.append("No CUDA device here: nothing was measured.")
            continue
        lines += ["| | " + " | ".join(told["scenes"]) + " |", "|---" * (len(told["scenes"]) + 1) + "|"]
        for key in next(iter(told["scenes"].values())):
            cells = [_cell(scene, key, one[key]) for scene, one in told["scenes"].items()]
            lines.append(f"| {key} | " + " | ".join(cells) + " |")
        lines += ["", "| recipe (towers) | stages | epoch / concat's | processor |", "|---|---|---|---|"]
        for name, one in told["recipes"].items():
            lines.append(f"| {name} | {one['stages']} | {one['wall']:.2f} | {one['processor']:.2f} |")
    return "\n".join(lines)


def _cell(scene: str, key: str, value: float) -> str:
    text = f"{value:.1%}" if key == "projection" else f"{value:.3g}"
    goal = GOALS.get(scene, {}).get(key)
    if goal is None:
        return text
    told = f"{goal:.0%}" if key == "projection" else f"{goal:.2f}"
    return f"{text} (goal {told}: {'met' if value <= goal else 'missed'})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES), choices=list(SCENES))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found: dict[str, Any] = {"repeats": args.repeats, "threads": args.threads, "torch": torch.__version__}
    cuda = torch.cuda.is_available()
    found["devices"] = {
        "cpu": section(args.scenes, args.repeats, "cpu"),
        "cuda": section(args.scenes, args.repeats, "cuda") if cuda else None,
    }
    if args.json:
        args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(page(found))


if __name__ == "__main__":
    main()
