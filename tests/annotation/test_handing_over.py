"""Questions and tags for other tools: files by URL, members unpacked, what a round asks, tags and uids."""

import csv
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree as Xml

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import modest
from modest.annotation.handing_over import to_label_studio
from modest.annotation.hosting import LOCAL, Hosting, column_kind
from modest.annotation.labels import add_labels
from modest.annotation.opinions import Opinion
from modest.annotation.tags import MORE, tags, uids
from modest.data.layouts.datacomp import read_subset
from modest.rounds.asking import ask
from tests.cli.test_pair import make

NAMES = (("config", "xml"), ("tasks", "json"))


def picture(path, k):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 3), (10 * k, 0, 0)).save(path)
    return path


@pytest.fixture
def pool(tmp_path):
    """Six pictures with captions and one round of four of them; "a" has a label, the name of the first has a blank."""
    paths = [picture(tmp_path / "media" / ("a 1&.png" if k == 0 else f"{k}.png"), k) for k in range(6)]
    frame = pd.DataFrame({"id": list("abcdef"), "image": list(map(str, paths)),
                          "text": ["<b>one</b>", None, "c.txt is no file", *"def"],
                          "label": ["cat", *[None] * 5]})  # fmt: skip
    opened = modest.ingest(frame.assign(x=[np.eye(6)[k] for k in range(6)]), tmp_path / "pool")
    opened.add(modest.select(opened.views(), 4, "kcenter", first=0))
    return opened


def written(handed):
    return Xml.parse(handed.files[0]).getroot(), json.loads(handed.files[1].read_text())


def test_a_round_of_labels(pool, tmp_path):
    handed = to_label_studio(pool)
    view, tasks = written(handed)
    open_ids = [name for name in pool.rounds[0].choice["id"] if name != "a"]
    assert [task["data"]["item_id"] for task in tasks] == open_ids
    assert handed.folder == tmp_path / "media"
    assert handed.root == tmp_path
    assert [one.get("value") for one in view.iter("Choice")] == ["cat", "cannot tell"]
    for task in tasks:
        place = handed.root / unquote(task["data"]["image"].removeprefix(LOCAL))
        assert str(place) == pool.table.set_index("id")["image"][task["data"]["item_id"]]
        assert "base64" not in json.dumps(task)
        assert {one.get("value")[1:] for one in view if one.tag in ("Image", "Text")} <= set(task["data"])


def test_urls(pool, tmp_path):
    odd = str(tmp_path / "media" / "a 1&.png")
    shown = Hosting([odd], tmp_path, "https://host/x/", tmp_path)
    assert shown.show(odd, "image") == "https://host/x/media/a%201%26.png"
    assert Hosting([odd], tmp_path).show(odd, "image") == LOCAL + "media/a%201%26.png"
    assert shown.show("https://elsewhere/1.png", "image") == "https://elsewhere/1.png"
    assert shown.show("a <b>text</b> ", "text") == "a <b>text</b>"
    assert [shown.show(value, "image") for value in (None, float("nan"), "/not/there.png")] == ["", "", ""]
    with pytest.raises(ValueError, match="does not hold"):
        Hosting([odd], tmp_path, None, tmp_path / "pool")
    assert Hosting([], tmp_path).root is None


def test_a_cut_stays_with_its_url(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"-")
    value = f"{tmp_path}/a.wav#t=1.5,2"
    assert Hosting([value], tmp_path, "h").show(value, "audio") == f"h/{tmp_path.name}/a.wav#t=1.5,2"


def test_members_of_archives_are_unpacked_once(tmp_path):
    files = [picture(tmp_path / "in" / part / "1.png", k) for k, part in enumerate("ab")]
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for file in files:
            archive.write(file, f"{file.parent.name}/1.png")
    values = [f"{tmp_path}/p.zip!{part}/1.png" for part in "ab"]
    hosting = Hosting(values, tmp_path / "out" / "media")
    assert hosting.unpack() == 2
    for value, file in zip(values, files):
        place = hosting.root / hosting.show(value, "image").removeprefix(LOCAL)
        assert place.read_bytes() == file.read_bytes()
    before = {p: p.stat().st_mtime_ns for p in hosting.beside.iterdir()}
    again = Hosting([*values, f"{tmp_path}/p.zip!c/1.png"], tmp_path / "out" / "media")
    assert again.unpack() == 2  # the third is no member
    assert again.show(f"{tmp_path}/p.zip!c/1.png", "image") == ""
    assert {p: p.stat().st_mtime_ns for p in hosting.beside.iterdir()} == before


