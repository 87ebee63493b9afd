"""The pairing bench: accounts of a chain, what it hides, streams, learners, resuming, processes."""

from dataclasses import replace

import numpy as np
import pytest

from modest.bench import pairing
from modest.bench.pairing.chain import Chain, Task
from modest.bench.pairing.learners import GRID, Ridge, Towers, ridge
from modest.bench.pairing.sets import prepare
from modest.pairing import Hidden, stream
from tests.bench.pairs import contents, paired, protocol


def played(changes, given=None, method="acquire", setting="pool", seed=0):
    told = protocol("unused", pool={"toy": given or paired()}, setting=setting, methods=(method,), **changes)
    chain = Chain(prepare("toy", told.sets["toy"]), told, Task("toy", setting, "ridge", method, seed))
    return chain, [row for row, _ in chain.rounds()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "out"
    return folder, list(pairing.run(protocol(folder)))


def test_plan_first_then_a_record_per_chain(finished):
    folder, records = finished
    assert [r.stage for r in records] == ["plan", *["cell"] * 6]
    assert records[0].values["cells"] == 6
    frame = pairing.results(folder)
    assert len(frame) == 18
    assert (frame["asked"] == 6 * (frame["round"] + 1)).all()
    assert (frame["cost"] == frame["asked"]).all()
    assert (frame["pairs"] <= frame["asked"]).all()
    assert set(frame["retrain"]) == {"continue"}
    seconds = pairing.seconds(folder)
    assert len(seconds) == 6
    assert (seconds[["acquire", "train"]] > 0).all(axis=None)


def test_the_first_round_from_scratch_is_shared_by_all_methods(finished):
    frame = pairing.results(finished[0])
    first = frame[frame["round"] == 0]
    assert (first.groupby("seed")["choice"].nunique() == 1).all()
    assert first["radius:image"].isna().all()
    assert frame[frame["round"] == 1].groupby("seed")["choice"].nunique().min() > 1


def test_without_a_space_a_method_that_needs_none_may_choose_its_own():
    shared, own = (played({"first": first}, method="coreset")[1][0]["choice"] for first in ("shared", "own"))
    assert shared != own
    assert played({"first": "own"})[1][0]["choice"] == shared


def test_from_a_ready_space_methods_choose_at_once_and_a_row_says_how_it_was():
    given = paired(common=True)
    rows = [played({}, given, method)[1] for method in ("acquire", "random")]
    assert [row["round"] for row in rows[0]] == [-1, 0, 1, 2]
    assert rows[0][0]["asked"] == rows[0][0]["pairs"] == 0
    assert rows[0][0]["group"] > 0.5
    assert rows[0][1]["choice"] != rows[1][1]["choice"]


def test_what_chooses_does_not_know_the_truth():
    given = paired(common=True)
    other = replace(given, pairs=np.stack([given.pairs[:, 0], np.roll(given.pairs[:, 1], 8)], axis=1))
    for method in ("acquire", "random", "uncertainty"):
        one, two = (played({"subsample": 1.0}, some, method)[1] for some in (given, other))
        assert one[1]["choice"] == two[1]["choice"]
        assert one[2]["choice"] != two[2]["choice"] or method == "random"


def test_every_pair_bought_is_true_and_a_wrong_oracle_shows():
    chain, rows = played({"rounds": 20, "subsample": 1.0})
    assert rows[-1]["wrong"] == 0
    assert sorted(map(tuple, chain.ledger.pairs.tolist())) == sorted(map(tuple, chain.truth.tolist()))
    assert played({"wrong": 0.5})[1][-1]["wrong"] > 0
    assert played({"noise": 1.0})[1][-1]["wrong"] > 0
    chain, rows = played({"unknown": 0.5})
    assert rows[-1]["pairs"] < rows[-1]["asked"] == rows[-1]["cost"]
    assert sum(map(np.sum, chain.ledger.rejected.values())) > 0


def test_a_bench_ends_when_nothing_is_left():
    _, rows = played({"rounds": 20, "budget": 50}, method="random")
    assert [row["round"] for row in rows] == [0, 1]
    assert rows[-1]["pairs"] == 48


def test_radius_and_auroc_against_slow_loops():
    given = paired(common=True, noise=1.0)
    chain, _ = played({"rounds": 1}, given)
    _, two = played({"rounds": 2}, given)
    bought = chain.ledger.pairs
    space = {name: x / np.linalg.norm(x, axis=1, keepdims=True) for name, x in chain.learner.embed(chain.sides).items()}
    for column, (name, other) in enumerate((("image", "text"), ("text", "image"))):
        own, free = space[name], np.setdiff1d(np.arange(48), bought[:, column])
        there = np.setdiff1d(np.arange(48), bought[:, 1 - column])
        far = max(min(np.linalg.norm(own[i] - own[s]) for s in bought[:, column]) for i in free)
        assert two[2][f"radius:{name}"] == pytest.approx(far, abs=1e-5)
        margins, right = [], []
        for i in free:
            similar = space[other][there] @ own[i]
            order = np.argsort(-similar)
            margins.append(similar[order[0]] - similar[order[1]])
            partner = chain.truth[chain.truth[:, column] == i, 1 - column]
            right.append(there[order[0]] in partner)
        pairs = [(a > b) for a, r in zip(margins, right) if r for b, s in zip(margins, right) if not s]
        assert two[2][f"auroc:{name}"] == pytest.approx(np.mean(pairs), abs=1e-6)


def test_a_stream_of_one_buffer_is_a_round_of_the_pool():
    given = paired(common=True)
    (_, pool), (_, flow) = (
        played({"rounds": 1, "buffer": 1000}, given, setting=setting) for setting in ("pool", "stream")
    )
    assert pool == flow


@pytest.mark.parametrize("method", ["coreset", "random", "acquire"])
def test_a_stream_asks_what_the_stream_of_the_room_asks(method):
    given = paired(common=True)
    chain, rows = played({"buffer": 16}, given, method, "stream")
    assert [row["round"] for row in rows] == [-1, 0, 1, 2]
    learner, bought = Ridge(), []
    learner.start(chain.sides, True)
    ids = {name: np.array([f"{row:02}" for row in range(len(x))]) for name, x in chain.sides.items()}
    buffers = [{name: {ids[name][row]: row for row in part[name]} for name in part} for part in chain._buffers()]
    oracle = Hidden(np.stack([ids[name][chain.truth[:, k]] for k, name in enumerate(ids)], axis=1))

    def embed(side, items):
        return learner.embed({side: chain.sides[side][items]})[side]

    steps = stream(buffers, embed, 6, method=method, reference=None, seed=0)
    told = None
    while True:
        try:
            query = next(steps) if told is None else steps.send(told)
        except StopIteration:
            break
        told = oracle(query)
        for answer in told:
            pair = {query.modality: query.items[query.modality][answer.row]}
            pair[query.target] = query.items[query.target][answer.matches[0]]
            bought.append((int(pair["image"]), int(pair["text"])))
        learner.fit(np.unique(bought, axis=0))
    assert set(bought) == set(map(tuple, chain.ledger.pairs.tolist()))


def test_buffers_hold_whole_pairs_once():
    chain, rows = played({"buffer": 10, "missing": 0.2}, setting="stream", method="random")
    buffers = list(chain._buffers())
    for name, x in chain.sides.items():
        assert sorted(np.concatenate([part[name] for part in buffers]).tolist()) == list(range(len(x)))
    for part in buffers:
        own = np.isin(chain.truth[:, 0], part["image"])
        assert (own == np.isin(chain.truth[:, 1], part["text"])).all()
        assert own.sum() <= 10
    assert [row["round"] for row in rows] == list(range(len(buffers)))


def test_a_wrong_answer_in_a_stream_is_of_the_buffer():
    chain, rows = played({"buffer": 16, "noise": 1.0}, paired(common=True), "random", "stream")
    buffers, pairs = list(chain._buffers()), chain.ledger.pairs
    assert rows[-1]["wrong"] == len(pairs) > 10
    assert all(sum(a in part["image"] and b in part["text"] for part in buffers) == 1 for a, b in pairs.tolist())


def test_ridge_leaves_out_one_by_one():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, 5)), rng.standard_normal((9, 3))
    errors = []
    for g in GRID:
        strength = g * (x**2).sum() / 9
        total = 0.0
        for i in range(9):
            kept = np.arange(9) != i
            w = np.linalg.solve(x[kept].T @ x[kept] + strength * np.eye(5), x[kept].T @ y[kept])
            total += ((y[i] - x[i] @ w) ** 2).sum()
        errors.append(total)
    strength = GRID[int(np.argmin(errors))] * (x**2).sum() / 9
    np.testing.assert_allclose(ridge(x, y), np.linalg.solve(x.T @ x + strength * np.eye(5), x.T @ y), atol=1e-10)
    assert ridge(x[:1], y[:1]).shape == (5, 3)


