"""World F: our method against random draws, mean of six seeds; and the modality rule under a narrow text cone."""

import numpy as np
import pytest

from modest.evaluation import area, group_scores
from modest.pairing import choose
from tests.pairing.world_f import WIDTH, embedded, loss, narrowed, slopes, trained, world

ROUNDS, BUDGET = 10, 70


def played(made, method, seed, cone=0.0, **knobs):
    """(ROUNDS,) group scores after each round, pairs bought, and the side asked in each round."""
    truth = [dict(made.pairs.tolist()), dict(made.pairs[:, ::-1].tolist())]
    pairs, towers, counts, scores, asked = np.empty((0, 2), dtype=np.int64), made.towers, [], [], []
    for number in range(ROUNDS):
        sides = {"image": embedded(made.image, towers[0]), "text": narrowed(embedded(made.text, towers[1]), cone)}
        for query in choose(sides, pairs, BUDGET, method, seed=seed, round=number, **knobs):
            side = ("image", "text").index(query.modality)
            other = np.array([truth[side][row] for row in query.rows.tolist()])
            pairs = np.concatenate([pairs, np.stack([query.rows, other][:: 1 - 2 * side], axis=1)])
            asked.append(query.modality)
        pairs = np.unique(pairs, axis=0)
        towers = trained(made, pairs, 1000 * seed + number)
        s = np.einsum("gid,gjd->gij", embedded(made.image_test, towers[0]), embedded(made.text_test, towers[1]))
        counts.append(len(pairs))
        scores.append(group_scores(s).group)
    return counts, scores, asked


def test_the_world_is_as_the_notes_say():
    made = world(0)
    assert made.image.shape == made.text.shape == (1400, WIDTH)
    assert sorted(made.pairs[:, 0].tolist()) == sorted(made.pairs[:, 1].tolist()) == list(range(1400))
    u = embedded(made.image[made.pairs[:, 0]], made.towers[0])
    v = embedded(made.text[made.pairs[:, 1]], made.towers[1])
    own = (u * v).sum(axis=1)
    assert np.quantile(own, 0.9) > 0.99
    assert 0.1 < (own > 0.98).mean() < 0.9
    s = np.einsum("gid,gjd->gij", *(embedded(x, t) for x, t in zip((made.image_test, made.text_test), made.towers)))
    assert 0.3 < group_scores(s).group < 0.95


def test_slopes_are_those_of_the_loss():
    rng = np.random.default_rng(0)
    batch, towers = [rng.standard_normal((7, 5)) for _ in range(2)], [rng.standard_normal((5, 4)) for _ in range(2)]
    found = slopes(batch, towers)
    for k, at in ((0, (1, 2)), (1, (4, 3))):
        moved = [tower.copy() for tower in towers]
        moved[k][at] += 1e-6
        assert found[k][at] == pytest.approx((loss(batch, moved) - loss(batch, towers)) / 1e-6, rel=1e-3, abs=1e-6)


def test_ours_is_above_random_on_world_f():
    gaps = []
    for seed in range(6):
        made = world(seed)
        areas = [area(*played(made, method, seed)[:2]) for method in ("acquire", "random")]
        gaps.append(areas[0] - areas[1])
    assert np.mean(gaps) > 0.01


def test_a_narrow_cone_is_narrow():
    made = world(0)
    text = embedded(made.text, made.towers[1])
    for offset, told in ((0.0, 0.90), (1.0, 0.55), (2.0, 0.24), (4.0, 0.07)):
        unit = narrowed(text, offset)
        assert (1 - unit @ unit.T).mean() == pytest.approx(told, abs=0.15)


def test_relative_asks_both_sides_under_a_narrow_cone_where_radius_may_not():
    made = world(1, scored=10)
    relative, radius = (played(made, "acquire", 1, cone=4.0, modality_rule=rule)[2] for rule in ("relative", "radius"))
    assert set(relative) == {"image", "text"}
    assert radius.count("text") < relative.count("text")
