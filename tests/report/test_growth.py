"""Curves continued: the sections hold what was measured and what the curve says."""

import numpy as np
import pytest

from modest.evaluation.enough import enough
from modest.report import growth_part, history_parts


def test_the_section_says_what_the_curve_says():
    counts, values = [50, 100, 200], np.array([[0.5, 0.6, 0.68], [0.52, 0.62, 0.7]])
    part, found = growth_part(counts, values, "auto", "accuracy")
    assert found == enough(counts, values)
    assert found.why in part.text
    assert f"{found.at:,.0f}" in part.text or found.at is None
    assert part.data["labels"].tolist() == [50, 100, 200, 300]
    assert part.data["mean"].tolist()[:3] == pytest.approx([0.51, 0.61, 0.69])
    assert part.data["mean"].tolist()[3] == pytest.approx(0.69 + found.gain)
    assert part.data["low"].tolist()[3] == pytest.approx(0.69 + found.low)
    measured = part.figure.axes[0].lines[-1]
    np.testing.assert_allclose(measured.get_ydata(), [0.51, 0.61, 0.69])
    assert "over 2 seeds" in part.caption


@pytest.mark.parametrize("values", [[0.4], [0.99, 0.99, 0.99], [0.01, 0.02]])
def test_short_flat_and_slow_curves_are_drawn(values):
    part, found = growth_part(100 * 2 ** np.arange(len(values)), values, "auto", "accuracy")
    low, high = part.figure.axes[0].get_xlim()
    assert low < 100
    assert high >= found.to * 0.99
    told = found.at is None and "beyond what can be said" in part.text
    assert told or "90 % confidence" in part.text


def line(labelled, accuracy, method="mla", split="test", mask=None):
    return {"labelled": labelled, "accuracy": accuracy, "method": method, "split": split, "mask": mask}


def test_every_curve_of_a_history_has_its_section_the_newest_first():
    told = [line(10, 0.3), line(20, 0.4), line(20, 0.45, "late"), line(40, 0.6), line(20, 0.5), line(0, 0.1)]
    (first, _), (second, _) = history_parts(told)
    assert first.title == "Is it enough? mla on the test rows"
    assert first.data["mean"].tolist()[:3] == [0.3, 0.5, 0.6]  # the newest score at each count
    assert second.data["labels"].tolist()[0] == 20
    assert history_parts([line(10, 0.3)])[0][0].title == "Is it enough?"
    assert "mask abcdef01" in history_parts([line(5, 0.3), line(10, 0.3, mask="abcdef0123")])[0][0].title
    assert history_parts([]) == []
