"""The page of ``benchmarks.missing`` from made-up cells: the ceiling by hand, ties, and the goal's sentence."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from benchmarks.missing_cells import Job
from benchmarks.missing_page import page
from benchmarks.missing_place import Ceiling, Place, best_or_tied, read

N = 8
PRESENT = np.array([[True, True]] * 4 + [[True, False]] * 2 + [[False, True]] * 2)


def make(into, job, right, validated=0.5):
    """A cell that answers rightly where ``right`` (N,) says so."""
    (into / "cells").mkdir(exist_ok=True)
    y = np.zeros(N, dtype=np.int16)
    proba = np.where(np.asarray(right)[:, None], [0.8, 0.2], [0.3, 0.7])
    present = PRESENT if job.rate else np.ones((N, 2), dtype=bool)
    score = float(np.mean(right))
    told = {
        **asdict(job), "items": 10, "names": ["a", "b"], "classes": 2,
        "fused": {"accuracy": score, "weighted_f1": score},
        "validated": validated, "chosen": 1, "epochs": 3, "seconds": 1.0, "cell_cpu": 1.0, "versions": {"modest": "0"},
    }  # fmt: skip
    (into / "cells" / f"{job.key}.json").write_text(json.dumps(told))
    np.savez(into / "cells" / f"{job.key}.npz", proba=proba.astype(np.float16), y=y, present=present)


@pytest.fixture
def cells(tmp_path):
    every = np.ones(N, dtype=bool)
    for seed in range(3):
        answers = {m: np.arange(N) < k for m, k in {"zero": 4, "mla": 5, "auto": 6, "late": 2}.items()}
        for method, right in answers.items():
            make(tmp_path, Job("table", "mosi", 0.3, seed, method, method), right)
        both = ("a", "b")
        make(tmp_path, Job("ceiling", "mosi", 0.0, seed, "concat", "concat", only=both), every, validated=0.6)
        make(tmp_path, Job("ceiling", "mosi", 0.0, seed, "late", "late", only=both), ~every, validated=0.9)
        make(tmp_path, Job("ceiling", "mosi", 0.0, seed, "concat", "concat", only=("a",)), every)
        make(tmp_path, Job("ceiling", "mosi", 0.0, seed, "concat", "concat", only=("b",)), np.arange(N) == 7)
    return read(tmp_path)


def test_the_ceiling_asks_each_pattern_its_own_classifier_the_better_on_validation(cells):
    top = Ceiling([c for c in cells if c["series"] == "ceiling"], ["a", "b"])
    # rows 0-3 have both: late validated better, and is wrong; 4 and 5 have a alone: right; of 6 and 7 only 7
    assert top.right(0, PRESENT).tolist() == [False] * 4 + [True, True, False, True]
    assert top.right(9, PRESENT) is None


def test_the_way_to_the_ceiling_and_who_is_first(cells, tmp_path):
    place = Place(cells, "mosi")
    assert place.ceiling[0.3] == {0: 0.375, 1: 0.375, 2: 0.375}
    _, content = place.way()
    assert [(line[2], line[3]) for line in content] == [("mla", "no"), ("auto", "yes")]
    assert all(np.isnan(line[-1]) for line in content)  # the ceiling lies below zero filling here
    place.ceiling[0.3] = {0: 1.0, 1: 1.0, 2: 1.0}
    assert [line[-1] for line in place.way()[1]] == pytest.approx([0.25, 0.5])
    told = place.patterns(0.3, ["zero", "late", "mla", "auto"])
    assert "| a + b | 50 % | 100.0 | 50.0 | 100.0 | 100.0 | 0.0 |" in told
    told = page(tmp_path, "2026-01-01", tmp_path / "cells.csv", tmp_path)
    assert "`auto` is first or tied in 1 of 1 places" in told
    assert (tmp_path / "2026-01-01-missing-mosi.png").stat().st_size > 1000
    assert len((tmp_path / "cells.csv").read_text().splitlines()) == 1 + len(cells)


def test_a_tie_needs_an_interval_around_nothing_and_less_than_a_point():
    near = {"a": {0: 0.70, 1: 0.72, 2: 0.71}, "b": {0: 0.705, 1: 0.715, 2: 0.71}, "c": {0: 0.60, 1: 0.61, 2: 0.60}}
    assert best_or_tied(near) == {"a", "b"}
    lucky = {**near, "d": {0: 0.9}}  # one seed cannot be the best of three, but it may be above there
    assert best_or_tied(lucky) == {"a", "b", "d"}
