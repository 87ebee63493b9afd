"""What a round remembers: the state of its choice, whole, hashed and without pickles."""

import numpy as np
import pytest

import modest
from modest.data import files
from modest.data.rounds import last_state

STATE = {
    "closest": np.linspace(0, 1, 5, dtype=np.float32),
    "ids": np.array(["n0", "ü"]),
    "pairs": np.arange(6).reshape(3, 2),
    "covered": np.array([True, False]),
    "empty": np.empty((0, 3)),
    "kernel": "rbf",
    "bandwidth": 0.75,
    "size": 5,
}


@pytest.fixture
def pool(tmp_path):
    return modest.ingest({"image": np.eye(6), "id": [f"n{i}" for i in range(6)]}, tmp_path / "pool")


def choice(row, method="maxherding", state=()):
    ids = np.array([f"n{row}"])
    return modest.Choice(np.array([row]), np.array([0.5]), ids, method, state=dict(state))


def test_a_state_comes_back_as_it_was(pool):
    pool.add(choice(2, state=STATE))
    (kept,) = modest.open(pool.path).rounds
    assert kept.manifest["state"] == files.file_hash(kept.path / "state.npz")
    back = kept.state
    assert set(back) == set(STATE)
    for name, value in STATE.items():
        np.testing.assert_array_equal(back[name], value)
        if isinstance(value, np.ndarray):
            assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
        else:
            assert type(back[name]) is type(value)


def test_equal_states_are_equal_bytes(pool, tmp_path, monkeypatch):
    files.write_npz(tmp_path / "a.npz", STATE)
    monkeypatch.setattr("time.time", lambda: 1e9)
    files.write_npz(tmp_path / "b.npz", dict(reversed(STATE.items())))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_round_without_a_state_writes_no_file(pool):
    pool.add(choice(2))
    (kept,) = pool.rounds
    assert sorted(path.name for path in kept.path.iterdir()) == ["choice.parquet", "manifest.json"]
    assert kept.state == {}
    assert "state" not in kept.manifest


def test_the_newest_state_of_a_method_is_found(pool):
    pool.add(choice(0, state={"a": 1}))
    pool.add(choice(1, state={"a": 2}))
    pool.add(choice(2))
    pool.add(choice(3, "kcenter", {"b": 3}))
    assert last_state(pool.rounds, "maxherding") == {"a": 2}
    assert last_state(pool.rounds, "kcenter") == {"b": 3}
    assert last_state(pool.rounds, "random") == {}
    assert last_state((), "random") == {}
    (pool.path / "rounds" / "2" / "state.npz").unlink()
    assert last_state(pool.rounds, "maxherding") == {"a": 1}


def test_a_damaged_state_is_named(pool):
    pool.add(choice(0, state=STATE))
    place = pool.path / "rounds" / "1" / "state.npz"
    place.write_bytes(place.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"state\.npz is not what was written; delete it"):
        _ = pool.rounds[0].state
    with pytest.raises(ValueError, match=r"state\.npz is truncated"):
        files.read_npz(place)
    place.unlink()
    assert pool.rounds[0].state == {}
    with pytest.raises(FileNotFoundError):
        files.read_npz(place)


def test_python_objects_are_refused_and_nothing_is_written(pool, tmp_path):
    with pytest.raises(ValueError, match="cannot hold 'what', a Python object"):
        pool.add(choice(0, state={"what": None}))
    assert pool.rounds == ()
    np.savez(tmp_path / "bad.npz", a=np.array([None]))
    with pytest.raises(ValueError, match=r"no plain \.npz"):
        files.read_npz(tmp_path / "bad.npz")
