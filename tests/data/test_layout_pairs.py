"""ColorSwap, COCO captions and DataComp in the forms people have them in: small files in the same formats."""

import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import modest
from modest.data.decoding import read_image
from modest.data.files import read_table
from modest.data.layouts import LAYOUTS, colorswap, datacomp


def picture(shade, kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (shade, shade, shade)).save(buffer, kind)
    return buffer.getvalue()


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def by_id(frame):
    return {row["id"]: row for row in frame.to_dict("records")}


# ColorSwap


def swap(number):
    return {
        "id": number,
        "caption_1": f"a red cat {number} on a blue mat",
        "caption_2": f"a blue cat {number} on a red mat",
        "image_1": f"images/img_{number}_1.png",
        "image_2": f"images/img_{number}_2.png",
        "image_source": "midjourney",
        "caption_source": "human",
    }


@pytest.fixture(params=["zip", "folder"])
def swaps(request, tmp_path):
    folder = tmp_path / "colorswap" / "data"
    put(folder / "train.json", [swap(0), swap(2)])
    put(folder / "test.json", [swap(1)])
    files = {f"images/img_{n}_{k}.png": picture(20 * n + k) for n in (0, 1, 2) for k in (1, 2) if (n, k) != (2, 2)}
    if request.param == "zip":
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            put(folder / name, content)
    return tmp_path / "colorswap"


def test_colorswap_pairs_caption_k_with_image_k(swaps):
    frame = LAYOUTS["colorswap"].read(swaps)
    found = by_id(frame)
    assert list(frame["id"]) == ["0_1", "0_2", "2_1", "2_2", "1_1", "1_2"]
    assert list(frame["group"]) == ["0", "0", "2", "2", "1", "1"]
    assert list(frame["split"]) == ["train"] * 4 + ["test"] * 2
    for name, row in found.items():
        n, k = map(int, name.split("_"))
        assert row["text"] == swap(n)[f"caption_{k}"]
        if name != "2_2":
            assert read_image(row["image"])[0, 0, 0] == 20 * n + k
    assert found["2_2"]["image"] is None
    assert frame.attrs["lost"] == {"image": 1, "text": 0}


def test_colorswap_becomes_a_paired_pool(swaps, tmp_path):
    pool = modest.ingest(swaps, tmp_path / "pool", layout="colorswap")
    assert len(pool) == 6
    assert list(pool.table.columns) == ["id", "image", "text", "group", "label", "split"]
    assert pool.config["lost"] == {"image": 1}


def test_the_version_of_the_hub_is_saved_in_the_same_form(tmp_path, monkeypatch):
    def row(number):
        images = {f"image_{k}": Image.new("RGB", (4, 4), (number, k, 0)) for k in (1, 2)}
        return {**swap(number), **images}

    hub = {"train": [row(3), row(5)], "test": [row(4)]}
    frame = LAYOUTS["colorswap"].read(colorswap.save(tmp_path / "hub", hub))
    assert list(frame["id"]) == ["3_1", "3_2", "5_1", "5_2", "4_1", "4_2"]
    assert read_image(by_id(frame)["5_2"]["image"])[0, 0].tolist() == [5, 2, 0]
    assert by_id(frame)["4_1"]["text"] == swap(4)["caption_1"]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'modest\[data\]'"):
        colorswap.save(tmp_path / "other")


@pytest.mark.parametrize("content", [b'[{"id": 0}]', b"[1]", b"{", b'{"id": 3}'])
def test_a_damaged_colorswap_list_is_named(tmp_path, content):
    put(tmp_path / "data" / "train.json", content)
    with pytest.raises(ValueError, match=r"train\.json is no list of id, caption_1"):
        LAYOUTS["colorswap"].read(tmp_path)


# COCO captions


def coco_picture(cocoid, split, filepath, captions):
    sentences = [
        {"tokens": text.lower().split(), "raw": text, "imgid": cocoid, "sentid": 10 * cocoid + k}
        for k, text in enumerate(captions)
    ]
    name = f"COCO_{filepath}_{cocoid:012d}.jpg"
    told = {"filepath": filepath, "filename": name, "imgid": cocoid, "cocoid": cocoid, "split": split}
    return {**told, "sentids": [one["sentid"] for one in sentences], "sentences": sentences}


SEVEN = [f"A man number {k}. " for k in range(7)]
COCO = [
    coco_picture(1, "train", "train2014", SEVEN),
    coco_picture(2, "restval", "val2014", SEVEN[:6]),
    coco_picture(3, "val", "val2014", SEVEN),
    coco_picture(4, "test", "val2014", SEVEN[:5]),
]


