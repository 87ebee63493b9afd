"""Bad input is one sentence that names the culprit, and leaves nothing behind."""

import os
import re

import numpy as np
import pandas as pd
import pytest

import modest

GOOD = np.arange(1.0, 13.0).reshape(4, 3)
IDS = np.array(["p", "q", "r", "s"])


def spoilt(row, column, value):
    x = GOOD.copy()
    x[row, column] = value
    return {"image": GOOD, "audio": x, "id": IDS}


CASES = {
    "nan": (spoilt(2, 1, np.nan), r"audio has NaN in row 'r'"),
    "inf": (spoilt(1, 0, np.inf), r"audio has inf in row 'q'"),
    "too large for float32": (spoilt(1, 0, 1e300), r"audio has inf in row 'q'"),
    "zero": (spoilt(3, slice(None), 0.0), r"audio is zero throughout in row 's'"),
    "rows": ({"image": GOOD, "audio": GOOD[:3]}, r"image has 4, audio has 3"),
    "column rows": ({"image": GOOD, "note": ["x"]}, r"note has 1 rows"),
    "duplicate ids": ({"image": GOOD, "id": ["p", "q", "p", "s"]}, r"id 'p' twice"),
    "missing id": ({"image": GOOD, "id": np.array(["p", None, "r", "s"], dtype=object)}, r"no id in row 1"),
    "nothing there": (
        {"image": np.where(np.arange(4)[:, None] == 2, np.nan, GOOD), "id": IDS},
        r"item 'r' has no modality",
    ),
    "split": ({"image": GOOD, "split": ["train", "test", "later", "train"]}, r"'later'"),
    "objects": ({"image": GOOD, "what": np.array([{}, {}, {}, {}], dtype=object)}, r"column 'what' holds dict"),
    "text view": ({"image": np.array([["a", "b"]] * 4)}, r"image holds <U1"),
    "no items": ({"image": GOOD[:0]}, r"no items"),
    "odd name": ({"a/b": GOOD}, r"a/b"),
}


@pytest.mark.parametrize("case", CASES)
def test_spoilt_arrays(case, tmp_path):
    source, match = CASES[case]
    with pytest.raises(ValueError, match=match) as caught:
        modest.ingest(source, tmp_path / "pool")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_column_asked_for_must_be_there(tmp_path):
    pd.DataFrame({"name": IDS, "x": list(GOOD)}).to_parquet(tmp_path / "t.parquet")
    for option in ("id", "label", "split"):
        with pytest.raises(ValueError, match="no column 'nope'"):
            modest.ingest(tmp_path / "t.parquet", tmp_path / "pool", **{option: "nope"})
    with pytest.raises(ValueError, match="nothing called 'nope'"):
        modest.ingest(tmp_path / "t.parquet", tmp_path / "pool", views={"x": "nope"})
    with pytest.raises(ValueError, match="no column 'nope'"):
        modest.ingest(tmp_path / "t.parquet", tmp_path / "pool", columns=["nope"])
    with pytest.raises(ValueError, match="standardise names 'nope'"):
        modest.ingest(tmp_path / "t.parquet", tmp_path / "pool", standardise=["nope"])
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.parquet", "x.csv", "x.zip"])
@pytest.mark.parametrize("share", [0.0, 0.02, 0.9])
def test_truncated_files_are_named(name, share, tmp_path):
    path = tmp_path / name
    if name == "x.npy":
        np.save(path, np.ones((500, 3)))
    elif name == "x.npz":
        np.savez(path, image=np.ones((500, 3)))
    elif name == "x.parquet":
        pd.DataFrame({"id": np.arange(500), "x": list(np.ones((500, 3)))}).to_parquet(path)
    elif name == "x.csv":
        path.write_text('id,x\n"' + "a" * 500)
    else:
        path.write_bytes(b"PK" * 200)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=re.escape(name)) as caught:
        modest.ingest(path, tmp_path / "pool")
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_features_of_other_items_are_refused(tmp_path):
    np.savez(tmp_path / "f.npz", image=GOOD, id=np.array(["u", "v", "w", "x"]))
    np.savez(tmp_path / "g.npz", image=GOOD, id=np.array(["p", "p", "q", "r"]))
    for name, match in (("f", "shares no id"), ("g", "'p' twice")):
        with pytest.raises(ValueError, match=match):
            modest.ingest({"id": IDS}, tmp_path / "pool", views={"image": str(tmp_path / f"{name}.npz")})


def test_unknown_sources(tmp_path):
    (tmp_path / "x.doc").write_text("x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "two" / name).write_text("id\n1\n")
    with pytest.raises(ValueError, match="no reader"):
        modest.ingest(tmp_path / "x.doc", tmp_path / "pool")
    with pytest.raises(ValueError, match="holds no table"):
        modest.ingest(tmp_path / "empty", tmp_path / "pool")
    with pytest.raises(ValueError, match=r"several tables \(a.csv, b.csv\)"):
        modest.ingest(tmp_path / "two", tmp_path / "pool")
    with pytest.raises(FileNotFoundError, match="not there"):
        modest.ingest(tmp_path / "nowhere.csv", tmp_path / "pool")
    with pytest.raises(TypeError, match="int"):
        modest.ingest(3, tmp_path / "pool")


def test_folders_in_the_way(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="holds other files"):
        modest.ingest({"image": GOOD}, tmp_path / "full")
    with pytest.raises(ValueError, match="is a file"):
        modest.ingest({"image": GOOD}, tmp_path / "file")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]


def test_a_read_only_folder_is_one_sentence(tmp_path):
    modest.ingest({"image": GOOD}, tmp_path / "warm")  # everything is imported before the rights are given up
    locked = tmp_path / "locked"
    locked.mkdir()
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    locked.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        for into in (locked / "pool", locked):
            with pytest.raises(OSError, match="may not be written to") as caught:
                modest.ingest({"image": GOOD}, into)
            assert "\n" not in str(caught.value)
        with pytest.raises(OSError, match="may not be written to"):
            modest.ingest({"image": GOOD}, locked / "deep" / "pool")
    finally:
        if user == 0:
            os.seteuid(0)
        locked.chmod(0o755)
    assert list(locked.iterdir()) == []
