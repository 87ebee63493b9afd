"""The bench in rounds: chains of budgets, who is asked, and the same files however often it is stopped."""

import json

import numpy as np
import pytest

from modest import MultimodalClassifier, Views, bench, select
from modest.bench.cell import Arena
from modest.bench.probe import Probe
from modest.bench.sets import LabelledViews, prepare
from modest.selection import METHODS
from tests.bench.sample import table
from tests.bench.test_run import contents

WAYS = ("random", "badge", "maxherding+badge", "uherding", "kcenter+alfamix")
BUDGETS = (6, 0.15, 30)  # 6, 14 and 30 of 96 training rows
CONCAT = {"epochs": 2, "hidden": (), "width": 4}


def protocol(out, **changes):
    base = {"methods": WAYS, "budgets": BUDGETS, "seeds": 2, "rounds": True}
    return bench.Protocol(**{"pool": {"toy": table()}, "out": out, **base, **changes})


def choices(folder):
    """(seed, method) -> items -> content of the choice, items ascending."""
    found = {}
    for path in sorted((folder / "choices").glob("*.json"), key=lambda path: int(path.stem.split("~")[-1])):
        _, _, seed, method, items = path.stem.split("~")
        found.setdefault((int(seed[-1]), method), {})[int(items)] = json.loads(path.read_text())
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rounds") / "out"
    return folder, list(bench.run(protocol(folder)))


def test_one_row_per_cell_as_without_rounds(finished):
    folder, records = finished
    frame = bench.results(folder)
    assert len(frame) == len(records) - 1 == 2 * len(WAYS) * 3
    assert set(frame["method"]) == set(WAYS)
    assert sorted(frame["items"].unique()) == [6, 14, 30]
    told = json.loads((folder / "protocol.json").read_text())["protocol"]
    assert (told["rounds"], told["first"], told["warm"]) == (True, "random", "probe")


def test_bought_sets_nest_and_budgets_are_exact(finished):
    chains = choices(finished[0])
    assert len(chains) == 2 * len(WAYS)
    for rounds in chains.values():
        before = []
        for items, told in rounds.items():
            assert len(set(told["ids"])) == len(told["ids"]) == items
            assert told["ids"][: len(before)] == before
            before = told["ids"]


def test_methods_of_the_rounds_are_told(finished):
    chains = choices(finished[0])
    methods = {way: [told["method"] for told in chains[0, way].values()] for way in WAYS}
    assert methods == {
        "random": ["random"] * 3,
        "badge": ["random", "badge", "badge"],
        "maxherding+badge": ["maxherding", "badge", "badge"],
        "uherding": ["uherding"] * 3,
        "kcenter+alfamix": ["kcenter", "alfamix", "alfamix"],
    }
    assert [told["why"] for told in chains[0, "uherding"].values()] == [
        "no label is known yet",
        "a classifier of 6 labels was asked",
        "a classifier of 14 labels was asked",
    ]


def by_hand(ground, plan, first, method, seed, asked):
    """A chain written out: the subsample, the first round, then a classifier of what is bought."""
    arena = Arena(ground, plan, 0.0, seed)
    pool, y, n = arena.pool, ground.labels[arena.rows], len(arena.rows)
    order = []
    for items in (6, 14, 30):
        taken = np.isin(np.arange(n), order)
        name, arrays = (method, {}) if order else (first, {})
        wanted = METHODS[name].needs + METHODS[name].uses
        if order and wanted:
            known = np.where(taken, y, None)
            arrays = asked(arena, pool[order], y[order].astype(str)).arrays(pool, wanted, y=known)
        order += select(pool, items - len(order), name, seed, taken, **arrays).rows.tolist()
    return pool.ids[order].tolist()


@pytest.mark.parametrize(("way", "first"), [("badge", "random"), ("maxherding+badge", "maxherding")])
def test_the_probe_that_is_asked_is_fitted_on_what_is_bought(finished, way, first):
    ground, plan = prepare("toy", table()), protocol(finished[0])
    chains = choices(finished[0])
    for seed in range(2):
        expected = by_hand(
            ground, plan, first, "badge", seed, lambda arena, x, y: Probe(arena.standard, plan.c).fit(x, y)
        )
        assert chains[seed, way][30]["ids"] == expected


def test_a_concat_classifier_may_be_asked_instead(tmp_path):
    plan = protocol(tmp_path / "out", methods=("badge", "maxherding+bmmal"), warm=CONCAT)
    list(bench.run(plan))
    ground, chains = prepare("toy", table()), choices(tmp_path / "out")

    def asked(arena, x, y):
        return MultimodalClassifier(method="concat", random_state=arena.seed, **CONCAT).fit(x, y, False)

    for seed in range(2):
        assert chains[seed, "badge"][30]["ids"] == by_hand(ground, plan, "random", "badge", seed, asked)
        bmmal = by_hand(ground, plan, "maxherding", "bmmal", seed, asked)
        assert chains[seed, "maxherding+bmmal"][30]["ids"] == bmmal


def test_who_is_asked_unless_it_is_said(tmp_path):
    assert protocol(tmp_path).asked == "probe"
    assert protocol(tmp_path, learner=("probe", "late")).asked == {}
    assert protocol(tmp_path, learner="late").asked == {}
    assert protocol(tmp_path, learner="late", warm="probe").asked == "probe"


