"""Two runs on one folder: the second is told so in one sentence, and a killed one holds nothing."""

import subprocess
import sys

import numpy as np
import pytest

import modest
from modest.data.lock import held

HOLD = """
import sys, time
from pathlib import Path
from modest.data.lock import held
with held(Path(sys.argv[1]), "there"):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds ``tmp_path / name``; ends with the test."""
    started = []

    def hold(path):
        started.append(subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "held\n"
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_of_another_process(tmp_path, other):
    lock = tmp_path / "deep" / ".lock"
    process = other(lock)
    with pytest.raises(OSError, match=r"the folder is in use by another run; wait"), held(lock, "the folder"):
        pass
    process.kill()  # it cannot clean up, and holds nothing any more
    process.wait()
    assert lock.is_file()
    with held(lock, "the folder"):
        assert lock.is_file()
    assert not lock.exists()


def test_an_error_inside_frees_it(tmp_path):
    lock = tmp_path / ".lock"
    with pytest.raises(BlockingIOError, match="mine"), held(lock, "the folder"):
        raise BlockingIOError("mine")
    assert not lock.exists()
    with held(lock, "the folder"), pytest.raises(OSError, match="in use"), held(lock, "the folder"):
        pass


def test_a_lock_removed_while_it_was_waited_for_is_none(tmp_path, monkeypatch):
    """Its holder removes the file between our opening it and our locking it; a third one makes a new one."""
    import modest.data.lock as lock_file

    lock, flock, calls = tmp_path / ".lock", lock_file.fcntl.flock, []

    def slow(handle, how):
        calls.append(handle)
        if len(calls) == 1:
            lock.unlink()
        if len(calls) == 2:
            lock.unlink()
            lock.touch()
        flock(handle, how)

    monkeypatch.setattr(lock_file.fcntl, "flock", slow)
    with held(lock, "the folder"):
        assert len(calls) == 3
        with pytest.raises(OSError, match="in use"), held(lock, "the folder"):
            pass


def test_two_ingests_into_one_new_folder(tmp_path, other):
    source = {"image": np.eye(4), "label": ["a", "b", "a", "b"]}
    process = other(tmp_path / ".pool.lock")
    (tmp_path / ".pool.partial").mkdir()
    (tmp_path / ".pool.partial" / "half").touch()
    with pytest.raises(OSError, match=r"pool is in use by another run"):
        modest.ingest(source, tmp_path / "pool")
    assert (tmp_path / ".pool.partial" / "half").is_file()  # what the other one writes is left alone
    process.kill()
    process.wait()
    assert len(modest.ingest(source, tmp_path / "pool")) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["pool"]


def test_two_embeds_of_one_view(tmp_path, other):
    pool = modest.ingest({"id": ["a", "b"], "text": ["one word", "two words"]}, tmp_path / "pool")
    process = other(pool.path / ".text.hashed-text.lock")
    with pytest.raises(OSError, match=r"views/text/hashed-text is in use by another run"):
        modest.encoders.embed(pool, {"text": "hashed-text"})
    assert not (pool.path / "views").exists()
    modest.encoders.embed(pool, {"text": "hashed-text"}, dry_run=True)  # writes nothing, and waits for nobody
    process.kill()
    process.wait()
    assert modest.encoders.embed(pool, {"text": "hashed-text"})["text"].written
    assert not list(pool.path.glob(".*"))
