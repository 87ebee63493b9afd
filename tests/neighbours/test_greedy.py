"""Farthest-first, lazy coverage and k-means against their plain loops."""

import numpy as np
import pytest
import torch

from modest import Views
from modest.neighbours import Block, Rows, farthest_first, greedy_coverage, kmeans, nearest_members
from modest.neighbours.kmeans import assign
from modest.neighbours.rows import squared_distances

from .conftest import slow_distances, table

DIMS = (6, 4)


def loop_farthest(d2, budget, free, first, covered):
    closest = d2[:, covered].min(axis=1) if len(covered) else np.full(len(d2), np.inf)
    open_rows, picks, before = free.copy(), [], []
    for step in range(budget):
        row = first if step == 0 and first is not None else int(np.where(open_rows, closest, -np.inf).argmax())
        picks.append(row)
        before.append(closest[row] ** 0.5)
        open_rows[row] = False
        closest = np.minimum(closest, d2[row])
    return picks, before, closest


@pytest.mark.parametrize("batch", [1, 2, 8, 500])
@pytest.mark.parametrize(("first", "covered"), [(5, []), (None, [3, 40, 41]), (7, [0, 1])])
def test_batched_farthest_first_is_one_at_a_time(batch, first, covered):
    views = table(80, DIMS, 0, missing=0.3)
    d2 = slow_distances(views)
    covered = np.array(covered, dtype=np.int64)
    free = ~np.isin(np.arange(80), covered) & (np.arange(80) % 9 != 2)
    picks, before, closest = farthest_first(
        Rows(views, precision="float64"), 30, free, first=first, covered=covered, batch=batch
    )
    expected = loop_farthest(d2, 30, free, first, covered)
    np.testing.assert_array_equal(picks, expected[0])
    np.testing.assert_allclose(before, expected[1], atol=1e-7)
    np.testing.assert_allclose(closest.numpy(), expected[2], atol=1e-12, rtol=0)


def test_farthest_first_needs_a_start():
    with pytest.raises(ValueError, match="first is missing"):
        farthest_first(Rows(Views({"x": np.eye(4)})), 2, np.ones(4, dtype=bool))


def loop_coverage(similarity, budget, candidates, targets, covered, weights):
    best = similarity[np.ix_(covered, targets)].max(axis=0) if len(covered) else np.zeros(len(targets))
    left, picks, gains = list(candidates), [], []
    for _ in range(budget):
        each = [float(weights @ np.maximum(0, similarity[c, targets] - best)) for c in left]
        at = int(np.argmax(each))
        picks.append(left.pop(at))
        gains.append(each[at] / weights.sum())
        best = np.maximum(best, similarity[picks[-1], targets])
    return picks, gains, best


