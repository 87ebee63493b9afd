"""The paper's printed numbers as typed, and what its table generator makes of cells."""

import argparse

import numpy as np
import pandas as pd
import pytest

from benchmarks import paper_printed as printed
from benchmarks import paper_table
from benchmarks.paper import path_of, predicted, write
from benchmarks.paper_cells import EXTRA, FIELDS, SETS, WAYS


def test_the_printed_tables_hang_together():
    for told in (printed.SUPERVISED, printed.SEMI_SUPERVISED, printed.ALIGN, printed.SECONDS):
        assert {len(cells) for cells in told.values()} == {12}
    assert printed.ALIGN["0"] == printed.SUPERVISED["mmcsal-proto"]  # as its text says
    assert printed.ALIGN["1"] == printed.SUPERVISED["mmcsal-final"]
    last, before = printed.SUPERVISED["mmcsal-final"], printed.SUPERVISED["activeft"]
    gaps = [round(printed.mean(a) - printed.mean(b), 1) for a, b in zip(last, before)]
    assert gaps == [2.2, 1.1, 0.8, 0.6, 0.4, 0.6, 1.5, 0.9, 0.5, 0.7, 0.9, 0.7]
    assert set(printed.SUPERVISED) == set(paper_table.ROWS)
    assert set(printed.SEMI_SUPERVISED) == set(paper_table.IN_TABLE_2)
    assert set(printed.ALIGN) == set(paper_table.OF_LAMBDA)
    for name in ("badge", "bmmal", "gcnal", "alfamix"):
        assert WAYS[name].warm
        assert [printed.SUPERVISED[name][4 * k] for k in range(3)] == ["-"] * 3


def test_an_ablation_differs_from_the_next_in_one_thing():
    proto, align, final, plain = (WAYS[n] for n in ("mmcsal-proto", "mmcsal-align", "mmcsal-final", "activeft"))
    assert (proto.space, align.space, final.space, plain.space) == ("with", "without", "with", "without")
    assert proto.knobs["align"] == "none"
    assert align.knobs == final.knobs
    assert [WAYS[name].knobs["lambda_align"] for name in EXTRA] == [0.25, 0.5, 2.0]


def cells(into, seeds=(0, 1)):
    """Final is a point ahead of everything, kcenter far behind; a choice takes only what is least confident."""
    level = {"mmcsal-final": 0.51, "kcenter": 0.2}
    for seed in seeds:
        for method, way in WAYS.items():
            rows = []
            for k, budget in enumerate(printed.BUDGETS):
                for setting in ("supervised", "semi_supervised"):
                    row = dict.fromkeys(FIELDS, 0) | {"set": "emoji", "seed": seed, "setting": setting}
                    row |= {"learner": "probe", "method": method, "budget": budget, "items": 11 * (k + 1), "least": 5}
                    row |= {"accuracy": level.get(method, 0.5) + 0.02 * seed, "cell_seconds": 6.0, "choice": "a"}
                    rows += [row] if k or not way.warm else []
            write(path_of(into, "emoji", seed, method), rows)


def test_tables_mark_what_is_tied_and_pair_by_seed(tmp_path, capsys):
    cells(tmp_path)
    args = argparse.Namespace(into=tmp_path, csv=tmp_path / "all.csv", figures=str(tmp_path / "bars"))
    paper_table.told(args)
    text = capsys.readouterr().out
    row = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("| ")}
    lines = [line for line in text.splitlines() if line.startswith("| mmcsal-final | **52.0 [51.1, 52.9]**")]
    assert len(lines) == 2  # tables 1 and 2
    assert "**21.0" not in text
    assert "| kcenter | +31.0 [+31.0, +31.0] |" in text
    assert "| badge | - | 51.0 [50.1, 51.9] |" in text
    assert row["| 0.25"].startswith("| 0.25 |")
    assert (tmp_path / "bars-emoji.png").is_file()
    assert len(pd.read_csv(tmp_path / "all.csv")) == 2 * 2 * (4 * len(WAYS) - 4)


def test_a_paired_difference_leaves_out_what_one_side_lacks():
    frame = pd.DataFrame(
        [
            {"set": "emoji", "method": m, "budget": b, "seed": s, "accuracy": a}
            for m, b, s, a in (("a", "1 %", 0, 0.9), ("a", "2 %", 0, 0.5), ("b", "2 %", 0, 0.4), ("a", "2 %", 1, 0.1))
        ]
    )
    assert paper_table.over_budgets(frame, "emoji", "a", "b") == "+10.0"
    assert paper_table.over_budgets(frame, "emoji", "b", "c") == "-"


def test_the_prediction_counts_what_is_left(tmp_path):
    cells(tmp_path, seeds=(0,))
    args = argparse.Namespace(into=tmp_path, workers=2)
    assert predicted(args, [("emoji", 0)]) == 0
    np.testing.assert_allclose(predicted(args, [("emoji", 0), ("emoji", 1)]), 6 * len(WAYS) / 60 / 2)
    assert predicted(args, [(name, 1) for name in SETS]) > predicted(args, [("emoji", 1)])


def test_without_cells_the_table_says_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no cells"):
        paper_table.read(tmp_path)
