import numpy as np
import pandas as pd
import pytest

from modest import bench
from modest.evaluation import curve


def frame():
    rows = []
    for method, base in (("a", 0.5), ("b", 0.7), ("c", 0.7)):
        for items in (10, 20):
            for seed in range(3):
                accuracy = base + 0.01 * seed + items / 1000
                rows.append(("s", 0.0, "probe", method, items, seed, accuracy))
    columns = ["set", "missing", "learner", "method", "items", "seed", "accuracy"]
    return pd.DataFrame(rows, columns=columns)


def test_summary_is_the_curve_of_each_group():
    table = frame()
    got = bench.summarise(table).set_index(["method", "items"])
    for (method, items), own in table.groupby(["method", "items"]):
        expected = curve(own["accuracy"].to_numpy())
        assert got.loc[(method, items), "mean"] == pytest.approx(float(expected.mean))
        assert got.loc[(method, items), "low"] == pytest.approx(float(expected.low))
        assert got.loc[(method, items), "seeds"] == 3


def test_best_and_tied_are_marked():
    marks = bench.best(frame()).groupby("method")["tied"].all()
    assert marks.to_dict() == {"a": False, "b": True, "c": True}
    wide = bench.grid(frame(), order=("c",))
    assert wide["method"].tolist() == ["c", "a", "b"]
    assert list(wide.columns) == ["method", 10, 20]
    cells = dict(zip(wide["method"], wide[10]))
    assert cells["b"].endswith("*")
    assert not cells["a"].endswith("*")
    assert cells["a"].startswith("52.0 [")
    assert "\n" in bench.text(wide, "title", {10: "ten"})
    assert "ten" in bench.text(wide, "title", {10: "ten"})


def test_what_varies_besides_becomes_rows():
    two = pd.concat([frame(), frame().assign(missing=0.5, accuracy=lambda f: f["accuracy"] / 2)])
    wide = bench.grid(two)
    assert list(wide.columns) == ["missing", "method", 10, 20]
    assert len(wide) == 6


def test_an_unknown_metric_is_one_sentence():
    with pytest.raises(ValueError, match="metric='luck'"):
        bench.summarise(frame(), "luck")


def test_seeds_that_lack_a_method_are_not_compared():
    cut = frame()
    cut = cut[~((cut["method"] == "a") & (cut["seed"] == 2))]
    assert np.all(bench.best(cut)["method"].value_counts() == 2)