@pytest.mark.parametrize("batch", [1, 5, 64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("memory", ["1MB", "2GB"])
def test_lazy_coverage_is_the_plain_greedy(batch, weighted, memory):
    views = table(90, DIMS, 1)
    similarity = np.exp(-slow_distances(views) / 0.4)
    candidates, targets, covered = np.arange(0, 90, 2), np.arange(10, 80), np.array([1, 13])
    weights = np.random.default_rng(2).random(70) if weighted else np.ones(70)
    picks, gains, best, _ = greedy_coverage(
        Rows(views, precision="float64", memory=memory), 20, candidates, targets, lambda d2: torch.exp(-d2 / 0.4),
        covered=covered, weights=weights if weighted else None, batch=batch,
    )  # fmt: skip
    expected = loop_coverage(similarity, 20, candidates, targets, covered, weights)
    np.testing.assert_array_equal(picks, expected[0])
    np.testing.assert_allclose(gains, expected[1], atol=1e-10, rtol=0)
    np.testing.assert_allclose(best.numpy(), expected[2], atol=1e-10, rtol=0)


def test_coverage_with_nothing_left_to_gain_takes_the_lowest_rows():
    rows = Rows(Views({"x": np.repeat(np.eye(3), 4, axis=0)}))
    picks, gains, best, _ = greedy_coverage(
        rows, 6, np.arange(12), np.arange(12), lambda d2: (d2 < 0.5).float(), covered=np.array([], dtype=np.int64)
    )
    np.testing.assert_array_equal(picks, [0, 4, 8, 1, 2, 3])
    np.testing.assert_allclose(gains, [1 / 3] * 3 + [0] * 3, atol=1e-9)
    assert (best == 1).all()


def nearest_centre(rows, centres):
    d2 = squared_distances(rows.take(np.arange(len(rows))), centres).numpy()
    return d2.argmin(axis=1), d2.min(axis=1)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_more_rounds_of_kmeans_never_cost_more(missing):
    """Every round lowers the sum of distances to the nearest centre, with and without absent modalities."""
    rows = Rows(table(150, DIMS, 3, missing), unit=False, precision="float64")
    init, costs = np.arange(10, 18), []
    for rounds in range(1, 12):
        centres = kmeans(rows, 8, np.arange(150), init=init, rounds=rounds)
        costs.append(nearest_centre(rows, centres)[1].sum())
    assert (np.diff(costs) <= 1e-6 * costs[0]).all()
    assert costs[-1] < 0.99 * costs[0]


def cost(members, centre):
    """Sum of the squared distances of some rows to one complete centre."""
    x = torch.as_tensor(centre)[None]
    q = torch.stack([half.square().sum() for half in torch.split(x[0], list(DIMS))])[None]
    return float(squared_distances(members, Block(x, torch.ones_like(q), q)).sum())


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_centres_are_weighted_means_of_present_members(missing):
    views = table(120, DIMS, 4, missing)
    rows = Rows(views, unit=False, precision="float64")
    centres = kmeans(rows, 5, np.arange(120), init=np.arange(5), rounds=200)
    label, _ = nearest_centre(rows, centres)
    x, columns = rows.take(np.arange(120)), np.repeat([0, 1], DIMS)
    for c in range(5):
        there = x.p.numpy()[label == c]
        there = (there / there.sum(axis=1, keepdims=True))[:, columns]
        expected = (x.x.numpy()[label == c] * there).sum(axis=0) / there.sum(axis=0)
        np.testing.assert_allclose(centres.x[c].numpy(), expected, atol=1e-5, rtol=0)
        if missing:  # the closed form is a minimum: any step away from it costs more
            step = np.random.default_rng(c).normal(size=10) * 1e-2
            mine = x[torch.as_tensor(label == c)]
            assert cost(mine, expected) < min(cost(mine, expected + step), cost(mine, expected - step))


def test_assignment_and_members_do_not_depend_on_tiles():
    views = table(130, DIMS, 5)
    rows = Rows(views, precision="float64")
    data, centres = rows.take(np.arange(130)), kmeans(rows, 7, np.arange(130), seed=2, restarts=2)
    label, distance = nearest_centre(rows, centres)
    free = np.arange(130) % 4 != 0
    free[label == 3] = False
    for tile in (1, 17, 130):
        rows.tile = tile
        found, value = assign(data, centres, tile)
        np.testing.assert_array_equal(found.numpy(), label)
        np.testing.assert_allclose(value.numpy(), distance, atol=1e-12)
        picks, members, _ = nearest_members(rows, centres, free)
        np.testing.assert_array_equal(members, label)
        for c in range(7):
            mine = np.flatnonzero((label == c) & free)
            assert picks[c] == (mine[distance[mine].argmin()] if len(mine) else -1)
    assert picks[3] == -1


def test_more_centres_than_places_still_gives_them_all():
    rows = Rows(Views({"x": np.repeat(np.eye(3), 4, axis=0), "y": np.ones((12, 2))}, np.arange(24).reshape(12, 2) != 5))
    centres = kmeans(rows, 8, np.arange(12), seed=0)
    assert isinstance(centres, Block)
    assert len(centres) == 8
    assert torch.isfinite(centres.x).all()
