"""The three steps: a case worked by hand, the plain loop, the limits, and all that must change nothing."""

import numpy as np
import pytest

from modest.pairing import acquire, choose

from .naive import diagonal, farthest, margins, round_of, sides, unit

# cosines with row 0: image .8, .28, -.6; text .8, .6, 0
IMAGE = np.array([[1.0, 0.0], [0.8, 0.6], [0.28, 0.96], [-0.6, 0.8]])
TEXT = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8], [0.0, 1.0]])
HAND, ONE = {"image": IMAGE, "text": TEXT}, np.array([[0, 0]])


def told(query):
    return query.modality, query.rows.tolist()


@pytest.mark.parametrize(
    ("budget", "candidates", "rows", "margin"),
    [
        (1, 1, [3], [0.52]),  # the farthest alone
        (1, 2, [2], [0.024]),  # of 3, then 2 (at .4 from 3; 1 is at .2 from 0)
        (2, 2, [2, 3], [0.024, 0.52]),
        (2, 3, [2, 1], [0.024, 0.04]),
        (3, 9, [2, 1, 3], [0.024, 0.04, 0.52]),  # more candidates than free rows
    ],
)
def test_by_hand_under_the_papers_rule(budget, candidates, rows, margin):
    query = acquire(HAND, ONE, budget, candidates, modality_rule="radius")
    assert told(query) == ("image", rows)
    assert query.target == "text"
    np.testing.assert_allclose(query.margins, margin, atol=1e-6)
    np.testing.assert_allclose([query.trace["radius"][name] for name in HAND], [1.6, 1.0], atol=1e-6)
    assert query.trace["candidates"] == min(candidates, 3)
    paper = choose(HAND, ONE, budget, "paper", candidates=candidates)[0]
    assert told(paper) == told(query)


def test_by_hand_under_our_default():
    query = acquire(HAND, ONE, 2)
    assert told(query) == ("text", [2, 3])
    np.testing.assert_allclose(query.margins, [0.024, 0.16], atol=1e-6)
    np.testing.assert_allclose([query.trace["scores"][name] for name in HAND], [1.6 / 0.56, 1.0 / 0.3], rtol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rule", ["radius", "relative"])
def test_incremental_is_naive_and_counts_are_the_closed_forms(seed, rule):
    x, pairs, budget, count = sides(seed), diagonal(5), 6, 14
    side, rows, margin, score, naive = round_of(x, pairs, budget, count, rule)
    query = acquire(x, pairs, budget, count, modality_rule=rule)
    assert told(query) == (side, rows)
    np.testing.assert_allclose(query.margins, margin, atol=1e-6)
    np.testing.assert_allclose([query.trace["scores"][name] for name in x], list(score.values()), rtol=1e-5)
    free = {name: len(a) - 5 for name, a in x.items()}
    n, opposite, s = free[side], free[query.target], 5
    assert naive == count * n * s + n * count * (count - 1) // 2
    assert query.trace["evaluations"] == sum(free.values()) * s + n * count + count * opposite


def test_candidates_like_the_budget_are_the_coreset_alone():
    x, pairs = sides(1), diagonal(4)
    query = acquire(x, pairs, 9, 9, modality_rule="fixed:text")
    assert set(query.rows.tolist()) == set(farthest(unit(x["text"]), range(4, 50), range(4), 9)[0])
    coreset = choose(x, pairs, 9, "coreset", modality_rule="fixed:text")[0]
    assert set(query.rows.tolist()) == set(coreset.rows.tolist())


@pytest.mark.parametrize("candidates", [46, 1000])
def test_candidates_like_the_pool_are_uncertainty_alone(candidates):
    x, pairs = sides(2), diagonal(4)
    query = acquire(x, pairs, 9, candidates, modality_rule="fixed:text")
    every = margins(unit(x["text"]), range(4, 50), unit(x["image"]), range(4, 40))
    assert query.rows.tolist() == (4 + np.argsort(every, kind="stable")[:9]).tolist()
    assert query.trace["evaluations"] == (36 + 46) * 4 + 46 * 36  # nothing is left for the second step to choose


def test_shuffled_tables_give_the_same_ids():
    x, pairs, rng = sides(3), diagonal(5), np.random.default_rng(0)
    ids = {name: [f"{name}{k:03d}" for k in range(len(a))] for name, a in x.items()}
    there = acquire(x, pairs, 8, ids=ids, outlier_guard=True)
    order = {name: rng.permutation(len(a)) for name, a in x.items()}
    moved = np.stack([np.argsort(order[name])[pairs[:, k]] for k, name in enumerate(x)], axis=1)
    again = acquire(
        {name: a[order[name]] for name, a in x.items()}, moved, 8, outlier_guard=True,
        ids={name: [ids[name][k] for k in order[name]] for name in x},
    )  # fmt: skip
    assert (again.modality, again.ids.tolist()) == (there.modality, there.ids.tolist())
    assert order[again.modality][again.rows].tolist() == there.rows.tolist()


def test_one_rotation_of_both_changes_nothing_and_of_one_only_the_last_step():
    x, pairs = sides(4), diagonal(5)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))[0]
    there = acquire(x, pairs, 8)
    assert told(acquire({name: a @ turn for name, a in x.items()}, pairs, 8)) == told(there)
    one = {"image": x["image"] @ turn, "text": x["text"]}
    turned, all_asked = acquire(one, pairs, 8), acquire(x, pairs, 8, 8)
    assert turned.modality == there.modality
    assert turned.rows.tolist() != there.rows.tolist()
    assert set(acquire(one, pairs, 8, 8).rows.tolist()) == set(all_asked.rows.tolist())


