"""Coverage and redundancy against plain loops and cases worked by hand."""

import numpy as np
import pytest

import modest
from modest import report
from modest.report.spread import FAR, near_duplicates, sampled, spread
from modest.report.spread_parts import spread_figure, spread_parts
from modest.types import Views


def angles(*degrees):
    at = np.deg2rad(np.array(degrees, dtype=np.float64))
    return Views({"plane": np.column_stack([np.cos(at), np.sin(at)])})


def chord(a, b):
    return 2 * np.sin(np.deg2rad(abs(a - b)) / 2)


def loop(views, picks, start):
    """(b,) mean distance of every row to the nearest of the first k picks, by a slow loop over shared modalities."""
    unit = {m: x / np.linalg.norm(x, axis=1, keepdims=True) for m, x in views.arrays.items()}
    there = np.ones((len(views), len(unit)), dtype=bool) if views.present is None else views.present
    best, curve = np.array(start, dtype=float), []
    for j in picks:
        for i in range(len(views)):
            both = [k for k in range(len(unit)) if there[i, k] and there[j, k]]
            square = [((unit[m][i] - unit[m][j]) ** 2).sum() for k, m in enumerate(unit) if k in both]
            best[i] = min(best[i], np.sqrt(np.mean(square)) if both else FAR)
        curve.append(best.mean())
    return np.array(curve), best.max()


def test_a_circle_by_hand():
    views = angles(0, 90, 180, 270)
    found = spread(views, np.array([0, 2]), np.empty(0, np.int64), np.arange(4))
    assert found.counts.tolist() == [1, 2]
    root = np.sqrt(2)
    np.testing.assert_allclose(found.choice.cover, [(0 + root + 2 + root) / 4, (0 + root + 0 + root) / 4], atol=1e-6)
    assert found.choice.farthest == pytest.approx(root)
    assert found.choice.apart == pytest.approx(2.0)
    assert found.usual == pytest.approx(root)
    assert (found.twins, found.choice.twinned, found.copies, found.rest) == ([], 0, 0, 2)


def test_coverage_is_that_of_a_slow_loop_with_absent_halves():
    rng = np.random.default_rng(0)
    present = rng.random((40, 2)) < 0.7
    present[~present.any(axis=1), 0] = True
    arrays = {"a": rng.normal(size=(40, 3)), "b": rng.normal(size=(40, 5))}
    views = Views(arrays, present, [f"i{k:02d}" for k in rng.permutation(40)])
    picks = np.array([7, 30, 2, 11, 25])
    found = spread(views, picks, np.empty(0, np.int64), np.arange(40))
    curve, farthest = loop(views, picks, np.full(40, FAR))
    np.testing.assert_allclose(found.choice.cover, curve[found.counts - 1], atol=2e-4)  # rounding of equal rows
    assert found.choice.farthest == pytest.approx(farthest, abs=1e-5)
    before = np.array([3, 4])
    start = np.full(40, FAR)
    for j in before:
        for i in range(40):
            start[i] = min(start[i], loop(views[[i, j]], [1], [FAR, FAR])[0][0] * 2) if i != j else 0.0
    with_old = spread(views, picks, before, np.arange(40))
    np.testing.assert_allclose(with_old.choice.cover[-1], loop(views, picks, start)[0][-1], atol=2e-4)


def test_near_duplicates_are_nearer_than_a_quarter_of_the_usual():
    views = angles(0, 2, 40, 80, 120, 121, 170, 200, 240, 280, 320)
    found = spread(views, np.array([0, 1, 3]), np.empty(0, np.int64), np.arange(11))
    assert found.usual == pytest.approx(chord(0, 30), abs=1e-3)
    assert [(i, j) for i, j, _ in found.twins] == [(0, 1)]
    assert found.twins[0][2] == pytest.approx(chord(0, 2), abs=1e-3)
    assert (found.choice.twinned, found.copies) == (2, 0)
    pairs, count, _ = near_duplicates(views)
    assert [(i, j) for i, j, _ in pairs] == [(4, 5), (0, 1)]
    assert count == 4
    assert spread(views, np.array([4]), np.empty(0, np.int64), np.arange(11)).copies == 1


def test_equal_rows_are_near_duplicates_where_all_are_equal():
    pairs, count, usual = near_duplicates(angles(10, 10, 10))
    assert (len(pairs), count) == (2, 3)
    assert usual == pytest.approx(0.0, abs=1e-3)


