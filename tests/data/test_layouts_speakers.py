"""CREMA-D and IEMOCAP in the forms people have them in: no actor, speaker or session in two splits."""

import io
import json
import wave
from collections import defaultdict

import numpy as np
import pytest

import modest
from modest.data.decoding import read_audio, read_video
from modest.data.layouts import LAYOUTS, chosen, crema_d, iemocap

av = pytest.importorskip("av", reason="the extra `media` is not installed")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90000\n"


def wav(seconds=0.1):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as handle:
        handle.setparams((1, 2, 8000, 0, "NONE", ""))
        handle.writeframes((8000 * np.sin(np.arange(int(8000 * seconds)) / 5)).astype("<i2").tobytes())
    return buffer.getvalue()


def film(kind, codec, frames=10):
    """A short film of growing brightness, five frames a second, without sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        video = container.add_stream(codec, rate=5, width=32, height=32, pix_fmt="yuv420p")
        for k in range(frames):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 25 * k, dtype=np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
    return buffer.getvalue()


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def by_id(frame):
    return {row["id"]: row for row in frame.to_dict("records")}


def splits_of(frame, column):
    found = defaultdict(set)
    for row in frame.to_dict("records"):
        found[row[column]].add(row["split"])
    return found


# CREMA-D


def test_names_of_crema_clips():
    assert crema_d.key("1001_IEO_HAP_LO.wav") == crema_d.key("1001_IEO_HAP_LO") == "1001_IEO_HAP_LO"
    assert crema_d.key("1040_ITH_SAD_X.wav") == "1040_ITH_SAD_XX"
    others = ["._1001_IEO_HAP_LO.wav", "1001_IEO_JOY_LO.wav", "1001_IEO_HAP", "2001_IEO_HAP_LO", "1001_IEO_HAP_LOX"]
    assert [crema_d.key(name) for name in others] == [None] * 5


def test_crema_tree_of_the_release(tmp_path):
    flash = film("flv", "flv1")
    put(tmp_path, {f"AudioWAV/{name}.wav": wav() for name in ("1001_IEO_HAP_LO", "1076_MTI_SAD_XX", "1040_ITH_SAD_X")})
    put(tmp_path, {"AudioMP3/1001_IEO_HAP_LO.mp3": b"never taken while there is a wav", "AudioWAV/notes.wav": wav()})
    put(tmp_path, {"VideoFlash/1001_IEO_HAP_LO.flv": flash, "VideoFlash/1002_DFA_ANG_XX.flv": POINTER})
    put(tmp_path, {"VideoFlash/1076_MTI_SAD_XX.flv": flash, "AudioWAV/1003_DFA_NEU_XX.wav": b""})
    frame = LAYOUTS["crema_d"].read(tmp_path)
    assert frame.columns.tolist() == ["id", "video", "audio", "actor", "label", "split"]
    found = by_id(frame)
    assert set(found) == {"1001_IEO_HAP_LO", "1076_MTI_SAD_XX", "1040_ITH_SAD_XX"}
    assert [found[name]["label"] for name in sorted(found)] == ["HAP", "SAD", "SAD"]
    assert [found[name]["actor"] for name in sorted(found)] == ["1001", "1040", "1076"]
    assert found["1001_IEO_HAP_LO"]["audio"].endswith("AudioWAV/1001_IEO_HAP_LO.wav")
    assert len(read_audio(found["1040_ITH_SAD_XX"]["audio"])) == 1600
    assert read_video(found["1001_IEO_HAP_LO"]["video"], frames=2).shape == (2, 32, 32, 3)
    assert found["1076_MTI_SAD_XX"]["audio"] is None  # silent, though the file is there
    assert found["1076_MTI_SAD_XX"]["video"] is not None
    assert frame.attrs["missing"] == ["1002_DFA_ANG_XX", "1003_DFA_NEU_XX"]  # a pointer, and an empty file
    assert frame.attrs["lost"] == {"video": 3, "audio": 3}  # these, the film of 1040, the silent sound
    notes = " ".join(frame.attrs["notes"])
    assert "1076_MTI_SAD_XX is silent" in notes
    assert "1 media are pointers of Git LFS" in notes
    assert "1002_DFA_ANG_XX.flv); fetch them with: git lfs pull" in notes
    assert "1 media are empty" in notes


def test_crema_of_pointers_alone_says_so(tmp_path):
    put(tmp_path, {f"AudioWAV/100{k}_DFA_ANG_XX.wav": POINTER for k in range(1, 4)})
    with pytest.raises(ValueError, match=r"3 media are pointers of Git LFS, .*1001_DFA_ANG_XX.wav\); .* git lfs pull"):
        modest.ingest(tmp_path, tmp_path / "pool", layout="crema_d")


def crema(folder, actors=range(1001, 1092)):
    names = [f"{actor}_{rest}" for actor in actors for rest in ("IEO_ANG_XX", "TIE_SAD_XX", "IEO_HAP_LO")]
    put(folder, {f"AudioWAV/{name}.wav": b"sound" for name in names})
    return names


def test_crema_actors_stand_in_one_split_and_every_fold_tests_others(tmp_path):
    crema(tmp_path)
    tested = []
    for fold in "12345":
        frame = LAYOUTS["crema_d"].read(tmp_path, fold=fold)
        splits = splits_of(frame, "actor")
        assert len(splits) == 91
        assert all(len(parts) == 1 for parts in splits.values())
        part = {split: {a for a, parts in splits.items() if parts == {split}} for split in ("train", "val", "test")}
        assert [len(part[split]) for split in ("val", "test")] in ([18, 19], [18, 18], [19, 18])
        tested.append(part)
    assert set.union(*(part["test"] for part in tested)) == {str(actor) for actor in range(1001, 1092)}
    assert sum(len(part["test"]) for part in tested) == 91
    assert tested[0]["val"] == tested[1]["test"]
    assert tested[4]["val"] == tested[0]["test"]
    told = "1002 1011 1014 1017 1018 1022 1025 1029 1030 1037 1038 1054 1057 1058 1060 1063 1066 1083 1086"
    assert sorted(tested[0]["test"]) == told.split()  # drawn once and for all: numbers stay comparable
    few = tmp_path / "few"
    crema(few, range(1001, 1031))  # which files are there changes nothing
    splits = splits_of(LAYOUTS["crema_d"].read(few, fold="3"), "actor")
    assert {a for a in splits if splits[a] == {"test"}} == {a for a in tested[2]["test"] if int(a) < 1031}


def test_crema_ready_split_by_speaker(tmp_path):
    crema(tmp_path, range(1001, 1006))
    told = {"train": [1001, "1004"], "dev": ["1002"], "test": ["1003"]}
    put(tmp_path, {"1.1.0/speaker_splits.json": json.dumps(told)})
    frame = LAYOUTS["crema_d"].read(tmp_path)
    assert {a: parts.pop() for a, parts in splits_of(frame, "actor").items()} == {
        "1001": "train", "1002": "val", "1003": "test", "1004": "train", "1005": "train",
    }  # fmt: skip
    assert frame.attrs["notes"] == ["the split is by actor, as speaker_splits.json has it."]
    asked = LAYOUTS["crema_d"].read(tmp_path, fold="1").attrs["notes"][0]
    assert asked.startswith("the split is by actor, part 1 of 5")
    put(tmp_path, {"1.1.0/speaker_splits.json": json.dumps({**told, "test": ["1001"]})})
    with pytest.raises(ValueError, match=r"speaker_splits.json is no object .*an actor stands twice"):
        LAYOUTS["crema_d"].read(tmp_path)


LISTS = {
    "train.csv": "\ufeffname,label\r\n1001_IEO_ANG_XX,ANG\r\n1002_TIE_SAD_XX,SAD\r\n1002_IEO_ANG_XX,ANG",
    "test.csv": "1001_TIE_SAD_XX,SAD\r\n1009_TIE_SAD_XX,SAD\r\n",
    "stat.csv": "\ufeffSAD\r\nANG\r\n",
}


@pytest.mark.parametrize("family", ["OGM-GE", "MLA"])
def test_crema_random_lists_are_an_option_and_called_so(tmp_path, family):
    crema(tmp_path, [1001, 1002])
    if family == "OGM-GE":
        put(tmp_path / "data", {**LISTS, "val.csv": "1002_IEO_ANG_XX,ANG\n", "data.csv": "1001_IEO_ANG_XX,ANG"})
    else:
        train = "1001_IEO_ANG_XX.flv Anger\n1002_TIE_SAD_XX.flv Sad\n1002_IEO_ANG_XX.flv Anger"
        put(tmp_path / "data", {"my_train_cre.txt": train})
        put(tmp_path / "data", {"my_test_cre.txt": "1001_TIE_SAD_XX.flv Sad\r\n1009_TIE_SAD_XX.flv Sad\r\n"})
    frame = LAYOUTS["crema_d"].read(tmp_path, split="lists")
    assert {name: row["split"] for name, row in by_id(frame).items()} == {
        "1001_IEO_ANG_XX": "train",
        "1002_TIE_SAD_XX": "train",
        "1002_IEO_ANG_XX": "val" if family == "OGM-GE" else "train",
        "1001_TIE_SAD_XX": "test",
    }
    assert frame.attrs["missing"] == ["1009_TIE_SAD_XX"]
    assert frame.attrs["notes"][0].endswith("random over clips: actors of the test are in training too.")
    assert frame.attrs["classes"] == (["SAD", "ANG"] if family == "OGM-GE" else ["ANG", "SAD"])
    honest = LAYOUTS["crema_d"].read(tmp_path)
    assert all(len(parts) == 1 for parts in splits_of(honest, "actor").values())
    assert honest.attrs["missing"] == ["1009_TIE_SAD_XX"]  # what lists name should be there


@pytest.mark.parametrize(
    ("lists", "told"),
    [
        ({"train.csv": "1001_IEO_ANG_XX,SAD"}, r"train.csv calls 1001_IEO_ANG_XX 'SAD' in row 1, and its name says A"),
        ({"train.csv": "1001_IEO_ANG_XX,ANG\nhello,ANG"}, r"train.csv has 'hello' in row 2, which names no clip"),
        ({"train.csv": "1001_IEO_ANG_XX", "test.csv": "1001_IEO_ANG_XX"}, r"test.csv has 1001_IEO_ANG_XX, which a tr"),
        ({}, r"has no train.csv and test.csv .* take split=actors"),
        ({"train.csv": "é".encode("latin-1")}, r"train.csv is not UTF-8"),
    ],
)
def test_crema_lists_that_cannot_be_right(tmp_path, lists, told):
    put(tmp_path, {"AudioWAV/1001_IEO_ANG_XX.wav": b"sound", **lists})
    with pytest.raises(ValueError, match=told):
        LAYOUTS["crema_d"].read(tmp_path, split="lists")


def test_crema_frames_and_features(tmp_path):
    put(tmp_path, {"visual/Image-01-FPS/1001_IEO_HAP_LO/00000.jpg": b"picture", "audio/1001_IEO_HAP_LO.pt": b"tensor"})
    row = LAYOUTS["crema_d"].read(tmp_path).to_dict("records")[0]
    assert row["video"].endswith("/visual/Image-01-FPS/1001_IEO_HAP_LO/")
    assert row["audio"] is None


# options


def test_options_of_a_layout():
    layout, options = chosen("crema_d:fold=2, split=actors")
    assert (layout.name, options) == ("crema_d", {"fold": "2", "split": "actors"})
    with pytest.raises(ValueError, match="crema_d has no option 'session'; its options are split, fold"):
        chosen("crema_d:session=2")
    with pytest.raises(ValueError, match="crema_d:fold='6' is unknown; known: 1, 2, 3, 4, 5"):
        chosen("crema_d:fold=6")
    with pytest.raises(ValueError, match="food101 has no option 'fold'; its options are none"):
        LAYOUTS["food101"].checked({"fold": "1"})
    with pytest.raises(ValueError, match="has 'lists' after the colon; write option=value"):
        chosen("crema_d:lists")
    with pytest.raises(ValueError, match="layout='creama' is unknown"):
        chosen("creama:fold=1")


# IEMOCAP

HEAD = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"


def turn(name, code, start=0.5):
    times = f"[{start:.4f} - {start + 0.5:.4f}]"
    raters = "C-E2:\tNeutral;\t()\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
    return f"{times}\t{name}\t{code}\t[2.5000, 2.5000, 2.5000]\n{raters}"


def session(number, codes=("neu", "exc", "xxx", "fru"), dialogs=("F_impro01", "M_script01_2")):
    """Two dialogues with two utterances each; speakers are not who the dialogue's letter says."""
    files = {}
    for dialog, pair in zip(dialogs, (codes[:2], codes[2:])):
        name, place = f"Ses0{number}{dialog}", f"Session{number}/dialog"
        said = [f"{name}_F000", f"{name}_M001"]
        files[f"{place}/EmoEvaluation/{name}.txt"] = HEAD + "".join(map(turn, said, pair))
        lines = [f"{one} [0.5000-1.0000]: so {one[-4:]} said\r\n" for one in said]
        files[f"{place}/transcriptions/{name}.txt"] = "".join([*lines, f"{name}_FXX0: hm\n", "M: [laughs]\n"])
        files[f"{place}/EmoEvaluation/Categorical/{name}_e1.txt"] = turn(f"{name}_F999", "sad")
        files[f"{place}/EmoEvaluation/._{name}.txt"] = b"\x00\x05"
    return files


