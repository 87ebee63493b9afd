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
