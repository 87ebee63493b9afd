"""The mean of 38: how DataComp sums up the evaluation of one model.

Reference: Gadre et al., NeurIPS 2023 (DataComp). Of 40 tasks 38 have a main metric (FairFace and UTKFace have none);
the average is their plain mean, and so are the sub-averages over the ImageNet shifts, VTAB and retrieval.

A results file has one JSON object a line, ``{"key": .., "dataset": .., "metrics": {"main_metric": ..}}``; new results
are appended, so the last line of a key counts. The main metric stands in the file already: top-1 accuracy, or what the
task has instead (mean per-class recall, mean R@1, Jaccard, macro F1, worst group).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SHIFTS = ("ImageNet Sketch", "ImageNet v2", "ImageNet-A", "ImageNet-O", "ImageNet-R", "ObjectNet")
VTAB = (
    "Caltech-101", "CIFAR-100", "CLEVR Counts", "CLEVR Distance", "Describable Textures", "EuroSAT",
    "KITTI Vehicle Distance", "Oxford Flowers-102", "Oxford-IIIT Pet", "PatchCamelyon", "RESISC45", "SVHN", "SUN397",
)  # fmt: skip
RETRIEVAL = ("Flickr", "MSCOCO", "WinoGAViL")
OTHERS = (
    "CIFAR-10", "Country211", "FGVC Aircraft", "Food-101", "GTSRB", "MNIST", "Pascal VOC 2007", "Rendered SST2",
    "Stanford Cars", "STL-10", "iWildCam", "Camelyon17", "FMoW", "Dollar Street", "GeoDE",
)  # fmt: skip
TASKS = ("ImageNet 1k", *SHIFTS, *VTAB, *RETRIEVAL, *OTHERS)


@dataclass(frozen=True)
class DataComp:
    """Shares in [0, 1]: ``average`` of the 38 tasks, ``imagenet`` 1k, means over ``shifts`` (6), ``vtab`` (13) and
    ``retrieval`` (3); ``tasks`` name -> main metric.
    """

    average: float
    imagenet: float
    shifts: float
    vtab: float
    retrieval: float
    tasks: Mapping[str, float]


def datacomp(path: str | Path) -> DataComp:
    """Aggregate an ``eval_results.jsonl``.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is no result, or the tasks with a main metric are not exactly the 38: the sentence names which.
    """
    found: dict[str, tuple[str, float | None]] = {}
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            key, name, value = _read(line, f"{path} line {number}")
            found[key] = (name, value)
    tasks: dict[str, float] = {}
    for key, (name, value) in found.items():
        if value is not None:
            if name in tasks:
                raise ValueError(f"{path} has {name} under two keys, one of them {key}; leave one of them out.")
            tasks[name] = value
    missing = [name for name in TASKS if name not in tasks]
    odd = [name for name in tasks if name not in TASKS]
    if missing or odd:
        told = [f"lacks {', '.join(missing)}"] if missing else []
        told += [f"has besides {', '.join(odd)}"] if odd else []
        raise ValueError(
            f"{path} has {len(tasks)} tasks with a main metric; the average needs exactly 38: it {' and '.join(told)}."
        )
    average, shifts, vtab, retrieval = (
        math.fsum(tasks[name] for name in names) / len(names) for names in (TASKS, SHIFTS, VTAB, RETRIEVAL)
    )
    return DataComp(average, tasks["ImageNet 1k"], shifts, vtab, retrieval, {name: tasks[name] for name in TASKS})


def _read(line: str, where: str) -> tuple[str, str, float | None]:
    """(key, dataset, main metric or None) of one line."""
    try:
        told = json.loads(line)
        key, name, value = str(told["key"]), str(told["dataset"]), told["metrics"].get("main_metric")
        number = None if value is None else float(value)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{where} is no result; it needs key, dataset and metrics with main_metric.") from None
    return key, name, None if number is None or math.isnan(number) else number
