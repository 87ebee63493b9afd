"""Which side is asked: scores by hand, costs, turns, draws, several sides, and distances that must agree."""

import numpy as np
import pytest

from modest.pairing import acquire
from modest.pairing.candidates import cover
from modest.pairing.modality_rule import spread
from modest.pairing.sides import read_setting

from .naive import diagonal, sides, unit
from .test_acquire import HAND, ONE

WAYS = [("image", "text"), ("text", "image")]


@pytest.mark.parametrize(
    ("rule", "image", "text"),
    [("radius", 1.6, 1.0), ("relative", 1.6 / 0.56, 1.0 / 0.3), ("mean_gap", 0.84, 1.6 / 3), ("fixed:text", 0.0, 1.0)],
)
def test_scores_by_hand(rule, image, text):
    query = acquire(HAND, ONE, 1, modality_rule=rule)
    np.testing.assert_allclose(
        [query.trace["scores"]["image"], query.trace["scores"]["text"]], [image, text], rtol=1e-5
    )
    assert query.modality == ("image" if image > text else "text")


def test_a_dear_direction_is_worth_less():
    assert acquire(HAND, ONE, 1, modality_rule="cost").modality == "text"
    costs = {("text", "image"): 1.2}  # 3.33 / 1.2 < 2.86
    assert acquire(HAND, ONE, 1, modality_rule="cost", costs=costs).modality == "image"
    assert acquire(HAND, ONE, 1, modality_rule="relative", costs=costs).modality == "text"


def test_sides_take_turns_and_one_that_is_used_up_is_passed_over():
    asked = [acquire(HAND, ONE, 1, modality_rule="alternate", round=k).modality for k in range(4)]
    assert asked == ["image", "text", "image", "text"]
    free = {"image": np.zeros(4, dtype=bool)}
    assert acquire(HAND, ONE, 1, modality_rule="alternate", round=0, free=free).modality == "text"


def test_a_drawn_side_follows_seed_and_round():
    def drawn(seed):
        return [acquire(HAND, ONE, 1, modality_rule="random", round=k, seed=seed).modality for k in range(20)]

    assert set(drawn(0)) == {"image", "text"}
    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


def test_only_directions_an_oracle_can_answer():
    assert acquire(HAND, ONE, 1, modality_rule="radius", directions=WAYS[1:]).modality == "text"
    with pytest.raises(ValueError, match="nothing of image may be asked"):
        acquire(HAND, ONE, 1, modality_rule="fixed:image", directions=WAYS[1:])
    with pytest.raises(ValueError, match="fixed:image"):
        acquire(HAND, ONE, 1, modality_rule="fixed:image", free={"image": np.zeros(4, dtype=bool)})


def three():
    """Sides whose radii are .2, .4 and 1, worst last, each with a known row."""
    near, middle, far = (np.array([[1.0, 0.0], [1 - d, (1 - (1 - d) ** 2) ** 0.5]]) for d in (0.2, 0.4, 1.0))
    pairs = {("near", "middle"): np.array([[0, 0]]), ("far", "near"): np.array([[0, 0]])}
    return {"near": near, "middle": middle, "far": far}, pairs


@pytest.mark.parametrize(
    ("directions", "way"),
    [
        (None, ("far", "middle")),
        ([("far", "near"), ("middle", "far")], ("far", "near")),
        ([("middle", "near"), ("middle", "far"), ("near", "far")], ("middle", "far")),
        ([("near", "far"), ("near", "middle")], ("near", "far")),
    ],
)
def test_of_several_sides_the_target_is_the_next_worst(directions, way):
    x, pairs = three()
    query = acquire(x, pairs, 1, modality_rule="radius", directions=directions)
    assert (query.modality, query.target) == way
    np.testing.assert_allclose(list(query.trace["radius"].values()), [0.2, 0.4, 1.0], atol=1e-6)


def test_costs_reach_the_target_too():
    """Relative to their scale all three sides score 1, so that costs decide."""
    x, pairs = three()
    costs = {("far", "near"): 0.5, ("far", "middle"): 0.25}
    query = acquire(x, pairs, 1, modality_rule="cost", costs=costs)
    assert (query.modality, query.target) == ("far", "middle")
    query = acquire(x, pairs, 1, modality_rule="cost", costs={("far", "near"): 0.5, ("far", "middle"): 4.0})
    assert (query.modality, query.target) == ("far", "near")


def test_a_side_without_free_rows_is_the_last_target():
    x, pairs = three()
    free = {"middle": np.zeros(2, dtype=bool)}
    query = acquire(x, pairs, 1, modality_rule="radius", free=free)
    assert (query.modality, query.target) == ("far", "near")
    assert query.trace["scores"]["middle"] == -np.inf
    assert query.trace["radius"]["middle"] == 0.0
    alone = acquire(x, pairs, 1, modality_rule="radius", free=free, directions=[("far", "middle")])
    assert alone.target == "middle"
    assert np.isinf(alone.margins).all()