@pytest.fixture(scope="module")
def avi():
    return film("avi", "mpeg4")


@pytest.fixture
def full(tmp_path, avi):
    """Five sessions: 20 utterances, of which 5 neutral, 5 excited, 5 without agreement, 5 frustrated."""
    root = tmp_path / "IEMOCAP_full_release"
    for number in range(1, 6):
        put(root, session(number))
        name = f"Ses0{number}F_impro01"
        put(root, {f"Session{number}/dialog/avi/DivX/{name}.avi": avi})
        put(root, {f"Session{number}/sentences/wav/{name}/{name}_F000.wav": wav()})
        put(root, {f"Session{number}/dialog/wav/{name}.wav": wav(2.0)})
    return tmp_path


def test_iemocap_tree(full):
    frame = LAYOUTS["iemocap"].read(full)
    names = ["id", "video", "audio", "text", "dialog", "session", "speaker", "label", "split"]
    assert frame.columns.tolist() == names
    found = by_id(frame)
    assert len(found) == 10  # neutral and excited
    one, two = found["Ses03F_impro01_F000"], found["Ses03F_impro01_M001"]
    assert (one["speaker"], two["speaker"]) == ("Ses03F", "Ses03M")
    assert (one["session"], one["dialog"]) == ("3", "Ses03F_impro01")
    assert (one["label"], two["label"]) == ("neu", "hap")
    assert (one["text"], two["text"]) == ("so F000 said", "so M001 said")
    assert one["audio"].endswith("sentences/wav/Ses03F_impro01/Ses03F_impro01_F000.wav")
    assert two["audio"].endswith("Session3/dialog/wav/Ses03F_impro01.wav#t=0.5000,1.0000")
    assert (len(read_audio(one["audio"])), len(read_audio(two["audio"]))) == (1600, 8000)
    assert one["video"].endswith("dialog/avi/DivX/Ses03F_impro01.avi#t=0.5000,1.0000")
    assert 40 < read_video(one["video"], frames=1).mean() < 130  # the middle of the film, not its dark start
    assert frame.attrs["lost"] == {"video": 0, "audio": 0, "text": 0}
    assert frame.attrs["classes"] == ["hap", "neu"]
    notes = frame.attrs["notes"]
    assert notes[0] == "the test is session 5, session 1 validates; no session and no speaker is in two splits."
    assert notes[1] == "4 classes, excited counted as happy; 10 utterances of other classes left out."
    assert "both speakers" in notes[2]


