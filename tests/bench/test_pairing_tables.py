"""Tables of the pairing bench against numbers worked by hand."""

import numpy as np
import pandas as pd
import pytest

from modest.bench import pairing
from modest.evaluation import curve


def frame():
    rows = []
    for seed in (0, 1):
        for method, scores in {"random": [0.1, 0.2, 0.4], "good": [0.1, 0.4, 0.6], "bad": [0.1, 0.1, 0.2]}.items():
            for number, score in enumerate(scores):
                pairs = 10 * (number + 1) - (method == "bad" and number == 1) * seed
                row = {"set": "toy", "setting": "pool", "learner": "ridge", "method": method, "seed": seed}
                row |= {"round": number, "asked": 10 * (number + 1), "pairs": pairs, "cost": pairs, "evaluations": 5.0}
                row |= {"group": score + 0.02 * seed, "radius:a": 1.0 if number else np.nan, "auroc:a": 0.5}
                row |= {"asked:a": 10 if method == "good" else 4, "asked:b": 0 if method == "good" else 6}
                rows.append(row)
    return pd.DataFrame(rows)


def test_areas_and_savings_by_hand():
    told = pairing.areas(frame(), "group").set_index("method")
    assert told.loc["random", "area"] == pytest.approx((0.15 + 0.3) / 2 + 0.01)
    assert told.loc["good", "area"] == pytest.approx((0.25 + 0.5) / 2 + 0.01)
    assert told.loc["good", "less"] == pytest.approx(0.15)
    assert told.loc["good", "saving"] == pytest.approx(1 - 20 / 30)
    assert told.loc["good", "reached"] == 2
    assert np.isnan(told.loc["bad", "saving"])
    assert told.loc["bad", "reached"] == 0
    assert told["tied"].to_dict() == {"random": False, "good": True, "bad": False}


def test_areas_are_over_the_pairs_all_methods_have():
    some = frame()
    some.loc[some["method"] == "random", "pairs"] -= 5
    told = pairing.areas(some, "group").set_index("method")
    mean = np.mean([np.interp([10, 15, 25], [5, 15, 25], [0.1 + e, 0.2 + e, 0.4 + e]) for e in (0, 0.02)], axis=0)
    assert told.loc["random", "area"] == pytest.approx((5 * mean[:2].mean() + 10 * mean[1:].mean()) / 15)


def test_a_round_without_a_pair_is_no_point_of_its_own():
    some = frame()
    some.loc[(some["method"] == "good") & (some["round"] == 1), "pairs"] = 10
    assert pairing.areas(some, "group").set_index("method").loc["good", "area"] == pytest.approx((0.4 + 0.6) / 2 + 0.01)


def test_summary_and_grid():
    told = pairing.summarise(frame(), "group")
    last = told[(told["round"] == 2) & (told["method"] == "good")].iloc[0]
    interval = curve([0.6, 0.62])
    want = (0.61, float(interval.low), float(interval.high), 2)
    assert (last["mean"], last["low"], last["high"], last["seeds"]) == pytest.approx(want)
    assert set(told[told["tied"] & (told["round"] == 2)]["method"]) == {"good"}
    wide = pairing.grid(frame(), "group", ("good", "random"))
    assert wide["method"].tolist() == ["good", "random", "bad"]
    assert wide.columns.tolist() == ["method", 10, 20, 30]
    assert wide.loc[0, 30] == "61.0 [60.1, 61.9]*"
    text = pairing.verdict(frame(), "group")
    assert text.set_index("method").loc["bad", "saving"] == "never"
    assert text.set_index("method").loc["good", "saving"].startswith("+33 %, 2 of 2")
    with pytest.raises(ValueError, match="no column"):
        pairing.summarise(frame(), "beauty")


def test_without_random_there_is_nothing_to_compare_with():
    told = pairing.areas(frame()[lambda f: f["method"] != "random"], "group")
    assert told["less"].isna().all()
    assert "less random" in pairing.verdict(frame()[lambda f: f["method"] != "random"], "group")


def test_diagnostics_and_sides():
    told = pairing.diagnostics(frame())
    assert len(told) == 9
    assert told["radius:a"].isna().sum() == 3
    share = pairing.rounds_per_side(frame()).set_index("method")
    assert share.loc["good", "asked:a"] == 1.0
    assert share.loc["random", "asked:b"] == pytest.approx(0.6)
