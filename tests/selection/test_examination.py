"""The examination every strategy sits: what all of them promise, one question at a time.

Warm strategies are handed the arrays of a classifier with fixed random weights (``warm.py``).
"""

import numpy as np
import pytest
import torch

import modest
from modest import Views
from modest.checks import as_views
from modest.selection import METHODS

from . import warm
from .conftest import clusters

COLD = [name for name, method in METHODS.items() if not method.needs]
GREEDY = [name for name, method in METHODS.items() if method.greedy]
NOT_GREEDY = {"kmeans", "activeft", "mmcsal", "typiclust", "alfamix"}  # they look at the whole budget at once
SEEDLESS = ["maxherding", "uherding", "entropy", "margin"]  # nothing is drawn from a small pool
UNORDERED = ["random", "typiclust", "badge", "bmmal"]  # the order is not by score
KNOBS = {
    "activeft": {"steps": 20}, "mmcsal": {"steps": 20}, "kmeans": {"rounds": 10, "restarts": 2}, "gcnal": {"steps": 20}
}  # fmt: skip

every = pytest.mark.parametrize("method", METHODS)


def choose(method, views, budget=9, **arguments):
    if method in warm.LABELLED and "taken" not in arguments:
        arguments["taken"] = warm.some_taken(as_views(views))
    given = warm.arrays(method, views, arguments.get("taken")) if method in warm.WARM else {}
    return modest.select(views, budget, method, **{**KNOBS.get(method, {}), **given, **arguments})


def same(a, b):
    """The same answer: ids in the same order and the same scores up to rounding."""
    np.testing.assert_array_equal(a.ids, b.ids)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-6, rtol=1e-6)


def copy(views, **changes):
    return Views({name: np.array(a) for name, a in views.arrays.items()}, **{"ids": views.ids, **changes})


def limited(choice):
    """What the trace says of limits."""
    return {name: choice.trace[name] for name in ("ended", "spent", "total", "quotas") if name in choice.trace}


def absent(views, seed=3):
    """A presence mask that leaves every item at least one modality."""
    rng = np.random.default_rng(seed)
    mask = rng.random((len(views), len(views.names))) < 0.6
    mask[np.arange(len(views)), rng.integers(len(views.names), size=len(views))] = True
    return mask


@every
def test_a_choice_is_well_formed(method, pool):
    taken = np.zeros(120, dtype=bool)
    taken[[3, 50, 77, 119]] = True
    choice = choose(method, pool, taken=taken)
    assert choice.rows.dtype == np.int64
    assert choice.scores.dtype == np.float64
    assert choice.method == method == choice.trace["method"]
    assert len(set(choice.rows.tolist())) == len(choice) == 9
    assert not taken[choice.rows].any()
    np.testing.assert_array_equal(choice.ids, pool.ids[choice.rows])
    assert np.isfinite(choice.scores).all()
    assert len(choice.reasons) == 9
    assert all(isinstance(reason, str) and reason for reason in choice.reasons)
    assert choice.trace["budget"] == 9
    assert choice.trace["seconds"] > 0
    frame = choice.to_frame()
    assert frame["id"].tolist() == choice.ids.tolist()
    if method not in UNORDERED:  # scores are in the order of importance
        assert (np.diff(choice.scores) <= 1e-6).all()


@every
def test_inputs_stay_as_they_were(method, pool, tmp_path):
    before = {name: array.copy() for name, array in pool.arrays.items()}
    taken, mask = np.zeros(120, dtype=bool), absent(pool)
    taken[:5] = True
    views = copy(pool, present=mask.copy())
    choose(method, views, taken=taken)
    for name, array in before.items():
        np.testing.assert_array_equal(views.arrays[name], array)
        np.save(tmp_path / f"{name}.npy", array)
    np.testing.assert_array_equal(views.present, mask)
    assert taken.sum() == 5
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in before}
    same(choose(method, Views(maps, ids=pool.ids)), choose(method, pool))


@every
def test_the_seed_decides(method, pool):
    state = torch.get_rng_state()
    same(choose(method, pool, seed=4), choose(method, pool, seed=4))
    assert torch.equal(torch.get_rng_state(), state)
    answers = {tuple(sorted(choose(method, pool, seed=seed).ids.tolist())) for seed in range(4)}
    assert len(answers) == 1 if method in SEEDLESS else len(answers) > 1


@every
@pytest.mark.parametrize("missing", [False, True])
def test_shuffling_the_table_shuffles_the_answer(method, pool, missing):
    views = copy(pool, present=absent(pool)) if missing else pool
    taken = np.arange(120) % 17 == 0
    order = np.random.default_rng(8).permutation(120)
    same(choose(method, views, taken=taken), choose(method, views[order], taken=taken[order]))