@pytest.mark.parametrize(("classes", "labels"), [("4", 10), ("4_strict", 5), ("6", 15)])
def test_iemocap_classes(full, classes, labels):
    frame = LAYOUTS["iemocap"].read(full, classes=classes)
    assert len(frame) == labels
    assert sum(frame["label"] == "exc") == (5 if classes == "6" else 0)
    assert (frame[frame["label"] == "fru"]["video"].isna()).all()  # the second dialogues have no film


def test_iemocap_leaves_a_session_out(full):
    for test, val in zip("12345", "23451"):
        frame = LAYOUTS["iemocap"].read(full, session=test)
        for column, count in (("session", 5), ("speaker", 10)):
            splits = splits_of(frame, column)
            assert len(splits) == count
            assert all(len(parts) == 1 for parts in splits.values())
        assert set(frame[frame["split"] == "test"]["session"]) == {test}
        assert set(frame[frame["split"] == "val"]["session"]) == {val}
    bare = LAYOUTS["iemocap"].read(full, session="2", validation="none")
    assert set(bare[bare["split"] == "train"]["session"]) == set("1345")
    assert set(bare["split"]) == {"train", "test"}


def test_iemocap_leaves_a_speaker_out(full):
    for speaker in iemocap.SPEAKERS:
        frame = LAYOUTS["iemocap"].read(full, speaker=speaker)
        other = speaker[:5] + ("M" if speaker.endswith("F") else "F")
        assert {name: parts.pop() for name, parts in splits_of(frame, "speaker").items() if parts != {"train"}} == {
            speaker: "test", other: "val",
        }  # fmt: skip
    with pytest.raises(ValueError, match="takes one of session, speaker and split=lists"):
        LAYOUTS["iemocap"].read(full, speaker="Ses01F", session="1")


