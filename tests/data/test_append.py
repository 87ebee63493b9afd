"""New items at the end of a pool: nothing is lost, nothing half done, and views that are short now say so."""

import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import modest
from modest.data import files

RNG = np.random.default_rng(0)
IMAGE, TEXT = RNG.normal(size=(9, 3)).astype(np.float32), RNG.normal(size=(9, 4)).astype(np.float32)
TEXT[[1, 7]] = np.nan
IDS = np.array([f"n{i}" for i in range(9)])


def source(rows, **columns):
    told = {"image": IMAGE[rows], "text": TEXT[rows], "id": IDS[rows], "note": [f"note {i}" for i in range(9)][rows]}
    return {**told, "label": np.array(list("abcabcabc"), dtype=object)[rows], **columns}


@pytest.fixture
def pool(tmp_path):
    return modest.ingest(source(slice(0, 6), price=np.arange(6)), tmp_path / "pool")


def embedded(pool, encoder="pixels", uri="pixels", modality="image"):
    """A view as `modest embed` writes it."""
    place = pool.path / "views" / modality
    place.mkdir(parents=True, exist_ok=True)
    np.save(place / f"{encoder}.npy", np.ones((len(pool), 2), dtype=np.float32))
    about = {"encoder": encoder, "uri": uri, "rows": pool.config["rows"], "shape": [len(pool), 2], "absent": 0}
    files.write_json(place / f"{encoder}.json", about)


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_new_rows_come_last_and_all_else_stays(pool):
    pool.add({"n0": "mine", "n1": None})
    rows = np.array([2, 0])
    pool.add(modest.Choice(rows, np.zeros(2), pool.ids[rows], "random"))
    source_of_old = pool.path / "pool.parquet"
    old = pd.read_parquet(source_of_old)
    grown = modest.ingest(source(slice(6, 9), colour=["red", None, "blue"]), pool.path, append=True)
    assert grown.ids.tolist() == IDS.tolist()
    assert grown.labels.tolist() == ["mine", None, "c", "a", "b", "c", "a", "b", "c"]
    assert np.array_equal(grown.views().arrays["image"], IMAGE)
    assert np.array_equal(grown.views().arrays["text"], TEXT, equal_nan=True)
    assert grown.present[:, 1].tolist() == [i not in (1, 7) for i in range(9)]
    table = pd.read_parquet(source_of_old)
    assert table.columns.tolist() == ["id", "note", "price", "colour", "label", "split"]
    assert table["colour"][6:].tolist()[::2] == ["red", "blue"]
    assert table["colour"].isna().tolist() == [True] * 6 + [False, True, False]
    assert table["price"].isna().tolist() == [False] * 6 + [True] * 3
    pd.testing.assert_frame_equal(table[["id", "note", "label"]][:6], old[["id", "note", "label"]])
    assert len(grown.rounds) == 1
    assert (json.loads((pool.path / "views/text/given.json").read_text())["absent"], len(grown)) == (2, 9)
    assert not list(pool.path.glob(".*"))