def test_worth_is_where_the_choice_reaches_a_whole_random_choice():
    rng = np.random.default_rng(1)
    views = Views(
        {"x": np.concatenate([rng.normal(size=(5, 6)) * 9, np.ones((195, 6)) + rng.normal(size=(195, 6)) / 50])}
    )
    found = spread(views, np.array([10, 0, 1, 2, 3, 4, *range(20, 40)]), np.empty(0, np.int64), np.arange(200))
    goal = found.of_random("cover")[:, -1].mean()
    assert found.worth < 10
    assert np.interp(found.worth, found.counts, found.choice.cover) == pytest.approx(goal)
    bad = spread(views, np.arange(20, 30), np.empty(0, np.int64), np.arange(200))
    assert (bad.worth is None) == bool((bad.choice.cover > bad.of_random("cover")[:, -1].mean()).all())


def test_random_choices_take_nothing_that_was_taken_and_follow_the_ids():
    views = angles(*range(0, 170, 10))
    before = np.arange(10)
    found = spread(views, np.array([10, 11]), before, np.arange(17), seed=3)
    assert len(found.random) == 5
    order = np.random.default_rng(0).permutation(17)
    turned = views[order]
    where = np.argsort(order)
    again = spread(turned, where[[10, 11]], where[before], np.arange(17), seed=3)
    np.testing.assert_allclose(again.of_random("cover"), found.of_random("cover"), atol=1e-6)
    assert not np.allclose(spread(views, np.array([10, 11]), before, np.arange(17), seed=4).of_random("cover"),
                           found.of_random("cover"))  # fmt: skip
    left = spread(views, np.array([10, 11]), np.setdiff1d(np.arange(17), [10, 11]), np.arange(17))
    np.testing.assert_allclose(left.of_random("cover")[:, -1], left.choice.cover[-1], atol=1e-6)  # nothing else is free
    assert left.of_random("apart").tolist() == pytest.approx([left.choice.apart] * 5)
    rest = spread(views, np.array([10]), np.arange(11, 17), np.arange(11, 17))  # nothing is free
    assert rest.of_random("cover").shape == (5, 1)


def test_samples_are_kept_small_and_follow_the_ids():
    ids = np.array([f"i{k}" for k in range(100)])
    inside = np.arange(100) % 2 == 0
    rows = sampled(ids, inside, 0, 20)
    assert len(rows) == 20
    assert inside[rows].all()
    order = np.random.default_rng(0).permutation(100)
    assert set(ids[order][sampled(ids[order], inside[order], 0, 20)]) == set(ids[rows])
    assert sampled(ids, inside, 0, 50).tolist() == np.flatnonzero(inside).tolist()


@pytest.fixture
def pool(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    x[1] = x[0] + 1e-6
    return modest.ingest({"x": x}, tmp_path / "pool")


def test_the_section_says_the_numbers_and_shows_the_twins(pool):
    chosen = np.array([0, 1, 5, 9])
    parts, found = spread_parts(pool, pool.views(), np.arange(80), chosen, np.empty(0, np.int64), "kcenter")
    first, second = parts
    assert f"{found.choice.cover[-1]:.3f} away" in first.text
    assert first.table["kcenter"].tolist()[0] == f"{found.choice.cover[-1]:.3f}"
    assert first.data["chosen"].tolist() == found.counts.tolist()
    assert second.text.startswith("2 of the chosen items have a near-duplicate")
    ((card,),) = second.cards.values()
    assert card.title == f"{pool.ids[0]} \N{LEFT RIGHT ARROW} {pool.ids[1]}"
    assert len(card.shown) == 2
    assert second.data[["id", "other"]].to_numpy().tolist() == [[pool.ids[0], pool.ids[1]]]
    lines = spread_figure(found, "kcenter").axes[0].lines
    np.testing.assert_allclose(lines[1].get_ydata(), found.choice.cover)
    assert "<script" not in report.html(report.Page("p", "l", parts))


def test_a_single_chosen_item_is_drawn(pool):
    parts, found = spread_parts(pool, pool.views(), np.arange(80), np.array([3]), np.empty(0, np.int64), "random")
    assert np.isnan(found.choice.apart)
    assert found.choice.twinned == 0
    assert report.html(report.Page("p", "l", parts)).count("<figure") == 1