def test_what_belongs_together_is_no_argument():
    """Another order of the texts, another truth with it, and the same images are asked about."""
    x, pairs = sides(5), diagonal(5)
    rest = np.append(np.arange(5), 5 + np.random.default_rng(2).permutation(45))
    there = acquire(x, pairs, 8, modality_rule="fixed:image")
    again = acquire({"image": x["image"], "text": x["text"][rest]}, pairs, 8, modality_rule="fixed:image")
    assert again.rows.tolist() == there.rows.tolist()


@pytest.mark.parametrize("make", ["half", "map", "tensor"])
def test_kinds_of_arrays(make, tmp_path):
    import torch

    x, pairs = {name: a.astype(np.float16) for name, a in sides(6).items()}, diagonal(5)
    there = acquire({name: a.astype(np.float64) for name, a in x.items()}, pairs, 8)
    if make == "map":
        for name, a in x.items():
            np.save(tmp_path / f"{name}.npy", a)
        x = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in x}
    if make == "tensor":
        x = {name: torch.as_tensor(a) for name, a in x.items()}
    again = acquire(x, pairs, 8)
    assert told(again) == told(there)
    assert again.margins == pytest.approx(there.margins, abs=1e-6)


def test_without_pairs_it_starts_near_the_mean():
    x = sides(7)
    e = unit(x["image"])
    mean = e.mean(axis=0) / np.linalg.norm(e.mean(axis=0))
    first = int(np.argmax(e @ mean))
    expected, _ = farthest(e, [k for k in range(40) if k != first], [first], 5)
    query = acquire(x, None, 6, 6, modality_rule="fixed:image")
    assert set(query.rows.tolist()) == {first, *expected}
    assert query.trace["radius"]["image"] == pytest.approx(1.0 - (e @ mean).min(), abs=1e-6)
    assert query.trace["evaluations"] == 40 + 50 + 40 * 6 + 6 * 50


def test_without_a_mean_direction_the_lowest_id_starts():
    image = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    query = acquire({"image": image, "text": TEXT}, None, 1, 1, modality_rule="fixed:image")
    assert query.rows.tolist() == [0]
    assert query.trace["radius"]["image"] == pytest.approx(1.0)


def test_fewer_free_rows_than_the_budget_are_all_asked():
    query = acquire(sides(n=6), diagonal(3), 10, modality_rule="fixed:image")
    assert sorted(query.rows.tolist()) == [3, 4, 5]
    assert query.trace["budget"] == 10
    assert (np.diff(query.margins) >= 0).all()


def test_anchors_and_rejected_rows_are_covered():
    x, pairs = sides(8), diagonal(5)
    free = {name: np.ones(len(a), dtype=bool) for name, a in x.items()}
    for name in free:
        free[name][:5] = False
    there = acquire(x, pairs, 8, modality_rule="radius")
    assert told(acquire(x, None, 8, free=free, modality_rule="radius")) == told(there)
    rest = {name: a[5:] for name, a in x.items()}
    outside = acquire(rest, None, 8, anchors={name: a[:5] for name, a in x.items()}, modality_rule="radius")
    assert (outside.modality, (outside.rows + 5).tolist()) == told(there)
    assert outside.trace["evaluations"] == there.trace["evaluations"]
    alone = acquire(x, pairs[:1], 8, anchors={"image": x["image"][1:5]}, modality_rule="radius", free=free)
    assert alone.trace["radius"]["image"] == pytest.approx(there.trace["radius"]["image"], abs=1e-6)


