"""Greedy coverage where rows are alike: the pairs that still count are held, and the picks stay the plain greedy's."""

from functools import cache

import numpy as np
import pytest
import torch

from modest import Views
from modest.neighbours import Rows, coverage, greedy_coverage
from modest.neighbours import gains as engine
from modest.neighbours.gains import Gains
from modest.neighbours.pairs import Lists, Pairs
from modest.neighbours.side import Side

from .conftest import slow_distances, table

alike = cache(lambda missing: table(240, (20, 12), 1, missing))
distances = cache(lambda missing: slow_distances(alike(missing)))
NOTHING = np.array([], dtype=np.int64)


def plain_greedy(similarity, budget, candidates, targets, covered, weights):
    """Every gain anew before every pick; the lowest row among gains that tie by the rule of ``coverage.TIE``."""
    k = similarity[np.ix_(candidates, targets)]
    best = similarity[np.ix_(covered, targets)].max(axis=0) if len(covered) else np.zeros(len(targets))
    slack = coverage.TIE * weights.sum() / len(targets) ** 0.5
    picks, gains, left = [], [], np.ones(len(candidates), dtype=bool)
    for _ in range(budget):
        each = np.where(left, np.maximum(0, k - best) @ weights, -np.inf)
        at = int((each >= each.max() - slack).argmax())
        picks.append(candidates[at])
        gains.append(each[at] / weights.sum())
        left[at] = False
        best = np.maximum(best, k[at])
    return picks, gains, best


@pytest.fixture
def collected(monkeypatch):
    """How many pairs were held at every try to, None where they were too many."""
    tries = []
    plain = Gains.gather

    def watched(self, *arguments):
        gain = plain(self, *arguments)
        tries.append(None if gain is None else self.pairs.count)
        return gain

    monkeypatch.setattr(Gains, "gather", watched)
    return tries


@pytest.mark.parametrize("edge", [17, 64, 1024])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("case", "missing"), [("all", 0.0), ("all", 0.3), ("some", 0.0)])
def test_held_pairs_give_the_plain_greedy(edge, weighted, case, missing, collected, monkeypatch):
    monkeypatch.setattr(engine, "EDGE", edge)
    monkeypatch.setattr(engine, "SAMPLE", 20)
    views, similarity = alike(missing), np.exp(-distances(missing))
    candidates = np.arange(240) if case == "all" else np.arange(0, 240, 2)
    targets, covered = (np.arange(240), NOTHING) if case == "all" else (np.arange(30, 210), np.array([3, 77]))
    weights = np.random.default_rng(2).random(len(targets)) if weighted else np.ones(len(targets))
    picks, gains, best, _ = greedy_coverage(
        Rows(views, precision="float64"), 80, candidates, targets, lambda d2: torch.exp(-d2),
        covered=covered, weights=weights if weighted else None, batch=8,
    )  # fmt: skip
    expected = plain_greedy(similarity, 80, candidates, targets, covered, weights)
    assert len(collected) >= 1
    assert 0 < collected[-1] < len(candidates) * len(targets)
    np.testing.assert_array_equal(picks, expected[0])
    np.testing.assert_allclose(gains, expected[1], atol=1e-10, rtol=0)
    np.testing.assert_allclose(best.numpy(), expected[2], atol=1e-10, rtol=0)


def test_a_misleading_sample_only_costs_time(collected, monkeypatch):
    monkeypatch.setattr(engine, "BYTES", 200)  # room for 2,500 pairs
    views = table(200, (16,), 3, 0.0)
    rows, kernel = Rows(views, precision="float64", memory="1MB"), lambda d2: torch.exp(-d2)
    arguments = (rows, 60, np.arange(200), np.arange(200), kernel)
    right = greedy_coverage(*arguments, covered=NOTHING)
    monkeypatch.setattr(Gains, "_pays", lambda self: self.pairs is None and self.picked > 1)  # always too early
    wrong = greedy_coverage(*arguments, covered=NOTHING)
    assert None in collected
    np.testing.assert_array_equal(right[0], wrong[0])
    np.testing.assert_allclose(right[1], wrong[1], atol=1e-12)


