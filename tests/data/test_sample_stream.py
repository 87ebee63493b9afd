"""Lazy shards: what a sample is, what damage costs, and that memory does not grow with the shards."""

import gzip
import io
import json
import tarfile
import tracemalloc
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from modest.data.sample_stream import Samples, braces
from modest.data.tar_samples import split_key


def write_tar(path, members):
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def members(keys, size=700):
    for key in keys:
        yield f"{key}.jpg", bytes([len(key)]) * size
        yield f"{key}.txt", f"a caption of {key}".encode()
        yield f"{key}.json", json.dumps({"uid": key}).encode()


def told(samples):
    return [(one.id, sorted(one.fields)) for one in samples]


def test_keys_end_at_the_first_dot_of_the_last_part():
    assert split_key("a.b/c.d.PNG") == ("a.b/c", "d.png")
    assert split_key("c") == ("c", "")
    assert split_key("x/._c.txt") == ("x/._c.txt", "")


def test_a_sample_is_a_run_of_members(tmp_path):
    path = write_tar(
        tmp_path / "s.tar", [("d/1.SEG.png", b"p"), ("d/1.txt", b"one"), ("README", b"-"), ("2.txt", b"2")]
    )
    found = list(Samples(path))
    assert told(found) == [("d/1", ["seg.png", "txt"]), ("2", ["txt"])]
    assert found[0].fields == {"seg.png": b"p", "txt": "one"}
    assert found[0].shard == str(path)


def test_fields_are_chosen_and_decoded(tmp_path):
    path = write_tar(tmp_path / "s.tar", members(["a", "b"]))
    found = list(Samples(path, fields=["txt", "json"]))
    assert [one.fields for one in found] == [{"txt": f"a caption of {k}", "json": {"uid": k}} for k in "ab"]


def test_ranges_and_folders_and_their_order(tmp_path):
    assert braces("x") == ["x"]
    assert braces("a{8..10}-{00..01}") == ["a8-00", "a8-01", "a9-00", "a9-01", "a10-00", "a10-01"]
    for k in range(3):
        write_tar(tmp_path / f"{k:06d}.tar", members([f"{k}a", f"{k}b"]))
    ids = ["0a", "0b", "1a", "1b", "2a", "2b"]
    many = Samples(str(tmp_path / "{000000..000002}.tar"))
    assert [one.id for one in many] == ids
    assert [one.id for one in many] == ids  # and once more
    assert [one.id for one in Samples(tmp_path)] == ids
    assert [len(batch) for batch in many.batches(4)] == [4, 2]


def test_a_gzipped_tar_is_the_same(tmp_path):
    plain = write_tar(tmp_path / "s.tar", members("abc"))
    packed = tmp_path / "s.tar.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert [one.fields for one in Samples(packed)] == [one.fields for one in Samples(plain)]
    (tmp_path / "cut.tgz").write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"cut\.tgz is cut off or damaged at sample 'c'"):
        list(Samples(tmp_path / "cut.tgz"))


