"""SIGKILL at every step of ``embed``: the next run ends in the same bytes, and no reader ever sees half a view."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import modest
from modest.encoders import embed, load
from tests.encoders.test_embed import grow, make

ROOT = Path(modest.__file__).parent.parent
URI = "pixels?size=2"


@pytest.mark.parametrize("how", ["first", "appended", "fresh"])
def test_killed_at_every_step_and_run_again(tmp_path, how, monkeypatch):
    pool = make(tmp_path, 6)
    arrays = {}
    if how == "fresh":  # the view there is by an older encoder
        with monkeypatch.context() as patched:
            patched.setattr("modest.encoders.pixels.VERSION", "0")
            patched.setattr("modest.encoders.pixels.LEVELS", 9)
            embed(pool, {"image": URI})
        arrays["0"] = np.array(pool.views().arrays["image"])
    if how == "appended":
        embed(pool, {"image": URI}, shard=4)
        values = [str(tmp_path / "00.png"), None, str(tmp_path / "gone.png"), str(tmp_path / "01.png")]
        more = {"id": ["a", "b", "c", "d"], "image": values, "text": "t", "label": None, "split": "train"}
        pool = grow(pool, pd.DataFrame(more))
    good = [k for k, value in enumerate(pool.table["image"]) if isinstance(value, str) and Path(value).is_file()]
    good.remove(3)
    arrays["1"] = np.full((len(pool), 36), np.nan, np.float32)
    arrays["1"][good] = load(URI).encode([pool.table["image"][k] for k in good])
    for revision, array in arrays.items():
        (tmp_path / "arrays" / revision).mkdir(parents=True)
        np.save(tmp_path / "arrays" / revision / "array.npy", array)
    done = subprocess.run(
        [sys.executable, "-m", "tests.encoders.kills", str(tmp_path), "fresh" if how == "fresh" else ""],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12


@pytest.mark.parametrize(
    ("change", "read_again"),
    [
        ("none", 0),
        ("value", 3),
        ("encoder", 6),
        ("ids", 3),
        ("shard size", 6),
        ("damage", 3),
        ("half", 6),
        ("fresh", 6),
    ],
)
def test_only_shards_that_would_be_the_same_are_kept(tmp_path, monkeypatch, change, read_again):
    def stop(*given):
        raise KeyboardInterrupt

    pool = make(tmp_path, 6)
    with monkeypatch.context() as patched:
        patched.setattr("modest.encoders.jobs.shards.assemble", stop)
        with pytest.raises(KeyboardInterrupt):
            embed(pool, {"image": URI}, shard=3)
    shards = pool.path / f"views/image/.{load(URI).name}.shards"
    assert sorted(p.name for p in shards.iterdir()) == [f"0000{k}.{e}" for k in (0, 1) for e in ("json", "npy")]
    if change == "value":
        pool.table.loc[1, "image"] = str(tmp_path / "02.png")
        pool.save()
    elif change == "encoder":
        monkeypatch.setattr("modest.encoders.pixels.VERSION", "2")
    elif change == "ids":
        frame = pool.table.copy()
        frame.loc[5, "id"] = "renamed"
        pool = modest.ingest(frame, tmp_path / "other")
        shards.parent.parent.rename(pool.path / "views")
    elif change == "damage":
        (shards / "00001.npy").write_bytes((shards / "00001.npy").read_bytes()[:-4])
    real, read = modest.encoders.pixels.read_image, []
    monkeypatch.setattr("modest.encoders.pixels.read_image", lambda value: read.append(value) or real(value))
    options = {"half": change == "half", "fresh": change == "fresh", "shard": 2 if change == "shard size" else 3}
    embed(modest.open(pool.path), {"image": URI}, **options)
    assert len(read) == read_again
    expected = load(URI).encode([value for k, value in enumerate(pool.table["image"]) if k != 3])
    found = np.asarray(modest.open(pool.path).views().arrays["image"])[[0, 1, 2, 4, 5]]
    assert np.allclose(found, expected, atol=1e-3 if change == "half" else 0)
    assert not shards.exists()
