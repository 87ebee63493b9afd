"""Which data set a folder looks like, and what it has and lacks; every count by hand."""

import json

import pytest

from modest.data.layouts import LAYOUTS
from modest.data.layouts.examine import examine
from modest.data.layouts.sniffing import sniff

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 90000\n"
DASH, DOTS = "--4-0ihtnBU_000058_000068", "a_b-c_d-e_f_000001_000011"


def put(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


FORMS = {
    "crema_d": [
        {"AudioWAV/1001_IEO_HAP_LO.wav": b"x"},
        {"data/train.csv": "\ufeff1088_IOM_NEU_XX,NEU\r\n"},
        {"data/train.csv": "name,label\r\n1088_IOM_NEU_XX,NEU\r\n"},
        {"my_train_cre.txt": "1085_IWL_SAD_XX.flv Sad"},
        {"visual/Image-01-FPS/1001_IEO_HAP_LO/00000.jpg": b"x"},
    ],
    "iemocap": [
        {"IEMOCAP_full_release/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt": "%"},
        {"my_train_iemo.txt": "Ses01F_impro01_F000.mp4 [split|sign] x [split|sign] Sad"},
        {"sentences/wav/Ses05F_script03_1/Ses05F_script03_1_F033.wav": b"x"},
    ],
    "mvsa": [
        {"MVSA_Single/labelResultAll.txt": "ID\ttext,image\n", "MVSA_Single/data/1.txt": "x"},
        {"train.jsonl": '{"id": "1", "label": "neutral", "text": "x", "img": "data/1.jpg"}'},
        {"my_test_mvsa.txt": "1.jpg neutral"},
    ],
    "food101": [
        {"images/train/apple_pie/apple_pie_1.jpg": b"x"},
        {"texts/train_titles.csv": "Image_path,text,label"},
        {"dev.jsonl": '{"id": "x", "img": "images/train/apple_pie/apple_pie_1.jpg"}'},
        {"data/my_test_food.txt": "apple_pie_1.jpg apple_pie"},
    ],
    "kinetics_sounds": [
        {"my_train.txt": f"{DASH},10,4\r\n"},
        {"train/video/blowing nose/-3Mwkq-7TV4_000002_000012/frame_0.jpg": b"x"},
        {"audio/-3Mwkq-7TV4_2.wav": b"x"},
    ],
    "vggsound": [
        {"data/vggsound.csv": "---g-f_I2yQ,1,people marching,test"},
        {"test.csv": "glLQrEijrKg_000300.mp4,playing hammond organ"},
        {"train-audios/train-set/---g-f_I2yQ_1.wav": b"x"},
    ],
    "colorswap": [{"data/train.json": "[]", "data/images.zip": b"x"}, {"data/images/img_0_1.png": b"x"}],
    "coco_captions": [{"dataset_coco.json": "{}"}, {"annotations/coco_test_karpathy.json": "{}"}],
    "datacomp": [{f"metadata/{'0' * 32}.parquet": b"x"}, {"shards/00000000.tar": b"x"}],
    "declared": [{"layout.yaml": "a: b", "AudioWAV/1001_IEO_HAP_LO.wav": b"x"}],
    None: [{"readme.txt": "hello\n"}, {"a/b.jpg": b"x", "list.csv": "image,label\na,b\n"}, {}],
}


@pytest.mark.parametrize(("name", "files"), [(name, files) for name, forms in FORMS.items() for files in forms])
def test_what_a_folder_looks_like(tmp_path, name, files):
    put(tmp_path, files)
    assert sniff(tmp_path) == name


def test_every_layout_can_be_told(tmp_path):
    assert {*FORMS, "datacomp_b32"} == {*LAYOUTS, None}


def test_sniffing_looks_at_folders_before_what_is_in_them_and_ends(tmp_path):
    put(tmp_path, {f"a/{k:04d}.bin": b"" for k in range(300)})
    (tmp_path / "a" / "round").symlink_to(tmp_path)
    put(tmp_path, {"z/AudioWAV/1001_IEO_HAP_LO.wav": b"x"})
    assert sniff(tmp_path) == "crema_d"


@pytest.fixture
def kinetics(tmp_path):
    """Four listed clips: whole, only seen, a pointer, gone; and one that no list names."""
    lists = [f"{DASH},10,1", f"{DOTS},10,0", "pointerpoin_000001_000011,10,1"]
    put(tmp_path, {"my_train.txt": "\ufeff" + "\r\n".join(lists), "my_test.txt": "goneGONEgo1_2,10,1"})
    put(tmp_path, {"stat.txt": "blowing nose\r\ntapping pen", f"sound/{DASH}.wav": b"x"})
    put(tmp_path, {f"frames/{name}/frame_{k}.jpg": b"x" for name in (DASH, DOTS) for k in range(4)})
    put(tmp_path, {"sound/pointerpoin_000001_000011.wav": POINTER, "sound/unlistedxxx_5.wav": b"x"})
    return tmp_path


def test_counts_by_hand(kinetics):
    found = examine(kinetics)
    assert (found.layout, found.options, found.verified, found.rows) == ("kinetics_sounds", {}, True, 4)
    assert found.counts == {
        "train": {
            "blowing nose": {"rows": 1, "video": 1, "audio": 0},
            "tapping pen": {"rows": 2, "video": 1, "audio": 1},
        },
        "test": {"tapping pen": {"rows": 1, "video": 0, "audio": 0}},
    }
    pointer = "pointerpoin_000001_000011"
    assert found.missing == {
        "video": {"count": 2, "first": [pointer, "goneGONEgo1_2"]},
        "audio": {"count": 3, "first": [DOTS, pointer, "goneGONEgo1_2"]},
    }
    assert found.gone == {"count": 2, "first": [pointer, "goneGONEgo1_2"]}
    assert found.pointers == {"count": 1, "first": [str(kinetics / f"sound/{pointer}.wav")]}
    assert found.unlisted == {"count": 1, "first": [str(kinetics / "sound/unlistedxxx_5.wav")]}
    assert found.empty == {"count": 0, "first": []}
    assert found.published == {
        "items": {"published": 17396, "here": 2},
        "train": {"published": 14799, "here": 2},
        "test": {"published": 2597, "here": 0},
        "classes": {"published": 31, "here": 2},
    }
    assert json.loads(json.dumps(found.as_dict()))["rows"] == 4


def test_lists_without_any_media_are_counted_not_refused(tmp_path):
    put(tmp_path, {"data/my_train_cre.txt": "1001_IEO_ANG_XX.flv Anger\n1002_TIE_SAD_XX.flv Sad\n"})
    put(tmp_path, {"data/my_test_cre.txt": "1001_TIE_SAD_XX.flv Sad\n"})
    found = examine(tmp_path, "crema_d:split=lists")
    assert (found.layout, found.rows, found.gone["count"]) == ("crema_d", 3, 3)
    assert found.missing["audio"] == {
        "count": 3, "first": [f"AudioWAV/{n}.wav" for n in ("1001_IEO_ANG_XX", "1002_TIE_SAD_XX", "1001_TIE_SAD_XX")],
    }  # fmt: skip
    assert found.groups == {"actor": {"groups": 2, "in_two_splits": 1}}
    assert examine(tmp_path).groups == {"actor": {"groups": 2, "in_two_splits": 0}}
    assert found.published["train"] == {"published": 6698, "here": 0}
    assert found.published["actor"] == {"published": 91, "here": 0}


def test_published_counts_follow_the_options(tmp_path):
    turns = "[1.0 - 2.0]\tSes01F_impro01_F000\texc\t[1, 1, 1]\n"
    place = "Session1/dialog"
    put(tmp_path, {f"{place}/EmoEvaluation/Ses01F_impro01.txt": turns})
    put(tmp_path, {f"{place}/transcriptions/Ses01F_impro01.txt": "Ses01F_impro01_F000 [001.0-002.0]: hello"})
    found = examine(tmp_path, "iemocap:session=1")
    published = {name: one["published"] for name, one in found.published.items()}
    assert published == {
        "items": 5531, "classes": 4, "session": 5, "speaker": 10, "test": 1085, "val": 1023, "train": 3423,
    }  # fmt: skip
    assert found.missing["video"]["first"] == ["Session1/dialog/avi/DivX/Ses01F_impro01.avi"]
    assert found.groups == {name: {"groups": 1, "in_two_splits": 0} for name in ("session", "speaker")}
    strict = examine(tmp_path / ".", "iemocap:classes=6,speaker=Ses03M")
    assert {name: one["published"] for name, one in strict.published.items()} == {
        "items": 7380, "classes": 6, "session": 5, "speaker": 10,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"has nothing of iemocap: a folder of it has Session"):
        examine(tmp_path, "iemocap:classes=4_strict")  # its one utterance is excited


def test_food101_counts(tmp_path):
    put(tmp_path, {"images/train/gyoza/gyoza_1.jpg": b"x", "images/test/gyoza/gyoza_9.jpg": b"x"})
    put(tmp_path, {"texts/train_titles.csv": "gyoza_1.jpg,good,gyoza\r\ngyoza_2.jpg,better,gyoza"})
    put(tmp_path, {"images/train/gyoza/gyoza_2.jpg": POINTER})
    assert examine(tmp_path).pointers == {"count": 1, "first": [str(tmp_path / "images/train/gyoza/gyoza_2.jpg")]}
    (tmp_path / "images/train/gyoza/gyoza_2.jpg").unlink()
    found = examine(tmp_path)
    assert found.counts == {"train": {"gyoza": {"rows": 2, "image": 1, "text": 2}}}
    assert found.missing["image"] == {"count": 1, "first": ["images/train/gyoza/gyoza_2.jpg"]}
    assert found.unlisted["first"] == [str(tmp_path / "images/test/gyoza/gyoza_9.jpg")]
    assert found.notes[0].endswith("train_titles.csv has no header: read as image, text, label, unverified.")


def test_folders_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder; give the folder of the data set"):
        examine(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"looks like none of coco_captions, .*declare it in layout.yaml"):
        examine(tmp_path)
    with pytest.raises(ValueError, match=r"has nothing of mvsa: a folder of it has data/<ID>.txt"):
        examine(tmp_path, "mvsa")
