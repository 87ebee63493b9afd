"""The mean of 38 against hand sums, later lines, and files that are not whole."""

import json

import pytest

from modest.evaluation import datacomp
from modest.evaluation.datacomp import RETRIEVAL, SHIFTS, TASKS, VTAB


def line(name, value, key=None):
    return json.dumps({"key": key or f"k/{name}", "dataset": name, "metrics": {"acc1": 0.0, "main_metric": value}})


def written(tmp_path, lines):
    path = tmp_path / "eval_results.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def whole():
    unscored = [line(name, None) for name in ("FairFace", "UTKFace")]
    return [*(line(name, k / 100) for k, name in enumerate(TASKS)), *unscored]


def test_averages_are_plain_means(tmp_path):
    got = datacomp(written(tmp_path, whole()))
    place = {name: k / 100 for k, name in enumerate(TASKS)}
    assert got.average == pytest.approx(sum(range(38)) / 3800)
    assert got.imagenet == 0.0
    for value, names, size in ((got.shifts, SHIFTS, 6), (got.vtab, VTAB, 13), (got.retrieval, RETRIEVAL, 3)):
        assert len(names) == size
        assert value == pytest.approx(sum(place[name] for name in names) / size)
    assert dict(got.tasks) == place


def test_the_last_line_of_a_key_counts(tmp_path):
    before, after = line("MNIST", 0.9), line("MNIST", 0.1)
    rest = [told for told in whole() if '"MNIST"' not in told]
    assert datacomp(written(tmp_path, [before, *rest, after])).tasks["MNIST"] == 0.1
    with pytest.raises(ValueError, match=r"37 tasks.*lacks MNIST"):
        datacomp(written(tmp_path, [before, *rest, line("MNIST", None)]))


def test_it_names_what_is_missing_and_what_is_too_much(tmp_path):
    lines = [told for told in whole() if '"SVHN"' not in told and '"GeoDE"' not in told]
    with pytest.raises(ValueError, match=r"36 tasks.*lacks SVHN, GeoDE"):
        datacomp(written(tmp_path, lines))
    with pytest.raises(ValueError, match=r"39 tasks.*besides FairFace"):
        datacomp(written(tmp_path, [*whole(), line("FairFace", 0.5)]))
    with pytest.raises(ValueError, match="MNIST under two keys"):
        datacomp(written(tmp_path, [*whole(), line("MNIST", 0.5, "other")]))


@pytest.mark.parametrize(
    "told", ['{"key": 1', '{"key": "a", "dataset": "b"}', "[]", '{"key":"a","dataset":"b","metrics":3}']
)
def test_a_line_that_is_no_result_is_named(tmp_path, told):
    with pytest.raises(ValueError, match="line 41 is no result"):
        datacomp(written(tmp_path, [*whole(), told]))