@every
def test_default_ids_are_zero_padded_row_numbers(method, pool):
    named = copy(pool, ids=[f"{i:03d}" for i in range(120)])
    same(choose(method, Views(pool.arrays)), choose(method, named))
    order = np.random.default_rng(2).permutation(120)
    same(choose(method, Views(pool.arrays)), choose(method, named[order]))


@every
@pytest.mark.parametrize(("budget", "count"), [(1, 1), (2, 2), (np.int64(31), 31), (0.1, 12), (1e-9, 1), (1.0, 120)])
def test_the_budget_is_met_exactly(method, pool, budget, count):
    if method in warm.LABELLED and count == 120:
        with pytest.raises(ValueError, match="only 110 rows are free"):
            choose(method, pool, budget)
        return
    choice = choose(method, pool, budget)
    assert len(choice) == len(set(choice.rows.tolist())) == count


@every
def test_all_free_rows(method, pool):
    taken = np.arange(120) % 3 == 0
    choice = choose(method, pool, 80, taken=taken)
    np.testing.assert_array_equal(np.sort(choice.rows), np.flatnonzero(~taken))


@every
@pytest.mark.parametrize("missing", [False, True])
def test_memory_and_tiles_change_nothing(method, missing):
    wide = Views({"a": clusters(300, 200, 3), "b": clusters(300, 200, 4)})  # at 1 MB: read again and again, 26 a tile
    views = Views(wide.arrays, present=absent(wide)) if missing else wide
    same(choose(method, views, memory="1MB"), choose(method, views, memory="2GB"))


@every
def test_threads_change_nothing(method, pool):
    one = choose(method, pool)
    torch.set_num_threads(2)
    same(choose(method, pool), one)


@every
def test_copies_get_distinct_rows(method):
    x = np.repeat(clusters(6, 5, 7, spread=0.0), 5, axis=0)
    choice = choose(method, {"x": x}, 20)
    assert len(set(choice.rows.tolist())) == 20
    everything_equal = choose(method, {"x": np.ones((12, 3))}, 5)
    assert len(set(everything_equal.rows.tolist())) == 5
    assert np.isfinite(everything_equal.scores).all()


@every
def test_absence_by_mask_and_by_nan_is_one(method, pool):
    mask = absent(pool)
    masked, holes, both = copy(pool, present=mask), copy(pool), copy(pool, present=mask)
    for m, name in enumerate(pool.names):
        holes.arrays[name][~mask[:, m]] = np.nan
        both.arrays[name][~mask[:, m]] = np.nan
        masked.arrays[name][~mask[:, m]] *= -7  # what stands in an absent cell is never read
    choice = choose(method, masked)
    same(choice, choose(method, holes))
    same(choice, choose(method, both))
    assert len(set(choice.rows.tolist())) == 9


@every
@pytest.mark.parametrize("dims", [(5,), (4, 4, 4), (3, 6, 2)])
def test_one_and_three_modalities(method, dims):
    views = Views({f"view{m}": clusters(60, d, m) for m, d in enumerate(dims)})
    assert len(set(choose(method, views).rows.tolist())) == 9
    assert len(set(choose(method, Views(views.arrays, present=absent(views))).rows.tolist())) == 9


@every
def test_storage_of_the_views_does_not_matter(method, pool, tmp_path):
    half = {name: array.astype(np.float16) for name, array in pool.arrays.items()}
    for name, array in half.items():
        np.save(tmp_path / f"{name}.npy", array)
    expected = choose(method, Views({name: array.astype(np.float32) for name, array in half.items()}, ids=pool.ids))
    maps = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in half}
    tensors = {name: torch.as_tensor(array) for name, array in half.items()}
    for arrays in (half, maps, tensors, {name: array.astype(np.float64) for name, array in half.items()}):
        same(choose(method, Views(arrays, ids=pool.ids)), expected)
    coarse = {name: torch.as_tensor(array).bfloat16() for name, array in pool.arrays.items()}
    rounded = {name: array.float().numpy() for name, array in coarse.items()}
    same(choose(method, Views(coarse, ids=pool.ids)), choose(method, Views(rounded, ids=pool.ids)))


@every
def test_length_of_rows_does_not_matter(method, pool):
    scaled = {name: array * np.float32(2.0 ** (3 * m + 1)) for m, (name, array) in enumerate(pool.arrays.items())}
    same(choose(method, Views(scaled, ids=pool.ids)), choose(method, pool))


@every
@pytest.mark.parametrize("missing", [False, True])
def test_closed_rows_are_never_chosen(method, pool, missing):
    views = copy(pool, present=absent(pool)) if missing else pool
    taken, closed = np.arange(120) % 12 == 0, np.arange(120) % 3 == 1
    choice = choose(method, views, 20, taken=taken, closed=closed)
    assert len(set(choice.rows.tolist())) == 20
    assert not (closed | taken)[choice.rows].any()
    same(choice, choose(method, views, 20, taken=taken, closed=closed | taken))
    order = np.random.default_rng(6).permutation(120)
    same(choice, choose(method, views[order], 20, taken=taken[order], closed=closed[order]))
    rest = choose(method, views, int((~closed & ~taken).sum()), taken=taken, closed=closed)
    np.testing.assert_array_equal(np.sort(rest.rows), np.flatnonzero(~closed & ~taken))


