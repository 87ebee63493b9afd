"""SIGKILL at any moment of an ingest, then the same command again: the files of an undisturbed run."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

# a child that ingests, counts its file-system events, and kills itself at the one it is told
CHILD = """
import os, signal, sys
import numpy, pandas, pyarrow.parquet
import modest.data.features
from modest.data.ingest import ingest
source, into, moment = sys.argv[1], sys.argv[2], int(sys.argv[3])
modest.data.features.BLOCK_BYTES = 4096
count = 0
def tick():
    global count
    count += 1
    if count == moment:
        os.kill(os.getpid(), signal.SIGKILL)
def hook(event, arguments):
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir") and "pool" in str(arguments[0]):
        tick()
sys.addaudithook(hook)
ingest(source, into, standardise=True, progress=lambda done, total: tick())
print(count)
"""


def run(source, into, moment=-1):
    told = [sys.executable, "-c", CHILD, str(source), str(into), str(moment)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(told, capture_output=True, text=True, env=environment, check=False)


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kill")
    rng = np.random.default_rng(0)
    text = rng.normal(size=(400, 6))
    text[::7] = np.nan
    np.savez(folder / "items.npz", image=rng.normal(size=(400, 20)), text=text, label=rng.integers(0, 3, 400))
    done = run(folder / "items.npz", folder / "whole" / "pool")
    assert done.returncode == 0, done.stderr
    return folder / "items.npz", content(folder / "whole"), int(done.stdout)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0])
def test_the_same_command_again_gives_the_same_files(undisturbed, tmp_path, share):
    source, wanted, events = undisturbed
    assert events > 20
    killed = run(source, tmp_path / "pool", max(1, round(share * events)))
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "pool").exists() or content(tmp_path) == wanted
    again = run(source, tmp_path / "pool")
    assert again.returncode == 0, again.stderr
    assert content(tmp_path) == wanted
