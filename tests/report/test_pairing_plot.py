"""Figures of a pairing bench: what they show and what they leave in its folder."""

import numpy as np
import pytest

from modest.bench import pairing
from modest.report.pairing_plot import candidates_curve, pairing_curves, pairing_diagnostics, picks_map, write_plots
from modest.report.plots import svg
from tests.bench.pairs import protocol


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "out"
    sizes = {f"B_C-{k}B": {"method": "acquire", "candidates": f"{k}B"} for k in (1, 2)}
    told = protocol(folder, methods={"random": {}, "B_C-all": {"method": "acquire", "candidates": 1000}, **sizes})
    list(pairing.run(told))
    return folder, pairing.results(folder)


def test_curves_show_every_mean(finished):
    frame = finished[1]
    figure = pairing_curves(frame, "group", "toy")
    told = pairing.summarise(frame, "group")
    for line in figure.axes[0].lines:
        own = told[told["method"] == line.get_label()]
        np.testing.assert_allclose(line.get_ydata(), own["mean"])
        np.testing.assert_allclose(line.get_xdata(), [6, 12, 18])
    assert len(figure.axes[0].lines) == 4
    assert "toy" in svg(figure) or "<svg" in svg(figure)


def test_diagnostics_show_both_sides(finished):
    figure = pairing_diagnostics(finished[1])
    assert len(figure.axes) == 6
    told = pairing.diagnostics(finished[1])
    own = told[told["method"] == "random"]
    line = next(line for line in figure.axes[3].lines if line.get_label() == "random")
    np.testing.assert_allclose(line.get_ydata(), own["radius:text"])
    share = next(line for line in figure.axes[2].lines if line.get_label() == "random")
    np.testing.assert_allclose(share.get_ydata(), own["asked:image"] / 6)


def test_a_value_without_neighbours_is_seen(finished):
    """After a shared first round of no space, two turns leave one value of the radius."""
    two = finished[1][finished[1]["round"] < 2]
    for axes in (pairing_curves(two, "group").axes[0], *pairing_diagnostics(two).axes):
        lines = [line for line in axes.lines if not line.get_label().startswith("_")]
        assert lines
        assert all(line.get_marker() == "." for line in lines)


def test_candidates_are_in_order_of_their_number(finished):
    sizes = {"B_C-all": np.inf, "B_C-2B": 2.0, "B_C-1B": 1.0}
    figure = candidates_curve(finished[1], "group", sizes)
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks == ["1 B", "2 B", "all"]
    told = pairing.areas(finished[1], "group").set_index("method")["area"]
    want = [told[name] for name in ("B_C-1B", "B_C-2B", "B_C-all")]
    np.testing.assert_allclose(np.asarray(figure.axes[0].lines[0].get_ydata(), dtype=float), want)


def test_a_map_has_a_panel_per_rule():
    points = np.random.default_rng(0).standard_normal((50, 2))
    figure = picks_map(points, {"random": [1, 2, 3], "coreset": [4]}, "what each picks")
    assert len(figure.axes) == 2
    np.testing.assert_allclose(figure.axes[0].collections[1].get_offsets(), points[[1, 2, 3]])


def test_plots_are_written_beside_the_results(finished):
    written = write_plots(finished[0])
    assert {path.name.split("-")[0] for path in written} == {"curves", "diagnostics", "candidates"}
    assert {path.suffix for path in written} == {".png", ".svg"}
    before = {path: path.read_bytes() for path in written if path.suffix == ".svg"}
    assert {path: path.read_bytes() for path in write_plots(finished[0]) if path.suffix == ".svg"} == before


def test_methods_of_one_colour_have_lines_of_their_own():
    from modest.pairing import METHODS
    from modest.report.pairing_plot import _dashes
    from modest.report.plots import colour

    styles = {(colour(name), dash) for name, dash in _dashes(METHODS).items()}
    assert len(styles) == len(METHODS)