@pytest.fixture
def coco(tmp_path):
    put(tmp_path / "dataset_coco.json", {"images": COCO, "dataset": "coco"})
    for one in COCO[:3]:
        put(tmp_path / one["filepath"] / one["filename"], picture(one["cocoid"], "JPEG"))
    return tmp_path


def test_coco_keeps_all_captions_in_training_and_five_in_evaluation(coco):
    frame = LAYOUTS["coco_captions"].read(coco)
    assert frame.groupby("group", sort=False).size().to_dict() == {"1": 7, "2": 6, "3": 5, "4": 5}
    assert frame.groupby("group")["split"].first().to_dict() == {"1": "train", "2": "train", "3": "val", "4": "test"}
    found = by_id(frame)
    assert found["24"]["text"] == "A man number 4."
    assert found["24"]["image"].endswith("val2014/COCO_val2014_000000000002.jpg")
    assert {row["image"] for row in found.values() if row["group"] == "4"} == {None}
    assert list(found)[:3] == ["10", "11", "12"]
    assert {"34", "35"} & set(found) == {"34"}


def test_flickr_has_no_folder_and_no_cocoid(tmp_path):
    plain = [{k: v for k, v in one.items() if k not in ("filepath", "cocoid")} for one in COCO]
    put(tmp_path / "dataset_flickr8k.json", {"images": plain, "dataset": "flickr8k"})
    put(tmp_path / "images" / COCO[0]["filename"], picture(7, "JPEG"))
    frame = LAYOUTS["coco_captions"].read(tmp_path)
    assert len(frame) == 23
    assert frame["image"].notna().sum() == 7
    assert set(frame["group"]) == {"1", "2", "3", "4"}


def test_the_form_of_clip_benchmark_is_the_same_table(coco, tmp_path):
    wanted = LAYOUTS["coco_captions"].read(coco)
    (coco / "dataset_coco.json").unlink()
    for split, pictures in (("train", COCO[:2]), ("val", COCO[2:3]), ("test", COCO[3:])):
        told = {
            "images": [{"file_name": one["filename"], "id": one["cocoid"]} for one in pictures],
            "annotations": [
                {"image_id": one["cocoid"], "caption": s["raw"], "id": s["sentid"]}
                for one in reversed(pictures)
                for s in one["sentences"]
            ],
        }
        put(tmp_path / f"coco_{split}_karpathy.json", told)
    pd.testing.assert_frame_equal(LAYOUTS["coco_captions"].read(tmp_path), wanted)


@pytest.mark.parametrize("content", ["{}", "[]", '{"images": [{"split": "train"}]}', '{"images": [{"split": "a"}]}'])
def test_a_damaged_coco_list_is_named(tmp_path, content):
    put(tmp_path / "dataset_coco.json", content.encode())
    with pytest.raises(ValueError, match=r"dataset_coco\.json is no list of pictures with sentences"):
        LAYOUTS["coco_captions"].read(tmp_path)


# DataComp


def uid(number):
    return f"{number * 0x123456789ABCDEF0123:032x}"


def web(folder, parts=((1, 2, 3), (4, 5)), shards=(), wide=4):
    """Metadata in two files with features, and shards of some samples, with a table beside or a json for each."""
    for name, numbers in zip(("a" * 32, "b" * 32), parts):
        (folder / "metadata").mkdir(parents=True, exist_ok=True)
        table = {"uid": [uid(n) for n in numbers], "url": [f"http://{n}" for n in numbers]}
        table |= {"text": [None if n == 5 else f"web text {n} " for n in numbers]}
        table |= {"clip_l14_similarity_score": np.array(numbers, dtype=np.float32) / 10}
        table |= {"face_bboxes": [[]] * len(numbers)}
        pd.DataFrame(table).to_parquet(folder / "metadata" / f"{name}.parquet")
        arrays = {
            f"{model}_{side}": np.array([[n, width, sign] + [1] * wide for n in numbers], dtype=np.float16)
            for model, width in (("b32", 32), ("l14", 14))
            for side, sign in (("img", 1), ("txt", -1))
        }
        np.savez(folder / "metadata" / f"{name}.npz", **arrays, dedup=np.zeros(len(numbers)))
    for k, numbers in enumerate(shards):
        shard(folder / "shards" / f"{k:08d}.tar", numbers, beside=k % 2 == 1)