@every
def test_closing_what_is_not_chosen_changes_nothing(method, pool):
    if method == "alfamix":  # which mixes free rows alone
        return
    first = choose(method, pool, 6)
    closed = np.ones(120, dtype=bool)
    closed[choose(method, pool, 12).rows] = False
    closed[first.rows] = False
    same(choose(method, pool, 6, closed=closed), first)


@every
@pytest.mark.parametrize(
    "limit", [{"quotas": {"a": 2, "b": 3}}, {"quotas": 4}, {"total": 9.0}, {"quotas": {"c": 1}, "total": 12.0}]
)
def test_limits_are_kept(method, pool, limit):
    rng = np.random.default_rng(12)
    groups, costs = np.array(list("abc"))[rng.integers(3, size=120)], rng.uniform(0.4, 3.0, size=120)
    taken = warm.some_taken(pool)
    given = {"groups": groups} if "quotas" in limit else {}
    given |= {"costs": costs} if "total" in limit else {}
    choice = choose(method, pool, 9, taken=taken, **given, **limit)
    assert len(set(choice.rows.tolist())) == len(choice) == len(choice.reasons) == len(choice.scores)
    assert not taken[choice.rows].any()
    np.testing.assert_array_equal(choice.ids, pool.ids[choice.rows])
    if "quotas" in limit:
        most = limit["quotas"] if isinstance(limit["quotas"], dict) else dict.fromkeys("abc", limit["quotas"])
        count = {group: int((groups[choice.rows] == group).sum()) for group in "abc"}
        assert all(count[group] <= most[group] for group in most)
        assert choice.trace["quotas"] == {group: [count[group], most[group]] for group in sorted(most) if count[group]}
    if "total" in limit:
        spent = costs[choice.rows].sum()
        assert spent <= limit["total"] * (1 + 1e-9)
        assert choice.trace["spent"] == pytest.approx(spent)
        assert choice.trace["ended"] == ("budget" if len(choice) == 9 else "total")
        whole = choose(method, pool, None, taken=taken, **given, **limit)
        assert whole.trace["ended"] == "total"
        left = limit["total"] - whole.trace["spent"]
        rest = np.setdiff1d(np.flatnonzero(~taken), whole.rows)
        if "quotas" in limit and (groups[whole.rows] == "c").any():
            rest = rest[groups[rest] != "c"]
        assert left < costs[rest].min(), "what is left buys nothing"
    else:
        assert len(choice) == 9
        assert choice.trace["ended"] == "budget"
    order = np.random.default_rng(3).permutation(120)
    moved = {name: value[order] for name, value in given.items()}
    same(choice, choose(method, pool[order], 9, taken=taken[order], **moved, **limit))


@every
def test_limits_that_do_not_bind_change_nothing(method, pool):
    wide = {"groups": np.arange(120) % 5, "quotas": 200, "costs": np.ones(120), "total": 500.0}
    same(choose(method, pool, 9, **wide), choose(method, pool, 9))


@every
def test_a_greedy_method_within_quotas_passes_over_full_groups_only(method, pool):
    if method not in GREEDY:
        return
    groups = np.arange(120) % 4
    free, tight = choose(method, pool, 12), choose(method, pool, 12, groups=groups, quotas=3)
    apart = np.flatnonzero(free.rows != tight.rows)
    if len(apart):
        k = apart[0]
        assert (groups[free.rows[:k]] == groups[free.rows[k]]).sum() == 3


@pytest.mark.parametrize("method", GREEDY)
def test_a_longer_answer_begins_with_a_shorter_one(method, pool):
    longest = choose(method, pool, 40)
    for budget in (1, 7, 39):
        np.testing.assert_array_equal(choose(method, pool, budget).ids, longest.ids[:budget])


def test_the_methods_without_a_prefix_are_these():
    assert {name for name, method in METHODS.items() if not method.greedy} == NOT_GREEDY
    for method in NOT_GREEDY:
        pool = Views({"image": clusters(120, 8, 1), "text": clusters(120, 6, 2)})
        longest = choose(method, pool, 40).ids
        assert any((choose(method, pool, b).ids != longest[:b]).any() for b in (5, 20)), f"{method} could be marked"


def test_every_method_tells_cost_and_paper():
    for name, method in METHODS.items():
        assert method.cost
        assert method.paper
        assert method.cold == (name in COLD) == (name not in warm.WARM)
        assert len(method.function.__module__.split(".")[-1]) >= 3