def test_members_of_one_name_in_two_archives_stay_apart_and_odd_names_become_plain(tmp_path):
    values = []
    for k, name in enumerate("pq"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.write(picture(tmp_path / "1.png", k), "a b/ü #1?.png")
        values.append(f"{tmp_path}/{name}.zip!a b/ü #1?.png")
    hosting = Hosting(values, tmp_path / "media")
    assert hosting.unpack() == 2
    first, second = (hosting.show(value, "image") for value in values)
    assert first != second
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", path.name) for path in hosting.beside.iterdir())


def test_a_file_that_is_gone_and_a_folder_of_frames_are_not_shown_and_an_address_is(tmp_path):
    frames, here = tmp_path / "in" / "frames", picture(tmp_path / "in" / "1.png", 0)
    frames.mkdir()
    values = [str(here), f"{tmp_path}/gone/2.png", f"{frames}/", "http://h/3.png"]
    hosting = Hosting(values, tmp_path / "media")
    assert [bool(hosting.show(value, "image")) for value in values] == [True, False, False, True]
    assert hosting.folder == here.parent


def test_a_member_without_content_is_not_shown(tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("a.png", b"")
    value = f"{tmp_path}/p.zip!a.png"
    hosting = Hosting([value], tmp_path / "media", prefix="http://h", root=tmp_path)
    assert (hosting.unpack(), hosting.show(value, "image"), list(hosting.beside.iterdir())) == (0, "", [])


def test_kinds_of_columns():
    assert column_kind("image", [None, "a.png"]) == "image"
    assert column_kind("left", ["a.wav"]) == "audio"
    assert column_kind("video", [None]) == "video"
    assert column_kind("caption", ["two words"]) == "text"


def test_a_round_without_open_question_says_so(pool):
    add_labels(pool.path, [Opinion("label", name, ("cat",)) for name in "bcdef"], "f")
    with pytest.raises(ValueError, match="no open question"):
        to_label_studio(modest.open(pool.path))
    with pytest.raises(ValueError, match="round 7"):
        to_label_studio(pool, 7)


def test_pairs_one_project_per_direction(tmp_path):
    pool, _ = make(tmp_path / "pool")
    ask(pool, 3, "random", directions=[("image", "text")], shortlist=4)
    handed = to_label_studio(pool)
    view, tasks = written(handed)
    assert [path.name for path in handed.files] == ["config.xml", "tasks.json"]
    told = pool.path / "rounds" / "1" / "tasks.jsonl"
    for task, line in zip(tasks, told.read_text().splitlines()):
        asked = json.loads(line)
        assert task["data"]["shortlist"] == asked["shortlist"]
        assert [task["data"][f"candidate_{k}"] for k in range(1, 5)] == asked["shown_list"]
        assert task["data"]["anchor"] == asked["id"]  # pictures of this pool are arrays alone
    assert [one.get("value") for one in view.iter("Choice")] == [*"1234", "none of these", "cannot tell"]
    ask(pool, 4, "random", shortlist=2)
    both = to_label_studio(pool, 2).files
    if len(both) == 4:
        ways = ("image-text", "text-image")
        assert {path.name for path in both} == {f"{what}-{way}.{end}" for what, end in NAMES for way in ways}


def test_tags_as_fiftyone_reads_them(pool):
    rows = tags(pool, "fiftyone")
    chosen = pool.rounds[0].choice
    assert [row["modest_id"] for row in rows] == chosen["id"].tolist()
    assert all(Path(row["filepath"]).is_file() for row in rows)
    assert {row["tags"] for row in rows} == {"modest,modest-round-1"}
    assert list(tags(pool, "lightly")[0]) == ["file_path_abs", "tags", *MORE]
    taken = np.isin(pool.ids, chosen["id"])
    pool.add(modest.select(pool.views(), 2, "random", taken=taken))
    assert len(tags(pool, "fiftyone")) == 6
    assert {row["tags"] for row in tags(pool, "fiftyone", [2])} == {"modest,modest-round-2"}
    pool.add(modest.select(pool.views(), 6, "random"))
    first = next(row for row in tags(pool, "fiftyone") if row["modest_id"] == rows[0]["modest_id"])
    assert (first["tags"], first["modest_round"]) == ("modest,modest-round-1,modest-round-3", 3)


def test_tags_that_cannot_be(pool, tmp_path):
    with pytest.raises(ValueError, match="lacks round 9"):
        tags(pool, "fiftyone", [9])
    with pytest.raises(ValueError, match="no item chosen has a file"):
        tags(pool, "fiftyone", medium="label")
    with pytest.raises(ValueError, match="'sound' is no column"):
        tags(pool, "fiftyone", medium="sound")
    bare = modest.ingest({"x": np.eye(3)}, tmp_path / "bare")
    with pytest.raises(ValueError, match="a round of labels"):
        tags(bare, "lightly")
    bare.add(modest.select(bare.views(), 2, "random"))
    with pytest.raises(ValueError, match="no column of images"):
        tags(bare, "lightly")
    with pytest.raises(ValueError, match="no uid"):
        uids(bare, tmp_path / "u.npy")


def test_uids_of_datacomp(tmp_path):
    names = ["ff" * 16, "0" * 31 + "a", "0123456789abcdef" * 2, "f" + "0" * 31]
    pool = modest.ingest({"x": np.eye(4), "id": names}, tmp_path / "pool")
    pool.add(modest.select(pool.views(), 3, "random"))
    assert uids(pool, tmp_path / "u.npy") == 3
    array = np.load(tmp_path / "u.npy")
    assert array.dtype == np.dtype("u8,u8")
    assert [tuple(row) for row in array.tolist()] == sorted(tuple(row) for row in array.tolist())
    assert read_subset(tmp_path / "u.npy") == sorted(pool.rounds[0].choice["id"])


def test_rows_are_written_as_tables_are_read(pool, tmp_path):
    from modest.annotation.handing_over import write_rows

    write_rows(tmp_path / "a.csv", [{"id": 'x "1",\n2', "tags": "a,b"}], ["id", "tags"])
    with (tmp_path / "a.csv").open(newline="") as handle:
        assert list(csv.DictReader(handle)) == [{"id": 'x "1",\n2', "tags": "a,b"}]