def test_copies_end_the_coreset_and_the_rest_fills_up():
    image = np.array([[1.0, 0.0], [0.0, 1.0]])[[0, 0, 0, 1, 1, 1]]
    query = acquire({"image": image, "text": TEXT}, ONE, 3, 4, modality_rule="fixed:image")
    assert query.trace["candidates"] == 1
    assert query.trace["filled"] == 2
    # rows 1, 2 like (1, 0): .8 - .6; rows 3, 4, 5 like (0, 1): 1 - .8
    assert query.rows.tolist() == [1, 2, 3]
    np.testing.assert_allclose(query.margins, 0.2, atol=1e-6)
    assert query.trace["evaluations"] == 5 + 3 + 5 * 1 + 1 * 3 + 4 * 3


def test_ties_go_to_the_lowest_id():
    image = np.tile([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], (3, 1))
    x = {"image": np.vstack([[1.0, 0.0, 0.0], image]), "text": np.vstack([[1.0, 0.0, 0.0], np.eye(3)])}
    assert acquire(x, ONE, 2, 2, modality_rule="radius").rows.tolist() == [1, 2]
    assert acquire(x, ONE, 4, 6, modality_rule="radius").rows.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("uncertainty", ["margin", "entropy", "hard_negative"])
def test_partner_diversity_passes_over_the_second_of_a_kind(uncertainty):
    image = np.array([[0.0, -1.0], [0.72, 0.69], [0.8, 0.6], [0.1, 0.99]])  # partners text 1, 1, 2
    x = {"image": image, "text": np.vstack([[0.0, -1.0], np.eye(2)])}
    knobs = {"modality_rule": "fixed:image", "uncertainty": uncertainty}
    if uncertainty == "hard_negative":  # row 2 would be mistaken for text 0 more than row 1, and row 1 more than row 3
        knobs["alpha"] = 3.0
        assert acquire(x, ONE, 2, 3, **knobs).rows.tolist() == [2, 1]
        query = acquire(x, ONE, 2, 3, partner_diversity=True, **knobs)
        assert query.rows.tolist() == [2, 3]
        assert query.trace["evaluations"] == (3 + 2) * 1 + 4 + 3 * 2
        return
    assert acquire(x, ONE, 2, 3, **knobs).rows.tolist() == [1, 2]
    assert acquire(x, ONE, 2, 3, partner_diversity=True, **knobs).rows.tolist() == [1, 3]
    assert acquire(x, ONE, 3, 3, partner_diversity=True, **knobs).rows.tolist() == [1, 2, 3]


def test_outlier_guard_leaves_out_the_lone_row():
    rng = np.random.default_rng(0)
    cloud = np.array([1.0] * 6) + 0.1 * rng.standard_normal((300, 6))
    cloud[7] = -1.0
    x = {"image": cloud, "text": cloud[::-1].copy()}
    assert 7 in acquire(x, diagonal(3), 20, 20, modality_rule="fixed:image").rows
    guarded = acquire(x, diagonal(3), 4, 20, modality_rule="fixed:image", outlier_guard=True)
    assert guarded.trace["left_out"] >= 1
    assert 7 not in guarded.rows
    almost = acquire(x, diagonal(3), 19, 20, modality_rule="fixed:image", outlier_guard=True)
    assert almost.trace["left_out"] == 1  # the worst goes first
    assert 7 not in almost.rows
    kept = acquire(x, diagonal(3), 20, 20, modality_rule="fixed:image", outlier_guard=True)
    assert len(kept) == 20
    assert kept.trace["left_out"] == 0  # where the budget needs all


@pytest.mark.parametrize(
    ("change", "kind", "match"),
    [
        ({"candidates": 4}, ValueError, "candidates=4 is below the budget of 5"),
        ({"modality_rule": "magic"}, ValueError, "modality_rule='magic' is unknown"),
        ({"modality_rule": "fixed:sound"}, ValueError, "modality_rule='fixed:sound' is unknown"),
        ({"uncertainty": "magic"}, ValueError, "uncertainty='magic' is unknown"),
        ({"distance": "magic"}, ValueError, "distance='magic' is unknown"),
        ({"temperature": 0.0}, ValueError, "temperature=0.0"),
        ({"alpha": -1.0}, ValueError, "alpha=-1.0"),
        ({"top": 0}, ValueError, "top=0"),
        ({"candidates": 8.0}, TypeError, "candidates is float"),
        ({"magic": 1}, TypeError, "no such knob: 'magic'"),
    ],
)
def test_what_is_refused(change, kind, match):
    with pytest.raises(kind, match=match):
        acquire(sides(), diagonal(3), 5, **change)


def test_inputs_stay_as_they_were():
    x, pairs = sides(9), diagonal(5)
    before = {name: a.copy() for name, a in x.items()}
    acquire(x, pairs, 8, partner_diversity=True, outlier_guard=True)
    for name, a in x.items():
        np.testing.assert_array_equal(a, before[name])
    np.testing.assert_array_equal(pairs, diagonal(5))
