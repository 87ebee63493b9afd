"""MVSA-Single: two rules that make one label of two, lists, and tweets in whatever encoding."""

import io
import json

import pytest
from PIL import Image

import modest
from modest.data.decoding import read_image, read_text
from modest.data.layouts import LAYOUTS

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90000\n"
# id: text label, picture label
PAIRS = {
    "1": ("neutral", "positive"),
    "2": ("positive", "positive"),
    "3": ("negative", "neutral"),
    "4": ("positive", "negative"),
    "6": ("neutral", "neutral"),
    "9": ("negative", "negative"),
    "11": ("negative", "positive"),
}


def jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (90, 90, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def by_id(frame):
    return {row["id"]: row for row in frame.to_dict("records")}


def labels_file(pairs):
    return "\ufeffID\ttext,image\r\n" + "\r\n".join(f"{name}\t{text},{image}" for name, (text, image) in pairs.items())


def media(names):
    return {f"data/{k}.{end}": jpeg() if end == "jpg" else f"tweet {k}" for k in names for end in ("jpg", "txt")}


@pytest.fixture
def tweets(tmp_path):
    root = tmp_path / "MVSA_Single"
    put(root, {"labelResultAll.txt": labels_file(PAIRS), **media(PAIRS)})
    return tmp_path


def test_strict_rule(tweets):
    frame = LAYOUTS["mvsa"].read(tweets)
    assert frame.columns.tolist() == ["id", "image", "text", "label", "split"]
    assert {name: row["label"] for name, row in by_id(frame).items()} == {
        "2": "positive", "6": "neutral", "9": "negative",
    }  # fmt: skip
    assert frame.attrs["classes"] == ["positive", "neutral", "negative"]
    assert frame.attrs["notes"] == [
        "strict rule: 3 of 7 rows; 2 with one neutral label and 2 contradictory ones left out; "
        "the split is modest's own, stratified, by id."
    ]
    assert read_image(frame["image"][0]).shape == (6, 8, 3)
    assert read_text(frame["text"][0]) == "tweet 2"


def test_lenient_rule_is_an_option_and_called_unverified(tweets):
    frame = LAYOUTS["mvsa"].read(tweets, rule="lenient")
    assert {name: row["label"] for name, row in by_id(frame).items()} == {
        "1": "positive", "2": "positive", "3": "negative", "6": "neutral", "9": "negative",
    }  # fmt: skip
    assert frame.attrs["notes"] == [
        "lenient rule (told second-hand, unverified): 5 of 7 rows, 2 of them with one neutral label; 2 contradictory "
        "ones left out; the split is modest's own, stratified, by id."
    ]


def test_own_split_is_stratified_and_follows_ids(tmp_path):
    pairs = {str(k): (label, label) for k, label in enumerate(["positive"] * 50 + ["neutral"] * 20 + ["negative"] * 30)}
    put(tmp_path, {"labelResultAll.txt": labels_file(pairs), "data/0.txt": "only this"})
    listing = LAYOUTS["mvsa"].listing(tmp_path)
    counts = {}
    for row in listing.rows:
        counts[row["split"], row["label"]] = counts.get((row["split"], row["label"]), 0) + 1
    assert counts == {
        ("train", "positive"): 30, ("val", "positive"): 10, ("test", "positive"): 10,
        ("train", "neutral"): 12, ("val", "neutral"): 4, ("test", "neutral"): 4,
        ("train", "negative"): 18, ("val", "negative"): 6, ("test", "negative"): 6,
    }  # fmt: skip
    put(tmp_path, {"labelResultAll.txt": labels_file(dict(reversed(pairs.items())))})
    again = LAYOUTS["mvsa"].listing(tmp_path)
    assert {row["id"]: row["split"] for row in again.rows} == {row["id"]: row["split"] for row in listing.rows}


def test_tweets_in_other_encodings_absent_empty_and_pointers(tweets):
    folder = tweets / "MVSA_Single" / "data"
    (folder / "2.txt").write_bytes("caf\xe9 \u00a3".encode("latin-1"))
    (folder / "6.txt").write_bytes(b"")
    (folder / "9.jpg").write_bytes(POINTER)
    (folder / "9.txt").unlink()
    frame = LAYOUTS["mvsa"].read(tweets)
    found = by_id(frame)
    assert read_text(found["2"]["text"]) == "café £"
    assert (found["6"]["text"], found["6"]["image"] is None) == (None, False)
    assert frame.attrs["missing"] == ["9"]
    assert frame.attrs["lost"] == {"image": 1, "text": 2}
    assert ["pointers of Git LFS" in note for note in frame.attrs["notes"]] == [False, True, False]
    pool = modest.ingest(tweets, tweets / "pool", layout="mvsa")
    assert (len(pool), pool.config["lost"]) == (2, {"image": 1, "text": 2})
    assert (pool.path / "missing.txt").read_text() == "9\n"


def test_jsonl_lists_come_first(tweets):
    def line(name, label):
        told = {"id": name, "label": label, "text": f"told {name}", "img": f"data/{name}.jpg"}
        return json.dumps(told if name != "9" else {**told, "text": ""})

    parts = {"train": [line("2", "positive")], "dev": [line("6", "neutral")], "test": [line("9", "negative")]}
    put(tweets / "MVSA_Single", {f"{part}.jsonl": "\ufeff" + "\r\n".join(rows) for part, rows in parts.items()})
    frame = LAYOUTS["mvsa"].read(tweets)
    found = by_id(frame)
    assert [found[name]["split"] for name in ("2", "6", "9")] == ["train", "val", "test"]
    assert (found["2"]["text"], read_text(found["9"]["text"])) == ("told 2", "tweet 9")
    assert frame.attrs["notes"][0].startswith("labels and splits are those of the lists, which the strict rule made")
    assert "modest's own" in LAYOUTS["mvsa"].read(tweets, split="own").attrs["notes"][0]
    assert len(LAYOUTS["mvsa"].read(tweets, rule="lenient")) == 5
    put(tweets / "MVSA_Single", {"dev.jsonl": '{"id": "6"}'})
    with pytest.raises(ValueError, match=r"dev.jsonl is no list of id, label, text, img in row 1"):
        LAYOUTS["mvsa"].read(tweets)


def test_mla_lists(tmp_path):
    put(tmp_path, media(["4141", "7"]))
    put(tmp_path, {"my_train_mvsa.txt": "4141.jpg neutral\r\n8.jpg positive", "my_test_mvsa.txt": "7.jpg negative"})
    put(tmp_path, {"stat_mvsa.txt": "negative\nneutral\npositive"})
    frame = LAYOUTS["mvsa"].read(tmp_path)
    assert frame[["id", "label", "split"]].to_numpy().tolist() == [
        ["4141", "neutral", "train"], ["7", "negative", "test"],
    ]  # fmt: skip
    assert (frame.attrs["missing"], frame.attrs["classes"]) == (["8"], ["negative", "neutral"])
    put(tmp_path, {"my_test_mvsa.txt": "7.jpg angry"})
    with pytest.raises(ValueError, match=r"my_test_mvsa.txt has the label 'angry' in row 1; write one of posit"):
        LAYOUTS["mvsa"].read(tmp_path)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("5\tpositive,positive\tneutral,positive\tpositive,neutral", r"has 3 annotators in row 2, as MVSA-Multiple"),
        ("5\tpositive", r"has '5\\tpositive' in row 2, not ID, a tab, and two of positive, neutral, negative"),
        ("5\tgood,bad", r"has '5\\tgood,bad' in row 2"),
    ],
)
def test_labels_that_cannot_be_read(tmp_path, row, told):
    put(tmp_path, {"labelResultAll.txt": f"ID\ttext,image\n{row}\n", **media(["5"])})
    with pytest.raises(ValueError, match=told):
        LAYOUTS["mvsa"].read(tmp_path)


def test_options_that_need_a_file_which_is_not_there(tmp_path, tweets):
    with pytest.raises(ValueError, match=r"has no lists, which the options given need"):
        LAYOUTS["mvsa"].read(tweets, split="lists")
    (tweets / "MVSA_Single" / "labelResultAll.txt").unlink()
    with pytest.raises(ValueError, match=r"has no labelResultAll.txt, which the options given need"):
        LAYOUTS["mvsa"].read(tweets, rule="lenient")
    with pytest.raises(ValueError, match=r"no lists of the lenient rule"):
        LAYOUTS["mvsa"].read(tweets, rule="lenient", split="lists")
