import json

import numpy as np
import pytest

from modest import bench
from modest.bench.cell import Arena
from modest.bench.sets import prepare
from modest.data.masks import kept_one
from modest.data.presence import missing_mask
from tests.bench.sample import table


def protocol(out, **changes):
    base = {"methods": ("random", "kcenter"), "budgets": (0.05, 0.1), "seeds": 2}
    return bench.Protocol(**{"pool": {"toy": table()}, "out": out, **base, **changes})


def contents(folder):
    """Every file but seconds and the lock."""
    paths = [p for p in folder.rglob("*") if p.is_file() and p.parent.name != "timings"]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "out"
    return folder, list(bench.run(protocol(folder)))


def test_plan_comes_first_then_one_record_per_cell(finished):
    _, records = finished
    assert [r.stage for r in records] == ["plan", *["cell"] * 8]
    assert records[0].values["cells"] == 8
    assert records[0].values["seconds"] >= 0
    assert [r.epoch for r in records[1:]] == list(range(1, 9))


def test_results_hold_each_cell_once_sorted(finished):
    folder, records = finished
    frame = bench.results(folder)
    keys = frame[["set", "missing", "learner", "method", "items", "seed"]]
    assert len(keys.drop_duplicates()) == len(frame) == 8
    assert keys.equals(keys.sort_values(list(keys.columns), ignore_index=True))
    by_key = {(r.values["method"], r.values["items"], r.values["seed"]): r.values for r in records[1:]}
    for row in frame.to_dict("records"):
        assert row["accuracy"] == by_key[row["method"], row["items"], row["seed"]]["accuracy"]
        assert row["rows"] == 24
        assert row["audio:rows"] == row["audio:rows"] <= 24


def test_choices_are_training_rows_of_the_subsample(finished):
    folder, _ = finished
    ground = prepare("toy", table())
    train = set(ground.views.ids[ground.pool].tolist())
    for path in (folder / "choices").glob("*.json"):
        ids = json.loads(path.read_text())["ids"]
        assert len(ids) == len(set(ids)) == int(path.stem.split("~")[-1])
        assert set(ids) <= train


def test_running_again_does_nothing_and_keeps_the_bytes(finished):
    folder, _ = finished
    before = contents(folder)
    again = list(bench.run(protocol(folder)))
    assert [r.stage for r in again] == ["plan"]
    assert again[0].values["finished"] == 8
    assert contents(folder) == before


@pytest.mark.parametrize("stop", [0, 1, 3, 6])
def test_stopping_and_going_on_ends_in_the_same_bytes(finished, tmp_path, stop):
    folder, _ = finished
    running = bench.run(protocol(tmp_path / "out"))
    for _ in range(stop):
        next(running)
    running.close()
    (tmp_path / "out").mkdir(exist_ok=True)
    for record in bench.run(protocol(tmp_path / "out")):
        assert record.stage in ("plan", "cell")
    assert contents(tmp_path / "out") == contents(folder)


def test_another_protocol_or_other_data_in_the_same_folder_is_refused(finished):
    folder, _ = finished
    before = contents(folder)
    with pytest.raises(ValueError, match=r"seeds.*another folder"):
        list(bench.run(protocol(folder, seeds=3)))
    with pytest.raises(ValueError, match="content_hash"):
        list(bench.run(protocol(folder, pool={"toy": table(seed=1)})))
    assert contents(folder) == before


def test_two_runs_do_not_share_a_folder(tmp_path):
    first = bench.run(protocol(tmp_path / "out"))
    next(first)
    with pytest.raises(OSError, match="in use"):
        list(bench.run(protocol(tmp_path / "out")))
    first.close()


def test_left_over_partial_files_are_cleared(finished, tmp_path):
    folder, _ = finished
    (tmp_path / "out" / "cells").mkdir(parents=True)
    (tmp_path / "out" / "cells" / ".x.json.partial").write_text("{")
    list(bench.run(protocol(tmp_path / "out")))
    assert contents(tmp_path / "out") == contents(folder)


def test_a_selection_is_computed_once_for_all_learners(tmp_path, monkeypatch):
    calls = []
    plain = Arena.choose
    monkeypatch.setattr(Arena, "choose", lambda self, *a: calls.append(a) or plain(self, *a))
    changes = {"learner": ("probe", "late"), "classifier": {"epochs": 2}, "seeds": 1}
    records = list(bench.run(protocol(tmp_path / "out", **changes)))
    assert len(records) == 1 + 8
    assert len(calls) == 4
    frame = bench.results(tmp_path / "out")
    assert frame.groupby(["method", "items"])["choice"].nunique().eq(1).all()


def test_seeds_redraw_the_subsample_but_not_the_test_rows(tmp_path):
    ground, plan = prepare("toy", table()), protocol(tmp_path)
    one, two = Arena(ground, plan, 0.0, 0), Arena(ground, plan, 0.0, 1)
    assert len(one.rows) == len(two.rows) == 76
    assert set(one.rows) != set(two.rows)
    assert set(one.rows) <= set(ground.pool)
    np.testing.assert_array_equal(one.test.ids, two.test.ids)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_taking_modalities_away_only_takes_and_leaves_each_row_one(rate):
    rng = np.random.default_rng(0)
    own = rng.random((400, 3)) < 0.85
    own[~own.any(axis=1), 0] = True
    ids = np.arange(400).astype(str)
    left = kept_one(own, missing_mask(*own.shape, rate, 0, ids.tolist()), 0, ids)
    assert not (left & ~own).any()
    assert left.any(axis=1).all()
    gone = 1 - left.sum() / own.sum()
    assert rate - 0.08 <= gone <= rate + 0.03
    order = rng.permutation(400)
    again = kept_one(own[order], missing_mask(*own.shape, rate, 0, ids[order].tolist()), 0, ids[order])
    np.testing.assert_array_equal(again, left[order])


def test_missing_rates_lower_the_rows_a_modality_is_counted_on(tmp_path):
    changes = {"missing": (0.0, 0.5), "methods": ("random",), "budgets": (1.0,), "seeds": 1}
    list(bench.run(protocol(tmp_path / "out", **changes)))
    frame = bench.results(tmp_path / "out").set_index("missing")
    assert frame.loc[0.5, "image:rows"] < frame.loc[0.0, "image:rows"] == 24
    assert frame.loc[0.0, "mask"] != frame.loc[0.5, "mask"]


def test_a_read_only_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot write"):
        list(bench.run(protocol(tmp_path / "file" / "out")))


def test_the_number_of_processes_changes_no_byte(tmp_path):
    changes = {"learner": ("probe", "mla"), "classifier": {"epochs": 2}}
    alone = list(bench.run(protocol(tmp_path / "one", **changes)))
    many = list(bench.run(protocol(tmp_path / "two", **changes), jobs=2))
    assert len(alone) == len(many) == 17
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_no_process_is_no_answer(tmp_path):
    with pytest.raises(ValueError, match="jobs=0"):
        next(bench.run(protocol(tmp_path / "out"), jobs=0))
