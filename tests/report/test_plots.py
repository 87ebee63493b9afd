import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text

from modest import Views
from modest.evaluation import class_balance
from modest.report import plane, plots


def summary(names=("random", "mmcsal", "maxherding"), items=(10, 20, 50)):
    rows = [
        {"method": name, "learner": name, "items": b, "missing": b / 100, "mean": v, "low": v - 0.02, "high": v + 0.03}
        for k, name in enumerate(names)
        for b in items
        for v in [0.5 + 0.005 * k + b / 200]
    ]
    return pd.DataFrame(rows)


def test_curves_hold_the_numbers_with_their_bands():
    table = summary()
    axes = plots.learning_curves(table, pool=1000).axes[0]
    for line, (_, own) in zip(axes.lines, table.groupby("method", sort=False)):
        np.testing.assert_allclose(line.get_xdata(), own["items"])
        np.testing.assert_allclose(line.get_ydata(), own["mean"])
    assert len(axes.collections) == 3
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    own = table[table["method"] == "random"]
    assert band.min() == pytest.approx(own["low"].min())
    assert band.max() == pytest.approx(own["high"].max())
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10\n1 %", "20\n2 %", "50\n5 %"]


def test_names_at_the_lines_do_not_overlap():
    figure = plots.learning_curves(summary(tuple("abcdef")), pool=None)
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # of the words, without their leader
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_a_method_keeps_its_colour_whoever_else_is_there():
    one = plots.learning_curves(summary(("mmcsal",))).axes[0].lines[0].get_color()
    two = plots.learning_curves(summary(("random", "mmcsal"))).axes[0].lines[1].get_color()
    assert one == two == plots.colour("mmcsal")


def test_places_apart_are_the_nearest_ones_that_keep_the_gap():
    np.testing.assert_allclose(plots.apart([0.0, 0.0, 10.0], 1.0), [-0.5, 0.5, 10.0])
    wanted = np.sort(np.random.default_rng(0).random(6))
    places = plots.apart(wanted, 0.3)
    assert np.diff(places).min() >= 0.3 - 1e-9
    rng = np.random.default_rng(1)
    for _ in range(300):
        other = np.sort(places + rng.normal(scale=0.1, size=6))
        if np.diff(other).min() >= 0.3:
            assert ((other - wanted) ** 2).sum() >= ((places - wanted) ** 2).sum() - 1e-9


def test_bars_have_the_lengths_given():
    axes = plots.modality_bars({"fused": (0.9, 0.85, 0.93), "audio": (0.4, 0.3, 0.5)}).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.4]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["all together", "audio"]


def test_class_bars_show_both_sides():
    balance = class_balance(list("aaab"), [0, 3])
    axes = plots.class_bars(balance).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [0.75, 0.25, 0.5, 0.5]
    many = class_balance([f"class {k}" for k in range(40)], [0])
    assert "15 more not shown" in plots.class_bars(many).axes[0].get_xlabel()


def test_the_plane_is_principal_component_analysis():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(50, 6)), rng.normal(size=(50, 3)) * 9
    points = plane(Views({"a": a, "b": b}))
    std = [(x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(x.shape[1]) for x in (a, b)]
    left, size, _ = np.linalg.svd(np.hstack(std), full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * size[:2]), atol=1e-9)
    assert plane(Views({"a": np.arange(5.0)[:, None]})).shape == (5, 2)


@pytest.mark.parametrize("labels", [None, list("ab") * 10, [None, "a", "b", "c"] * 5, [str(k) for k in range(20)]])
def test_the_map_draws_every_item_and_rings_the_chosen(labels):
    points = np.random.default_rng(0).random((20, 2))
    axes = plots.choice_map(points, [3, 5], labels, "kmeans").axes[0]
    drawn = [c for c in axes.collections if len(c.get_offsets())]
    np.testing.assert_allclose(drawn[0].get_offsets(), points)
    np.testing.assert_allclose(drawn[1].get_offsets(), points[[3, 5]])


def test_the_same_figure_gives_the_same_svg():
    first, again = (plots.svg(plots.missing_curves(summary(("mla", "late")))) for _ in range(2))
    assert first == again
    assert first.startswith("<svg")
    assert "<!DOCTYPE" not in first