def shard(path, numbers, beside=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    told = []
    with tarfile.open(path, "w") as tar:
        for place, n in enumerate(numbers):
            key = f"{place:08d}"
            about = {"uid": uid(n), "key": key, "caption": f"web text {n}", "url": f"http://{n}", "status": "success"}
            told.append(about)
            members = {f"{key}.jpg": picture(40 * n, "JPEG"), f"{key}.txt": about["caption"].encode()}
            members |= {} if beside else {f"{key}.json": json.dumps(about).encode()}
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    if beside:
        told.append({**told[0], "uid": uid(99), "key": "00000099", "status": "failed_to_download"})
        pd.DataFrame(told).to_parquet(path.with_suffix(".parquet"))


@pytest.mark.parametrize(("layout", "width"), [("datacomp", 14), ("datacomp_b32", 32)])
def test_datacomp_metadata_features_and_shards_meet_by_uid(tmp_path, layout, width):
    web(tmp_path / "web", shards=[(2, 5), (1,)])
    pool = modest.ingest(tmp_path / "web", tmp_path / "pool", layout=layout)
    assert pool.ids.tolist() == [uid(n) for n in range(1, 6)]
    assert pool.table["text"].tolist()[:4] == [f"web text {n}" for n in range(1, 5)]
    assert pool.table["text"].isna().tolist() == [False] * 4 + [True]
    pictures = pool.table["image"]
    assert pictures.notna().tolist() == [True, True, False, False, True]
    assert read_image(pictures[1]).mean() == pytest.approx(80, abs=2)
    assert read_image(pictures[0]).mean() == pytest.approx(40, abs=2)
    assert pool.views().names == ("image", "text")
    np.testing.assert_array_equal(pool.views().arrays["image"][:, :3], [[n, width, 1] for n in range(1, 6)])
    np.testing.assert_array_equal(pool.views().arrays["text"][:, :3], [[n, width, -1] for n in range(1, 6)])
    assert pool.table["clip_l14_similarity_score"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_a_short_uid_is_filled_up_with_zeros(tmp_path):
    (tmp_path / "metadata").mkdir()
    pd.DataFrame({"uid": ["ab", uid(2)], "text": ["x", "y"]}).to_parquet(tmp_path / "metadata" / "a.parquet")
    assert LAYOUTS["datacomp"].read(tmp_path)["id"].tolist() == ["0" * 30 + "ab", uid(2)]


def test_shards_alone_are_a_pool_and_a_repeated_sample_is_one_item(tmp_path):
    web(tmp_path, (), shards=[(7, 8), (8, 9)])
    frame = LAYOUTS["datacomp"].read(tmp_path)
    assert frame["id"].tolist() == [uid(7), uid(8), uid(9)]
    assert frame["text"].tolist() == ["web text 7", "web text 8", "web text 9"]
    assert frame.attrs["features"] == {}
    assert read_image(frame["image"][2]).mean() == pytest.approx(255, abs=120)


def test_a_truncated_shard_is_named(tmp_path):
    web(tmp_path, shards=[(1, 2, 3)])
    place = tmp_path / "shards" / "00000000.tar"
    whole = place.read_bytes()
    with tarfile.open(place) as tar:
        ends = [member.offset for member in tar][1:]
    for kept in (700, 1100, len(whole) // 3, *ends):
        place.write_bytes(whole[:kept])
        with pytest.raises(ValueError, match=r"00000000\.tar is truncated"):
            LAYOUTS["datacomp"].read(tmp_path)
    place.write_bytes(b"no tar at all, but long enough to be read as one" * 30)
    with pytest.raises(ValueError, match=r"no plain tar"):
        LAYOUTS["datacomp"].read(tmp_path)


def test_metadata_and_features_must_be_of_one_length(tmp_path):
    web(tmp_path)
    place = tmp_path / "metadata" / ("a" * 32 + ".npz")
    np.savez(place, l14_img=np.ones((2, 7)), l14_txt=np.ones((2, 7)))
    with pytest.raises(ValueError, match="has 4 rows of l14_img and 5 uids"):
        modest.ingest(tmp_path, tmp_path / "pool", layout="datacomp")


def test_subsets_are_sorted_pairs_of_words(tmp_path):
    uids = [uid(5), "ff", uid(3), "f" * 32, uid(5)]
    datacomp.write_subset(tmp_path / "subset.npy", uids)
    array = np.load(tmp_path / "subset.npy")
    assert array.dtype == np.dtype("u8,u8")
    told = sorted(one.rjust(32, "0") for one in uids)
    assert [(int(one[:16], 16), int(one[16:32], 16)) for one in told] == [tuple(map(int, one)) for one in array]
    assert datacomp.read_subset(tmp_path / "subset.npy") == told
    array.tofile(tmp_path / "raw.npy")
    assert datacomp.read_subset(tmp_path / "raw.npy") == told
    (tmp_path / "raw.npy").write_bytes(array.tobytes()[:-3])
    with pytest.raises(ValueError, match="16 bytes each"):
        datacomp.read_subset(tmp_path / "raw.npy")
    np.save(tmp_path / "other.npy", np.arange(3))
    with pytest.raises(ValueError, match="not uids"):
        datacomp.read_subset(tmp_path / "other.npy")
    for odd in ("xyz", "1" + "0" * 32):
        with pytest.raises(ValueError, match="hexadecimal"):
            datacomp.write_subset(tmp_path / "subset.npy", [odd])


# taken apart


def test_unpair_takes_training_rows_apart_and_keeps_the_truth_apart(swaps, tmp_path):
    whole = modest.ingest(swaps, tmp_path / "whole", layout="colorswap")
    pool = modest.ingest(swaps, tmp_path / "pool", layout="colorswap", unpair=("image", "text"))
    table = pool.table.set_index("id")
    halves = [*(f"image-{k}" for k in (1, 2, 3)), *(f"text-{k}" for k in (1, 2, 3, 4))]
    assert table.index.tolist() == ["1_1", "1_2", *halves]
    assert table.loc[["1_1", "1_2"], ["image", "text", "group"]].notna().all(axis=None)
    apart = table.iloc[2:]
    assert (apart["image"].notna() ^ apart["text"].notna()).all()
    assert apart["group"].isna().all()
    truth = read_table(pool.path / "truth.parquet")
    assert len(truth) == 3
    before = whole.table.set_index("image")["text"].to_dict()
    for row in truth.to_dict("records"):
        assert (row["modality_a"], row["modality_b"]) == ("image", "text")
        assert before[table.loc[row["id_a"], "image"]] == table.loc[row["id_b"], "text"]
    assert not any("truth" in name for name in pool.table.columns)


def test_captions_of_one_picture_share_its_half(coco, tmp_path):
    pool = modest.ingest(coco, tmp_path / "pool", layout="coco_captions", unpair=("image", "text"))
    train = pool.table[pool.table["split"] == "train"]
    assert train["image"].notna().sum() == 2
    assert train["text"].notna().sum() == 13  # equal captions of different pictures stay apart
    truth = read_table(pool.path / "truth.parquet")
    assert sorted(truth.groupby("id_a").size().tolist()) == [6, 7]


def test_views_are_taken_apart_with_their_items(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(30, 3)).astype(np.float32) for name in ("image", "text", "sound")}
    arrays["image"][4] = np.nan
    split = np.array(["test" if k % 5 == 0 else "train" for k in range(30)])
    ids = np.array([f"n{k:02d}" for k in range(30)])
    source = {**arrays, "split": split, "id": ids, "label": [str(k % 3) for k in range(30)]}
    pool = modest.ingest(source, tmp_path / "pool", unpair=("image", "text"))
    assert len(pool) == 6 + 23 + 24
    views = pool.views()
    column = {name: k for k, name in enumerate(views.names)}
    assert views.present[:6].all()
    assert (views.present[6:].sum(axis=1) == 1).all()
    assert not views.present[6:, column["sound"]].any()
    row = {name: k for k, name in enumerate(pool.ids.tolist())}
    truth = read_table(pool.path / "truth.parquet")
    assert len(truth) == 23
    origin = {}
    for name in ("image", "text"):
        for item in (n for n in pool.ids.tolist() if n.startswith(name)):
            (origin[item],) = np.flatnonzero((arrays[name] == views.arrays[name][row[item]]).all(axis=1))
    assert all(origin[one["id_a"]] == origin[one["id_b"]] for one in truth.to_dict("records"))
    assert all(pool.labels[row[item]] == str(k % 3) for item, k in origin.items())
    order = [[origin[f"{name}-{k:02d}"] for k in range(1, 24)] for name in ("image", "text")]
    assert sorted(order[0]) != order[0] != order[1]  # names tell nothing of partners
    assert np.mean(np.array(order[0]) == np.array(order[1])) < 0.3


def test_ids_like_those_of_halves_are_told_apart_or_refused(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(6, 3)) for name in ("image", "text", "sound")}
    arrays |= {"id": ["image-1", "image-2", "image-3", "text-4", "e", "f"], "split": ["train"] * 4 + ["test"] * 2}
    pool = modest.ingest(arrays, tmp_path / "pool", unpair=("image", "text"))
    views = pool.views()
    assert views.present[2:, views.names.index("sound")].sum() == 0
    arrays["id"] = ["a", "b", "c", "d", "text-1", "f"]
    with pytest.raises(ValueError, match="id 'text-1' is also what unpair calls a half"):
        modest.ingest(arrays, tmp_path / "other", unpair=("image", "text"))


def test_unpair_says_what_it_cannot_take(swaps, tmp_path):
    for names, told in ((("image",), "1 modality"), (("image", "sound"), "'sound', which is no view or raw column")):
        with pytest.raises(ValueError, match=told):
            modest.ingest(swaps, tmp_path / "pool", layout="colorswap", unpair=names)
    with pytest.raises(ValueError, match="an append cannot"):
        modest.ingest(swaps, tmp_path / "pool", layout="colorswap", unpair=("image", "text"), append=True)
