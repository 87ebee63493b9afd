"""What was bought comes back into a pool: into the view of the source as the source had it, or into a raw column."""

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data.files import read_json
from modest.data.purchases import FILE, KIND, add_purchase, fill_in, ordered, read_bought
from modest.data.rounds import find_rounds
from modest.types import Choice


@pytest.fixture
def source():
    rng = np.random.default_rng(0)
    return {"image": rng.normal(size=(12, 3)) + 5.0, "sound": rng.normal(size=(12, 2)) * 4.0 - 7.0}


@pytest.fixture(params=[False, True], ids=["as given", "standardised"])
def pool(source, request, tmp_path):
    holed = {name: array.copy() for name, array in source.items()}
    holed["sound"][[2, 5, 7]] = np.nan
    return modest.ingest(holed, tmp_path / "pool", standardise=request.param)


def chosen(pool, rows):
    return Choice(np.array(rows), np.linspace(1, 0, len(rows)), pool.ids[rows], "buy/gain", ("why",) * len(rows))


def test_features_are_put_where_they_lack_in_the_scale_of_the_view(pool, source):
    before = {name: np.array(array) for name, array in pool.views().arrays.items()}
    assert fill_in(pool, "sound", source["sound"][[5, 2]], pool.ids[[5, 2]]) == 2
    again = modest.open(pool.path)
    views = again.views()
    assert views.present[:, 1].tolist() == [k != 7 for k in range(12)]
    assert again.present.tolist() == views.present.tolist()
    old = [k for k in range(12) if k not in (2, 5)]
    np.testing.assert_array_equal(views.arrays["sound"][old], before["sound"][old])
    np.testing.assert_array_equal(views.arrays["image"], before["image"])
    # one affine map leads from the source to the view, for rows that came first and rows that were bought
    first, there = [0, 1, 3, 4], [k for k in range(12) if k != 7]
    for given, stored in zip(source["sound"].T, views.arrays["sound"].T):
        slope, shift = np.polyfit(given[first], stored[first], 1)
        assert stored[there] == pytest.approx(slope * given[there] + shift, abs=1e-5)
    fill_in(again, "sound", source["sound"][[7]], again.ids[[7]])
    assert modest.open(pool.path).present.all()
    about = read_json(pool.path / "views" / "sound" / "given.json")
    assert (about["bought"], about["absent"]) == (3, 0), "of both purchases"


def test_a_row_of_zeros_is_no_value(source, tmp_path):
    source["sound"][2] = np.nan
    pool = modest.ingest(source, tmp_path / "pool")
    with pytest.raises(ValueError, match="zero throughout"):
        fill_in(pool, "sound", np.zeros((1, 2)), pool.ids[[2]])


def test_raw_values_go_into_the_raw_column(tmp_path):
    texts, labels = ["one", None, "three"], ["x", "y", "x"]
    frame = pd.DataFrame({"id": ["a", "b", "c"], "text": texts, "note": ["-"] * 3, "label": labels})
    pool = modest.ingest(frame, tmp_path / "pool")
    assert fill_in(pool, "text", ["two"], ["b"]) == 1
    again = modest.open(pool.path)
    assert again.table["text"].tolist() == ["one", "two", "three"]
    assert again.labels.tolist() == ["x", "y", "x"]
    for values, ids, said in ((["new"], ["a"], "has text already"), ([""], ["b"], "is empty")):
        with pytest.raises(ValueError, match=said):
            fill_in(again, "text", values, ids)
    with pytest.raises(ValueError, match="no raw column 'label'"):
        fill_in(again, "label", ["z"], ["a"])


def test_a_round_of_its_own_kind_says_what_to_get(pool):
    number = add_purchase(pool, chosen(pool, [5, 2]), "sound")
    again = modest.open(pool.path)
    assert again.rounds == (), "rounds of labels know nothing of it"
    (found,) = find_rounds(pool.path, KIND)
    assert (found.number, found.manifest["modality"], found.manifest["items"]) == (number, "sound", 2)
    listed = pd.read_csv(found.path / FILE, dtype=str, keep_default_na=False)
    assert listed["id"].tolist() == pool.ids[[5, 2]].tolist()
    assert listed["value"].tolist() == ["", ""]
    assert np.flatnonzero(ordered(again, "sound")).tolist() == [2, 5]
    assert not ordered(again, "image").any()


def test_files_are_read_back(pool, tmp_path):
    add_purchase(pool, chosen(pool, [5, 2]), "sound")
    listed = pd.read_csv(pool.path / "rounds" / "1" / FILE, dtype=str, keep_default_na=False)
    listed.loc[1, "value"] = "two.wav"
    listed.to_csv(tmp_path / "filled.csv", index=False)
    assert read_bought(tmp_path / "filled.csv", "sound") == (["two.wav"], [pool.ids[2]])
    np.savez(tmp_path / "came.npz", id=np.array(["x"]), sound=np.ones((1, 2)))
    values, ids = read_bought(tmp_path / "came.npz", "sound")
    assert (values.tolist(), ids) == ([[1.0, 1.0]], ["x"])
    with pytest.raises(ValueError, match="has no 'smell'"):
        read_bought(tmp_path / "came.npz", "smell")
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_bought(tmp_path / "gone.csv", "sound")


@pytest.mark.parametrize(
    ("values", "rows", "said"),
    [
        (np.ones((1, 2)), [0], "has sound already"),
        (np.ones((1, 3)), [2], "has 2 features"),
        (np.ones((2, 2)), [2], "one value per item"),
        (np.ones((2, 2)), [2, 2], "comes twice"),
        (np.array([[1.0, np.nan]]), [2], "holds NaN"),
        (np.array([[1.0, np.inf]]), [2], "holds NaN or inf"),
    ],
)
def test_what_is_refused_changes_nothing(pool, values, rows, said):
    before = {p: p.read_bytes() for p in (pool.path / "views").rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=said):
        fill_in(pool, "sound", values, pool.ids[rows])
    with pytest.raises(ValueError, match="is not in the pool"):
        fill_in(pool, "sound", np.ones((1, 2)), ["nobody"])
    with pytest.raises(ValueError, match="no view that came with the source"):
        fill_in(pool, "smell", np.ones((1, 2)), pool.ids[[2]])
    assert before == {p: p.read_bytes() for p in (pool.path / "views").rglob("*") if p.is_file()}