def test_ridge_from_a_ready_space_begins_as_it_is():
    given = paired(common=True)
    learner = Ridge()
    learner.start(given.sides, True)
    learner.fit(np.empty((0, 2), dtype=np.int64))
    before = learner.embed(given.sides)["image"]
    np.testing.assert_allclose(before, given.sides["image"] - given.sides["image"].mean(axis=0), atol=1e-6)
    scratch = Ridge()
    scratch.start(given.sides, False)
    assert not scratch.ready
    assert scratch.embed(given.sides)["text"].std(axis=0) == pytest.approx(np.ones(6))


def test_a_cut_run_ends_in_the_same_bytes(finished, tmp_path):
    whole, _ = finished
    steps = pairing.run(protocol(tmp_path / "out"))
    for _ in range(3):
        next(steps)
    steps.close()
    assert len(list((tmp_path / "out" / "cells").iterdir())) < 6
    assert len(list(pairing.run(protocol(tmp_path / "out")))) == 5
    assert contents(tmp_path / "out") == contents(whole)


def test_the_number_of_processes_changes_no_byte(finished, tmp_path):
    list(pairing.run(protocol(tmp_path / "out"), jobs=2))
    assert contents(tmp_path / "out") == contents(finished[0])


def test_another_protocol_is_refused(finished):
    with pytest.raises(ValueError, match=r"another protocol \(.*budget"):
        next(pairing.run(protocol(finished[0], budget=7)))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"methods": ("magic",)}, "magic"),
        ({"methods": ()}, "methods is empty"),
        ({"methods": ("random", "random")}, "twice"),
        ({"methods": {"a/b": {"method": "random"}}}, "letters"),
        ({"setting": "river"}, "setting='river'"),
        ({"learner": "oak"}, "learner='oak'"),
        ({"retrain": "never"}, "retrain='never'"),
        ({"first": "last"}, "first='last'"),
        ({"budget": 1.5}, "budget is 1.5"),
        ({"budget": 0}, "budget is 0"),
        ({"wrong": 0.6, "unknown": 0.6}, "at most 1"),
        ({"rounds": 0}, "rounds"),
        ({"pool": {"a b": paired()}}, "letters"),
    ],
)
def test_what_a_protocol_refuses(change, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        protocol(tmp_path, **change)


def test_variants_know_multiples_of_the_budget(tmp_path):
    told = protocol(tmp_path, methods={"wide": {"method": "acquire", "candidates": "2.5B"}, "random": {}})
    assert told.knobs("wide", 6) == ("acquire", {"candidates": 15})
    assert told.knobs("random", 6) == ("random", {})
    assert told.per_round(48) == 6
    assert protocol(tmp_path, budget=0.05).per_round(45) == 2


@pytest.mark.parametrize("common", [False, True])
def test_towers_learn_and_continue_differs_from_restart(common):
    given = paired(common=common, n=80)
    ends = {}
    for retrain in ("continue", "restart"):
        told = {"learner": "towers", "retrain": retrain, "training": {"width": 6, "epochs": 3}, "budget": 12}
        run = protocol("unused", pool={"toy": given}, methods=("random",), **told)
        chain = Chain(prepare("toy", given), run, Task("toy", "pool", "towers", "random", 0))
        rows = [row for row, _ in chain.rounds()]
        assert rows[0]["round"] == (-1 if common else 0)
        ends[retrain] = chain.learner.embed(given.test)["text"]
        assert chain.learner.ready
        if common:
            assert rows[0]["recall@1"] > 0.5
    assert not np.allclose(ends["continue"], ends["restart"])
    one = Towers(0, "restart", width=6, epochs=3)
    one.start(chain.sides, common)
    one.fit(chain.ledger.pairs)
    np.testing.assert_array_equal(one.embed(given.test)["text"], ends["restart"])


def test_towers_need_two_pairs():
    given, learner = paired(), Towers(width=4)
    learner.start(given.sides, False)
    learner.fit(given.pairs[:1])
    assert not learner.ready