@pytest.mark.parametrize("seed", range(5))
def test_monotone_distances_agree_under_radius(seed):
    x, pairs = sides(seed), diagonal(5)
    there = acquire(x, pairs, 7, modality_rule="radius")
    gap = there.trace["radius"][there.modality]
    for distance, radius in (("euclidean", (2 * gap) ** 0.5), ("angle", np.arccos(1 - gap))):
        again = acquire(x, pairs, 7, modality_rule="radius", distance=distance)
        assert (again.modality, again.rows.tolist()) == (there.modality, there.rows.tolist())
        assert again.trace["radius"][there.modality] == pytest.approx(radius, rel=1e-5)


def test_raw_distance_is_of_the_rows_as_given():
    x, pairs = sides(2), diagonal(5)
    unit_rows = {name: unit(a) for name, a in x.items()}
    there = acquire(unit_rows, pairs, 7, modality_rule="radius")
    assert acquire(unit_rows, pairs, 7, modality_rule="radius", distance="raw").rows.tolist() == there.rows.tolist()
    d = {name: np.linalg.norm(a[5:, None] - a[None, :5], axis=2).min(axis=1) for name, a in x.items()}
    query = acquire(x, pairs, 1, 1, modality_rule="radius", distance="raw")
    assert [query.trace["radius"][name] for name in x] == pytest.approx([d[name].max() for name in x], rel=1e-5)
    assert query.rows.tolist() == [5 + d[query.modality].argmax()]
    anchors = {name: a[:5] for name, a in x.items()}
    again = acquire({name: a[5:] for name, a in x.items()}, None, 1, 1, anchors=anchors, modality_rule="radius",
                    distance="raw")  # fmt: skip
    assert (again.rows + 5).tolist() == query.rows.tolist()
    cold = acquire(x, None, 1, 1, modality_rule="fixed:text", distance="raw")
    away = np.linalg.norm(x["text"] - x["text"].mean(axis=0), axis=1)
    assert cold.rows.tolist() == [away.argmin()]
    assert cold.trace["radius"]["text"] == pytest.approx(away.max(), rel=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "angle", "raw"])
def test_spread_is_the_median_between_rows(distance):
    x = sides(3, n=60)
    setting = read_setting(x, diagonal(5))
    side = setting.sides["image"]
    e = x["image"] if distance == "raw" else unit(x["image"])
    cosine = np.clip(unit(x["image"]) @ unit(x["image"]).T, -1, 1)
    between = {"cosine": 1 - cosine, "angle": np.arccos(cosine)}.get(
        distance, np.linalg.norm(e[:, None] - e[None], axis=2)
    )
    middle, count = spread(side, cover(side, distance), seed=0)
    assert middle == pytest.approx(np.median(between[np.triu_indices(60, 1)]), rel=1e-4)
    assert count == 60 * 59 // 2


def test_spread_looks_at_400_rows_at_most_and_follows_the_ids():
    x = {name: np.random.default_rng(0).standard_normal((900, 4)) for name in ("image", "text")}
    setting = read_setting(x, diagonal(5))
    middle, count = spread(setting.sides["image"], cover(setting.sides["image"]), 0)
    assert count == 400 * 399 // 2
    assert spread(setting.sides["image"], cover(setting.sides["image"]), 1)[0] != middle
    assert acquire(x, diagonal(5), 3).trace["sample_evaluations"] == 2 * count


def test_copies_and_a_lone_row_have_no_spread():
    x = {"image": np.ones((3, 2)), "text": np.array([[1.0, 0.0]])}
    query = acquire(x, None, 1, modality_rule="relative")
    assert np.isfinite(list(query.trace["scores"].values())).all()


@pytest.mark.parametrize("seed", range(3))
def test_under_a_narrow_cone_both_sides_get_their_turns(seed):
    """Texts moved aside by twice their length: by its radius that side is never worst, relative to its scale it is."""
    rng = np.random.default_rng(seed)
    z = unit(rng.standard_normal((24, 16))[rng.integers(24, size=300)] + 0.5 * rng.standard_normal((300, 16)))
    image = unit(z + 0.05 * rng.standard_normal((300, 16)))
    text = unit(z + 0.05 * rng.standard_normal((300, 16))) + 2.0 * np.eye(16)[0]
    seen = {}
    for rule in ("radius", "relative"):
        pairs, seen[rule] = diagonal(5), set()
        for k in range(10):
            query = acquire({"image": image, "text": text}, pairs, 10, modality_rule=rule, round=k)
            pairs = np.concatenate([pairs, np.repeat(query.rows[:, None], 2, axis=1)])
            seen[rule].add(query.modality)
    assert seen == {"radius": {"image"}, "relative": {"image", "text"}}
