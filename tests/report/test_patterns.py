"""Figures and sections on missing modalities hold the numbers they were given."""

import numpy as np
import pandas as pd
import pytest

from modest.evaluation.patterns import pattern_scores
from modest.report import html, imagination_figure, missing_parts, model_parts, pattern_figure
from modest.report.html import Page

NAMES = ("image", "text", "audio")


def patterns(n=300):
    rng = np.random.default_rng(0)
    present = rng.random((n, 3)) < 0.6
    found = pattern_scores(rng.integers(3, size=n), rng.dirichlet(np.ones(3), n), present, NAMES)
    return [one.plain() for one in found]


def imagined(errors):
    return [{"modality": "image", "seen": ["text", "audio"], "rows": 9, "error": error} for error in errors]


def test_bars_hold_accuracies_with_their_rows_and_intervals():
    given = patterns()
    left, right = pattern_figure(given).axes
    bars = [patch.get_width() for patch in left.patches]
    assert bars == pytest.approx([one["accuracy"] for one in given])
    names = [text.get_text().split("\n")[0] for text in left.get_yticklabels()]
    assert names == [" + ".join(one["names"]) for one in given]
    assert left.get_yticklabels()[2].get_text().endswith(f"{given[2]['rows']} rows")
    spans = left.collections[0].get_segments()
    np.testing.assert_allclose([(a[0], b[0]) for a, b in spans], [(one["low"], one["high"]) for one in given])
    every = sum(one["rows"] * one["accuracy"] for one in given) / sum(one["rows"] for one in given)
    dashed = next(line for line in left.lines if line.get_linestyle() == "--")
    assert dashed.get_xdata()[0] == pytest.approx(every)
    np.testing.assert_allclose(right.lines[0].get_xdata(), [one["ece"] for one in given])
    np.testing.assert_allclose(right.lines[1].get_xdata(), [one["ece_by_chance"] for one in given])


def test_errors_stand_at_their_place_or_at_the_edge_with_their_number():
    axes = imagination_figure(imagined([0.25, 1.5, 40.0, None, float("nan")])).axes[0]
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() in ("o", ">")]
    assert dots == [0.25, 1.5, 2.5]
    words = [text.get_text() for text in axes.texts]
    assert words == ["0.25", "1.50", "40.00", "too few rows", "too few rows"]
    assert axes.get_yticklabels()[0].get_text() == "image from text + audio"


def test_a_model_has_sections_by_split():
    rates = [{"rate": rate, "mean": 0.8 - rate, "low": 0.7 - rate, "high": 0.9 - rate} for rate in (0.0, 0.5)]
    full = {"patterns": patterns(), "rates": rates, "imagination": imagined([0.5]), "mask": {"sha256": "abcdef012345"}}
    parts = model_parts({"val": {"fused": {}}, "test": full, "train": {"patterns": patterns(50)}}, "mmin")
    assert [part.title for part in parts] == [
        "By presence pattern, test", "By missing rate, test", "Imagination, test", "By presence pattern, train"
    ]  # fmt: skip
    assert "abcdef012345" in parts[0].text
    np.testing.assert_allclose(parts[1].figure.axes[0].lines[0].get_ydata(), [0.8, 0.3])
    assert html(Page("p", "l", parts)).count("<svg") == 4
    with pytest.raises(ValueError, match="--patterns"):
        model_parts({"test": {"fused": {}}}, "mmin")


def test_a_bench_is_drawn_by_rate_in_accuracy_and_weighted_f1():
    rows = [
        {"set": "s", "missing": rate, "learner": learner, "method": "all", "items": 50, "seed": seed,
         "accuracy": 0.8 - rate, "weighted_f1": 0.7 - rate}
        for rate in (0.0, 0.25, 0.5) for learner in ("mla", "zero") for seed in range(2)
    ]  # fmt: skip
    first, second = missing_parts(pd.DataFrame(rows), " on s")
    assert (first.title, second.title) == ("When modalities are missing on s", "The same on s, weighted F1")
    np.testing.assert_allclose(first.figure.axes[0].lines[0].get_ydata(), [0.8, 0.55, 0.3])
    np.testing.assert_allclose(second.figure.axes[0].lines[0].get_ydata(), [0.7, 0.45, 0.2])
    assert second.figure.axes[0].get_ylabel() == "weighted F1 on the test rows"
    assert second.text.startswith("Weighted F1")
    assert "70.0" in second.table.to_string()
