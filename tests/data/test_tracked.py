import numpy as np
import pytest

from modest.data.tracked import FILE, Tracked


def tracked():
    p = np.random.default_rng(0).random((3, 4))
    return Tracked(np.array(["a", "b", "ç", "d"]), np.array(["x", "y", "x", "y"], dtype=object), p, p > 0.5)


def test_what_is_written_is_read(tmp_path):
    path = tracked().save(tmp_path)
    found = Tracked.load(tmp_path)
    assert found.ids.tolist() == ["a", "b", "ç", "d"]
    assert found.label.tolist() == ["x", "y", "x", "y"]
    np.testing.assert_allclose(found.confidence, tracked().confidence, atol=1e-7)
    np.testing.assert_array_equal(found.correct, tracked().correct)
    before = path.read_bytes()
    tracked().save(tmp_path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [FILE]


def test_what_is_not_there_or_damaged_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="--track-items"):
        Tracked.load(tmp_path)
    path = tracked().save(tmp_path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            Tracked.load(tmp_path)
    np.savez(path, id=np.array(["a"]))
    with pytest.raises(ValueError, match="is damaged"):
        Tracked.load(tmp_path)
    Tracked(np.array(["a"]), np.array(["x"]), np.zeros((2, 3)), np.zeros((2, 3))).save(tmp_path)
    with pytest.raises(ValueError, match="shapes differ"):
        Tracked.load(tmp_path)