def test_iemocap_transcripts_that_are_not_utf8(full):
    place = full / "IEMOCAP_full_release/Session1/dialog/transcriptions/Ses01F_impro01.txt"
    place.write_bytes("Ses01F_impro01_F000 [000.5-001.0]: caf\xe9\r\n".encode("latin-1"))
    found = by_id(LAYOUTS["iemocap"].read(full))
    assert found["Ses01F_impro01_F000"]["text"] == "caf\xe9"
    assert found["Ses01F_impro01_M001"]["text"] is None


def test_iemocap_lists_are_an_option(full):
    sign = " [split|sign] "
    train = f"Ses01F_impro01_F000.mp4{sign}So, so{sign}Neutral\r\nSes02F_impro01_M001.mp4{sign}it said{sign}Happy"
    put(full, {"data/my_train_iemo.txt": train, "data/my_test_iemo.txt": f"Ses01F_impro01_M001.mp4{sign}x{sign}Happy"})
    frame = LAYOUTS["iemocap"].read(full, split="lists")
    assert {name: row["split"] for name, row in by_id(frame).items()} == {
        "Ses01F_impro01_F000": "train", "Ses02F_impro01_M001": "train", "Ses01F_impro01_M001": "test",
    }  # fmt: skip
    assert "random over utterances: speakers of the test are in training too" in frame.attrs["notes"][0]
    put(full / "bare", {"my_train_iemo.txt": train, "clips/Ses01F_impro01_F000.mp4": b"film"})
    alone = by_id(LAYOUTS["iemocap"].read(full / "bare"))  # the list's own texts, and clips anywhere
    assert alone["Ses01F_impro01_F000"]["text"] == "So, so"
    assert alone["Ses01F_impro01_F000"]["video"] == alone["Ses01F_impro01_F000"]["audio"]
    assert (alone["Ses02F_impro01_M001"]["video"], alone["Ses02F_impro01_M001"]["label"]) == (None, "hap")


