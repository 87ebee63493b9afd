"""Public data sets in the forms people have them in: small folders of real files, with clips that are gone."""

import io
import json
import wave

import numpy as np
import pytest
from PIL import Image

import modest
from modest.data.decoding import read_audio, read_image, read_text, read_video
from modest.data.layouts import LAYOUTS, clips

av = pytest.importorskip("av", reason="the extra `media` is not installed")


def jpeg(shade=100):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(buffer, "JPEG")
    return buffer.getvalue()


def wav():
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as handle:
        handle.setparams((1, 2, 8000, 0, "NONE", ""))
        handle.writeframes((8000 * np.sin(np.arange(800) / 5)).astype("<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def mp4():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for k in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 40 * k, dtype=np.uint8), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 16000), dtype=np.float32), format="fltp", layout="mono")
        sound.rate = 16000
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return buffer.getvalue()


def put(folder, files):
    """Write files; a list of names is written as a folder of frames with four pictures."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def frames(place, name="frame_{}.jpg", count=4):
    return {f"{place}/{name.format(k)}": jpeg(60 * k) for k in range(count)}


def by_id(frame):
    return {row["id"]: row for row in frame.to_dict("records")}


# UPMC Food-101

FOOD = {
    "images/train/apple_pie/apple_pie_1.jpg": jpeg(10),
    "images/train/gyoza/gyoza_2-1.jpg": jpeg(20),
    "images/test/apple_pie/apple_pie_3.jpg": jpeg(30),
    "images/train/waffles/waffles_9.jpg": jpeg(90),
}
EXPECTED = {
    "apple_pie_1": ("apple_pie", "train"),
    "gyoza_2-1": ("gyoza", "train"),
    "apple_pie_3": ("apple_pie", "test"),
}


def food(folder, variant):
    put(folder, FOOD)
    if variant in ("titles", "bare titles"):
        rows = [
            ("apple_pie_1.jpg", "pie with cream", "apple_pie"),
            ("waffles_8.jpg", '"Waffles, crisp"', "waffles"),
            ("gyoza_2-1.jpg", '"Gyoza, ""the best"""', "gyoza"),
        ]
        told = [",".join(row) for row in rows]
        if variant == "titles":
            told = ["\ufefftext,label,Image_path", *(f"{text},{label},{name}" for name, text, label in rows)]
        put(folder, {"texts/train_titles.csv": "\r\n".join(told)})
        put(folder, {"texts/test_titles.csv": "image,text,label\napple_pie_3.jpg,third,apple_pie\n"})
    elif variant == "jsonl":
        lines = {
            "train": [("apple_pie", "1", "pie with cream"), ("gyoza", "2-1", 'Gyoza, "the best"')],
            "dev": [("waffles", "8", "Waffles, crisp")],
            "test": [("apple_pie", "3", "third")],
        }
        for split, rows in lines.items():
            place = "test" if split == "test" else "train"
            told = [
                {"id": f"{c}_{c}_{k}.jpg", "label": c, "text": t, "img": f"images/{place}/{c}/{c}_{k}.jpg"}
                for c, k, t in rows
            ]
            put(folder, {f"{split}.jsonl": "\ufeff" + "\r\n".join(map(json.dumps, told))})
        put(folder, {"test_hard_gt.jsonl": json.dumps({"id": "x", "label": "y", "text": "z", "img": "q"})})
    elif variant == "json":
        for split, rows in {"train": ["apple_pie_1", "gyoza_2-1", "waffles_8"], "test": ["apple_pie_3"]}.items():
            told = [
                {
                    "id": name,
                    "label": name.rpartition("_")[0],
                    "text_tokens": [1],
                    "img_path": f"/elsewhere/{name}.jpg",
                    "text_path": f"texts_txt/{name.rpartition('_')[0]}/{name}.txt",
                }
                for name in rows
            ]
            put(folder, {f"{split}.json": json.dumps(told)})
        put(folder, {f"texts_txt/{n.rpartition('_')[0]}/{n}.txt": f"text of {n}" for n in [*EXPECTED, "waffles_8"]})
    elif variant == "mla":
        put(
            folder,
            {"data/my_train_food.txt": "apple_pie_1.jpg apple_pie\r\ngyoza_2-1.jpg gyoza\r\nwaffles_8.jpg waffles"},
        )
        put(
            folder,
            {"data/my_test_food.txt": "apple_pie_3.jpg apple_pie", "data/stat_food.txt": "waffles\ngyoza\napple_pie"},
        )
        put(folder, {"visual/train_imgs/apple_pie_1.jpg": jpeg(), "visual/test_imgs/apple_pie_3.jpg": jpeg()})
        for name in ("images/train/apple_pie/apple_pie_1.jpg", "images/test/apple_pie/apple_pie_3.jpg"):
            (folder / name).unlink()
    return LAYOUTS["food101"].read(folder)


@pytest.mark.parametrize("variant", ["titles", "bare titles", "jsonl", "json", "mla"])
def test_food101_in_every_form(tmp_path, variant):
    frame = food(tmp_path, variant)
    assert frame.columns.tolist() == ["id", "image", "text", "label", "split"]
    found = by_id(frame)
    assert {name: (found[name]["label"], found[name]["split"]) for name in EXPECTED} == EXPECTED
    assert all(read_image(found[name]["image"]).shape == (6, 8, 3) for name in EXPECTED)
    if variant == "mla":  # no texts, so the row without its picture is nothing
        assert (frame.attrs["missing"], frame.attrs["lost"]) == (["waffles_8"], {"image": 1, "text": 4})
        assert frame.attrs["classes"] == ["gyoza", "apple_pie"]  # by the class file, without waffles
        return
    assert frame.attrs["lost"] == {"image": 1, "text": 0}
    assert found["waffles_8"]["image"] is None
    assert found["waffles_8"]["split"] == ("val" if variant == "jsonl" else "train")
    assert frame.attrs["classes"] == ["apple_pie", "gyoza", "waffles"]
    text = {"json": "text of gyoza_2-1"}.get(variant, 'Gyoza, "the best"')
    assert read_text(found["gyoza_2-1"]["text"]) == text
    assert len(frame) == 4


def test_food101_without_any_list(tmp_path):
    put(tmp_path, {**FOOD, "texts_txt/waffles/waffles_9.txt": "nine"})
    found = by_id(LAYOUTS["food101"].read(tmp_path))
    assert len(found) == 4
    assert read_text(found["waffles_9"]["text"]) == "nine"
    assert (found["apple_pie_3"]["split"], found["apple_pie_3"]["text"]) == ("test", None)


# Kinetics-Sounds

DASH, DOTS, GONE, TEST = (
    "--4-0ihtnBU_000058_000068",
    "a_b-c_d-e_f_000001_000011",
    "goneGONEgo1_000001_000011",
    "-3Mwkq-7TV4_2",
)


def kinetics_lists(separator=","):
    train = [f"{DASH}{separator}10{separator}4", f"{DOTS}{separator}10{separator}0", f"{GONE}{separator}10{separator}4"]
    return {"my_train.txt": "\ufeff" + "\r\n".join(train), "my_test.txt": f"{TEST}{separator}10{separator}4"}


def check_kinetics(frame, label_of_4="tapping pen", label_of_0="blowing nose"):
    found = by_id(frame)
    assert frame.columns.tolist() == ["id", "video", "audio", "label", "split"]
    assert (set(found), frame.attrs["missing"]) == ({DASH, DOTS, TEST}, [GONE])
    assert [found[i]["label"] for i in (DASH, TEST, DOTS)] == [label_of_4, label_of_4, label_of_0]
    assert [found[i]["split"] for i in (DASH, TEST, DOTS)] == ["train", "test", "train"]
    return found


def test_kinetics_lists_with_features_and_a_class_file(tmp_path):
    put(tmp_path, kinetics_lists())
    put(tmp_path, {"stat.txt": "blowing nose\nb\nc\nd\ntapping pen"})
    for name in (DASH, DOTS, TEST):
        put(tmp_path, frames(f"train/visual/{name}", "frame_{:05d}.jpg", 5))
        put(tmp_path, {f"train/audio_spec/{name}.pkl": b"never opened"})
    found = check_kinetics(frame := LAYOUTS["kinetics_sounds"].read(tmp_path))
    assert frame.attrs["lost"] == {"video": 1, "audio": 4}
    assert read_video(found[DASH]["video"], frames=5).shape == (5, 6, 8, 3)
    assert frame.attrs["classes"] == ["blowing nose", "tapping pen"]  # of the class file, those with items
    put(tmp_path, {"stat.txt": "blowing nose\nb"})
    with pytest.raises(ValueError, match="have class 4 and the class file 2"):
        LAYOUTS["kinetics_sounds"].read(tmp_path)


def test_kinetics_lists_by_blanks_and_names_from_the_official_csv(tmp_path, mp4):
    put(tmp_path, {**kinetics_lists(" "), "mine.txt": "no list"})
    rows = ["label,youtube_id,time_start,time_end,split,is_cc", '"tapping pen",--4-0ihtnBU,58,68,train,0']
    rows += [
        "tapping pen,-3Mwkq-7TV4,2,12,train,0",
        "blowing nose,a_b-c_d-e_f,1,11,val,0",
        "yoga,xxxxxxxxxxx,1,2,test,0",
    ]
    put(tmp_path, {"kinetics/all.csv": "\n".join(rows)})
    put(tmp_path, {f"clips/{DASH}.mp4": mp4, f"clips/{DOTS}.mp4": mp4, "clips/-3Mwkq-7TV4_000002_000012.mp4": mp4})
    frame = LAYOUTS["kinetics_sounds"].read(tmp_path)
    found = check_kinetics(frame)
    assert found[TEST]["video"].endswith("-3Mwkq-7TV4_000002_000012.mp4")  # the other padding
    assert (found[TEST]["audio"], frame.attrs["lost"]) == (found[TEST]["video"], {"video": 1, "audio": 1})
    assert len(read_audio(found[TEST]["audio"])) >= 16000
    for name in kinetics_lists():
        (tmp_path / name).unlink()
    bare = by_id(LAYOUTS["kinetics_sounds"].read(tmp_path))  # the csv alone gives labels and splits
    assert {i: (r["label"], r["split"]) for i, r in bare.items()} == {
        DASH: ("tapping pen", "train"),
        "-3Mwkq-7TV4_000002_000012": ("tapping pen", "train"),
        DOTS: ("blowing nose", "val"),
    }


def test_kinetics_indices_stay_numbers_without_names(tmp_path):
    put(tmp_path, kinetics_lists())
    for name in (DASH, DOTS, TEST):
        put(tmp_path, {f"audio/{name}.wav": wav()})
    (tmp_path / "audio" / "round").symlink_to(tmp_path)  # a circle of links ends
    put(tmp_path, {"again/my_train.txt": kinetics_lists()["my_train.txt"]})  # the same list twice is one list
    frame = LAYOUTS["kinetics_sounds"].read(tmp_path)
    check_kinetics(frame, "4", "0")
    assert frame.attrs["classes"] == []
    pool = modest.ingest(tmp_path, tmp_path.parent / f"{tmp_path.name}-pool", layout="kinetics_sounds")
    assert pool.classes == ("0", "4")
    assert (pool.config["lost"], (pool.path / "missing.txt").read_text()) == ({"video": 4, "audio": 1}, f"{GONE}\n")


def test_kinetics_tree_with_lists_and_without(tmp_path):
    for name, split, label in ((DASH, "train", "tapping pen"), (DOTS, "train", "blowing nose")):
        put(tmp_path, frames(f"{split}/video/{label}/{name}"))
        put(tmp_path, {f"{split}/audio/{label}/{name}.wav": wav()})
    put(tmp_path, frames("test/video/tapping pen/-3Mwkq-7TV4_000002_000012"))
    put(tmp_path, frames(f"train/video/tapping pen/{GONE}", count=3))  # too few, as for the published loaders
    bare = LAYOUTS["kinetics_sounds"].read(tmp_path)
    found = by_id(bare)
    assert set(found) == {DASH, DOTS, "-3Mwkq-7TV4_000002_000012"}
    assert {row["label"] for row in found.values()} == {"tapping pen", "blowing nose"}
    assert found["-3Mwkq-7TV4_000002_000012"]["split"] == "test"
    assert bare.attrs["lost"] == {"video": 0, "audio": 1}
    assert len(read_audio(found[DASH]["audio"])) == 1600
    put(tmp_path, kinetics_lists())
    check_kinetics(LAYOUTS["kinetics_sounds"].read(tmp_path))  # names by the label folders of the listed clips


def test_kinetics_tree_of_one_frame_a_second(tmp_path):
    for name, part, sound, label in (
        (DASH, "train_img", "train", "tapping pen"),
        (DOTS, "train_img", "train", "blowing nose"),
        (TEST, "val_img", "test", "tapping pen"),
    ):
        put(tmp_path, frames(f"visual/{part}/Image-01-FPS/{label.replace(' ', '_')}/{name}", "{:05d}.jpg"))
        put(tmp_path, {f"audio/{sound}/{label}/{name}.wav": wav()})
    put(tmp_path, {"class.txt": "tapping_pen,blowing nose, singing"})
    frame = LAYOUTS["kinetics_sounds"].read(tmp_path)
    found = by_id(frame)
    assert {i: (r["label"], r["split"]) for i, r in found.items()} == {
        DASH: ("tapping pen", "train"),
        DOTS: ("blowing nose", "train"),
        TEST: ("tapping pen", "test"),
    }
    assert frame.attrs["classes"] == ["tapping pen", "blowing nose"]
    assert frame.attrs["lost"] == {"video": 0, "audio": 0}


# VGGSound

VGG = "\ufeff" + "\r\n".join(
    [
        "---g-f_I2yQ,1,people marching,test",
        'AbCdEfGhIjK,30,"bird chirping, tweeting",train',
        "-ZyXwVuTsRq,160,train horning,train",
        "goneGONEgo1,3,train horning,train",
    ]
)
VGG_WANTED = {
    "---g-f_I2yQ_1": ("people marching", "test"),
    "AbCdEfGhIjK_30": ("bird chirping, tweeting", "train"),
    "-ZyXwVuTsRq_160": ("train horning", "train"),
}


def vgg(folder, variant, mp4):
    put(folder, {"data/vggsound.csv": VGG})
    if variant == "frames":
        for name, split in (("---g-f_I2yQ_1", "test"), ("AbCdEfGhIjK_30", "train"), ("-ZyXwVuTsRq_160", "train")):
            put(folder, frames(f"{split}-videos/{split}-set-img/Image-01-FPS/{name}.mp4", "{:05d}.jpg"))
            put(folder, {f"{split}-audios/{split}-set/{name}.wav": wav()})
        put(folder, frames("train-videos/train-set-img/Image-01-FPS/goneGONEgo1_3.mp4", "{:05d}.jpg", count=3))
    elif variant == "padded":
        put(folder, {f"v/{n}.mp4": mp4 for n in ("---g-f_I2yQ_000001", "AbCdEfGhIjK_000030", "-ZyXwVuTsRq_000160")})
    else:
        for name, split, label in (
            ("---g-f_I2yQ_1_11", "test", "people marching"),
            ("AbCdEfGhIjK_30_40", "train", "bird chirping tweeting"),
            ("-ZyXwVuTsRq_160_170", "train", "train horning"),
        ):
            put(folder, frames(f"frames/{split}/{label}/{name}"))
            put(folder, {f"audio/{split}/{label}/{name}.wav": wav()})
        if variant == "tree alone":
            (folder / "data" / "vggsound.csv").unlink()
            stat = (
                'train horning,1050,x\r\n"bird chirping, tweeting",1000,y\r\npeople marching,9,z\r\nyodelling,5,z\r\n'
            )
            put(folder, {"stat.csv": stat})
    return LAYOUTS["vggsound"].read(folder)


@pytest.mark.parametrize("variant", ["frames", "padded", "tree", "tree alone"])
def test_vggsound_in_every_form(tmp_path, variant, mp4):
    frame = vgg(tmp_path, variant, mp4)
    found = by_id(frame)
    assert {i: (r["label"], r["split"]) for i, r in found.items()} == VGG_WANTED
    alone = variant == "tree alone"
    assert frame.attrs["missing"] == ([] if alone else ["goneGONEgo1_3"])
    assert frame.attrs["lost"] == {"video": int(not alone), "audio": int(not alone)}
    labels = ["bird chirping, tweeting", "people marching", "train horning"]
    assert frame.attrs["classes"] == (["train horning", *labels[:2]] if alone else labels)
    for row in found.values():
        assert read_video(row["video"], frames=2).shape[0] == 2
        assert len(read_audio(row["audio"])) >= 1600


def test_vggsound_lists_of_file_names(tmp_path, mp4):
    put(
        tmp_path,
        {"data/test.csv": "glLQrEijrKg_000300.mp4,playing hammond organ\r\nmmmmmmmmmmm_000001.mp4,yodelling\r\n"},
    )
    put(tmp_path, {"test/glLQrEijrKg_300.mp4": mp4})
    frame = LAYOUTS["vggsound"].read(tmp_path)
    assert frame[["id", "label", "split"]].to_numpy().tolist() == [["glLQrEijrKg_300", "playing hammond organ", "test"]]
    assert frame.attrs["missing"] == ["mmmmmmmmmmm_1"]
    put(tmp_path, {"vggsound.csv": "glLQrEijrKg,300,playing hammond organ,test\nmmmmmmmmmmm,1,a, b,test\n"})
    with pytest.raises(ValueError, match=r"row 2 .* quote commas"):
        LAYOUTS["vggsound"].read(tmp_path)


# all of them


def test_names_of_clips():
    assert clips.key("a_b-c_d-e_f_000001_000011.wav") == ("a_b-c_d-e_f", 1)
    assert clips.key("train horning") is clips.key("Image-01-FPS") is clips.key("frame_00001.jpg") is None


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_folders_without_items_say_what_is_looked_for(tmp_path, name):
    with pytest.raises(ValueError, match=rf"no list or clip; a folder of {name} has"):
        modest.ingest(tmp_path, tmp_path / "pool", layout=name)
    with pytest.raises(FileNotFoundError, match="is no folder"):
        modest.ingest(tmp_path / "gone", tmp_path / "pool", layout=name)
    with pytest.raises(ValueError, match="food101, iemocap, kinetics_sounds, mvsa, vggsound"):
        modest.ingest(tmp_path, tmp_path / "pool", layout="other")
    with pytest.raises(TypeError, match="path of a folder"):
        modest.ingest({"x": np.eye(2)}, tmp_path / "pool", layout=name)


def test_a_layout_becomes_a_pool_and_the_pool_grows(tmp_path, mp4):
    vgg(tmp_path / "first", "frames", mp4)
    pool = modest.ingest(tmp_path / "first", tmp_path / "pool", layout="vggsound")
    assert pool.classes == ("bird chirping, tweeting", "people marching", "train horning")
    assert (pool.path / "missing.txt").read_text() == "goneGONEgo1_3\n"
    with pytest.raises(FileNotFoundError, match=r"modest embed .* --video URI --audio URI"):
        pool.views()
    more = "goneGONEgo1,3,yodelling,train\nmmmmmmmmmmm,1,yodelling,train\n"
    put(tmp_path / "second", {"vggsound.csv": more, "goneGONEgo1_3.mp4": mp4})
    grown = modest.ingest(tmp_path / "second", pool.path, layout="vggsound", append=True)
    assert (len(grown), grown.classes[-1]) == (4, "yodelling")
    assert (pool.path / "missing.txt").read_text() == "goneGONEgo1_3\nmmmmmmmmmmm_1\n"
    assert grown.config["lost"] == {"video": 2, "audio": 2}
