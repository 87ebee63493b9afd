"""``modest data check`` as a shell sees it."""

import json

import pytest

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90000\n"


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def crema(tmp_path):
    names = [f"{actor}_IEO_ANG_XX" for actor in range(1001, 1092)]
    put(tmp_path / "CREMA-D", {f"AudioWAV/{name}.wav": b"sound" for name in names})
    put(tmp_path / "CREMA-D", {f"VideoFlash/{name}.flv": POINTER for name in names})
    return tmp_path / "CREMA-D"


def files_in(folder):
    return sorted((str(path), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def test_it_counts_and_writes_nothing(crema, shell):
    before = files_in(crema.parent)
    said = shell("data", "check", crema)
    assert (said.code, said.err) == (0, "")
    assert files_in(crema.parent) == before
    lines = said.out.splitlines()
    assert lines[0] == f"{crema} looks like crema_d: 91 items"
    table = [line.split() for line in lines if line.startswith(("split ", "train ", "val ", "test "))]
    assert table[0] == ["split", "items", "video", "there", "video", "missing", "audio", "there", "audio", "missing"]
    assert table[1:4] == [[split, n, "0", n, n, "0"] for split, n in (("train", "54"), ("val", "18"), ("test", "19"))]
    assert table[4:] == [[split, "ANG", n, "0", n, n, "0"] for split, n, *_ in table[1:4]]
    assert "published counts: items 91 of 7442, actor 91 of 91, classes 1 of 6" in said.out
    assert "missing video: 91 (VideoFlash/1001_IEO_ANG_XX.flv, VideoFlash/1002_IEO_ANG_XX.flv, " in said.out
    assert "Git LFS pointers (fetch them with: git lfs pull): 91 (" in said.out
    assert "actor: 91 groups, none of them in two splits" in said.out
    assert lines[-1] == f"next: modest ingest {crema} --into pool --layout crema_d"


def test_many_classes_are_shown_without_their_splits(tmp_path, shell):
    for part in ("train", "test"):
        put(tmp_path, {f"images/{part}/dish_{k:02d}/dish_{k:02d}_1.jpg": b"x" for k in range(21)})
    said = shell("data", "check", tmp_path)
    table = [line.split() for line in said.out.splitlines() if line.startswith("dish_")]
    assert table == [[f"dish_{k:02d}", "2", "2", "0", "0", "2"] for k in range(21)]


def test_json_and_options(crema, shell):
    said = shell("data", "check", crema, "--layout", "crema_d:fold=2", "--json")
    told = json.loads(said.out)
    assert (said.code, told["layout"], told["options"], told["rows"]) == (0, "crema_d", {"fold": "2"}, 91)
    assert told["counts"]["train"]["ANG"] == {"rows": 55, "video": 0, "audio": 55}
    assert told["pointers"]["count"] == 91
    assert told["next"].endswith("--layout crema_d:fold=2")


def test_a_declared_layout_is_called_unverified(tmp_path, shell):
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    plan = "modalities: {audio: '{id}.wav'}\nlabels: {file: all.csv}"
    put(tmp_path, {"layout.yaml": plan, "all.csv": "id,label\na,x\nb,\n"})
    said = shell("data", "check", tmp_path)
    assert said.code == 0
    assert "looks like declared (declared by you, unverified): 2 items" in said.out
    assert "missing audio: 2 (a.wav, b.wav)" in said.out
    assert "published counts: none are known" in said.out
    assert "next:" not in said.out  # nothing could be ingested
    put(tmp_path, {"a.wav": b"sound"})
    done = shell("ingest", tmp_path, "--into", tmp_path / "pool", "--layout", "declared")
    assert done.code == 0
    assert "is read as its layout.yaml declares it, which is unverified." in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "nowhere is no folder"),
        (["."], "looks like none of"),
        ([".", "--layout", "mvsa"], "has nothing of mvsa"),
        ([".", "--layout", "mwsa"], "layout='mwsa' is unknown"),
        ([".", "--layout", "mvsa:rule=loose"], "mvsa:rule='loose' is unknown; known: strict, lenient"),
    ],
)
def test_what_cannot_be_checked_is_one_sentence(tmp_path, shell, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    said = shell("data", "check", *arguments)
    assert (said.code, said.out) == (2, "")
    assert told in said.err
    assert len(said.err.strip().splitlines()) == 1