@pytest.mark.parametrize(
    ("files", "options", "told"),
    [
        ({}, {"split": "lists"}, r"has no my_train_iemo.txt or my_test_iemo.txt; leave split=lists out"),
        ({"my_test_iemo.txt": "Ses01F_impro01_F000.mp4 Happy"}, {}, r"my_test_iemo.txt has .* in row 1, not utterance"),
        ({"my_test_iemo.txt": "a.mp4 [split|sign] x [split|sign] Sad"}, {}, r"has 'a' in row 1, which names no utter"),
        (
            {"Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": HEAD + "[1.0 - 2.0] Ses01F_impro01_F000 neu"},
            {},
            r"Ses01F_impro01.txt has '\[1.0 .* in row 3, not \[start - end\], utterance, code",
        ),
    ],
)
def test_iemocap_files_that_cannot_be_read(tmp_path, files, options, told):
    put(tmp_path, files)
    with pytest.raises(ValueError, match=told):
        LAYOUTS["iemocap"].read(tmp_path, **options)


def test_groups_reach_the_pool(full, tmp_path):
    pool = modest.ingest(full, tmp_path / "pool", layout="iemocap:session=3,classes=6")
    assert sorted(set(pool.table["speaker"])) == sorted(iemocap.SPEAKERS)
    assert set(pool.table["session"][np.asarray(pool.split) == "test"]) == {"3"}
    assert pool.classes == ("exc", "fru", "neu")
    assert pool.config["notes"][0].startswith("the test is session 3, session 4 validates")
