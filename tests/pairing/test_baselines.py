"""Each baseline against a slow loop or numbers worked by hand."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from modest.neighbours import Rows
from modest.pairing import METHODS, choose
from modest.pairing.badge import gradients
from modest.pairing.cluster_margin import clusters, round_robin
from modest.pairing.sides import Side, read_setting
from modest.pairing.typiclust import served
from modest.pairing.vessal import one_pass
from modest.types import Views


def sides(seed=0, n=14, m=17, d=5, more=None):
    rng = np.random.default_rng(seed)
    sizes = {"image": n, "text": m, **(more or {})}
    return {name: rng.standard_normal((size, d)) for name, size in sizes.items()}


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def asked(queries):
    """{(side, row): target} of an answer."""
    return {(q.modality, row): q.target for q in queries for row in q.rows.tolist()}


def picks(sides, budget, method, pairs=None, **arguments):
    """(side, row) in the order that a method found them."""
    setting = read_setting(sides, pairs, **{k: arguments.pop(k) for k in tuple(arguments) if k in SETTING})
    return [(one.modality, row) for one in METHODS[method].function(setting, budget, **arguments) for row in one.rows]


SETTING = ("free", "anchors", "ids", "directions", "seed", "round", "memory")


def all_margins(x, free):
    """(margin, direction, row, partner) of every free row in every direction, by a loop."""
    u, found = {name: unit(a) for name, a in x.items()}, []
    for number, (a, b) in enumerate(itertools.permutations(x, 2)):
        for row in np.flatnonzero(free[a]):
            value = np.where(free[b], u[b] @ u[a][row], -np.inf)
            order = np.argsort(-value)
            found.append((value[order[0]] - value[order[1]], number, row, (a, b), int(order[0])))
    return found


def slow_by_margin(x, free, budget, sign):
    chosen, rows, pairs = {}, set(), set()
    for _, _, row, (a, b), partner in sorted(all_margins(x, free), key=lambda m: (sign * m[0], m[1], m[2])):
        pair = frozenset([(a, row), (b, partner)])
        if (a, row) not in rows and pair not in pairs and len(chosen) < budget:
            rows.add((a, row))
            pairs.add(pair)
            chosen[(a, int(row))] = b
    return chosen


@pytest.mark.parametrize(("method", "sign"), [("uncertainty", 1), ("certain", -1)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("more", [None, {"audio": 9}])
def test_margins_in_all_directions_by_a_loop(method, sign, seed, more):
    x = sides(seed, more=more)
    free = {name: np.random.default_rng(seed).random(len(a)) < 0.8 for name, a in x.items()}
    free["image"][:2] = free["text"][:2] = True
    assert asked(choose(x, None, 12, method, free=free)) == slow_by_margin(x, free, 12, sign)


def test_a_pair_is_asked_once_until_nothing_else_is_left():
    # image 0 and text 0 are each other's best, with the margins .1 (image) and .2 (text) of their similarities
    images = np.array([[1.0, 0.0], [0.6, 0.8]])
    texts = np.array([[0.8, 0.6], [0.6, 0.8]])
    u = images @ texts.T
    np.testing.assert_allclose(u, [[0.8, 0.6], [0.96, 1.0]])
    # margins: image 0 .2 (text 0), image 1 .04 (text 1), text 0 .16 (image 1), text 1 .4 (image 1)
    x = {"image": images, "text": texts}
    assert picks(x, 1, "uncertainty") == [("image", 1)]
    assert set(picks(x, 3, "uncertainty")) == {("image", 1), ("text", 0), ("image", 0)}
    assert set(picks(x, 4, "uncertainty")) == {("image", 1), ("text", 0), ("image", 0), ("text", 1)}
    # from the largest: text 1 (with image 1) first, then image 0, text 0; image 1 has been asked about as a pair
    assert picks(x, 1, "certain") == [("text", 1)]
    assert set(picks(x, 3, "certain")) == {("text", 1), ("image", 0), ("text", 0)}


def test_uncertainty_counts_every_similarity_once_per_direction():
    x = sides(1)
    for query in choose(x, [[0, 0], [1, 1]], 5, "uncertainty"):
        assert query.trace["evaluations"] == 2 * 12 * 15


@pytest.mark.parametrize("method", ["uncertainty", "certain"])
def test_rows_without_a_second_partner_come_last(method):
    x = sides(2, more={"audio": 8})
    ways = [("image", "audio"), ("text", "image")]
    free = {"audio": np.arange(8) == 3}  # so that every image's margin is infinite
    rows = asked(choose(x, None, 20, method, free=free, directions=ways))
    assert sum(name == "text" for name, _ in rows) == 17
    assert [row for name, row in rows if name == "image"] == [0, 1, 2]


def naive_farthest(points, free, covered, budget):
    """Farthest-first with every distance computed anew."""
    free, covered, chosen = list(free), list(covered), []
    if not len(covered):
        value = points[free] @ points[free].mean(axis=0)
        chosen.append(free[int(value.argmax())])
    while len(chosen) < budget:
        left = [k for k in free if k not in chosen]
        gap = [min(((points[k] - points[j]) ** 2).sum() for j in covered + chosen) for k in left]
        chosen.append(left[int(np.argmax(gap))])
    return chosen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bought", [0, 3])
@pytest.mark.parametrize("held", [0, 2])
def test_coreset_by_a_loop(seed, bought, held):
    x = sides(seed)
    pairs = np.stack([np.arange(bought), np.arange(bought)], axis=1)
    anchors = {"text": np.random.default_rng(9).standard_normal((held, 5))}
    points = unit(np.concatenate([x["text"], anchors["text"]]))
    expected = naive_farthest(points, range(bought, 17), [*range(bought), *range(17, 17 + held)], 7)
    query = choose(x, pairs, 7, "coreset", modality_rule="fixed:text", anchors=anchors)[0]
    assert (query.modality, query.target) == ("text", "image")
    assert query.rows.tolist() == expected
    others = bought * (14 - bought) if bought else 14
    own = (17 - bought) * (bought + held) if bought + held else 17
    assert query.trace["evaluations"] == others + own + 7 * (17 - bought)


def test_coreset_asks_the_side_that_is_covered_worst():
    rng = np.random.default_rng(0)
    near, wide = np.array([1.0, 0, 0]) + 0.01 * rng.standard_normal((20, 3)), rng.standard_normal((20, 3))
    near[7] = [1.0, 0.5, 0.0]  # far by the scale of its own side alone
    x = {"image": wide, "text": near}
    pairs = [[k, k] for k in (0, 1, 2, 3, 4, 5)]
    relative, radius = (choose(x, pairs, 1, "coreset", modality_rule=rule)[0] for rule in ("relative", "radius"))
    assert (relative.modality, relative.rows.tolist()) == ("text", [7])
    assert radius.modality == "image"
    turns = [choose(x, pairs, 1, "coreset", modality_rule="alternate", round=k)[0].modality for k in range(4)]
    assert turns == ["image", "text", "image", "text"]
    dear = {("text", "image"): 1e6}
    assert choose(x, pairs, 1, "coreset", modality_rule="cost", costs=dear)[0].modality == "image"
    with pytest.raises(ValueError, match="modality_rule"):
        choose(x, pairs, 1, "coreset", modality_rule="fixed:sound")


def test_coreset_and_acquire_with_as_many_candidates_ask_the_same():
    x = sides(3, 40, 50)
    one, other = (
        choose(x, [[0, 0]], 8, method, **knobs)[0]
        for method, knobs in (("coreset", {}), ("acquire", {"candidates": 8}))
    )
    assert one.modality == other.modality
    assert sorted(one.rows.tolist()) == sorted(other.rows.tolist())


def test_where_only_copies_are_left_coreset_goes_by_id():
    x = {"image": np.array([[1.0, 0], [1, 0], [0, 1], [0, 1], [-1, 0]]), "text": np.eye(2)}
    query = choose(x, [[0, 0]], 3, "coreset", modality_rule="fixed:image")[0]
    assert query.rows.tolist() == [4, 2, 1]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bought", [0, 2])
def test_joint_coreset_by_a_loop(seed, bought):
    x = sides(seed, more={"audio": 6})
    anchors = {"image": np.random.default_rng(4).standard_normal((2, 5))} if bought else None
    pairs = {("image", "text"): np.stack([np.arange(bought)] * 2, axis=1)}
    points = unit(np.concatenate([*x.values(), *(anchors or {}).values()]))
    covered = [*range(bought), *range(14, 14 + bought), *(range(37, 39) if bought else ())]
    expected = naive_farthest(points, np.setdiff1d(np.arange(37), covered), covered, 9)
    places = [("image", 0), ("text", 14), ("audio", 31)]
    queries = choose(x, pairs, 9, "joint_coreset", anchors=anchors)
    found = [dict(places)[name] + row for name, row in asked(queries)]
    assert sorted(found) == sorted(expected)
    for query in queries:  # in the order of the picks
        rows = [dict(places)[query.modality] + row for row in query.rows.tolist()]
        assert rows == [row for row in expected if row in rows]
        count = 37 - len(covered[: 2 * bought])
        assert query.trace["evaluations"] == count * (len(covered) or 1) + 9 * count


def test_joint_coreset_counts_bought_rows_of_a_side_that_is_not_asked():
    x = {"image": np.array([[1.0, 0], [0, 1], [-1, 0]]), "text": np.array([[0.0, 1], [0, 1], [1, 1]])}
    way = {"directions": [("image", "text")]}
    bought = {"text": [True, False, True]}  # the second text was rejected, and lies on the second image
    assert picks(x, 1, "joint_coreset", **way, free={k: np.array(v) for k, v in bought.items()}) == [("image", 0)]
    assert picks(x, 2, "joint_coreset", **way) == [("image", 1), ("image", 0)], "from nothing: nearest the mean first"


def test_round_robin_takes_turns_from_the_smallest():
    a, b, c = ([(("x", "y"), row) for row in rows] for rows in ([1], [2, 3, 4], [5, 6, 7, 8]))
    assert [row for _, row in round_robin([a, b, c], 6)] == [1, 2, 5, 3, 6, 4]
    assert len(round_robin([a, b, c], 99)) == 8


def test_cluster_margin_takes_one_of_each_of_the_smallest_clusters():
    rng = np.random.default_rng(3)
    centres = 3.0 * np.eye(5)
    x = {name: centres[rng.integers(5, size=60)] + 0.3 * rng.standard_normal((60, 5)) for name in ("image", "text")}
    few = picks(x, 24, "uncertainty")
    label = {name: clusters(Rows(Views({name: a})), 12, 500, 0) for name, a in x.items()}
    sizes = Counter((name, label[name][row]) for name, row in few)
    assert len(sizes) > 5
    assert min(sizes.values()) < max(sizes.values())
    answers = [picks(x, 4, "cluster_margin", multiple=6, size=12, round=k) for k in range(4)]
    for chosen in answers:
        assert set(chosen) <= set(few)
        groups = [(name, label[name][row]) for name, row in chosen]
        assert len(set(groups)) == 4
        assert sum(sizes[group] for group in groups) == sum(sorted(sizes.values())[:4])
    assert len({frozenset(chosen) for chosen in answers}) > 1, "within a cluster it is drawn"
    told = choose(x, None, 4, "cluster_margin", multiple=6, size=12)[0].trace
    assert (told["considered"], told["clusters"], told["evaluations"]) == (24, len(sizes), 2 * 60 * 60)
    assert set(picks(x, 8, "cluster_margin", multiple=1)) == set(picks(x, 8, "uncertainty"))
    with pytest.raises(ValueError, match="multiple"):
        choose(x, None, 4, "cluster_margin", multiple=0.5)


def test_clusters_are_served_in_turn():
    label = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3])
    free = np.ones(11, dtype=bool)
    free[0] = False
    # bought: one of cluster 0; cluster 1 is largest, then 2; 3 is small, and last
    assert served(label, np.array([1, 0, 0, 0]), free, 10, 1).tolist() == [1, 2, 0, 1, 2, 0, 1, 2, 1, 3]


def test_typiclust_takes_the_densest_row_of_clusters_without_a_bought_one():
    rng = np.random.default_rng(1)
    centres = 4.0 * np.eye(4)
    kind = np.repeat(np.arange(4), (30, 20, 25, 15))
    x = {"image": centres[kind] + 0.3 * rng.standard_normal((90, 4)), "text": rng.standard_normal((20, 4))}
    pairs = [[0, 0], [50, 1]]  # of clusters 0 and 2
    query = choose(x, pairs, 2, "typiclust", modality_rule="fixed:image")[0]
    assert query.trace["clusters"] == 4
    assert kind[query.rows].tolist() == [1, 3]
    u = unit(x["image"])
    for row in query.rows:
        own = np.flatnonzero(kind == kind[row])
        k = min(20, len(own) // 2)
        d2 = ((u[own][:, None] - u[own][None]) ** 2).sum(axis=2)
        typical = 1.0 / (np.sort(d2, axis=1)[:, 1 : k + 1].mean(axis=1) + 1e-5)
        assert row == own[typical.argmax()]
    anchors = {"image": centres[[1]]}
    query = choose(x, pairs, 2, "typiclust", modality_rule="fixed:image", anchors=anchors, most=4)[0]
    assert kind[query.rows].tolist()[0] == 3, "an anchor in cluster 1 counts as bought"
    with pytest.raises(ValueError, match="neighbours=0"):
        choose(x, pairs, 2, "typiclust", neighbours=0)


@pytest.mark.parametrize("memory", ["2GB", "1MB"])
def test_gradients_are_those_of_the_contrastive_loss(memory):
    x = sides(5, 12, 700, 40)
    setting = read_setting(x, free={"text": np.arange(700) % 3 > 0}, memory=memory)
    found = gradients(setting.sides["image"].rows, np.arange(12), setting.sides["text"], 0.07)
    rows = torch.tensor(unit(x["image"]), requires_grad=True)
    others = torch.tensor(unit(x["text"])[np.arange(700) % 3 > 0])
    logits = rows @ others.T / 0.07
    torch.nn.functional.cross_entropy(logits, logits.argmax(dim=1), reduction="sum").backward()
    np.testing.assert_allclose(found.numpy(), rows.grad.numpy(), atol=1e-4)


def test_badge_begins_with_the_longest_gradient_and_then_leaves_copies_out():
    x = sides(6, 10, 12)
    x["image"] = np.repeat(x["image"][:5], 2, axis=0)
    setting = read_setting(x, directions=[("image", "text")])
    g = gradients(setting.sides["image"].rows, np.arange(10), setting.sides["text"], 0.5).numpy()
    for seed in range(5):
        queries = choose(x, None, 5, "badge", directions=[("image", "text")], temperature=0.5, seed=seed)
        rows = queries[0].rows
        assert np.linalg.norm(g[rows[0]]) == pytest.approx(np.linalg.norm(g, axis=1).max(), rel=1e-5)
        assert sorted(rows // 2) == [0, 1, 2, 3, 4], "a copy of a pick has distance zero"
        assert queries[0].trace["evaluations"] == 10 * 12 + 10 * 5
    with pytest.raises(ValueError, match="temperature"):
        choose(x, None, 5, "badge", temperature=0.0)


def test_badge_draws_in_proportion_to_the_squared_distance():
    x = {"image": unit(np.random.default_rng(0).standard_normal((6, 4))), "text": np.eye(4)}
    way = [("image", "text")]
    setting = read_setting(x, directions=way)
    g = gradients(setting.sides["image"].rows, np.arange(6), setting.sides["text"], 0.3).double().numpy()
    first = int(np.linalg.norm(g, axis=1).argmax())
    d2 = ((g - g[first]) ** 2).sum(axis=1)
    second = [choose(x, None, 2, "badge", directions=way, temperature=0.3, seed=s)[0].rows[1] for s in range(600)]
    share = np.bincount(second, minlength=6) / 600
    np.testing.assert_allclose(share, d2 / d2.sum(), atol=4 * 0.5 / 600**0.5)


def slow_pass(g, luck, budget, matrix):
    """VeSSAL row by row, with the matrix inverted anew every time."""
    a, chosen = matrix.copy(), []
    for t in range(len(g)):
        missing, left = budget - len(chosen), len(g) - t
        if not missing:
            break
        inverse = np.linalg.inv(a)
        gains = [row @ inverse @ row for row in g[: t + 1]]
        chance = missing / left * gains[-1] / np.mean(gains)
        if missing == left or luck[t] < chance:
            chosen.append(t)
            a += np.outer(g[t], g[t])
    return chosen


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("n", "budget"), [(60, 1), (60, 7), (60, 55), (300, 9), (5, 5)])
def test_one_pass_by_a_loop(seed, n, budget):
    rng = np.random.default_rng(seed)
    g, luck, matrix = rng.standard_normal((n, 4)), rng.random(n), 0.01 * np.eye(4)
    assert one_pass(g, luck, budget, matrix).tolist() == slow_pass(g, luck, budget, matrix)


def test_one_pass_of_nothing_but_zeros_takes_at_an_even_rate():
    found = [one_pass(np.zeros((40, 3)), np.random.default_rng(s).random(40), 10, np.eye(3)) for s in range(200)]
    assert all(len(rows) == 10 for rows in found)
    share = np.bincount(np.concatenate(found), minlength=40) / 200
    assert abs(share[:20].mean() - share[20:].mean()) < 0.05


def test_vessal_takes_rows_as_they_arrive_and_knows_what_was_bought():
    x = sides(7, 30, 30)
    ways = [("image", "text")]
    rows = choose(x, None, 8, "vessal", directions=ways, order="ids")[0].rows
    assert (np.diff(rows) > 0).all()
    assert (np.diff(choose(x, None, 8, "vessal", directions=ways)[0].rows) < 0).any()
    seeds = {tuple(choose(x, None, 8, "vessal", directions=ways, seed=s)[0].rows) for s in range(5)}
    assert len(seeds) > 1
    with pytest.raises(ValueError, match="order"):
        choose(x, None, 8, "vessal", order="up")
    with pytest.raises(ValueError, match="ridge"):
        choose(x, None, 8, "vessal", ridge=0.0)


@pytest.mark.parametrize("known", ["pairs", "anchors"])
def test_vessal_takes_little_that_is_like_what_was_bought(known):
    half = np.arange(40) % 2 == 0  # two kinds of images, each torn between two texts of its own
    x = {"image": np.where(half[:, None], [1.0, 0.8, 0, 0], [0, 0, 1.0, 0.8]), "text": np.eye(4)}
    bought = (
        {"anchors": {"image": x["image"][half]}} if known == "anchors" else {"free": {"image": np.arange(40) >= 20}}
    )
    if known == "pairs":
        x["image"][:20] = x["image"][0]
    share = []
    for given in ({}, bought):
        told = {"directions": [("image", "text")], "temperature": 0.2, **given}
        rows = [row for s in range(20) for _, row in picks(x, 4, "vessal", seed=s, **told) if row >= 20]
        share.append(np.mean(~half[rows]))
    assert share[1] > 0.75
    assert share[1] > share[0] + 0.15


def test_vessal_chances_grow_with_the_volume_added():
    # nine rows in ten are alike: the others, in a direction of their own, are taken more often than their share
    rng = np.random.default_rng(0)
    g = np.where(np.arange(200)[:, None] % 10 == 0, [0.0, 1.0], [1.0, 0.0]) + 0.01 * rng.standard_normal((200, 2))
    rare = [np.mean(one_pass(g, rng.random(200), 20, 0.01 * np.eye(2)) % 10 == 0) for _ in range(20)]
    assert np.mean(rare) > 0.25


@pytest.mark.parametrize("top", [None, 2])
@pytest.mark.parametrize("more", [None, {"audio": 9}])
def test_hard_negative_by_a_loop(top, more):
    x = sides(8, more=more)
    pairs = {("image", "text"): np.array([[0, 3], [1, 0], [5, 5], [5, 6]])}
    if more:
        pairs[("audio", "text")] = np.array([[2, 7], [3, 8], [1, 9], [4, 10], [0, 11]])
    u, score = {name: unit(a) for name, a in x.items()}, {}
    both = [*pairs.items(), *(((b, a), two[:, ::-1]) for (a, b), two in pairs.items())]
    for (a, b), two in both:
        bought = {row for way, rows in both if way[0] == a for row in rows[:, 0].tolist()}
        for row in set(range(len(x[a]))) - bought:
            terms = [max(0.0, 0.2 + u[a][row] @ u[b][j] - u[a][i] @ u[b][j]) for i, j in two]
            score.setdefault((a, row), {})[b] = sum(sorted(terms)[-(top or 99) :])
    expected = sorted(score, key=lambda place: -max(score[place].values()))[:9]
    found = asked(choose(x, pairs, 9, "hard_negative", top=top))
    assert set(found) == set(expected)
    for place, target in found.items():
        assert score[place][target] == max(score[place].values())


def test_hard_negative_by_hand():
    # one pair (v, l) with v . l = .6: x . l is 1, .6, .5, 0, so the terms are .6, .2, .1, 0
    x = {"image": np.array([[0.6, 0.8], [1, 0], [0.6, -0.8], [0.5, 0.75**0.5], [0, 1]]), "text": np.eye(2)}
    ways = [("image", "text")]
    query = choose(x, [[0, 0]], 4, "hard_negative", directions=ways)[0]
    assert query.rows.tolist() == [1, 2, 3, 4]
    assert query.trace["drawn"] == 1
    assert query.trace["evaluations"] == 5
    query = choose(x, [[0, 0]], 4, "hard_negative", directions=ways, alpha=0.0)[0]
    assert query.rows.tolist()[0] == 1
    assert query.trace["drawn"] == 3
    with pytest.raises(ValueError, match="alpha"):
        choose(x, [[0, 0]], 4, "hard_negative", alpha=-1.0)
    with pytest.raises(ValueError, match="top"):
        choose(x, [[0, 0]], 4, "hard_negative", top=0)


def test_hard_negative_may_count_the_largest_terms_alone():
    # pairs of similarity .6 with either text: (1, 0) has the terms .6 and 0, the diagonal .307 twice
    x = {"image": np.array([[0.6, 0.8], [0.8, 0.6], [1, 0], [0.5**0.5, 0.5**0.5]]), "text": np.eye(2)}
    found = [
        choose(x, [[0, 0], [1, 1]], 1, "hard_negative", directions=[("image", "text")], top=top)[0].rows.tolist()
        for top in (None, 1, 2)
    ]
    assert found == [[3], [2], [3]]


def test_hard_negative_without_pairs_draws():
    x = sides(9, 40, 40)
    answers = {tuple(asked(choose(x, None, 6, "hard_negative", seed=s, round=r))) for s in range(3) for r in range(2)}
    assert len(answers) == 6
    rows = [row for answer in answers for _, row in answer]
    assert max(rows) > 20, "not the lowest ids"


def test_a_row_is_drawn_towards_all_its_targets():
    x = sides(10, 60, 10, more={"audio": 10})
    for method in ("joint_coreset", "vessal"):
        ways = [("image", "text"), ("image", "audio")]
        targets = [q.target for q in choose(x, None, 40, method, directions=ways) for _ in q.rows]
        assert 8 < sum(target == "text" for target in targets) < 32


def test_a_side_is_a_part_of_a_table():
    rows = Rows(Views({"x": np.eye(3)}))
    side = Side("x", rows, np.array([True, False, True]), np.array([1]))
    assert side.open.tolist() == [0, 2]