def test_first_is_of_warm_methods_alone(tmp_path):
    plan = protocol(tmp_path / "out", methods=("badge", "random", "uherding"), first="kcenter", seeds=1)
    list(bench.run(plan))
    chains = choices(tmp_path / "out")
    starts = {method: rounds[6]["method"] for (_, method), rounds in chains.items()}
    assert starts == {"badge": "kcenter", "random": "random", "uherding": "uherding"}


def test_a_random_chain_is_the_same_draw_as_at_once(finished, tmp_path):
    list(bench.run(protocol(tmp_path / "out", methods=("random",), rounds=False)))
    apart, chains = choices(tmp_path / "out"), choices(finished[0])
    for seed in range(2):
        for items in (6, 14, 30):
            assert apart[seed, "random"][items] == {"ids": chains[seed, "random"][items]["ids"]}


def test_one_class_falls_back_and_says_so(tmp_path):
    """A set sorted by class in the first dimension: kcenter's first row, then its farthest, may be of one class."""
    x = np.concatenate([np.random.default_rng(0).normal(size=(60, 3)), np.full((4, 3), 0.1)])
    labels = ["a"] * 60 + ["b"] * 4
    given = LabelledViews(Views({"x": x}), labels, np.where(np.arange(64) % 4 == 3, "test", "train"))
    plan = protocol(tmp_path / "out", pool={"s": given}, methods=("badge", "uherding"), budgets=(1, 2, 3), seeds=1)
    list(bench.run(plan))
    chains = choices(tmp_path / "out")
    for method, stands_in in (("badge", "random"), ("uherding", "uherding")):
        told = chains[0, method][2]
        assert told["method"] == stands_in
        assert "one class" in told["why"]
    assert set(bench.results(tmp_path / "out")["items"]) == {1, 2, 3}


def test_a_budget_of_everything_ends_the_chain(tmp_path):
    plan = protocol(tmp_path / "out", methods=("random", "badge"), budgets=(6, 1.0), seeds=1)
    list(bench.run(plan))
    chains = choices(tmp_path / "out")
    assert chains[0, "random"][76]["ids"] == chains[0, "badge"][76]["ids"]
    assert set(chains[0, "badge"][6]["ids"]) < set(chains[0, "badge"][76]["ids"])


@pytest.mark.parametrize("stop", [0, 1, 4, 9, 17])
def test_stopping_and_going_on_ends_in_the_same_bytes(finished, tmp_path, stop):
    running = bench.run(protocol(tmp_path / "out"))
    for _ in range(stop):
        next(running)
    running.close()
    list(bench.run(protocol(tmp_path / "out")))
    assert contents(tmp_path / "out") == contents(finished[0])


def test_any_file_lost_is_made_again_the_same(finished, tmp_path):
    """Whatever a kill leaves: choices of later rounds and cells without those before."""
    list(bench.run(protocol(tmp_path / "out")))
    paths = sorted(p for part in ("choices", "cells") for p in (tmp_path / "out" / part).glob("*.json"))
    for path in np.random.default_rng(0).choice(paths, size=len(paths) // 2, replace=False):
        path.unlink()
    list(bench.run(protocol(tmp_path / "out")))
    again, before = contents(tmp_path / "out"), contents(finished[0])
    lost = before.keys() - again.keys()  # a choice is made again only where one of its cells needs it
    assert all(name.startswith("choices") for name in lost)
    assert {name: before[name] for name in again} == again


def test_the_number_of_processes_changes_no_byte(finished, tmp_path):
    assert len(list(bench.run(protocol(tmp_path / "out"), jobs=2))) == len(finished[1])
    assert contents(tmp_path / "out") == contents(finished[0])


def test_without_rounds_the_protocol_reads_as_it_always_did(tmp_path):
    list(bench.run(protocol(tmp_path / "out", methods=("random",), rounds=False, seeds=1, first="kcenter")))
    told = json.loads((tmp_path / "out" / "protocol.json").read_text())["protocol"]
    assert not {"rounds", "first", "warm"} & told.keys()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ("badge",), "rounds": False}, "^methods holds 'badge', which needs .*set rounds"),
        ({"methods": ("random+uherding",), "rounds": False}, "set rounds"),
        ({"methods": ("magic+badge",)}, "known: auto, random"),
        ({"methods": ("maxherding+magic",)}, "known: auto, random"),
        ({"methods": ("margin+badge",)}, "begin with a cold method"),
        ({"methods": ("badge",), "first": "margin"}, "begin with a cold method"),
        ({"methods": ("badge",), "first": "magic"}, "first='magic' is unknown"),
        ({"warm": "late"}, "known: probe"),
        ({"knobs": {"magic": {}}}, "knobs='magic' is unknown"),
        ({"warm": {"method": "mla"}}, "warm names a method"),
        ({"warm": {"epoch": 3}}, "MultimodalClassifier does not take"),
    ],
)
def test_what_cannot_be_is_one_sentence(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        protocol(tmp_path, **changes)
    assert "\n" not in str(caught.value)
