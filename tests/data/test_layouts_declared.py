"""A data set that its own ``layout.yaml`` declares."""

import json
import sys
from collections import Counter

import pytest

import modest
from modest.data.layouts import LAYOUTS

pytest.importorskip("yaml", reason="PyYAML is not installed")
PLAN = r"""
name: speeches
modalities:
  audio: wav/{speaker}/{id}.wav
  text: "column:words"
labels:
  file: lists/all.csv
  id: clip
  label: emotion
classes: {N: neutral, no: angry}
group: "(\\d{4})_.*"
splits: {column: group, test: [0002], val: 0003}
"""
ROWS = (
    '\ufeffclip,speaker,emotion,words\r\n0001_a,x,N,"well, now"\r\n0001_b,x,no,\r\n0002_a,y,N,two\r\n'
    "0003_a,y,no,three\r\n0003_b,y,Q,left out\r\n"
)


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def speeches(tmp_path):
    put(tmp_path, {"layout.yaml": PLAN, "lists/all.csv": ROWS})
    put(tmp_path, {f"wav/{name}.wav": b"sound" for name in ("x/0001_a", "y/0002_a")})
    return tmp_path


def test_declared_folder(speeches):
    frame = LAYOUTS["declared"].read(speeches)
    assert frame.columns.tolist() == ["id", "audio", "text", "group", "label", "split"]
    rows = frame[["id", "text", "group", "label", "split"]].to_numpy().tolist()
    assert rows == [
        ["0001_a", "well, now", "0001", "neutral", "train"],
        ["0002_a", "two", "0002", "neutral", "test"],
        ["0003_a", "three", "0003", "angry", "val"],
    ]
    assert frame["audio"][0] == str(speeches.resolve() / "wav/x/0001_a.wav")
    assert frame.attrs["missing"] == ["0001_b"]
    assert frame.attrs["lost"] == {"audio": 2, "text": 1}
    assert frame.attrs["classes"] == ["neutral", "angry"]
    assert frame.attrs["notes"] == [
        "speeches is read as its layout.yaml declares it, which is unverified.",
        "1 rows of classes that it does not name are left out.",
    ]
    pool = modest.ingest(speeches, speeches / "pool", layout="declared")
    assert pool.config["notes"][0].endswith("which is unverified.")
    assert pool.table["group"].tolist() == ["0001", "0002", "0003"]


@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_other_lists_shares_by_group_and_frames(tmp_path, ending):
    if ending == "tsv":
        labels = "labels: {file: all.tsv, header: [id, label, who]}"
        rows = "".join(f"{k}\t{'ab'[k % 2]}\tw{k // 10}\n" for k in range(100))
    else:
        labels = "labels: {file: all.jsonl}"
        told = [{"id": k, "label": "ab"[k % 2], "who": f"w{k // 10}"} for k in range(100)]
        rows = "".join(f"{json.dumps(row)}\n" for row in told)
    rest = "classes: [b, a]\ngroup: column:who\nsplits: {test: 0.2, val: 0.2}"
    plan = f"modalities: {{video: 'frames/{{id}}/'}}\n{labels}\n{rest}"
    put(tmp_path, {"layout.yaml": plan, f"all.{ending}": rows})
    put(tmp_path, {f"frames/{k}/1.jpg": b"picture" for k in range(99)})
    frame = LAYOUTS["declared"].read(tmp_path)
    assert frame.attrs["missing"] == ["99"]
    assert frame["video"][0].endswith("frames/0/")
    assert frame.attrs["classes"] == ["b", "a"]
    counts = Counter(frame["split"])
    assert (counts["test"], counts["val"]) in {(20, 20), (19, 20), (20, 19)}
    assert all(len(set(frame[frame["group"] == who]["split"])) == 1 for who in set(frame["group"]))


def test_shares_are_of_all_rows(tmp_path):
    rows = "id,label,words\n" + "".join(f"{k},{'ab'[k % 2]},said\n" for k in range(100))
    plan = "modalities: {text: 'column:words'}\nlabels: {file: all.csv}\nsplits: {test: 0.2, val: 0.2}"
    put(tmp_path, {"layout.yaml": plan, "all.csv": rows})
    frame = LAYOUTS["declared"].read(tmp_path)
    assert Counter(zip(frame["split"], frame["label"])) == {
        (split, label): count for split, count in (("train", 30), ("val", 10), ("test", 10)) for label in "ab"
    }


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (PLAN, "[", r"layout.yaml is no YAML"),
        (PLAN, "- a", r"layout.yaml holds no mapping"),
        ("name:", "title:", r"has the key 'title', which means nothing; known are classes, group"),
        ("modalities:", "classes:", r"layout.yaml has no modalities; write them as a mapping"),
        ("  audio: wav/{speaker}/{id}.wav", "  audio: wav", r"has no pattern for audio; write a file with {id} in it"),
        ("  audio:", "  label:", r"has the modality 'label', a name that is taken"),
        ("  file: lists/all.csv", "  where: x", r"names no file of labels"),
        ("lists/all.csv", "lists/none.csv", r"lists/none.csv, which layout.yaml names as the labels, is not there"),
        ("id: clip", "id: name", r"all.csv: labels have no column 'name' in item 1; their columns are clip, speaker"),
        ("wav/{speaker}", "wav/{actor}", r"\(modalities\): labels have no column 'actor'"),
        ("column:words", "column:said", r"\(modalities\): labels have no column 'said'"),
        ("{N: neutral, no: angry}", "[N, Q]", r"has the label 'no' in item 2; layout.yaml knows N, Q"),
        (r"(\\d{4})_.*", r"(\\d{5})_", r"finds no bracket in id '0001_a' \(item 1\)"),
        (r"(\\d{4})_.*", "(", r"which is no pattern"),
        (r'"(\\d{4})_.*"', "column:actor", r"\(group\): labels have no column 'actor'"),
        ("column: group", "column: part", r"\(splits\): labels have no column 'part'"),
        ("val: 0003", "val: 0002", r"has a value of group in two splits"),
        ("test: [0002], val: 0003", "", r"group of item 1 is '0001'; say under splits what it means"),
        ("{column: group,", "{by: group,", r"has splits that are not column, train, val, test"),
        ("column: group, test: [0002], val: 0003", "test: some", r"write test and val as shares, such as 0.2"),
    ],
)
def test_declarations_that_cannot_be_read(speeches, old, new, told):
    put(speeches, {"layout.yaml": PLAN.replace(old, new)})
    with pytest.raises(ValueError, match=told):
        LAYOUTS["declared"].read(speeches)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("clip,speaker,emotion,words\n0001_a,x,N\n", r"all.csv has 3 cells in row 2, not 4; quote its separators"),
        ("é".encode("latin-1"), r"all.csv is not UTF-8"),
    ],
)
def test_labels_that_cannot_be_read(speeches, rows, told):
    put(speeches, {"lists/all.csv": rows})
    with pytest.raises(ValueError, match=told):
        LAYOUTS["declared"].read(speeches)


def test_without_pyyaml_the_install_line_is_named(speeches, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ImportError, match=r"pip install 'modest\[data\]'"):
        LAYOUTS["declared"].read(speeches)
