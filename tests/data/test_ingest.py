"""Every kind of source gives the same pool; what comes out is what went in."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modest

N = 7
RNG = np.random.default_rng(0)
IMAGE = RNG.normal(size=(N, 2, 3)).astype(np.float32)
TEXT = RNG.normal(size=(N, 4))
IDS = [f"00{i}" for i in range(N)]
LABELS = ["b", "a", "b", "a", "b", "a", "b"]
SPLIT = ["train", "test", "validation", "train", "train", "test", "dev"]


def same(pool, ids=IDS):
    assert pool.ids.tolist() == list(ids)
    assert pool.labels.tolist() == LABELS
    assert pool.split.tolist() == ["train", "test", "val", "train", "train", "test", "val"]
    views = pool.views()
    assert np.allclose(views.arrays["image"], IMAGE.reshape(N, 6))
    assert np.allclose(views.arrays["text"], TEXT.astype(np.float32))
    assert all(array.dtype == np.float32 for array in views.arrays.values())
    assert pool.classes == ("a", "b")


def table():
    return pd.DataFrame({"id": IDS, "label": LABELS, "split": SPLIT, "note": [f"n,{i}" for i in range(N)]})


def arrays():
    return {"image": IMAGE, "text": TEXT, "id": np.array(IDS), "label": np.array(LABELS), "split": np.array(SPLIT)}


def vectors():
    return table().assign(image=[row.ravel() for row in IMAGE], text=list(TEXT))


class FakeDataset:
    """Behaves like ``datasets.Dataset`` where ingest looks."""

    def __init__(self, frame):
        self.frame, self.features = frame, {}
        self.column_names = list(frame.columns)

    def __len__(self):
        return len(self.frame)

    def __getitem__(self, key):
        if isinstance(key, str):
            return self.frame[key].tolist()
        return {name: [np.asarray(c).tolist() for c in self.frame[name].iloc[key]] for name in self.column_names}


def write_source(kind, folder):
    """The table in one of the forms ingest reads, as (source, further options)."""
    folder.mkdir()
    if kind == "mapping":
        return arrays(), {}
    if kind == "frame":
        return vectors(), {}
    if kind == "dataset":
        return FakeDataset(vectors()), {}
    if kind in ("npz", "compressed"):
        (np.savez if kind == "npz" else np.savez_compressed)(folder / "all.npz", **arrays())
        return folder / "all.npz", {}
    if kind == "parquet":
        vectors().to_parquet(folder / "all.parquet")
        return str(folder / "all.parquet"), {}
    if kind == "jsonl":
        vectors().to_json(folder / "all.jsonl", orient="records", lines=True, double_precision=15)
        return folder / "all.jsonl", {}
    if kind == "folder":
        for name, array in arrays().items():
            np.save(folder / f"{name}.npy", array)
        return folder, {}
    shuffle = RNG.permutation(N + 2)
    more = np.concatenate([IMAGE, np.ones((2, 2, 3), dtype=np.float32)])[shuffle]
    np.savez(folder / "features.npz", image=more, id=np.array([*IDS, "x", "y"])[shuffle])
    np.save(folder / "text.npy", np.asfortranarray(TEXT))
    table().to_csv(folder / "items.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    return folder / "items.csv", {
        "views": {"image": f"{folder / 'features.npz'}:image", "text": f"{folder / 'text.npy'}"}
    }


@pytest.mark.parametrize(
    "kind", ["mapping", "frame", "dataset", "npz", "compressed", "parquet", "jsonl", "folder", "csv+features"]
)
def test_every_source_gives_the_same_pool(kind, tmp_path):
    source, options = write_source(kind, tmp_path / "source")
    seen = []
    pool = modest.ingest(source, tmp_path / "pool", progress=lambda *at: seen.append(at), **options)
    same(pool)
    assert seen[-1] == (2 * N, 2 * N)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_second_ingest_of_the_same_leaves_all_as_it_is(tmp_path):
    pool = modest.ingest(arrays(), tmp_path / "pool")
    pool.add({IDS[0]: "z"})
    before = {p: p.read_bytes() for p in pool.path.rglob("*") if p.is_file()}
    assert modest.ingest(arrays(), tmp_path / "pool").labels[0] == "z"
    assert before == {p: p.read_bytes() for p in pool.path.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match="other content"):
        modest.ingest({**arrays(), "text": TEXT + 1}, tmp_path / "pool")
    assert before == {p: p.read_bytes() for p in pool.path.rglob("*") if p.is_file()}


def test_a_real_hugging_face_dataset(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra `datasets` is not installed")
    frame = vectors().assign(image=[row.ravel().tolist() for row in IMAGE], text=[row.tolist() for row in TEXT])
    same(modest.ingest(datasets.Dataset.from_pandas(frame), tmp_path / "pool"))


def test_ids_are_row_numbers_when_none_are_given(tmp_path):
    pool = modest.ingest({"image": np.eye(11)}, tmp_path / "pool")
    assert pool.ids[[0, 10]].tolist() == ["00", "10"]
    assert pool.labels.tolist() == [None] * 11
    assert set(pool.split) == {"train"}


def test_views_keep_their_presence_and_ids(tmp_path):
    present = np.array([[True, False], [True, True], [False, True]])
    views = modest.Views({"a": np.ones((3, 2)), "b": np.ones((3, 1))}, present, ["x", "y", "z"])
    pool = modest.ingest(views, tmp_path / "pool", label=["u", None, "v"])
    assert (pool.present == present).all()
    assert (pool.ids.tolist(), pool.labels.tolist()) == (["x", "y", "z"], ["u", None, "v"])
    assert (np.isnan(pool.views().arrays["b"][:, 0]) == ~present[:, 1]).all()


def test_items_without_a_row_in_the_features_are_absent(tmp_path):
    np.savez(tmp_path / "f.npz", image=IMAGE[[4, 1]], id=np.array(IDS)[[4, 1]])
    source = {"text": TEXT, "id": np.array(IDS)}
    pool = modest.ingest(source, tmp_path / "pool", views={"text": "text", "image": str(tmp_path / "f.npz")})
    assert np.flatnonzero(pool.present[:, 1]).tolist() == [1, 4]
    assert np.allclose(pool.views().arrays["image"][4], IMAGE[4].ravel())


def test_standardise_by_present_training_rows_only(tmp_path, monkeypatch):
    monkeypatch.setattr("modest.data.features.BLOCK_BYTES", 64 * 3)  # a few rows a block: the merged moments must agree
    x = np.random.default_rng(1).normal(3, 5, size=(60, 4))
    x[:, 2] = 7.0
    x[10] = np.nan
    split = np.where(np.arange(60) % 3 == 0, "test", "train")
    source = {"a": x, "b": np.ones((60, 1)), "split": split}
    pool = modest.ingest(source, tmp_path / "pool", standardise=["a"])
    train = (split == "train") & (np.arange(60) != 10)
    mean, std = x[train].mean(axis=0), x[train].std(axis=0)
    std[2] = 1.0
    wanted = ((x - mean) / std).astype(np.float32)
    found = pool.views().arrays["a"]
    assert np.allclose(found, wanted, atol=1e-6, equal_nan=True)
    assert np.allclose(np.load(pool.path / "views" / "a" / "given.standard.npy"), [mean, std])
    assert (pool.views().arrays["b"] == 1).all()


def test_many_blocks_equal_one(tmp_path, monkeypatch):
    np.savez(tmp_path / "all.npz", **arrays())
    whole = modest.ingest(tmp_path / "all.npz", tmp_path / "a")
    monkeypatch.setattr("modest.data.features.BLOCK_BYTES", 50)
    pieces = modest.ingest(tmp_path / "all.npz", tmp_path / "b")
    assert whole.config == pieces.config


def test_integers_get_class_names_and_minus_one_is_unknown(tmp_path):
    source = {"x": np.eye(4), "label": np.array([1, 0, -1, 1]), "class_names": np.array(["no", "yes"])}
    assert modest.ingest(source, tmp_path / "a").labels.tolist() == ["yes", "no", None, "yes"]
    pool = modest.ingest({"x": np.eye(4), "label": [2, 10, 1, 2]}, tmp_path / "b")
    assert pool.classes == ("1", "2", "10")
    with pytest.raises(ValueError, match="-1 or 1"):
        modest.ingest({"x": np.eye(2), "label": [-1, 1]}, tmp_path / "c")
    with pytest.raises(ValueError, match="only 1 class names"):
        modest.ingest({"x": np.eye(2), "label": [0, 1]}, tmp_path / "c", classes=["one"])


def test_float16_stays_and_columns_can_be_views(tmp_path):
    frame = pd.DataFrame({"mfcc_0": [1.0, 2.0], "mfcc_1": [3.0, 4.0], "age": [5, 6], "label": ["a", "b"]})
    pool = modest.ingest(
        frame, tmp_path / "a", views={"audio": "mfcc_*", "who": ["age"], "half": np.ones((2, 2), np.float16)}
    )
    views = pool.views()
    assert views.arrays["audio"].tolist() == [[1, 3], [2, 4]]
    assert views.arrays["who"].tolist() == [[5], [6]]
    assert views.arrays["half"].dtype == np.float16


def test_columns_are_picked_renamed_and_never_hide_the_reserved(tmp_path):
    frame = table().assign(x=list(TEXT), when=["train", "test"] * 3 + ["train"])
    pool = modest.ingest(frame, tmp_path / "a", split="when", columns={"caption": "note", "split": "split"})
    assert pool.table.columns.tolist() == ["id", "caption", "source_split", "label", "split"]
    assert pool.split.tolist() == ["train", "test"] * 3 + ["train"]


@pytest.mark.parametrize("packed", [False, True])
def test_media_in_a_folder_per_class(tmp_path, packed):
    names = ["train/cat/a.jpg", "train/cat/a.txt", "test/dog/b.jpg", "train/dog/c.wav", ".hidden/x.jpg", "README.txt"]
    for name in names:
        path = tmp_path / "media" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"content of {name}")
    source = tmp_path / "media"
    if packed:
        source = tmp_path / "media.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for name in names:
                archive.write(tmp_path / "media" / name, name)
    pool = modest.ingest(source, tmp_path / "pool")
    assert pool.ids.tolist() == ["test/dog/b", "train/cat/a", "train/dog/c"]
    assert pool.labels.tolist() == ["dog", "cat", "dog"]
    assert pool.split.tolist() == ["test", "train", "train"]
    assert pool.table["text"][1] == "content of train/cat/a.txt"
    from modest.data.media import read_bytes

    assert read_bytes(pool.table["image"][1]) == b"content of train/cat/a.jpg"
    assert ("!" in pool.table["image"][1]) == packed
    with pytest.raises(FileNotFoundError, match="modest embed"):
        pool.views()


def test_files_named_in_a_table_are_found_beside_it_and_in_zips(tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("a.jpg", b"A")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "b.wav").write_bytes(b"B")
    rows = ["id,image,sound", "1,a.jpg,sounds/b.wav", "2,gone.jpg,sounds/b.wav"]
    (tmp_path / "items.csv").write_text("\n".join(rows))
    for source, into in ((tmp_path / "items.csv", "p"), (tmp_path, "q")):
        pool = modest.ingest(source, tmp_path.parent / f"{tmp_path.name}-{into}")
        image, sound = pool.table["image"], pool.table["sound"]
        assert image[0] == f"{tmp_path.resolve() / 'images.zip'}!a.jpg"
        assert (image.isna().tolist(), pool.config["lost"]) == ([False, True], {"image": 1})
        assert Path(sound[1]).read_bytes() == b"B"


def test_the_record_tells_where_it_is_from(tmp_path):
    np.savez(tmp_path / "all.npz", **arrays())
    pool = modest.ingest(tmp_path / "all.npz", tmp_path / "pool")
    about = json.loads((pool.path / "views" / "image" / "given.json").read_text())
    assert about["origin"] == "all.npz:image"
    assert about["rows"] == pool.config["rows"]


def test_the_room_is_light_to_import():
    told = "import sys, modest.data; print(sorted({'torch', 'pandas', 'sklearn', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ids_keep_their_zeros_and_empty_cells_alone_are_missing(tmp_path):
    (tmp_path / "t.csv").write_text('id,label,x,note\n007,NA,1.5,nan\n008,,2.5,"a,b"\n')
    pool = modest.ingest(tmp_path / "t.csv", tmp_path / "csv", views={"x": "x"})
    assert (pool.ids.tolist(), pool.labels.tolist()) == (["007", "008"], ["NA", None])
    assert pool.table["note"].tolist() == ["nan", "a,b"]
    (tmp_path / "t.jsonl").write_text('{"id": "007", "label": 3, "x": [1, 2]}\n\n{"id": "8", "x": null, "y": 1}\n')
    lines = modest.ingest(tmp_path / "t.jsonl", tmp_path / "jsonl", views={"x": "x", "y": np.ones((2, 1))})
    assert (lines.ids.tolist(), lines.labels.tolist()) == (["007", "8"], ["3", None])
    assert lines.present[:, 0].tolist() == [True, False]