def test_the_same_as_one_ingest_in_one_go_but_for_the_record(pool, tmp_path):
    rows = slice(6, 9)
    grown = modest.ingest(source(rows, price=np.arange(6, 9)), pool.path, append=True)
    whole = modest.ingest(source(slice(0, 9), price=np.arange(9)), tmp_path / "whole")
    for name in ("pool.parquet", "views/image/given.npy", "views/text/given.npy", "views/text/given.present.npy"):
        assert (grown.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    assert grown.config["rows"] == whole.config["rows"]
    assert modest.ingest(source(slice(0, 6), price=np.arange(6)), pool.path).ids.tolist() == IDS.tolist()  # still known


def test_a_second_append_and_one_joined_by_id(pool):
    modest.ingest(source(slice(6, 7)), pool.path, append=True)
    frame = pd.DataFrame({"id": IDS[[8, 7]], "note": ["x", "y"], "split": ["dev", "test"]})
    np.savez(pool.path.parent / "f.npz", id=IDS[::-1], image=IMAGE[::-1], text=TEXT[::-1])
    views = {name: f"{pool.path.parent / 'f.npz'}:{name}" for name in ("image", "text")}
    grown = modest.ingest(frame, pool.path, views=views, append=True)
    order = [*range(7), 8, 7]
    assert grown.ids.tolist() == IDS[order].tolist()
    assert np.array_equal(grown.views().arrays["text"], TEXT[order], equal_nan=True)
    assert (grown.split[-2:].tolist(), grown.labels[-2:].tolist()) == (["val", "test"], [None, None])


def test_scale_and_half_precision_are_kept(tmp_path):
    half = {"x": IMAGE[:6].astype(np.float16), "id": IDS[:6]}
    pool = modest.ingest(half, tmp_path / "half")
    grown = modest.ingest({"x": IMAGE[6:], "id": IDS[6:]}, pool.path, append=True)
    assert grown.views().arrays["x"].dtype == np.float16
    assert np.array_equal(grown.views().arrays["x"], IMAGE.astype(np.float16))
    with pytest.raises(ValueError, match="inf in row 'far'"):
        modest.ingest({"x": np.full((1, 3), 1e6), "id": ["far"]}, pool.path, append=True)
    scaled = modest.ingest({"x": IMAGE[:6], "id": IDS[:6]}, tmp_path / "scaled", standardise=True)
    grown = modest.ingest({"x": IMAGE[6:], "id": IDS[6:]}, scaled.path, append=True)
    wanted = (IMAGE - IMAGE[:6].mean(axis=0)) / IMAGE[:6].std(axis=0)
    assert np.allclose(grown.views().arrays["x"], wanted, atol=1e-5)


def test_class_names_of_the_pool_are_used_and_new_ones_added(tmp_path):
    pool = modest.ingest({"x": IMAGE[:2], "id": IDS[:2], "label": [1, 0]}, tmp_path / "p", classes=["no", "yes"])
    grown = modest.ingest({"x": IMAGE[2:3], "id": IDS[2:3], "label": [1]}, pool.path, append=True)
    assert grown.labels.tolist() == ["yes", "no", "yes"]
    more = {"x": IMAGE[3:4], "id": IDS[3:4], "label": [0], "class_names": np.array(["maybe"])}
    assert modest.ingest(more, pool.path, append=True).classes == ("no", "yes", "maybe")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"id": np.array(["x", "n3", "n1"])}, r"id 'n3' is in the pool .* already"),
        ({"id": None}, "has no ids"),
        ({"text": None}, "the pool has the view text"),
        ({"text": TEXT[6:, :3]}, "text has 4 features in the pool but 3"),
        ({"sound": np.ones((3, 2))}, "the new rows have a view sound"),
        ({"note": np.array([1, 2, 3])}, "column 'note' is .*string in the pool and int64"),
        ({"image": np.full((3, 3), np.nan), "text": np.full((3, 4), np.nan)}, "item 'n6' has no modality"),
        ({"image": np.array([[1, 1, 1], [1, np.nan, 1], [1, 1, 1]])}, "image has NaN in row 'n7'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(pool, change, match):
    before = content(pool.path)
    told = {name: value for name, value in {**source(slice(6, 9)), **change}.items() if value is not None}
    with pytest.raises(ValueError, match=match):
        modest.ingest(told, pool.path, append=True)
    assert content(pool.path) == before
    with pytest.raises(ValueError, match="standardise is settled"):
        modest.ingest(source(slice(6, 9)), pool.path, append=True, standardise=True)
    with pytest.raises(FileNotFoundError, match="holds no pool"):
        modest.ingest(source(slice(6, 9)), pool.path.parent / "none", append=True)


def test_embedded_views_are_short_until_they_are_completed(pool):
    embedded(pool)
    embedded(pool, "clip", "hf:clip", "sketch")
    grown = modest.ingest(source(slice(6, 9)), pool.path, append=True)
    assert len(grown.views({"image": "given"})) == 9
    told = f"view image=pixels covers 6 of the 9 items; complete it with: modest embed {pool.path} --image pixels"
    with pytest.raises(ValueError) as caught:
        grown.views({"image": "pixels"})
    assert str(caught.value) == told
    with pytest.raises(ValueError, match=r"complete it with: modest embed .* --view sketch=hf:clip"):
        grown.views()
    assert grown.short == {"sketch": "hf:clip"}
    assert grown.embed_command() == f"modest embed {pool.path} --view sketch=hf:clip"
    assert grown.present[:, grown.names.index("sketch")].tolist() == [True] * 6 + [False] * 3
    about = pool.path / "views" / "sketch" / "clip.json"
    files.write_json(about, {**files.read_json(about), "kind": "image", "origin": "drawing", "uri": "hf:a b?x=1"})
    with pytest.raises(ValueError, match=r"--view 'sketch=hf:a b\?x=1' --from sketch=drawing$"):
        grown.views()
    embedded(grown)
    embedded(grown, "clip", "hf:clip", "sketch")
    assert len(modest.open(pool.path).views()) == 9


def test_a_view_of_other_rows_is_not_taken_for_a_short_one(pool):
    embedded(pool)
    path = pool.path / "views" / "image" / "pixels.json"
    files.write_json(path, {**files.read_json(path), "rows": "0" * 16})
    modest.ingest(source(slice(6, 9)), pool.path, append=True)
    with pytest.raises(ValueError, match="another table of items"):
        modest.open(pool.path).views({"image": "pixels"})


def test_a_pool_of_raw_media_only_grows_too(tmp_path):
    frame = pd.DataFrame({"id": ["a", "b"], "text": ["one", "two"]})
    pool = modest.ingest(frame, tmp_path / "pool")
    grown = modest.ingest(pd.DataFrame({"id": ["c"], "text": ["three"]}), pool.path, append=True)
    assert grown.table["text"].tolist() == ["one", "two", "three"]
    with pytest.raises(FileNotFoundError, match=r"modest embed .* --text URI"):
        grown.views()
    with pytest.raises(ValueError, match="'d' has no modality"):
        modest.ingest(pd.DataFrame({"id": ["d"], "text": [None]}), pool.path, append=True)


def test_a_pool_opened_before_reads_as_it_was_and_does_not_write(pool):
    views = pool.views()
    modest.ingest(source(slice(6, 9)), pool.path, append=True)
    assert len(pool) == len(pool.views()) == len(pool.table) == 6
    assert np.array_equal(views.arrays["image"], IMAGE[:6])
    with pytest.raises(ValueError, match="open it again"):
        pool.add({"n0": "z"})
    assert len(modest.open(pool.path).table) == 9


class Stop(Exception):  # noqa: N818
    pass


@pytest.mark.parametrize("leave", [True, False])
def test_stopped_between_any_two_renames_it_is_the_old_pool_or_the_new(pool, monkeypatch, leave):
    """``leave``: as a kill leaves it, with the hidden folder; otherwise as an error does."""
    real, rmtree = os.replace, shutil.rmtree
    pool.add({"n0": "mine"})
    embedded(pool)
    begin = pool.path.parent / "begin"
    shutil.copytree(pool.path, begin)
    seen = []
    for moment in range(40):
        rmtree(pool.path)
        shutil.copytree(begin, pool.path)
        count = 0

        def tick(a, b, moment=moment):
            nonlocal count
            count += 1
            if count > moment:
                raise Stop
            real(a, b)

        monkeypatch.setattr(os, "replace", tick)
        if leave:
            monkeypatch.setattr(shutil, "rmtree", lambda *given, **options: None)
        try:
            modest.ingest(source(slice(6, 9)), pool.path, append=True)
        except Stop:
            pass
        else:
            break
        finally:
            monkeypatch.setattr(os, "replace", real)
            monkeypatch.setattr(shutil, "rmtree", rmtree)
        now = modest.open(pool.path)
        seen.append(len(now))
        assert len(now) == 6
        assert now.labels.tolist() == ["mine", *"bcabc"]
        assert np.array_equal(now.views({"image": "given"}).arrays["image"], IMAGE[:6])
        assert np.array_equal(now.views(["text"]).arrays["text"], TEXT[:6], equal_nan=True)
        assert now.present[:, 1].tolist() == [True, False, True, True, True, True]
        assert len(now.views({"image": "pixels"})) == 6
        now.add({"n1": "later"})
        grown = modest.ingest(source(slice(6, 9)), pool.path, append=True)  # the same command again
        assert grown.labels.tolist() == ["mine", "later", *"cabcabc"]
        assert np.array_equal(grown.views(["text"]).arrays["text"], TEXT, equal_nan=True)
        assert grown.table["note"].tolist() == [f"note {i}" for i in range(9)]
        assert [p.name for p in pool.path.glob(".*")] == []
    assert len(seen) > 8  # writes of single files and renames into place
    assert len(modest.open(pool.path)) == 9


CHILD = """
import os, signal, sys
import numpy, pandas, pyarrow.parquet
from modest.data.ingest import ingest
moment, count = int(sys.argv[3]), 0
def hook(event, arguments):
    global count
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and "pool" in str(arguments[0]):
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
ingest(sys.argv[1], sys.argv[2], append=True)
print(count)
"""


def test_sigkill_and_the_same_command_again_give_the_same_files(tmp_path):
    modest.ingest({"x": IMAGE[:6], "id": IDS[:6]}, tmp_path / "begin" / "pool")
    np.savez(tmp_path / "more.npz", x=IMAGE[6:], id=IDS[6:])

    def run(folder, moment):
        shutil.copytree(tmp_path / "begin", folder, dirs_exist_ok=True) if not folder.exists() else None
        told = [sys.executable, "-c", CHILD, str(tmp_path / "more.npz"), str(folder / "pool"), str(moment)]
        return subprocess.run(told, capture_output=True, text=True, check=False)

    done = run(tmp_path / "whole", -1)
    assert done.returncode == 0, done.stderr
    events = int(done.stdout)
    for k, share in enumerate((0.6, 0.85)):
        folder = tmp_path / f"killed{k}"
        assert run(folder, round(share * events)).returncode == -signal.SIGKILL
        assert len(modest.open(folder / "pool").views()) in (6, 9)
        if len(modest.open(folder / "pool")) == 6:
            again = run(folder, -1)
            assert again.returncode == 0, again.stderr
            assert content(folder) == content(tmp_path / "whole")
        assert modest.open(folder / "pool").ids.tolist() == IDS.tolist()