# 10 samples of 2 kB (512 + 1024, 512 + 512, 512 + 512) of members each: a cut in a header, in content, between members
@pytest.mark.parametrize("cut", [100, 1700, 3584 * 4 + 300, 3584 * 4, 3584 * 4 + 1536, 3584 * 10])
def test_a_cut_shard_is_told_with_the_sample_reached(tmp_path, cut):
    keys = [f"k{k}" for k in range(10)]
    path = write_tar(tmp_path / "s.tar", members(keys))
    path.write_bytes(path.read_bytes()[:cut])
    found = []
    with pytest.raises(ValueError, match=r"s\.tar is cut off or damaged at sample") as error:
        found.extend(one.id for one in Samples(path))
    assert str(error.value).count(". ") == 0
    whole = max(0, (cut - 512) // 3584)  # a sample is known to be whole once the next one's header is read
    skipping = Samples([path, write_tar(tmp_path / "t.tar", members(["z"]))], on_error="skip")
    with pytest.warns(UserWarning, match="1 damaged places were skipped"):
        assert [one.id for one in skipping] == [*keys[:whole], "z"]
    assert skipping.skipped == 1
    assert "s.tar" in skipping.reasons[0]
    assert (repr(keys[whole]) if cut >= 512 else "its beginning") in skipping.reasons[0]


def test_a_damaged_header_in_the_middle_is_no_end(tmp_path):
    path = write_tar(tmp_path / "s.tar", members([f"k{k}" for k in range(10)]))
    content = bytearray(path.read_bytes())
    content[3584 * 5 : 3584 * 5 + 512] = b"\x07" * 512
    path.write_bytes(content)
    with pytest.raises(ValueError, match="at sample 'k4'"):
        list(Samples(path))


def test_a_field_twice_and_bad_json_cost_their_sample_alone(tmp_path):
    listed = [
        ("a.txt", b"1"),
        ("a.txt", b"2"),
        ("b.txt", b"3"),
        ("c.json", b"{"),
        ("d.txt", b"\xff\xfe"),
        ("e.txt", b"5"),
    ]
    path = write_tar(tmp_path / "s.tar", listed)
    with pytest.raises(ValueError, match="two members 'txt' in sample 'a'"):
        list(Samples(path))
    samples = Samples(path, on_error="skip")
    with pytest.warns(UserWarning, match="3 damaged"):
        assert [one.id for one in samples] == ["b", "e"]
    assert ["'a'" in samples.reasons[0], "'c'" in samples.reasons[1], "'d'" in samples.reasons[2]] == [True] * 3


def test_an_empty_tar_has_no_sample_and_an_empty_file_is_damaged(tmp_path):
    assert list(Samples(write_tar(tmp_path / "none.tar", []))) == []
    (tmp_path / "nil.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"nil\.tar is cut off"):
        list(Samples(tmp_path / "nil.tar"))


def write_parquet(path, n=1000, group=100):
    x = np.arange(n * 4, dtype=np.float32).reshape(n, 4)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 4)
    table = pa.table({"uid": [f"u{k}" for k in range(n)], "text": [f"t{k}" for k in range(n)], "x": vectors})
    pq.write_table(
        table, path, row_group_size=group, compression="none", use_dictionary=False, write_page_checksum=True
    )
    return x


def test_rows_of_parquet(tmp_path):
    x = write_parquet(tmp_path / "p.parquet")
    found = list(Samples(tmp_path / "p.parquet", fields=["text", "x"]))
    assert [one.id for one in found] == [f"u{k}" for k in range(1000)]
    assert sorted(found[0].fields) == ["text", "x"]
    assert np.array_equal(np.stack([one.fields["x"] for one in found]), x)
    assert [one.id for one in Samples(tmp_path / "p.parquet", id="text", fields=["x"])][:2] == ["t0", "t1"]
    pq.write_table(pa.table({"text": ["a", None]}), tmp_path / "q.parquet")
    assert [(one.id, one.fields["text"]) for one in Samples(tmp_path / "q.parquet")] == [("q/0", "a"), ("q/1", None)]


def test_a_damaged_row_group_is_skipped_and_a_cut_table_told(tmp_path):
    path = tmp_path / "p.parquet"
    write_parquet(path)
    content = bytearray(path.read_bytes())
    place = content.find(b"t350")
    content[place : place + 4] = b"\xff\xfe\xff\xfe"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"p\.parquet is damaged at row 300, row group 3"):
        list(Samples(path))
    samples = Samples(path, on_error="skip")
    with pytest.warns(UserWarning, match="1 damaged"):
        assert [one.id for one in samples] == [f"u{k}" for k in range(1000) if not 300 <= k < 400]
    pq.write_table(
        pa.table({"text": [f"t{k}" for k in range(1000)]}),
        path,
        row_group_size=100,
        compression="none",
        use_dictionary=False,
    )
    content = bytearray(path.read_bytes())
    place = content.find(b"t350")
    content[place : place + 4] = b"\xff\xfe\xff\xfe"
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="1 damaged"):  # rows without ids keep their numbers behind the damage
        assert [one.id for one in samples] == [f"p/{k}" for k in range(1000) if not 300 <= k < 400]
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match=r"p\.parquet is cut off or no Parquet file"):
        list(Samples(path))


def test_what_is_refused(tmp_path):
    write_parquet(tmp_path / "p.parquet", 3)
    with pytest.raises(FileNotFoundError, match=r"00002\.tar is not there"):
        Samples(str(tmp_path / "{00002..00003}.tar"))
    with pytest.raises(ValueError, match="ends before it begins"):
        Samples("a{3..1}.tar")
    with pytest.raises(ValueError, match="is no shard"):
        Samples(tmp_path / "x.zip")
    with pytest.raises(ValueError, match="empty"):
        Samples([])
    with pytest.raises(ValueError, match="no column 'name' for ids; its columns are uid, text, x"):
        list(Samples(tmp_path / "p.parquet", id="name"))
    with pytest.raises(ValueError, match="on_error='warn' is unknown"):
        Samples(tmp_path / "p.parquet", on_error="warn")
    with pytest.raises(ValueError, match="size=0"):
        next(Samples(tmp_path / "p.parquet").batches(0))


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_memory_does_not_grow_with_the_shards(tmp_path, kind):
    for k in range(8):
        if kind == "tar":
            write_tar(tmp_path / f"{k}.tar", members([f"{k}-{i}" for i in range(1000 if k == 1 else 100)], 4000))
        else:
            write_parquet(tmp_path / f"{k}.parquet", 4000, 500)

    def peak(last):
        tracemalloc.start()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            count = sum(1 for _ in Samples(str(tmp_path / f"{{0..{last}}}.{kind}")))
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return count, top

    peak(0)
    (few, low), (many, high) = peak(0), peak(7)  # more shards, and for tars a longer one
    assert many == (17 if kind == "tar" else 8) * few
    assert high < low + 64_000