def test_little_memory_and_few_picks_hold_little(collected):
    views = table(240, (20,), 1, 0.0)
    for budget, memory in ((2, "2GB"), (80, "1MB")):
        rows = Rows(views, memory=memory)
        greedy_coverage(rows, budget, np.arange(240), np.arange(240), lambda d2: torch.exp(-d2), covered=NOTHING)
    assert all(count <= 1e6 / 2 / 20 for count in collected if count is not None)


def test_lists_by_candidate_and_by_target():
    rng = np.random.default_rng(0)
    similarity, mask = torch.as_tensor(rng.random((7, 9))), torch.as_tensor(rng.random((7, 9)) < 0.4)
    mask[2], mask[:, 5] = False, False

    every, torn = torch.arange(9), torch.arange(7)

    def tiles():
        for a in (0, 4):
            for b in (6, 0, 3):
                part = slice(a, a + 4), slice(b, b + 3)
                yield torn[part[0]], every[part[1]], similarity[part], mask[part]

    pairs = Pairs(7, 9, 100, torch.device("cpu"))
    assert not pairs.add(tiles(), int(mask.sum()) - 1)
    assert pairs.count == 0
    assert pairs.add(tiles(), int(mask.sum()))
    assert pairs.count == int(mask.sum())
    by_candidate, by_target = pairs.parts[0]
    for lists, table_of, chosen in ((by_candidate, similarity, mask), (by_target, similarity.T, mask.T)):
        rows = torch.tensor([5, 2, 0, 6])
        place, other, value = lists.of(rows)
        for p, row in enumerate(rows):
            mine = place == p
            assert set(other[mine].tolist()) == set(chosen[row].nonzero().flatten().tolist())
            assert torch.equal(value[mine], table_of[row, other[mine]])
    empty = Lists(torch.zeros(4, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), torch.zeros(0))
    assert all(len(part) == 0 for part in empty.of(torch.tensor([1, 2])))


def test_thinning_joins_parts_and_drops_what_no_longer_counts():
    rng = np.random.default_rng(0)
    c, i = (torch.as_tensor(part, dtype=torch.int32) for part in np.divmod(rng.permutation(63)[:40], 9))
    value, best = torch.as_tensor(rng.random(40)), torch.as_tensor(rng.random(9))
    pairs = Pairs(7, 9, 15, torch.device("cpu"))
    pairs.put([(c[:10], i[:10], value[:10]), (c[10:20], i[10:20], value[10:20])])
    pairs.put([(c[20:], i[20:], value[20:])])
    assert len(pairs.parts) == 3
    assert pairs.count == 40
    pairs.thin(best, 1)
    assert pairs.count == 40
    pairs.part = 100
    pairs.thin(best, 2)
    left = {(int(a), int(b), float(v)) for a, b, v in zip(c, i, value) if v > best[b]}
    assert len(pairs.parts) == 1
    assert set(zip(*(part.tolist() for part in next(pairs.above(torch.zeros(9)))))) == left
    for place in range(7):
        targets, values = pairs.of_candidate(place)
        assert {(place, int(b), float(v)) for b, v in zip(targets, values)} == {x for x in left if x[0] == place}


def test_tiles_of_a_set_with_itself_serve_twice(monkeypatch):
    monkeypatch.setattr(engine, "EDGE", 10)
    x = np.random.default_rng(1).normal(size=(35, 6))
    rows = Rows(Views({"x": x}), precision="float64")
    side = Side(rows, np.arange(35))
    gains = Gains(side, side, None, lambda d2: torch.exp(-d2), 3)
    seen = np.zeros((35, 35))
    for place, part, k in gains.tiles():
        seen[place, part] += k.numpy()
    np.testing.assert_allclose(seen, np.exp(-slow_distances(Views({"x": x}))), atol=1e-12)
