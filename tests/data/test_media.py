"""Raw values: their kinds, their cuts, and where the files a table names are found."""

import zipfile
from pathlib import Path

import pandas as pd
import pytest

import modest
from modest.data import media


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("a.JPG", "image"),
        ("deep/a.wav#t=1,2", "audio"),
        ("x.zip!b/a.mp4#t=,2.5", "video"),
        ("/data/clip/", "video"),
        ("x.ZIP!clips/one/", "video"),
        ("/data/a#t=1/b.txt", "text"),
        ("a caption, and/or/", None),
        ("a caption #t=1,2", None),
        ("x.zip", None),
    ],
)
def test_kinds(value, kind):
    assert media.kind(value) == kind


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ("1,2.5", (1.0, 2.5)),
        ("npt:3", (3.0, None)),
        (",.5", None),
        (",0.5", (0.0, 0.5)),
        ("", None),
        ("2,2", None),
        ("a,b", None),
        ("1,2,3", None),
    ],
)
def test_cuts(told, wanted):
    if wanted is not None:
        assert media.split_cut(f"d/a.mp4#t={told}") == ("d/a.mp4", *wanted)
        return
    with pytest.raises(media.Unreadable, match=r"a.mp4#t=.*#t=start,end"):
        media.split_cut(f"d/a.mp4#t={told}")


def test_marks_in_names_of_folders_are_no_marks(tmp_path):
    place = tmp_path / "wow! #t=1"
    place.mkdir()
    (place / "a.jpg").write_bytes(b"A")
    with zipfile.ZipFile(place / "b.zip", "w") as archive:
        archive.writestr("c!d.jpg", b"C")
    assert media.read_bytes(str(place / "a.jpg")) == b"A"
    assert media.read_bytes(f"{place / 'b.zip'}!c!d.jpg#t=0,1") == b"C"
    assert [name for name, _, _ in media.walk(place)] == ["a.jpg"]


def test_tables_may_name_cuts_frames_and_members(tmp_path):
    for name in ("clips/a.mp4", "frames/one/1.jpg", "sounds/a.wav"):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"x")
    with zipfile.ZipFile(tmp_path / "data" / "more.zip", "w") as archive:
        archive.writestr("s/b.wav", b"x")
    frame = pd.DataFrame(
        {
            "id": ["p", "q", "r"],
            "video": ["clips/a.mp4#t=0,1", "clips/a.mp4#t=1,2", "clips/gone.mp4#t=0,1"],
            "frames": ["one/", "two/", None],
            "audio": ["more.zip!s/b.wav#t=1", "sounds/a.wav", "more.zip!s/gone.wav"],
            "packed": ["s/b.wav", "s/c.wav", None],
            "text": ["one", "two", "three"],
        }
    )
    frame.to_csv(tmp_path / "data" / "items.csv", index=False)
    pool = modest.ingest(tmp_path / "data" / "items.csv", tmp_path / "pool")
    base = str((tmp_path / "data").resolve())
    assert pool.table["video"].tolist()[:2] == [f"{base}/clips/a.mp4#t=0,1", f"{base}/clips/a.mp4#t=1,2"]
    assert pool.table["frames"][0] == f"{base}/frames/one/"
    assert pool.table["audio"].tolist()[:2] == [f"{base}/more.zip!s/b.wav#t=1", f"{base}/sounds/a.wav"]
    assert pool.table["packed"][0] == f"{base}/more.zip!s/b.wav"
    assert pool.config["lost"] == {"video": 1, "frames": 1, "audio": 1, "packed": 1}
    missing = pool.table[["video", "frames", "audio", "packed", "text"]].isna().sum()
    assert missing.tolist() == [1, 2, 1, 2, 0]
    with pytest.raises(FileNotFoundError, match=r"--video URI --view frames=URI --audio URI .*packed=URI --text URI"):
        pool.views()
    assert Path(media.members(pool.table["frames"][0])[0]).name == "1.jpg"
